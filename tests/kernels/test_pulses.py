"""Pulses: every kernel equals its plain twin, and small cases by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xbar.kernels import pulses

CASES = [(bits, signed, dac) for bits, signed in ((8, False), (8, True), (5, True), (12, False)) for dac in (1, 3)]


def _inputs(bits: int, signed: bool, shape: tuple[int, ...] = (20, 2, 75)) -> np.ndarray:
    rng = np.random.default_rng(bits)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    x = rng.integers(low, high, shape) * (rng.random(shape) < 0.6)
    return x.astype(np.int32 if bits > 8 else np.int8 if signed else np.uint8)


def test_digits_of_signed_inputs_end_with_the_sign_pulse() -> None:
    assert pulses.digit_table(8, True, 3).tolist() == [[0, 3, 1], [3, 3, 8], [6, 1, 64], [7, 1, -128]]


@pytest.mark.parametrize(("bits", "signed", "dac"), CASES)
def test_packing_and_routing_equal_their_twins(bits: int, signed: bool, dac: int) -> None:
    x, table = _inputs(bits, signed), pulses.digit_table(bits, signed, dac)
    group, rows = np.array([0, 1, 1]), np.array([[0, 40], [0, 40], [40, 75]])
    packed = pulses.pack_pulses(x, group, rows, 2, bits, table)
    plain = pulses.pack_pulses_plain(x, group, rows, 2, bits, table)
    np.testing.assert_array_equal(packed.words, plain.words)
    np.testing.assert_array_equal(packed.n_active, plain.n_active)
    n_safe = np.random.default_rng(0).integers(5, 25, (3, len(table))).astype(np.int32)
    pulse_bits = np.where(table[:, 2] < 0, table[:, 2], ((1 << table[:, 1]) - 1) << table[:, 0]).astype(np.int32)
    routes = pulses.route_pulses(packed.n_active, n_safe, pulse_bits)
    for ours, theirs in zip(routes, pulses.route_pulses_plain(plain.n_active, n_safe, pulse_bits), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert 0 < np.bitwise_count(routes.send).sum() < np.bitwise_count(routes.active).sum()
    ours, theirs = np.zeros(x.shape, np.float32), np.zeros(x.shape, np.float32)
    pulses.keep_bits(x, group, rows, routes.kept, ours)
    pulses.keep_bits_plain(x, group, rows, routes.kept, theirs)
    np.testing.assert_array_equal(ours, theirs)
    for top in (7, 10**6):
        values, saturated = pulses.unit_codes(packed.words, table, top)
        plain_values, plain_saturated = pulses.unit_codes_plain(packed.words, table, top)
        np.testing.assert_array_equal(values, plain_values)
        assert saturated == plain_saturated
        assert (saturated > 0) == (top == 7)


@pytest.mark.parametrize(("bits", "signed", "dac"), CASES)
def test_read_inputs_equal_their_twin(bits: int, signed: bool, dac: int) -> None:
    x = _inputs(bits, signed)
    values, digits = pulses.read_inputs(x, bits, signed, dac)
    plain_values, plain_digits = pulses.read_inputs_plain(x, bits, signed, dac)
    np.testing.assert_array_equal(values, plain_values)
    assert digits == plain_digits > 0


def test_digits_by_hand() -> None:
    x = np.array([[[0b1011, 0, 0b0100]]], np.uint8)
    assert pulses.read_inputs(x, 4, False, 1)[1] == 4
    assert pulses.read_inputs(x, 4, False, 2)[1] == 3
    assert pulses.read_inputs(np.array([[[-1]]], np.int8), 4, True, 1)[1] == 4
