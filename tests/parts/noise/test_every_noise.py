"""Every kind of noise: its moments against draws, its zero limit, finite and never negative, same seed same bits."""

from __future__ import annotations

import numpy as np
import pytest
from noise_examples import LOW_REL, N_LEVELS, NOISES, SILENT, agrees, cells_of, example

from xbar.parts.base import AdcNoise, CellNoise, Cells, DacNoise, Floats, Noise, ReadNoise, When
from xbar.parts.kinds import kinds, part_class
from xbar.rng import generator

N_DRAWS = 4000
WHENS = [When(0.0), When(30.0), When(1e6, 350.0)]
FULL_SCALE = 200.0
SUMS = np.array([0.0, 40.0, 100.0, 200.0])


def _of(family: type[Noise]) -> list[str]:
    return [kind for kind in kinds(Noise) if issubclass(part_class(Noise, kind), family)]  # type: ignore[type-abstract]


CELL_KINDS, READ_KINDS, ADC_KINDS, DAC_KINDS = (_of(f) for f in (CellNoise, ReadNoise, AdcNoise, DacNoise))


def _draws(noise: CellNoise, when: When, n: int = N_DRAWS) -> tuple[Floats, Floats, Floats]:
    """Draws [draw, level], and mean and variance by the formula [level]; what went before has left g a bit off."""
    off = np.array([1.0, 0.9, 1.02, 1.1, 0.97])
    cells, one = cells_of(n), cells_of()
    draws = noise.sample(cells, cells.target_rel * off, when, generator(5, noise.kind))
    mean, variance = noise.moments(one, one.target_rel * off, when)
    return draws, mean[0], variance[0]


def test_every_kind_is_examined() -> None:
    assert sorted([*CELL_KINDS, *READ_KINDS, *ADC_KINDS, *DAC_KINDS]) == list(kinds(Noise))
    assert set(NOISES) == set(SILENT) == set(kinds(Noise))


@pytest.mark.parametrize("when", WHENS, ids=str)
@pytest.mark.parametrize("kind", CELL_KINDS)
def test_moments_are_those_of_draws(kind: str, when: When) -> None:
    assert agrees(*_draws(example(kind), when))


@pytest.mark.parametrize("kind", CELL_KINDS)
def test_a_wrong_factor_would_be_noticed(kind: str) -> None:
    """With 1,000 draws: twice or half the variance, twice the distance from g, and a mean off by a fifth of sigma."""
    draws, mean, variance = _draws(example(kind), WHENS[-1], 1000)
    assert variance.max() > 0
    assert agrees(draws, mean, variance)
    for wrong in (2 * variance, variance / 2, 4 * variance):
        assert not agrees(draws, mean, wrong)
    assert not agrees(draws, mean + 0.2 * np.sqrt(variance), variance)
    assert not agrees(draws * 2, mean, variance)


@pytest.mark.parametrize("kind", ["drift", "relaxation", "lognormal", "table", "telegraph", "stuck"])
def test_a_shift_that_is_twice_too_large_would_be_noticed(kind: str) -> None:
    changes = {"preserves": "median", "sigma_ln": 0.4} if kind == "lognormal" else {}
    draws, mean, variance = _draws(example(kind, **changes), WHENS[-1])
    g = (cells_of().target_rel * [1.0, 0.9, 1.02, 1.1, 0.97])[0]
    assert agrees(draws, mean, variance)
    assert not agrees(draws, mean + (mean - g), variance)


@pytest.mark.parametrize("kind", CELL_KINDS)
def test_without_noise_cells_keep_what_they_had(kind: str) -> None:
    noise, cells = example(kind, **SILENT[kind]), cells_of(3)
    for when in WHENS:
        drawn = noise.sample(cells, cells.target_rel, when, generator(0, kind))
        mean, variance = noise.moments(cells, cells.target_rel, when)
        np.testing.assert_allclose(drawn, cells.target_rel, rtol=1e-14)
        np.testing.assert_allclose(mean, cells.target_rel, rtol=1e-14)
        np.testing.assert_array_equal(variance, 0)


def _extremes() -> tuple[Cells, Floats]:
    g = np.repeat(np.array([0.0, 1e-300, 1e-6, LOW_REL, 0.5, 1.0, 1.7]), 200)
    level = np.resize(np.arange(N_LEVELS, dtype=np.uint8), g.size)
    return Cells(level, cells_of().target_rel[0][level], LOW_REL, N_LEVELS), g


@pytest.mark.parametrize(
    "when", [When(t, k) for t in (0.0, 1e-9, 1.0, 1e12, 1e300) for k in (1.0, 300.0, 5000.0)], ids=str
)
@pytest.mark.parametrize("kind", CELL_KINDS)
def test_finite_and_never_negative(kind: str, when: When) -> None:
    noise, (cells, g) = example(kind), _extremes()
    g.flags.writeable = False
    drawn = noise.sample(cells, g, when, generator(1, kind))
    assert drawn.shape == g.shape
    assert drawn.dtype == np.float64
    for values in (drawn, *noise.moments(cells, g, when)):
        assert values.shape == g.shape
        assert np.isfinite(values).all()
        assert values.min() >= 0


@pytest.mark.parametrize("kind", CELL_KINDS)
def test_same_seed_same_bits(kind: str) -> None:
    noise, cells = example(kind), cells_of(50)

    def drawn(*names: str | int) -> Floats:
        return noise.sample(cells, cells.target_rel, WHENS[1], generator(3, *names))

    np.testing.assert_array_equal(drawn("cells", kind), drawn("cells", kind))
    assert (drawn("cells", kind) != drawn("cells", kind, 1)).any()


@pytest.mark.parametrize("kind", CELL_KINDS)
def test_a_device_keeps_its_draw_as_time_goes_on(kind: str) -> None:
    """The k-th best of equal cells is the k-th best at any time: each law is monotone in its draw."""
    noise = example(kind)
    n = 300
    cells = Cells(np.full(n, 3, np.uint8), np.full(n, 0.775), LOW_REL, N_LEVELS)
    early, late = (noise.sample(cells, cells.target_rel, w, generator(2, kind)) for w in (When(10.0), When(1e6)))
    order = np.argsort(early, kind="stable")
    assert (np.diff(late[order]) >= -1e-12).all()
    assert early.std() > 0


@pytest.mark.parametrize("kind", READ_KINDS)
def test_read_noise_is_finite_and_ends_with_its_setting(kind: str) -> None:
    g = np.array([0.0, 1e-300, 1e-6, 0.5, 1.0, 1.7])
    for when in (*WHENS, When(1e-9), When(1e300)):
        variance = example(kind).variance(g, when)
        assert variance.shape == g.shape
        assert np.isfinite(variance).all()
        assert variance.min() >= 0
        assert variance[3] > 0
        np.testing.assert_array_equal(example(kind, **SILENT[kind]).variance(g, when), 0)


@pytest.mark.parametrize("kind", ADC_KINDS)
def test_moments_of_converters_are_those_of_draws(kind: str) -> None:
    noise, rng = example(kind), generator(4, kind)
    coefficients = noise.sample(FULL_SCALE, N_DRAWS, rng)
    assert coefficients.shape == (N_DRAWS, 3)
    codes = coefficients @ np.stack([np.ones_like(SUMS), SUMS, SUMS**2])
    codes = codes + noise.sigma_lsb * rng.standard_normal(codes.shape)
    mean, variance = noise.moments(SUMS, FULL_SCALE)
    assert agrees(codes, mean, variance)
    assert not agrees(codes[:1000], mean, 2 * variance)
    assert not agrees(codes[:1000], mean + 0.2 * np.sqrt(variance), variance)
    silent = example(kind, **SILENT[kind])
    np.testing.assert_array_equal(silent.sample(FULL_SCALE, 2, rng), [[0, 1, 0]] * 2)
    assert silent.sigma_lsb == 0
    np.testing.assert_array_equal(silent.moments(SUMS, FULL_SCALE), [SUMS, 0 * SUMS])


@pytest.mark.parametrize("kind", DAC_KINDS)
def test_moments_of_drivers_are_those_of_draws(kind: str) -> None:
    noise, rng = example(kind), generator(4, kind)
    volts = noise.sample(N_DRAWS, rng) + noise.sigma_rel * rng.standard_normal(N_DRAWS)
    mean, variance = np.array(noise.moments())[:, None]
    assert agrees(volts[:, None], mean, variance)
    assert not agrees(volts[:1000, None], mean, 2 * variance)
    silent = example(kind, **SILENT[kind])
    np.testing.assert_array_equal(silent.sample(3, rng), 1)
    assert (silent.sigma_rel, *silent.moments()) == (0, 1, 0)
