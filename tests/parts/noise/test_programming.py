"""Errors of programming: gaussian, lognormal, polynomial, write_verify."""

from __future__ import annotations

import math

import numpy as np
import pytest
from close import approx
from noise_examples import LOW_REL, agrees, cells_of, example
from scipy.stats import ks_2samp, norm

from xbar.errors import ConfigError
from xbar.parts.base import When
from xbar.rng import generator

NOW = When()


def test_gaussian_is_relative_to_the_range_or_to_the_value() -> None:
    cells = cells_of()
    high = cells.target_rel[0, -1:]
    assert example("gaussian", sigma_rel=0.05).moments(cells, high, NOW)[1][0] == approx((0.05 * 0.9) ** 2)
    by_value = example("gaussian", sigma_rel=0.05, relative_to="value")
    np.testing.assert_allclose(by_value.moments(cells, cells.target_rel, NOW)[1], (0.05 * cells.target_rel) ** 2)


@pytest.mark.parametrize("kind", ["gaussian", "lognormal", "drift"])
def test_device_to_device_and_cycle_to_cycle_are_two_things(kind: str) -> None:
    assert example(kind, per="device").per_device
    assert not example(kind, per="cycle").per_device


def test_lognormal_keeps_median_or_mean() -> None:
    cells, one = cells_of(20001), cells_of()
    for preserves, kept in (("median", np.median), ("mean", np.mean)):
        noise = example("lognormal", sigma_ln=0.5, preserves=preserves)
        draws = noise.sample(cells, cells.target_rel, NOW, generator(0))
        np.testing.assert_allclose(kept(draws, axis=0), one.target_rel[0], rtol=0.02)
        assert np.log(draws / cells.target_rel).std() == approx(0.5, rel=0.02)
    mean, variance = example("lognormal", sigma_ln=0.1).moments(one, one.target_rel, NOW)
    assert (np.sqrt(variance) / mean)[0] == approx(0.1, rel=0.01)


def test_polynomial_between_measured_times_is_linear_in_log_time() -> None:
    noise = example("polynomial")  # 2 + 8 r - 4 r^2 uS after 1 s, 4 + 12 r - 6 r^2 after 1e5 s, of 40 uS
    r = np.array([0.0, 0.5, 1.0])
    early, late = np.array([2, 5, 6]) / 40, np.array([4, 8.5, 10]) / 40
    for time_s, share in [(0, 0), (0.5, 0), (1, 0), (10, 0.2), (1e4, 0.8), (1e5, 1), (1e9, 1)]:
        np.testing.assert_allclose(noise.sigma(r, When(time_s)), early + share * (late - early), rtol=1e-12)


def test_polynomial_of_one_measurement_holds_at_all_times() -> None:
    noise = example("polynomial", measured=[{"coefficients_S": ["1 uS", "2 uS"]}])
    for time_s in (0, 1e6):
        np.testing.assert_allclose(noise.sigma(np.array([0, 0.5, 1, 1.5]), When(time_s)) * 40, [1, 2, 3, 3])


def test_polynomial_deviations_grow_but_are_the_same_draws() -> None:
    noise, cells = example("polynomial"), cells_of(100)
    deviations = [noise.sample(cells, cells.target_rel, When(t), generator(9)) - cells.target_rel for t in (1.0, 1e5)]
    kept = deviations[1] > -cells.target_rel + 1e-9
    sigma = [noise.sigma(cells.target_rel, When(t)) for t in (1.0, 1e5)]
    np.testing.assert_allclose((deviations[0] / sigma[0])[kept], (deviations[1] / sigma[1])[kept], rtol=1e-9)


_ONE = {"coefficients_S": [1e-6]}


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ([], "measured: must have 1 or more entries"),
        ([{"coefficients_S": []}], "coefficients_S: must have 1 or more entries"),
        ([{"coefficients_S": [1e-6, "-3 uS"]}], "coefficients_S: must give a sigma between 0 and 10 g_max_S"),
        ([{"coefficients_S": [0.3]}], "it is 300 mS at r = 0"),
        ([{"coefficients_S": ["1 V"]}], "'V' is a voltage"),
        ([_ONE, {**_ONE, "time_s": 2}], "measured.0.time_s: is needed where there are several"),
        ([{**_ONE, "time_s": 2}], "measured.0.time_s: has no effect where there is only one"),
        ([{**_ONE, "time_s": 2}, {**_ONE, "time_s": 2}], "measured: must rise in time_s"),
        ([{**_ONE, "time_s": 0}, {**_ONE, "time_s": 2}], "measured.0.time_s: must be more than 0"),
    ],
)
def test_polynomials_that_make_no_sense(measured: list[dict[str, object]], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        example("polynomial", measured=measured)
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


def _write_until_near(rng: np.random.Generator, n: int, tolerance: float, max_writes: int) -> tuple[np.ndarray, float]:
    """The loop itself: standard deviations of each cell after its last write, and writes per cell."""
    x = rng.standard_normal(n)
    writes = n
    for _ in range(max_writes - 1):
        far = np.abs(x) > tolerance
        x[far] = rng.standard_normal(far.sum())
        writes += int(far.sum())
    return x, writes / n


@pytest.mark.parametrize(("tolerance", "max_writes"), [(0.5, 1), (0.5, 3), (1.5, 2), (0.02, 40), (3.0, 5)])
def test_write_verify_is_the_loop_of_writes(tolerance: float, max_writes: int) -> None:
    n = 20000
    noise = example(
        "write_verify", sigma_rel=0.02, tolerance_rel=0.02 * tolerance, max_writes=max_writes, relative_to="value"
    )
    one = cells_of().target_rel[:1, -1:]
    found = (noise.sample(cells_of(), np.broadcast_to(one, (n, 1)), NOW, generator(1)) - 1) / 0.02
    looped, writes = _write_until_near(generator(2), n, tolerance, max_writes)
    assert ks_2samp(found[:, 0], looped).pvalue > 1e-3
    # binomial error of the share within tolerance, and an error of writes below max_writes / sqrt(n)
    share = 1 - 2 * norm.sf(tolerance)
    hit = 1 - (1 - share) ** max_writes
    assert (np.abs(found) <= tolerance).mean() == pytest.approx(hit, abs=4 * math.sqrt(hit * (1 - hit) / n) + 1e-9)
    assert noise.mean_writes == pytest.approx(writes, abs=4 * max_writes / math.sqrt(n))
    assert agrees(looped[:, None] * 0.02 + 1, *(m[0] for m in noise.moments(cells_of(), one, NOW)))


def test_write_verify_by_hand() -> None:
    """Tolerance of one sigma, two writes: p = 0.6827, 1.3173 writes, 10 % never near."""
    noise = example("write_verify", sigma_rel=0.01, tolerance_rel=0.01, max_writes=2)
    assert noise.mean_writes == pytest.approx(1.31731, abs=1e-5)
    one = np.ones((1, 1))
    inside = 1 - 2 * norm.pdf(1) / 0.682689
    outside = 1 + 2 * norm.pdf(1) / 0.317311
    variance = (1 - 0.317311**2) * inside + 0.317311**2 * outside
    assert noise.moments(cells_of(), one, NOW)[1][0, 0] == approx(variance * (0.01 * (1 - LOW_REL)) ** 2, rel=1e-5)


def test_write_verify_with_one_write_is_gaussian_and_with_many_stays_within_tolerance() -> None:
    cells = cells_of(1000)
    once = example("write_verify", sigma_rel=0.1, tolerance_rel=0.01, max_writes=1)
    gaussian = example("gaussian", sigma_rel=0.1)
    for a, b in zip(*(n.moments(cells, cells.target_rel, NOW) for n in (once, gaussian)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    assert once.mean_writes == 1
    many = example("write_verify", sigma_rel=0.1, tolerance_rel=0.01, max_writes=1000)
    found = many.sample(cells, cells.target_rel, NOW, generator(0))
    assert np.abs(found - cells.target_rel).max() <= 0.01 * (1 - LOW_REL) * (1 + 1e-12)
    assert many.mean_writes == approx(1 / math.erf(0.1 / math.sqrt(2)))


@pytest.mark.parametrize(("sigma_rel", "writes"), [(0, 1), (1e-9, 1), (10, 7 - 21 * 7.9788e-5)])
def test_write_verify_extremes(sigma_rel: float, writes: int) -> None:
    noise = example("write_verify", sigma_rel=sigma_rel, tolerance_rel=1e-3, max_writes=7)
    assert noise.mean_writes == pytest.approx(writes, abs=1e-6)
    cells = cells_of(100)
    for values in (
        noise.sample(cells, cells.target_rel, NOW, generator(0)),
        noise.moments(cells, cells.target_rel, NOW)[0],
    ):
        assert np.isfinite(values).all()
