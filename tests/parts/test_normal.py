"""Moments of cut and folded normals, against numerical integration."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from close import approx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from xbar.parts.normal import mean_of_decay, rectified, rectified_pieces


@given(mean=st.floats(-3, 3), sigma=st.floats(0.01, 3))
@settings(max_examples=40, deadline=None)
def test_rectified_normal_by_integration(mean: float, sigma: float) -> None:
    cut = -mean / sigma
    first, second = (
        quad(lambda x, k=k: (mean + sigma * x) ** k * norm.pdf(x), cut, max(cut, 0) + 12, epsabs=1e-13)[0]
        for k in (1, 2)
    )
    found = rectified(np.array(mean), np.array(sigma))
    assert found[0] == pytest.approx(first, abs=1e-9)
    assert found[1] == pytest.approx(second - first**2, abs=1e-9)


def test_rectified_normal_at_zero_is_the_half_normal() -> None:
    mean, variance = rectified(np.zeros(1), np.full(1, 2.0))
    assert mean[0] == approx(2 / math.sqrt(2 * math.pi))
    assert variance[0] == approx(4 * (0.5 - 1 / (2 * math.pi)))


def test_far_from_zero_nothing_is_cut_and_no_digit_is_lost() -> None:
    mean, variance = rectified(np.array([1.0, 1.0, 1.0]), np.array([1e-3, 1e-8, 0.0]))
    np.testing.assert_array_equal(mean, 1)
    np.testing.assert_allclose(variance, [1e-6, 1e-16, 0], rtol=1e-9)


def test_far_below_zero_nothing_is_left() -> None:
    mean, variance = rectified(np.array([-50.0, -1.0]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal([mean, variance], 0)


def test_pieces_of_a_density() -> None:
    """A normal cut to [-1, 1] has the variance 1 - 2 phi(1) / (2 Phi(1) - 1); no piece reaches 0."""
    inside = 2 * norm.cdf(1) - 1
    mean, variance = rectified_pieces(np.array([9.0]), np.array([1.0]), ((-1, 1, 1 / inside),))
    assert mean[0] == approx(9)
    assert variance[0] == approx(1 - 2 * norm.pdf(1) / inside)


@pytest.mark.parametrize("folded", [True, False])
@given(mean=st.floats(-0.2, 0.3), sigma=st.floats(0.001, 0.2), rate=st.floats(0, 30))
@settings(max_examples=30, deadline=None)
def test_decay_by_integration(folded: bool, mean: float, sigma: float, rate: float) -> None:
    def decayed(x: float) -> float:
        y = mean + sigma * x
        return math.exp(-rate * (abs(y) if folded else y)) * norm.pdf(x)

    kink, peak = -mean / sigma, -rate * sigma
    edges = sorted({-40.0, 40.0, *(x for x in (kink, peak, 0.0) if -40 < x < 40)})
    wanted = sum(quad(decayed, a, b, epsabs=1e-13, limit=200)[0] for a, b in pairwise(edges))
    assert mean_of_decay(np.array(mean), np.array(sigma), rate, folded) == approx(wanted, rel=1e-6)


def test_decay_without_spread_is_exact_and_extremes_are_finite() -> None:
    mean = np.array([0.1, -0.1, 0.1])
    assert mean_of_decay(mean, np.zeros(3), 2.0, True) == approx(math.exp(-0.2))
    assert mean_of_decay(mean, np.zeros(3), 2.0, False) == approx(np.exp([-0.2, 0.2, -0.2]))
    for folded in (True, False):
        assert np.isfinite(mean_of_decay(mean, np.full(3, 2.0), 60.0, folded)).all()
