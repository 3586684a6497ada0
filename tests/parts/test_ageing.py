"""Time at another temperature."""

from __future__ import annotations

import math

import pytest
from close import approx

from xbar.parts.ageing import aged_s
from xbar.parts.base import When


def test_without_activation_or_at_the_reference_time_is_time() -> None:
    assert aged_s(When(100.0, 400.0), 0.0, 300.0) == approx(100)
    assert aged_s(When(100.0, 300.0), 1.2, 300.0) == approx(100)
    assert aged_s(When(0.0, 400.0), 1.2, 300.0) == 0


def test_arrhenius_at_85_degrees() -> None:
    """1.1 eV from 25 to 85 degrees Celsius: exp(1.1 / 8.617e-5 x (1 / 298.15 - 1 / 358.15)) = 1300."""
    factor = aged_s(When(1.0, 358.15), 1.1, 298.15)
    assert factor == approx(math.exp(1.1 / 8.617333e-5 * (1 / 298.15 - 1 / 358.15)), rel=1e-6)
    assert factor == approx(1301, rel=0.01)
    assert aged_s(When(1.0, 298.15), 1.1, 358.15) == approx(1 / factor)


@pytest.mark.parametrize("temperature_K", [1e-3, 1.0, 1e6])
def test_extremes_stay_finite(temperature_K: float) -> None:
    assert 0 <= aged_s(When(1e300, temperature_K), 10.0, 300.0) <= 1.0000001e18
