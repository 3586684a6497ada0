"""Digits of pulses against the plain twin, and against the inputs that they add up to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.kernels.digits import digit_rows, digit_rows_plain
from xbar.kernels.pulses import digit_table


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 16), st.booleans(), st.integers(1, 4), st.booleans())
def test_digits_add_up_to_the_inputs(seed: int, bits: int, signed: bool, dac_bits: int, keep_silent: bool) -> None:
    rng = np.random.default_rng(seed)
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    x = rng.integers(low, high, rng.integers(1, 40, 2)).astype(np.int32)
    x[rng.random(len(x)) < 0.3] = 0
    x >>= rng.integers(0, bits, (len(x), 1)).astype(np.int32)
    digit = digit_table(bits, signed, dac_bits)
    rows = digit_rows(x, digit, keep_silent)
    for ours, theirs in zip(rows, digit_rows_plain(x, digit, keep_silent), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    total = np.zeros(x.shape, np.int64)
    np.add.at(total, rows.vector, rows.digits.astype(np.int64) * digit[rows.pulse, 2:])
    np.testing.assert_array_equal(total, x)
    assert keep_silent or rows.digits.any(axis=1).all()
    assert not keep_silent or len(rows.digits) == len(x) * len(digit)


def test_by_hand() -> None:
    x = np.array([[5, -1], [0, 0], [0, 4]], np.int8)
    rows = digit_rows(x, digit_table(4, True, 2))  # digits of bits 0-1 and 2, then the sign
    assert rows.vector.tolist() == [0, 0, 0, 2]
    assert rows.pulse.tolist() == [0, 1, 2, 1]
    assert rows.digits.tolist() == [[1, 3], [1, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32])
@pytest.mark.parametrize("threads", [1, 2])
def test_views_of_any_kind_of_integer(kind: type, threads: int) -> None:
    x = np.random.default_rng(1).integers(0, 128, (70, 3, 90)).astype(kind)[:, 1, 7:70]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for ours, theirs in zip(
            digit_rows(x, digit_table(7, False, 1)), digit_rows_plain(x, digit_table(7, False, 1)), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    finally:
        torch.set_num_threads(before)


def test_no_vector_and_no_active_line() -> None:
    digit = digit_table(8, False, 1)
    assert digit_rows(np.zeros((0, 5), np.int32), digit).digits.shape == (0, 5)
    assert digit_rows(np.zeros((4, 5), np.int32), digit).digits.shape == (0, 5)
