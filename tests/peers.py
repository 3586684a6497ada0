"""Other programs that tests compare with; missing ones are a reason to skip."""

from __future__ import annotations

import logging
import warnings
from types import ModuleType

import pytest


def import_badcrossbar() -> ModuleType:
    """badcrossbar, quiet; skips the module that asks where it is not installed."""
    with warnings.catch_warnings(record=True):  # it insists that its plots need another package
        try:
            import badcrossbar
        except ImportError:
            pytest.skip(
                "badcrossbar is not installed; `pip install --no-deps badcrossbar pathvalidate` brings it",
                allow_module_level=True,
            )
    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    found: ModuleType = badcrossbar
    return found
