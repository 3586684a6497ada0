"""Dynamic fixed point: every layer (or channel) has its own power-of-two step, so that scaling is a shift.

step = 2^(ceil(log2 max|x|) - magnitude bits), as in the public code of bit-slice L1 (arXiv 1909.08496). Where max|x|
lies within half a step of the power of two above it, the top code would need one more bit and is clipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbar.quantization.uniform import largest_magnitude


def power_of_two_step(largest: NDArray[np.float64], magnitude_bits: int) -> NDArray[np.float64]:
    """2^(ceil(log2 largest) - magnitude_bits), elementwise; 1 where `largest` is 0."""
    mantissa, exponent = np.frexp(largest)  # largest = mantissa * 2^exponent with 1/2 <= mantissa < 1
    power = np.where(mantissa == 0.5, exponent - 1, exponent)
    return np.where(largest > 0, np.ldexp(1.0, power - magnitude_bits), 1.0)


def weight_scale(weight: NDArray[np.float32], bits: int, per_channel: bool) -> NDArray[np.float64]:
    """Step of the weights, float64 [1] or [col_total]; `bits` counts the sign."""
    return power_of_two_step(largest_magnitude(weight, per_channel), bits - 1)


def input_scale(full_range: float, bits: int, signed: bool) -> float:
    """Step of the activations for their calibrated range."""
    return float(power_of_two_step(np.float64(full_range), bits - signed))  # type: ignore[arg-type]
