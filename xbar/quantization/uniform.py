"""Uniform symmetric quantization: the largest magnitude takes the largest integer, everything else in equal steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def weight_scale(weight: NDArray[np.float32], bits: int, per_channel: bool) -> NDArray[np.float64]:
    """Step of the weights: scale = max|w| / (2^(bits-1) - 1), float64 [1] or [col_total].

    A layer or channel of zeros gets the step 1, so that nothing divides by zero.
    """
    largest = largest_magnitude(weight, per_channel)
    return np.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)


def largest_magnitude(weight: NDArray[np.float32], per_channel: bool) -> NDArray[np.float64]:
    """max|w| of the layer [1] or of each output channel [col_total]."""
    rows = np.abs(weight.reshape(weight.shape[0] if per_channel else 1, -1)).astype(np.float64)
    return np.asarray(rows.max(axis=1))


def weight_integers(weight: NDArray[np.float32], scale: NDArray[np.float64], bits: int) -> NDArray[np.int32]:
    """w_q = clip(round(w / scale), -(2^(bits-1) - 1), 2^(bits-1) - 1), ties to even, laid out as `weight`."""
    top = 2 ** (bits - 1) - 1
    steps = scale.reshape(-1, *([1] * (weight.ndim - 1)))
    return np.clip(np.rint(weight.astype(np.float64) / steps), -top, top).astype(np.int32)


def input_scale(full_range: float, bits: int, signed: bool) -> float:
    """Step of the activations: range / (2^bits - 1), or range / (2^(bits-1) - 1) where signed; 1 for range 0."""
    return full_range / top_code(bits, signed) if full_range > 0 else 1.0


def top_code(bits: int, signed: bool) -> int:
    """The largest integer of an activation: 2^bits - 1, or 2^(bits-1) - 1 where it is signed."""
    return 2 ** (bits - signed) - 1
