"""The steps and integers of every method: hand-sized cases and bounds."""

from __future__ import annotations

import numpy as np
import pytest
from close import approx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from xbar.quantization import dynamic_fixed_point, one_level, uniform

Weights = NDArray[np.float32]
WEIGHTS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(-8, 8, width=32)
)
BITS = st.integers(2, 16)


def test_uniform_by_hand() -> None:
    w = np.array([[1.0, -2.0], [0.5, 0.1]], np.float32)
    assert uniform.weight_scale(w, 3, per_channel=False).tolist() == [2 / 3]
    scale = uniform.weight_scale(w, 3, per_channel=True)
    assert scale.tolist() == [2 / 3, 0.5 / 3]
    assert uniform.weight_integers(w, scale, 3).tolist() == [[2, -3], [3, 1]]  # 1.5 goes to the even 2
    assert uniform.input_scale(51.0, 8, signed=False) == 0.2
    assert uniform.input_scale(127.0, 8, signed=True) == 1.0


def test_dynamic_fixed_point_by_hand() -> None:
    w = np.array([[0.7], [1.0], [-1.5], [0.0]], np.float32)
    assert dynamic_fixed_point.weight_scale(w, 9, per_channel=True).tolist() == [2**-8, 2**-8, 2**-7, 1.0]
    scale = dynamic_fixed_point.weight_scale(w, 9, per_channel=False)
    assert scale.tolist() == [2**-7]
    # the magnitude 1.0 would be code 256 of its own step: clipped to the top code
    assert uniform.weight_integers(np.array([[1.0]], np.float32), np.array([2**-8]), 9).tolist() == [[255]]
    assert dynamic_fixed_point.input_scale(3.0, 8, signed=False) == 2**-6
    assert dynamic_fixed_point.input_scale(3.0, 8, signed=True) == 2**-5
    assert dynamic_fixed_point.input_scale(0.0, 8, signed=True) == 1.0


def test_one_level_by_hand() -> None:
    w = np.array([[4.0, -4.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]], np.float32)
    level = one_level.weight_scale(w, per_channel=True)
    assert level.tolist() == [4.0, 1.0]
    assert one_level.weight_integers(w, level).tolist() == [[1, -1, 0, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize("per_channel", [False, True])
def test_zero_weights_have_a_step(per_channel: bool) -> None:
    w = np.zeros((3, 4), np.float32)
    for scale in (
        uniform.weight_scale(w, 8, per_channel),
        dynamic_fixed_point.weight_scale(w, 8, per_channel),
        one_level.weight_scale(w, per_channel),
    ):
        assert scale.tolist() == [1.0] * (3 if per_channel else 1)
        assert not uniform.weight_integers(w, scale, 8).any()


@given(w=WEIGHTS, bits=BITS, per_channel=st.booleans())
def test_uniform_errors_stay_within_half_a_step(w: Weights, bits: int, per_channel: bool) -> None:
    scale = uniform.weight_scale(w, bits, per_channel)
    q = uniform.weight_integers(w, scale, bits)
    assert q.dtype == np.int32
    assert np.abs(q).max() <= 2 ** (bits - 1) - 1
    steps = scale.reshape(-1, 1)
    assert (np.abs(q * steps - w) <= steps * (0.5 + 1e-9)).all()
    again = uniform.weight_integers((q * steps).astype(np.float32), scale, bits)
    assert np.array_equal(again, q)
    rows = np.abs(q).max(axis=1) if per_channel else np.abs(q).max(keepdims=True).ravel()
    used = np.abs(w).max(axis=1) > 0 if per_channel else np.array([np.abs(w).max() > 0])
    assert (rows[used] == 2 ** (bits - 1) - 1).all()


@given(w=WEIGHTS, bits=BITS, per_channel=st.booleans())
def test_dynamic_fixed_point_steps_are_the_finest_powers_of_two(w: Weights, bits: int, per_channel: bool) -> None:
    scale = dynamic_fixed_point.weight_scale(w, bits, per_channel)
    assert (np.frexp(scale)[0] == 0.5).all()
    largest = uniform.largest_magnitude(w, per_channel)
    used = largest > 0
    top = 2.0 ** (bits - 1)
    assert (largest[used] <= scale[used] * top).all()
    assert (largest[used] > scale[used] * top / 2).all()
    q = uniform.weight_integers(w, scale, bits)
    steps = scale.reshape(-1, 1)
    inside = np.abs(w) <= (top - 0.5) * steps
    assert (np.abs(q * steps - w)[inside] <= np.broadcast_to(steps / 2, w.shape)[inside]).all()
    assert (np.abs(q * steps - w) <= steps).all()


@given(w=WEIGHTS, per_channel=st.booleans())
def test_no_other_level_has_a_smaller_error(w: Weights, per_channel: bool) -> None:
    level = one_level.weight_scale(w, per_channel)
    q = one_level.weight_integers(w, level)
    assert np.isin(q, (-1, 0, 1)).all()
    rows = w.astype(np.float64).reshape(len(level), -1)
    codes = q.reshape(len(level), -1)
    error = ((rows - codes * level[:, None]) ** 2).sum(axis=1)
    for candidate in np.linspace(0.01, 8, 60):
        other = np.sign(rows) * (np.abs(rows) > candidate / 2) * candidate
        assert (error <= ((rows - other) ** 2).sum(axis=1) + 1e-6).all()
    for row, code, q_level in zip(rows, codes, level, strict=True):
        if code.any():  # the fixed point of "threshold q/2, then mean"
            assert np.abs(row)[code != 0].mean() == approx(q_level)
