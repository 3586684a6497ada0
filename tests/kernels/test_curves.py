"""sinh and asinh against those of numpy."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.testing import assert_allclose

from xbar.kernels.curves import asinh, sinh

POINTS = np.concatenate([10.0 ** np.linspace(-300, 149, 5000), np.linspace(0, 700, 5000), np.linspace(0, 3, 1000)])


@njit(error_model="numpy")
def _all(x, hyperbolic, area):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        hyperbolic[i] = sinh(x[i])
        area[i] = asinh(x[i])


def test_like_numpy() -> None:
    x = np.concatenate([POINTS, -POINTS])
    hyperbolic, area = np.empty(x.size), np.empty(x.size)
    _all(x, hyperbolic, area)
    assert_allclose(area, np.arcsinh(x), rtol=1e-15, atol=0)
    small = np.abs(x) <= 700
    assert_allclose(hyperbolic[small], np.sinh(x[small]), rtol=2e-12, atol=3e-16)
    assert np.isfinite(hyperbolic).all()


def test_what_is_beyond_stays_finite() -> None:
    x, hyperbolic, area = np.array([1e200, np.inf, -1e300]), np.empty(3), np.empty(3)
    _all(x, hyperbolic, area)
    assert_allclose(area, np.arcsinh([1e150, 1e150, -1e150]), rtol=1e-15)
    assert_allclose(hyperbolic, np.sinh([700, 700, -700]), rtol=1e-12)
