"""Closeness of physical quantities in tests."""

from __future__ import annotations

from typing import Any

import pytest


def approx(expected: Any, rel: float = 1e-6) -> Any:
    """`pytest.approx` without its absolute tolerance of 1e-12, which is more than many an energy, area or time.

    An expected 0 must be met exactly; where rounding is allowed, say how much: `pytest.approx(0, abs=...)`.
    """
    return pytest.approx(expected, rel=rel, abs=0.0)
