"""Named streams of random numbers: the same seed and names give the same bits, and a new name shifts no other.

`generator(seed, "cells", layer, effect)` is a numpy generator; `key(...)` the 64 bits from which a kernel makes its own
numbers. Philox is counter-based (Salmon et al., SC 2011), so that streams of different keys are independent.
"""

from __future__ import annotations

import hashlib

import numpy as np

from xbar.errors import XbarError

Name = str | int


def key(seed: int, *names: Name) -> int:
    """64 bits that the seed and the names determine. Raises XbarError for a negative seed."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise XbarError(f"seed: must be a whole number from 0 up, got {seed!r}")
    # repr keeps apart what would look alike once joined: ("a", "b") and ("a', 'b",), 1 and "1"
    text = repr((int(seed), *(name if isinstance(name, str) else int(name) for name in names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *names: Name) -> np.random.Generator:
    """A generator of its own for these names."""
    return np.random.Generator(np.random.Philox(key=key(seed, *names)))
