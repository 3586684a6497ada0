"""One-level precision: weights in {-q, 0, +q}, for cells with one programmed level (Wang, ASP-DAC 2017, step 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def weight_scale(weight: NDArray[np.float32], per_channel: bool) -> NDArray[np.float64]:
    """The level q that minimises sum (w - Q(w))² with Q(w) = q sign(w) where |w| > q/2, else 0; float64 [1] or [col].

    For the k largest magnitudes with sum S_k the best level is S_k / k and the error falls by S_k² / k: the k with the
    largest gain is the global optimum, to which iterating "threshold q/2, then mean" only converges from a good start.
    Zeros get the level 1.
    """
    rows = np.abs(weight.reshape(weight.shape[0] if per_channel else 1, -1)).astype(np.float64)
    sums = np.cumsum(-np.sort(-rows, axis=1), axis=1)
    counts = np.arange(1, rows.shape[1] + 1)
    best = np.argmax(sums**2 / counts, axis=1)
    level = sums[np.arange(len(rows)), best] / counts[best]
    return np.where(level > 0, level, 1.0)


def weight_integers(weight: NDArray[np.float32], level: NDArray[np.float64]) -> NDArray[np.int32]:
    """-1, 0 or +1 by the threshold q/2, laid out as `weight`."""
    threshold = level.reshape(-1, *([1] * (weight.ndim - 1))) / 2
    return (np.sign(weight) * (np.abs(weight) > threshold)).astype(np.int32)
