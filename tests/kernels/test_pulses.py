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
def test_counted_digits_equal_their_twin(bits: int, signed: bool, dac: int) -> None:
    x = _inputs(bits, signed)
    found, plain = pulses.count_digits(x, bits, signed, dac), pulses.count_digits_plain(x, bits, signed, dac)
    np.testing.assert_array_equal(found.active, plain.active)
    np.testing.assert_array_equal(found.squares, plain.squares)
    assert (found.squares > found.active).any() == (dac > 1)
    assert not pulses.count_digits(x[:0], bits, signed, dac).active.any()


def test_a_great_many_vectors_do_not_overflow() -> None:
    """The largest sums of squares that there are: two digits of 8 bits each, and more vectors than go at once."""
    n = 64 * (1 << 14) + 100
    x = np.broadcast_to(np.array([65535, 1], np.int32), (n, 1, 2))
    found = pulses.count_digits(x, 16, False, 8)
    assert found.active.tolist() == [[2 * n, n]]
    assert found.squares.tolist() == [[2 * 255**2 * n, n]]


def test_digits_by_hand() -> None:
    x = np.array([[[0b1011, 0, 0b0100]]], np.uint8)
    one, two = pulses.count_digits(x, 4, False, 1), pulses.count_digits(x, 4, False, 2)
    assert one.active.tolist() == one.squares.tolist() == [[3, 0, 1]]
    assert (two.active.tolist(), two.squares.tolist()) == ([[2, 0, 1]], [[3**2 + 2**2, 0, 1]])
    # -1 is 1111: two pulses of 3 and 1 (the digit that is left), and the sign pulse
    signed = pulses.count_digits(np.array([[[-1]]], np.int8), 4, True, 2)
    assert (signed.active.tolist(), signed.squares.tolist()) == ([[3]], [[3**2 + 1 + 1]])
