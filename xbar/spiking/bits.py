"""Rows of bits as 64-bit words: bit k of word w stands for column 64 w + k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
WORD = 64


def n_words(n_bits: int) -> int:
    """Words that hold so many bits."""
    return -(-n_bits // WORD)


def packed(bits: NDArray[np.bool_]) -> Words:
    """bool [..., column] as uint64 [..., word]; missing columns are 0."""
    short = -bits.shape[-1] % WORD
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, short)]) if short else bits
    as_bytes = np.packbits(padded, axis=-1, bitorder="little")
    return np.ascontiguousarray(as_bytes).view("<u8").astype(np.uint64, copy=False)


def unpacked(words: Words, n_bits: int) -> NDArray[np.bool_]:
    """uint64 [..., word] as bool [..., column]."""
    as_bytes = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(as_bytes, axis=-1, count=n_bits, bitorder="little").astype(np.bool_)
