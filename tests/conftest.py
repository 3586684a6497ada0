"""Where pytest-xdist runs the tests in several processes, these use the one cache of compiled kernels in turns."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # what a process of pytest-xdist has
        return
    from xbar.kernels.shared_cache import take_turns

    take_turns()
