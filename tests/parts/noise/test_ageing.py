"""What happens after programming: drift, relaxation, telegraph noise, stuck cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from close import approx
from noise_examples import LOW_REL, cells_of, example
from scipy.stats import binomtest

from xbar.errors import ConfigError
from xbar.parts.base import STAGES, When
from xbar.rng import generator


def _drawn(noise: object, g: np.ndarray, when: When) -> np.ndarray:
    return noise.sample(cells_of(), g, when, generator(0))  # type: ignore[attr-defined,no-any-return]


def test_drift_by_hand() -> None:
    """nu = 0.05 after 20 s x (1e4 - 1): 1e4^-0.05 = 0.631."""
    noise = example("drift", nu_mean=0.05, nu_sigma=0, t_0_s=20, activation_eV=0)
    g = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(_drawn(noise, g, When(20 * 9999.0)), g * 10**-0.2, rtol=1e-12)
    np.testing.assert_array_equal(_drawn(noise, g, When(0.0)), g)


def test_drift_is_a_straight_line_of_logarithms_for_each_cell() -> None:
    noise, g = example("drift", activation_eV=0), np.full(50, 0.4)
    slopes = []
    for decades in (1, 2, 6):
        when = When(20 * (10.0**decades - 1))
        slopes.append(np.log10(_drawn(noise, g, when) / g) / decades)
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-9)
    np.testing.assert_allclose(slopes[0], slopes[2], rtol=1e-9)
    assert slopes[0].std() > 0


def test_only_folded_exponents_never_let_conductance_grow() -> None:
    g, when = np.full(4000, 0.5), When(1e5)
    folded, plain = (_drawn(example("drift", nu_mean=0.01, nu_sigma=0.05, folded=f), g, when) for f in (True, False))
    assert folded.max() <= 0.5
    assert (plain > 0.5).mean() == pytest.approx(0.42, abs=0.03)
    np.testing.assert_allclose(np.minimum(plain, 0.25 / plain), np.minimum(folded, 0.25 / folded))


@pytest.mark.parametrize("kind", ["drift", "relaxation"])
def test_heat_is_time(kind: str) -> None:
    noise = example(kind, activation_eV=1.0, reference_K=300)
    factor = math.exp(1.0 / 8.617333e-5 * (1 / 300 - 1 / 340))
    g = np.linspace(0, 1, 7)
    np.testing.assert_allclose(_drawn(noise, g, When(1e3, 340.0)), _drawn(noise, g, When(1e3 * factor)), rtol=1e-6)
    assert (_drawn(noise, g[1:], When(1e3, 340.0)) != _drawn(noise, g[1:], When(1e3))).all()
    cold = example(kind, activation_eV=0)
    np.testing.assert_array_equal(_drawn(cold, g, When(1e3, 340.0)), _drawn(cold, g, When(1e3)))
    with pytest.raises(ConfigError, match="reference_K: has no effect without activation_eV"):
        example(kind, activation_eV=0, reference_K=350)


def test_relaxation_by_hand() -> None:
    """e^10 s after programming: 88 uS loses 10 x 0.5 uS and spreads by 4 + 10 x 0.9 uS."""
    noise = example("relaxation")
    mean, variance = noise.moments(cells_of(), np.ones(1), When(math.exp(10)))
    assert mean[0] * 88 == approx(88 - 5)
    assert math.sqrt(variance[0]) * 88 == approx(13)


@pytest.mark.parametrize("time_s", [0.0, 1e-6, 0.999, 1.0])
def test_relaxation_before_the_first_measurement_is_as_at_it(time_s: float) -> None:
    noise, g = example("relaxation"), np.array([0.3, 1.0])
    np.testing.assert_array_equal(_drawn(noise, g, When(time_s)), _drawn(noise, g, When(1.0)))
    assert math.sqrt(noise.moments(cells_of(), g, When(time_s))[1][1]) * 88 == approx(4)


def test_telegraph_has_two_states() -> None:
    g = np.full(10000, 0.8)
    found = _drawn(example("telegraph"), g, When())
    np.testing.assert_allclose(np.unique(found), [0.56, 0.8])
    assert binomtest(int((found < 0.7).sum()), 10000, 0.2).pvalue > 1e-3


@pytest.mark.parametrize(("hrs_rate", "lrs_rate"), [(0.0904, 0.0175), (0.0, 0.3), (1.0, 0.0), (0.0, 1.0), (0.3, 0.7)])
def test_faults_come_at_the_rates_asked_for(hrs_rate: float, lrs_rate: float) -> None:
    n = 100_000
    found = _drawn(example("stuck", hrs_rate=hrs_rate, lrs_rate=lrs_rate), np.full(n, 0.5), When())
    for value, rate in ((LOW_REL, hrs_rate), (1.0, lrs_rate)):
        assert binomtest(int((found == value).sum()), n, rate).pvalue > 1e-3
        assert binomtest(int((found == value).sum()), n, min(1.05 * rate + 0.01, 1)).pvalue < 1e-3 or rate == 1
    assert set(np.unique(found)) <= {LOW_REL, 0.5, 1.0}


def test_more_faults_keep_the_fewer() -> None:
    g = np.full(5000, 0.5)
    few, many = (_drawn(example("stuck", hrs_rate=r, lrs_rate=r / 2), g, When()) for r in (0.02, 0.1))
    stuck = few != 0.5
    assert stuck.any()
    np.testing.assert_array_equal(many[stuck], few[stuck])


def test_rates_above_one_in_sum_are_one_error() -> None:
    with pytest.raises(ConfigError) as caught:
        example("stuck", hrs_rate=0.6, lrs_rate=0.5)
    (problem,) = caught.value.problems
    assert "hrs_rate: must not exceed 1 together with lrs_rate (0.5), got 0.6; the sum is 1.1" in problem


def test_faults_last_and_traps_do_not() -> None:
    assert example("stuck").per_device
    assert not example("telegraph").per_device
    assert [example(k).stage for k in ("gaussian", "drift", "telegraph", "stuck")] == list(STAGES)
