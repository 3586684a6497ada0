"""Curves of the conductance as YAML gives them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from close import approx
from hypothesis import given
from hypothesis import strategies as st

from xbar.config import from_data, validate
from xbar.errors import ConfigError
from xbar.parts.curve import Curve, Spread
from xbar.settings import Settings


class _Holder(Settings):
    y: Curve
    sigma: Spread = Curve(polynomial=(0.0,))


def _curve(y: Any) -> Curve:
    return validate(_Holder, from_data({"y": y}, "a.yaml")).y


def test_a_number_is_a_constant() -> None:
    np.testing.assert_array_equal(_curve(0.1)(np.array([0, 0.5, 1, 2])), 0.1)
    assert _curve(0.1) == _curve({"polynomial": [0.1]})


def test_polynomial_logarithm_and_power_add() -> None:
    curve = _curve({"polynomial": [1, 2, 3], "ln": -0.5, "factor": 0.2, "exponent": 0.5, "high": 10})
    assert curve(np.array([0.25]))[0] == approx(1 + 0.5 + 3 / 16 - 0.5 * math.log(0.25) + 0.1)


def test_what_is_infinite_at_zero_takes_its_bound() -> None:
    r = np.array([0.0, 1e-320, 1e-12, 1.0])
    np.testing.assert_allclose(_curve({"ln": -0.01, "low": 0.02, "high": 0.1})(r), [0.1, 0.1, 0.1, 0.02])
    np.testing.assert_allclose(_curve({"ln": 0.01, "low": -1})(r)[[0, 3]], [-1, 0])
    np.testing.assert_allclose(_curve({"factor": 1e-3, "exponent": -0.65, "high": 0.2})(r), [0.2, 0.2, 0.2, 1e-3])


def test_pieces_meet_at_below_which_belongs_to_the_next() -> None:
    curve = _curve({"polynomial": [1], "below": 0.3, "then": {"polynomial": [2], "below": 0.6, "then": 3}})
    np.testing.assert_array_equal(curve(np.array([0, 0.29, 0.3, 0.59, 0.6, 1])), [1, 1, 2, 2, 3, 3])


def test_beyond_what_was_measured_the_ends_hold() -> None:
    np.testing.assert_array_equal(_curve({"polynomial": [0, 1]})(np.array([-0.1, 0, 1, 1.7])), [0, 0, 1, 1])


@given(
    st.lists(st.floats(-5, 5), max_size=4),
    st.floats(-2, 2),
    st.floats(-2, 2),
    st.floats(-9, 9).filter(bool),
    st.lists(st.floats(0, 2), min_size=1, max_size=9),
)
def test_always_finite(polynomial: list[float], ln: float, factor: float, exponent: float, r: list[float]) -> None:
    exponent = exponent if factor else 0.0
    data = {"polynomial": polynomial or [0], "ln": ln, "factor": factor, "exponent": exponent, "low": -9, "high": 9}
    y = _curve(data)(np.array(r))
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 9


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ({}, "y.polynomial: is needed where there is no ln and no factor"),
        ({"ln": -1}, "y.high: is needed: the curve is infinite at r = 0"),
        ({"ln": 1}, "y.low: is needed: the curve is minus infinity at r = 0"),
        ({"factor": 1, "exponent": -1}, "y.high: is needed"),
        ({"factor": -1, "exponent": -1}, "y.low: is needed"),
        ({"factor": 1}, "y.exponent: needs factor, and factor needs exponent"),
        ({"polynomial": [1], "low": 2, "high": 1}, "y.low: must not be above high (1), got 2"),
        ({"polynomial": [1], "below": 0.5}, "y.below: needs `then`"),
        ({"polynomial": [1], "below": 1.5, "then": 2}, "y.below: must be less than 1"),
        ({"polynomial": [1], "ln2": 1}, "y.ln2: unknown setting"),
        ("high", "y: must be a number or a section"),
        (True, "y: must be a number or a section"),
    ],
)
def test_one_clear_error_for_each_mistake(y: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _curve(y)
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


def test_standard_deviations_are_nowhere_negative() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(_Holder, from_data({"y": 1, "sigma": {"polynomial": [0.1, -0.2]}}, "a.yaml"))
    assert "sigma: must be between 0 and 10 for all r from 0 to 1" in str(caught.value)
    assert "it is -0.1 at r = 1" in str(caught.value)
