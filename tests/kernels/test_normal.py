"""The normal numbers: the same bits as numpy's, the right distribution, and nothing in common between neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from xbar.kernels.normal import BLOCK, normals, normals_plain, radius_plain, words_plain

KEY = 0x0123456789ABCDEF


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**64 - 1), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9), st.integers(0, 200)
)
@example(0, [0], BLOCK)
def test_equals_its_twin(key: int, row_id: list[int], n: int) -> None:
    rows = np.array(row_id, np.int64)
    ours, theirs = normals(key, rows, n), normals_plain(key, rows, n)
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))


def test_a_number_depends_on_key_row_and_column_alone() -> None:
    rows = np.arange(500)
    whole = normals(KEY, rows, 300)
    np.testing.assert_array_equal(whole[::-3, :70], normals(KEY, rows[::-3], 70))
    np.testing.assert_array_equal(whole, normals(KEY, rows.astype(np.uint64), 300))
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            np.testing.assert_array_equal(whole, normals(KEY, rows, 300))
    finally:
        torch.set_num_threads(before)
    assert not np.array_equal(whole, normals(KEY + 1, rows, 300))


def test_the_formula_in_float64() -> None:
    """Of the same words, u and v rounded to float32."""
    rows = np.arange(4000)
    h, g = words_plain(KEY, rows, 4)
    u = ((h >> 1) | 1).astype(np.float32).astype(np.float64) * 2.0**-31
    v = g.view(np.int32).astype(np.float32).astype(np.float64) * 2.0**-31
    radius = np.sqrt(-2 * np.log(u))
    pairs = [radius * np.cos(np.pi * v / 2) * np.where(g & 1, -1, 1), radius * np.sin(np.pi * v / 2)]
    exact = np.concatenate([part.reshape(len(rows), 4, 1, BLOCK // 2) for part in pairs], axis=2).reshape(len(rows), -1)
    assert np.abs(normals(KEY, rows, 4 * BLOCK) - exact).max() < 1.5e-6


def test_the_radius_of_every_u_is_finite() -> None:
    """All float32 u from 15/16 to 1, where ln u goes to 0, many of the last octave, and the ends of the others."""
    octaves = np.array([1 << bit for bit in range(1, 32)], np.uint32)
    last, octave = np.arange(15 << 28, 1 << 32, 128), np.arange(1 << 31, 15 << 28, 1920)
    words = np.concatenate([last.astype(np.uint32), octave.astype(np.uint32), octaves, octaves - 1, ~octaves])
    radius = radius_plain(words)
    u = ((words >> 1) | 1).astype(np.float32).astype(np.float64) * 2.0**-31
    assert u.max() == 1
    assert radius[u == 1].max() == 0
    assert u.min() == 2.0**-31
    assert np.abs(radius - np.sqrt(-2 * np.log(u))).max() < 1e-6


def _check_moments(x: np.ndarray) -> None:
    """Mean, variance, skewness and kurtosis within five standard errors, and the tails' frequencies."""
    n = x.size
    x = x.astype(np.float64).ravel()
    assert np.isfinite(x).all()
    assert abs(x.mean()) < 5 * np.sqrt(1 / n)
    assert abs(np.mean(x**2) - 1) < 5 * np.sqrt(2 / n)
    assert abs(np.mean(x**3)) < 5 * np.sqrt(15 / n)
    assert abs(np.mean(x**4) - 3) < 5 * np.sqrt(96 / n)
    for limit in (1, 2, 3, 4, 4.5, 5):
        expected = n * special.ndtr(-limit)
        for count in (np.count_nonzero(x > limit), np.count_nonzero(x < -limit)):
            assert abs(count - expected) < 5 * np.sqrt(expected) + 5, limit


def _check_distribution(key: int, n_rows: int, n: int) -> None:
    x = normals(key, np.arange(n_rows), n)
    _check_moments(x)
    assert stats.kstest(x.ravel(), "norm").pvalue > 1e-4


def test_distribution() -> None:
    _check_distribution(KEY, 2000, 512)


@pytest.mark.slow
@pytest.mark.parametrize("key", [0, 1, KEY])
def test_distribution_of_ten_million(key: int) -> None:
    _check_distribution(key, 20000, 512)
    _check_distribution(key, 160000, 64)


@pytest.mark.slow
def test_tails_of_a_billion() -> None:
    """As frequent as they should be, out to six sigma."""
    limits, counts, n = np.array([4, 4.5, 5, 5.5, 6]), np.zeros(5), 0
    for part in range(100):
        x = np.abs(normals(KEY, np.arange(part * 20000, (part + 1) * 20000), 512))
        counts += [np.count_nonzero(x > limit) for limit in limits]
        n += x.size
    expected = 2 * n * special.ndtr(-limits)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all(), (counts, expected)


def test_a_column_and_a_row_are_as_normal_as_the_whole() -> None:
    """Marginals by column over rows, and by row over columns: none is off."""
    x = normals(KEY, np.arange(20000), 128).astype(np.float64)
    for axis, n in ((0, 20000), (1, 128)):
        z = x.mean(axis=axis) * np.sqrt(n)
        assert stats.kstest(z, "norm").pvalue > 1e-4
        v = (np.mean(x**2, axis=axis) * n).astype(np.float64)
        assert stats.kstest(v, "chi2", (n,)).pvalue > 1e-4


@pytest.mark.parametrize("power", [1, 2], ids=["values", "squares"])
def test_neighbours_do_not_correlate(power: int) -> None:
    """Columns at all distances up to a block and a half, pairs of one hash among them; rows; keys; ids far apart."""
    x = normals(KEY, np.arange(6000), 192).astype(np.float64) ** power
    x = (x - x.mean()) / x.std()

    def check(a: np.ndarray, b: np.ndarray) -> None:
        assert abs(np.mean(a * b)) < 5.5 / np.sqrt(a.size)

    for distance in range(1, 97):
        check(x[:, :-distance], x[:, distance:])
    for distance in (*range(1, 17), 32, 64, 256, 1024):
        check(x[:-distance], x[distance:])
        check(x[:-distance, :-1], x[distance:, 1:])
    others = [normals(KEY + step, np.arange(6000), 192) for step in (1, 2, 1 << 32, 1 << 63)]
    others += [normals(KEY, np.arange(6000) + step, 192) for step in (1 << 20, 1 << 32, 1 << 62)]
    for other in others:
        y = other.astype(np.float64) ** power
        check(x, (y - y.mean()) / y.std())


def test_pairs_are_round() -> None:
    """The angle of the two normals of one hash is uniform and independent of their radius."""
    x = normals(KEY, np.arange(20000), BLOCK).astype(np.float64)
    a, b = x[:, : BLOCK // 2].ravel(), x[:, BLOCK // 2 :].ravel()
    angle, half_square = np.arctan2(b, a) / (2 * np.pi) + 0.5, (a * a + b * b) / 2
    assert stats.kstest(angle, "uniform").pvalue > 1e-4
    assert stats.kstest(half_square, "expon").pvalue > 1e-4
    table = np.histogram2d(angle, np.exp(-half_square), bins=32, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(table.ravel()).pvalue > 1e-4


def test_extremes() -> None:
    """No more than sqrt(62 ln 2), what the smallest u gives, and not far from it where 10^7 numbers should come."""
    x = normals(KEY, np.arange(20000), 512)
    assert 4.8 < np.abs(x).max() < np.sqrt(62 * np.log(2))
