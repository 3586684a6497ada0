"""Devices: which conductance each level gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from close import approx
from hypothesis import given
from hypothesis import strategies as st

from xbar.config import from_data, validate
from xbar.errors import ConfigError
from xbar.hardware import load_chip
from xbar.parts.base import Device
from xbar.parts.kinds import part_class
from xbar.parts.states import nearest


def _device(kind: str, **settings: Any) -> Device:
    return validate(part_class(Device, kind), from_data({"cell_bits": 2, **settings}, "a.yaml"))  # type: ignore[type-abstract]


def _resistive(**settings: Any) -> Device:
    return _device("resistive", **{"g_min_S": "2 uS", "g_max_S": "40 uS", **settings})


def test_nearest_state_by_hand() -> None:
    states = np.array([0.0, 0.25, 1.0])
    wanted = np.array([-1, 0, 0.1, 0.125, 0.2, 0.62, 0.63, 1, 9])
    np.testing.assert_array_equal(nearest(wanted, states), [0, 0, 0, 0, 0.25, 0.25, 1, 1, 1])


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=30, unique=True),
    st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=30),
)
def test_nearest_state_is_no_farther_than_any(states: list[float], wanted: list[float]) -> None:
    rising, found = np.sort(states), nearest(np.array(wanted), np.sort(states))
    assert np.isin(found, rising).all()
    distance = np.abs(np.array(wanted)[:, None] - rising)
    np.testing.assert_array_equal(np.abs(np.array(wanted) - found), distance.min(1))


def test_any_conductance_gives_even_levels() -> None:
    np.testing.assert_allclose(_resistive().levels_rel() * 40, np.linspace(2, 40, 4))
    assert _resistive().low_rel == approx(0.05)
    assert _resistive().mean_conductance_S == approx(21e-6)


def test_states_that_include_the_levels_change_nothing() -> None:
    """7 states even in conductance hold the 4 levels: every second one."""
    even = _resistive(n_states=7, spacing="conductance")
    np.testing.assert_allclose(even.levels_rel(), _resistive().levels_rel(), rtol=1e-12)


def test_few_states_even_in_conductance() -> None:
    """Levels 0, 1/3, 2/3, 1 of the range on states at 0, 1/4, 1/2, 3/4, 1."""
    device = _resistive(n_states=5, spacing="conductance")
    np.testing.assert_allclose((device.levels_rel() * 40 - 2) / 38, [0, 0.25, 0.75, 1], atol=1e-15)


def test_states_even_in_resistance_crowd_at_hrs() -> None:
    """500 to 25 kOhm in 20 steps of 25 kOhm: 2, ..., 10, 13.3, 20, 40 uS for levels that want 2, 14.7, 27.3, 40 uS."""
    device = _resistive(n_states=20, spacing="resistance")
    np.testing.assert_allclose(device.levels_rel() * 40, [2, 40 / 3, 20, 40])
    assert device.mean_conductance_S == approx((2 + 40 / 3 + 20 + 40) / 4 * 1e-6)


@pytest.mark.parametrize("spacing", ["conductance", "resistance"])
@given(n_states=st.integers(2, 300), ratio=st.floats(1.01, 1000))
def test_ends_are_hrs_and_lrs_whatever_the_states(spacing: str, n_states: int, ratio: float) -> None:
    levels = _resistive(g_min_S=4e-5 / ratio, n_states=n_states, spacing=spacing).levels_rel()
    assert levels[0] == approx(1 / ratio)
    assert levels[-1] == approx(1)
    assert (np.diff(levels) >= 0).all()


def test_more_states_come_nearer_to_the_levels() -> None:
    even = _resistive().levels_rel()
    for spacing in ("conductance", "resistance"):
        errors = [np.abs(_resistive(n_states=n, spacing=spacing).levels_rel() - even).max() for n in (3, 65536)]
        assert errors[1] < 1e-3 < errors[0]


def test_measured_states() -> None:
    device = _device("measured", states_S=["1 uS", "12 uS", "20 uS", "40 uS"])
    np.testing.assert_allclose(device.levels_rel() * 40, [1, 12, 20, 40])  # wanted 1, 14, 27, 40
    assert device.range_S == approx((1e-6, 4e-5))
    assert device.mean_conductance_S == approx(18.25e-6)


def test_a_cell_without_physics() -> None:
    device = _device("levels")
    np.testing.assert_allclose(device.levels_rel(), [0, 1 / 3, 2 / 3, 1])
    assert (device.range_S, device.mean_conductance_S, device.low_rel) == (None, None, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g_min_S": "40 uS"}, "g_min_S: must be below g_max_S (4e-05 S), got 40 uS"),
        ({"g_min_S": "50 uS"}, "g_min_S: must be below g_max_S"),
        ({"g_min_S": 0}, "g_min_S: must be more than 0"),
        ({"g_max_S": "-40 uS"}, "g_max_S: must be more than 0"),
        ({"g_max_S": "25 kOhm"}, "is a resistance"),
        ({"n_states": 8}, "spacing: is needed with n_states"),
        ({"spacing": "resistance"}, "spacing: has no effect without n_states"),
        ({"n_states": 1, "spacing": "resistance"}, "n_states: must be 2 or more"),
        ({"n_states": 4, "spacing": "linear"}, "spacing: must be one of conductance, resistance"),
        ({"sinh_V": 0}, "sinh_V: must be more than 0"),
    ],
)
def test_devices_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _resistive(**changes)
    (problem,) = caught.value.problems
    assert message in problem


@pytest.mark.parametrize("states", [[1e-6], [2e-6, 1e-6], [1e-6, 1e-6], [0, 1e-6], []])
def test_measured_states_rise_from_above_zero(states: list[float]) -> None:
    with pytest.raises(ConfigError) as caught:
        _device("measured", states_S=states)
    (problem,) = caught.value.problems
    assert "states_S" in problem


def test_a_chip_with_uneven_levels_is_simulated_as_analog() -> None:
    assert not load_chip("generic_1t1r").is_analog
    assert not load_chip("generic_1t1r", {"device.n_states": 7, "device.spacing": "conductance"}).is_analog
    assert load_chip("generic_1t1r", {"device.n_states": 7, "device.spacing": "resistance"}).is_analog
