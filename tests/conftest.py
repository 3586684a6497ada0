"""Where pytest-xdist runs the tests in several processes, these use the one cache of compiled kernels in turns."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """numba reads the index of a function's signatures, adds one, writes it back, and then writes the code.

    Two processes that do so at a time may leave a signature that leads to the code of another (numba issue 10128).
    """
    if not hasattr(config, "workerinput"):  # what a process of pytest-xdist has
        return
    from numba.core.caching import IndexDataCacheFile

    for name in ("load", "save"):
        setattr(IndexDataCacheFile, name, _in_turns(getattr(IndexDataCacheFile, name)))


def _in_turns(method: Callable[..., Any]) -> Callable[..., Any]:
    from filelock import FileLock

    @wraps(method)
    def locked(cache: Any, *arguments: Any) -> Any:
        with FileLock(Path(cache._cache_path) / "numba.lock"):
            return method(cache, *arguments)

    return locked
