"""What cutting and folding do to a normal distribution: moments of conductances, which cannot be negative.

Each law of xbar/parts/noise that adds an error to a conductance ends at 0, the conductance of a cell that does not
conduct. Its mean and variance are then those of a rectified variable, not those of the error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xbar.parts.base import Floats

LARGEST_EXPONENT = 300.0  # e^300 squared is finite


def rectified(mean: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of max(0, mean + sigma xi), xi normal; any shapes that broadcast.

    With a = mean / sigma: the mean is mean Phi(a) + sigma phi(a), the second moment (mean^2 + sigma^2) Phi(a) +
    mean sigma phi(a).
    """
    return rectified_pieces(mean, sigma, ((-np.inf, np.inf, 1.0),))


def rectified_pieces(
    mean: Floats, sigma: Floats, pieces: Sequence[tuple[float, float, float]]
) -> tuple[Floats, Floats]:
    """Mean and variance of max(0, mean + sigma x) for an x whose density is a multiple of phi in each of some pieces.

    pieces: (low, high, weight), apart from each other: the density is weight * phi(x) between low and high.
    """
    mean, sigma = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(sigma, np.float64))
    safe = np.where(sigma > 0, sigma, 1.0)
    # deviations are taken from `centre`, so that a small sigma is not the difference of two large squares
    centre = np.maximum(mean, 0.0)
    cut = -mean / safe
    first, second = np.zeros_like(mean), np.zeros_like(mean)
    for low, high, weight in pieces:
        below, _, _ = _partial_moments(np.full_like(cut, low), np.minimum(high, np.maximum(low, cut)))
        mass, x, x2 = _partial_moments(np.minimum(high, np.maximum(low, cut)), np.full_like(cut, high))
        shift = mean - centre
        first += weight * (safe * x + shift * mass - centre * below)
        second += weight * (safe**2 * x2 + 2 * shift * safe * x + shift**2 * mass + centre**2 * below)
    variance = np.maximum(second - first**2, 0.0)
    return np.where(sigma > 0, np.maximum(centre + first, 0.0), centre), np.where(sigma > 0, variance, 0.0)


def _partial_moments(low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Integrals of phi, x phi and x^2 phi from low to high (infinite ends allowed)."""
    from scipy.special import ndtr

    # in the upper half the complement keeps the digits of a small tail
    mass = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    at_low, at_high = (np.exp(-0.5 * end**2) / np.sqrt(2 * np.pi) for end in (low, high))
    x_low, x_high = (np.where(np.isfinite(end), end, 0.0) for end in (low, high))
    return mass, at_low - at_high, mass + x_low * at_low - x_high * at_high


def mean_of_decay(mean: Floats, sigma: Floats, rate: float, folded: bool) -> Floats:
    """Expectation of exp(-rate y) for y = mean + sigma xi, or for y = |mean + sigma xi| if `folded`.

    The moment generating function at -L (L = rate) of the normal with mean m and standard deviation s,
    e^(-Lm + L^2 s^2 / 2), or of the folded normal, e^(-Lm + L^2 s^2 / 2) Phi(m/s - sL) + e^(Lm + L^2 s^2 / 2)
    Phi(-m/s - sL).
    """
    from scipy.special import log_ndtr

    exponent = 0.5 * (rate * sigma) ** 2
    if not folded:
        return np.exp(np.minimum(exponent - rate * mean, LARGEST_EXPONENT))
    safe = np.where(sigma > 0, sigma, 1.0)
    spread = sum(
        np.exp(np.minimum(exponent - sign * rate * mean + log_ndtr(sign * mean / safe - safe * rate), 0.0))
        for sign in (1, -1)
    )
    return np.where(sigma > 0, spread, np.exp(-rate * np.abs(mean)))
