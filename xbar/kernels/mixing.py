"""Random words that are a function of their counters: the same for any order, batch or thread.

The 64-bit finaliser is Stafford's mix 13, as in SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio


@njit(cache=True)
def mixed(z):  # type: ignore[no-untyped-def]
    """The finaliser of one uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def mixed_plain(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The same in numpy."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def counted(key, counter):  # type: ignore[no-untyped-def]
    """Word number `counter` of a key, both uint64."""
    return mixed(mixed(key + GOLDEN) + counter * GOLDEN)


def counted_plain(key: NDArray[np.uint64], counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The same in numpy; arrays that broadcast."""
    return mixed_plain(mixed_plain(key + GOLDEN) + counter * GOLDEN)
