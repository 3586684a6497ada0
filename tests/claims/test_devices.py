"""Published statistics of devices: the packaged noise models against the papers' own formulas, in uS and seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from close import approx
from noise_examples import agrees

from xbar.noise import NoiseModel, load_noise
from xbar.parts.base import CellNoise, Cells, Floats, When
from xbar.parts.noise.drift import DriftNoise
from xbar.parts.noise.polynomial import PolynomialNoise
from xbar.rng import generator

R = np.array([0.0, 1e-9, 0.05, 0.0944, 0.0945, 0.1, 0.159, 0.1591, 0.2, 0.3, 0.3038, 0.3039, 0.5, 0.7, 1.0])
DAY_S = 86400.0


def _cells(r: Floats) -> Cells:
    return Cells(np.zeros(r.shape, np.uint8), r, 0.0, 2)


def _programming(model: NoiseModel) -> PolynomialNoise:
    noise = model.effects["programming"]
    assert isinstance(noise, PolynomialNoise)
    return noise


def _drift(model: NoiseModel) -> DriftNoise:
    noise = model.effects["drift"]
    assert isinstance(noise, DriftNoise)
    return noise


def _ln(r: float) -> float:
    return math.log(max(r, 1e-300))


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _each(law: Callable[[float], float], r: Floats = R) -> Floats:
    return np.array([law(float(x)) for x in r])


@pytest.mark.parametrize(
    ("time_s", "sigma_uS"),
    [
        (1.0, [0.35, 1.56, 2.14, 2.30, 2.02, 1.61, 1.10]),
        (DAY_S, [0.70, 2.45, 3.44, 3.90, 3.91, 3.48, 2.65]),
        (2 * DAY_S, [0.78, 2.41, 3.37, 3.85, 3.93, 3.50, 2.68]),
    ],
)
def test_neurram_deviations_at_the_published_times(time_s: float, sigma_uS: list[float]) -> None:
    """Wan et al., Nature 2022; g_max 40 uS."""
    noise = _programming(load_noise("reram_wan_2022"))
    r = np.array([0, 0.1, 0.2, 0.3, 0.5, 0.7, 1])
    np.testing.assert_allclose(noise.sigma(r, When(time_s)) * 40, sigma_uS, atol=0.0051)


@pytest.mark.parametrize("time_s", [1.0, 3600.0, 2 * DAY_S])
def test_neurram_cells_deviate_as_published(time_s: float) -> None:
    """Draws at r = 1, where nothing is cut: sigma of 1.10 uS after 1 s up to 2.68 uS after two days."""
    model = load_noise("reram_wan_2022").at(time_s)
    ones = np.ones((2000, 1))
    draws = model.of_cells["programming"].sample(_cells(ones), ones, model.when, generator(0))
    share = math.log(time_s) / math.log(DAY_S) if time_s < DAY_S else 1.0
    at_1_s, at_1_day, at_2_days = 1.103, 2.652, 2.677  # sums of the coefficients in facts
    sigma_uS = at_2_days if time_s > DAY_S else at_1_s + share * (at_1_day - at_1_s)
    assert agrees(draws, np.ones(1), np.full(1, (sigma_uS / 40) ** 2))
    assert not agrees(draws, np.ones(1), np.full(1, 2 * (sigma_uS / 40) ** 2))


def test_neurram_reads_have_1_percent_of_g_max() -> None:
    model = load_noise("reram_wan_2022")
    np.testing.assert_allclose(np.sqrt(model.of_reads["read"].variance(R, model.when)) * 40, 0.4)


def test_pcm_programming() -> None:
    """Joshi et al., Nat. Commun. 2020; g_max 25 uS."""
    sigma = _programming(load_noise("pcm_joshi_2020")).sigma(R, When()) * 25
    np.testing.assert_allclose(sigma, _each(lambda r: 0.26348 + 1.9650 * r - 1.1731 * r**2), rtol=1e-12)


def test_pcm_drift() -> None:
    drift = _drift(load_noise("pcm_joshi_2020"))
    mu = _each(lambda r: _clip(-0.0155 * _ln(r) + 0.0244, 0.049, 0.1))
    s = _each(lambda r: _clip(-0.0125 * _ln(r) - 0.0059, 0.008, 0.045))
    np.testing.assert_allclose(drift.nu_mean(R), mu, rtol=1e-12)
    np.testing.assert_allclose(drift.nu_sigma(R), s, rtol=1e-12)
    r, mean_nu, spread = np.full((2000, 1), 0.5), 0.049, 0.008  # both clipped there
    draws = drift.sample(_cells(r), r, When(1e6), generator(0)) / 0.5
    nu = -np.log(draws) / math.log((1e6 + 20) / 20)
    assert agrees(nu, np.full(1, mean_nu), np.full(1, spread**2))
    assert not agrees(nu, np.full(1, mean_nu), np.full(1, 2 * spread**2))


def test_pcm_read_noise() -> None:
    for time_s in (0.0, 1e4):
        factor = math.sqrt(math.log((time_s + 20 + 250e-9) / (2 * 250e-9)))
        sigma = _each(lambda r: r * min(0.0088 / max(r**0.65, 1e-3), 0.2)) * factor
        found = load_noise("pcm_joshi_2020").of_reads["read"].variance(R, When(time_s))
        np.testing.assert_allclose(np.sqrt(found), sigma, rtol=1e-9)


def test_hermes() -> None:
    """Le Gallo et al., Nat. Electron. 2023; g_max 10.35 uS."""
    model = load_noise("pcm_legallo_2023")
    c = (0.15781817, 2.32443916, -2.16310839, 0.68841818)
    np.testing.assert_allclose(
        _programming(model).sigma(R, When()) * 10.35, _each(lambda r: sum(k * r**i for i, k in enumerate(c)))
    )

    def mu(r: float) -> float:
        low = _clip(-0.0387 * _ln(r) - 0.0182, 0.0720, 0.13)
        return low if r < 0.0945 else -0.0436 * r**2 - 0.0126 * r + 0.0736

    def s(r: float) -> float:
        low = _clip(-0.0120 * _ln(r) - 0.0023, 0.0124, 0.04)
        return low if r < 0.3039 else -0.0165 * r**2 + 0.0116 * r + 0.0104

    def q(r: float) -> float:
        low = _clip(-0.0078 * _ln(r) + 0.0038, 0.0179, 0.04)
        return low if r < 0.1591 else 0.0664 * r**3 - 0.1352 * r**2 + 0.0768 * r + 0.0088

    np.testing.assert_allclose(_drift(model).nu_mean(R), _each(mu), rtol=1e-12)
    np.testing.assert_allclose(_drift(model).nu_sigma(R), _each(s), rtol=1e-12)
    assert _drift(model).t_0_s == 200
    factor = math.log((3600 + 200 + 512e-9) / (2 * 512e-9))
    found = model.of_reads["read"].variance(R, When(3600.0))
    np.testing.assert_allclose(found, (R * _each(q)) ** 2 * factor, rtol=1e-12)


def test_cmo_hfox_programming_of_both_acceptances() -> None:
    """Falcone et al., arXiv 2502.04524: 9 to 88.2 uS."""
    g_uS = np.linspace(9, 88.2, 5)
    model = load_noise("reram_falcone_2025")
    fine = _programming(model).sigma(g_uS / 88.2, When()) * 88.2
    np.testing.assert_allclose(fine, 0.00106879 * g_uS + 0.00081107, rtol=1e-8)
    changed = {
        "effects.programming.measured": "[{coefficients_S: [0.01121854 uS, 0.995801814 uS]}]"
    }  # as its file says
    coarse = _programming(load_noise("reram_falcone_2025", changed)).sigma(g_uS / 88.2, When()) * 88.2
    np.testing.assert_allclose(coarse, 0.01129027 * g_uS + 0.01121854, rtol=1e-8)


@pytest.mark.parametrize("time_s", [1.0, 100.0, 1e6])
def test_cmo_hfox_relaxation(time_s: float) -> None:
    g_uS = np.tile([20.0, 60.0, 88.2], (2000, 1))
    noise = load_noise("reram_falcone_2025").of_cells["relaxation"]
    draws = noise.sample(_cells(g_uS / 88.2), g_uS / 88.2, When(time_s), generator(0)) * 88.2
    mean = g_uS[0] - 0.08900206 * math.log(time_s)
    sigma = np.full(3, 0.04201137 * math.log(time_s) + 0.41183342)
    assert agrees(draws, mean, sigma**2)
    assert not agrees(draws, mean, 2 * sigma**2)


def test_cmo_hfox_read_noise() -> None:
    """Lombardo et al., DRC 2024; below 1 uS the logarithm would be negative."""
    noise = load_noise("reram_falcone_2025").of_reads["read"]
    g_uS = np.array([0.0, 0.5, 1.0, 9.0, 40.0, 88.2])
    for time_s, t in ((0.0, 1.0), (1.0, 1.0), (1e5, 1e5)):
        root = math.sqrt(math.log((t + 1e-6) / 2e-6))
        sigma_uS = 0.02773165 * np.log10(np.maximum(g_uS, 1.0)) * root
        found = np.sqrt(noise.variance(g_uS / 88.2, When(time_s))) * 88.2
        np.testing.assert_allclose(found, sigma_uS, rtol=1e-8, atol=1e-9)


def test_the_null_model_does_not_depend_on_the_state() -> None:
    model = load_noise("state_independent")
    np.testing.assert_allclose(_programming(model).sigma(R, When()) * 25, 0.2)
    np.testing.assert_allclose(_drift(model).nu_mean(R), 0.1)
    np.testing.assert_allclose(_drift(model).nu_sigma(R), 0.05)
    assert (_drift(model).t_0_s, _drift(model).folded) == (20, True)


def test_typical_reram() -> None:
    """10 % spread; of 100,000 cells 9.04 % +- 0.4 % stuck at HRS and 1.75 % +- 0.2 % at LRS (4 sigma of a binomial)."""
    model = load_noise("reram_typical")
    g = np.full(100_000, 0.5)
    cells = Cells(np.zeros(g.shape, np.uint8), g, 0.1, 2)
    spread = model.of_cells["spread"].sample(cells, g, When(), generator(0))
    assert np.log(spread / g).std() == approx(0.1, rel=0.01)
    stuck = model.of_cells["faults"].sample(cells, g, When(), generator(0))
    assert (stuck == 0.1).mean() == pytest.approx(0.0904, abs=0.004)
    assert (stuck == 1.0).mean() == pytest.approx(0.0175, abs=0.002)


SCALES = {"pcm_joshi_2020": 25, "pcm_legallo_2023": 10.35, "reram_wan_2022": 40, "reram_falcone_2025": 88.2}


@pytest.mark.parametrize("name", SCALES)
def test_errors_scale_with_g_max(name: str) -> None:
    """A law asks for nothing but g / g_max: were it given for a device of half the g_max and half of all conductances,
    draws over g_max would be the same; a law that forgets to scale fails."""
    model = load_noise(name)
    data = model.effects["programming"].model_dump(mode="json")
    half = {
        **data,
        "g_max_S": data["g_max_S"] / 2,
        "measured": [{**m, "coefficients_S": [c / 2 for c in m["coefficients_S"]]} for m in data["measured"]],
    }
    r = np.linspace(0, 1, 11)
    found: list[CellNoise] = [_programming(model), PolynomialNoise.model_validate(half)]
    first, second = (noise.moments(_cells(r), r, When()) for noise in found)
    np.testing.assert_allclose(first, second, rtol=1e-9)
    assert data["g_max_S"] == approx(SCALES[name] * 1e-6)
