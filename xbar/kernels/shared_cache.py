"""The one cache of compiled kernels, for processes that compile at the same time."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from filelock import FileLock
from numba.core.caching import IndexDataCacheFile

LOCK = "numba.lock"


def take_turns() -> None:
    """From now on this process reads and writes the cache of compiled kernels alone, as all do that called this.

    numba reads the index of a function's signatures, adds one, writes it back, and then writes the code. Two processes
    that do so at a time may leave a signature that leads to the code of another (numba issue 10128).
    """
    for name in ("load", "save"):
        method = getattr(IndexDataCacheFile, name)
        if not hasattr(method, "__wrapped__"):
            setattr(IndexDataCacheFile, name, _in_turns(method))


def _in_turns(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def locked(cache: Any, *arguments: Any) -> Any:
        with FileLock(Path(cache._cache_path) / LOCK):
            return method(cache, *arguments)

    return locked
