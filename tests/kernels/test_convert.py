"""The converters against their plain twin bit for bit, by hand, and the noise against its variance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from xbar.kernels.convert import Converters, Reads, convert, convert_plain, converters


def _both(
    reads: Reads, adc: Converters, key: int, n_out: int, n_vectors: int, n_slices: int
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and saturations of `convert`, once they are those of the twin."""
    results = []
    for function in (convert, convert_plain):
        out, saturations = np.full((n_vectors, n_out), 0.5), np.ones(n_slices, np.int64)
        function(reads, adc, key, out, saturations)
        results.append((out, saturations))
    np.testing.assert_array_equal(results[0][0].view(np.uint64), results[1][0].view(np.uint64))
    np.testing.assert_array_equal(results[0][1], results[1][1])
    return results[0][0] - 0.5, results[0][1] - 1


def _random_case(rng: np.random.Generator, **fixed: Any) -> tuple[Reads, Converters, int, int, int, int]:
    """Any mode: planes of one or two slices over the out columns, some vectors without a row."""

    def pick(name: str, *choices: Any) -> Any:
        return fixed[name] if name in fixed else choices[rng.integers(len(choices))]

    n_planes, n_vectors = int(rng.integers(1, 6)), int(rng.integers(1, 30))
    n_out = 16 * int(rng.integers(1, 14)) if pick("aligned", True, False) else int(rng.integers(1, 220))
    first = int(rng.integers(0, 3))
    runs = [(p * n_out, (p + 1) * n_out, p % 2, first, p % 2) for p in range(n_planes)]
    n_cols = n_planes * n_out
    row_vector = np.sort(rng.integers(0, n_vectors, int(rng.integers(0, 60))))
    n_rows = len(row_vector)
    errors = rng.normal([0, 1, 0], [0.3, 0.05, 0.001], (n_cols, 3)) if pick("errors", True, False) else (0.0, 1.0, 0.0)
    whole = pick("whole", True, False)
    adc = converters(
        runs,
        factor=rng.integers(-64, 65, n_cols) if whole else rng.normal(size=n_cols),
        max_code=pick("max_code", None, 15, rng.integers(1, 300, n_cols)),
        errors=errors,
        lsb=pick("lsb", 1.0, rng.uniform(0.5, 2, n_cols), np.repeat(rng.uniform(0.5, 2, n_planes), n_out)),
        sum_scale=2.0 ** int(rng.integers(-6, 1)),
        variance_scale=2.0**-4,
        sigma_lsb=pick("sigma_lsb", 0.0, 0.4),
    )
    noise, has_offset = pick("noise", "none", "row", "sum"), pick("offset", True, False)
    reads = Reads(
        rng.integers(0, 2000, (n_rows, n_cols)).astype(np.float32),
        row_vector,
        2.0 ** rng.integers(0, pick("weight_bits", 8, 30), n_rows) * rng.choice([-1, 1], n_rows),
        rng.integers(0, 2**40, n_rows),
        rng.integers(0, 1000, (n_rows, n_cols)).astype(np.float32) if noise == "sum" else None,
        rng.integers(0, 1000, n_rows).astype(np.float32) if noise == "row" else None,
        rng.integers(-100, 100, (n_rows, 2)).astype(np.float32) if has_offset else None,
    )
    return reads, adc, int(rng.integers(0, 2**63)), first + n_out + 1, n_vectors, 2


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_equals_its_twin(seed: int) -> None:
    _both(*_random_case(np.random.default_rng(seed)))


@pytest.mark.parametrize("noise", ["none", "row", "sum"])
@pytest.mark.parametrize("max_code", [None, 15])
@pytest.mark.parametrize("weight_bits", [8, 30])
def test_every_mode_equals_its_twin(noise: str, max_code: int | None, weight_bits: int) -> None:
    """Codes whose totals float32 holds and others; ideal ones."""
    case = _random_case(np.random.default_rng(3), noise=noise, max_code=max_code, weight_bits=weight_bits)
    assert np.abs(case[0].weight).max() > (2**24 if weight_bits > 8 else 2**6)
    _, saturations = _both(*case)
    assert saturations.any() == (max_code is not None)


@pytest.mark.parametrize("noise", ["none", "row", "sum"])
def test_any_number_of_threads_and_any_batch_give_the_same_bits(noise: str) -> None:
    case = _random_case(np.random.default_rng(5), noise=noise, offset=True, whole=False)
    reads, adc, key, n_out, n_vectors, n_slices = case
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(_both(*case))
    finally:
        torch.set_num_threads(before)
    for out, saturations in results[1:]:
        np.testing.assert_array_equal(out, results[0][0])
        np.testing.assert_array_equal(saturations, results[0][1])
    in_parts, saturations = np.full((n_vectors, n_out), 0.5), np.zeros(n_slices, np.int64)
    for v in range(n_vectors):
        here = reads.vector == v
        part = Reads(*[None if values is None else values[here] for values in reads])
        convert(part._replace(vector=part.vector - v), adc, key, in_parts[v : v + 1], saturations)
    np.testing.assert_array_equal(in_parts - 0.5, results[0][0])
    np.testing.assert_array_equal(saturations, results[0][1])


def _one_row(sums: list[float], adc: Converters, weight: float = 1.0, **more: Any) -> tuple[list[float], list[int]]:
    zero = np.zeros(1, np.int64)
    reads = Reads(np.array([sums], np.float32), zero, np.array([weight]), zero, **more)
    out, saturations = _both(reads, adc, 1, int(adc.runs[-1, 3] + adc.runs[-1, 1] - adc.runs[-1, 0]), 1, 2)
    return out[0].tolist(), saturations.tolist()


def test_by_hand() -> None:
    runs = [(0, 2, 0, 0), (2, 4, 1, 0)]
    adc = converters(runs, factor=[1, 1, -4, 4], max_code=[3, 3, 7, 7], sum_scale=0.25)
    # y = 1.5, 4, 0.25, 7.5: codes 2, 3 (clipped), 0, 7 (8 clipped)
    assert _one_row([6, 16, 1, 30], adc, 2.0) == ([4, 62], [1, 1])
    # a half below the largest code is not a saturation
    assert _one_row([13, 13.9, 0, 29.9], adc) == ([3, 31], [0, 0])


def test_errors_of_converters() -> None:
    adc = converters([(0, 3, 0, 0)], 1, 255, errors=[(-2, 1, 0), (0, 1.5, 0), (1, 1, 0.01)], lsb=0.5)
    # y = 2, 20, 20: 0 (below: counted), 30, 1 + 20 + 4
    assert _one_row([0.5, 10, 10], adc) == ([0, 30, 25], [1, 0])


def test_an_ideal_converter_neither_rounds_nor_clips() -> None:
    adc = converters([(0, 2, 0, 0)], [1, 0.5], sum_scale=0.25)
    assert _one_row([-3, 1e6], adc) == ([-0.75, 125000], [0, 0])


def test_an_offset_belongs_to_a_segment() -> None:
    adc = converters([(0, 2, 0, 0, 1), (2, 4, 1, 0, 0)], 1, 255)
    assert _one_row([10, 20, 30, 40], adc, offset=np.array([[1, -7]], np.float32)) == ([34, 54], [0, 0])


@pytest.mark.parametrize("mode", ["sum", "row", "adc"])
def test_the_noise_has_the_variance_asked_for(mode: str) -> None:
    """Of 4,000 conversions a column, read by an ideal ADC: mean and variance within five standard errors."""
    n_rows, n_cols, lsb = 4000, 50, np.linspace(0.5, 2, 50)
    rng = np.random.default_rng(2)
    v = rng.integers(0, 500, n_cols).astype(np.float32)
    adc = converters([(0, n_cols, 0, 0)], 1.0, lsb=lsb, variance_scale=0.125, sigma_lsb=1.5 if mode != "row" else 0.0)
    out, rows = np.zeros((n_rows, n_cols)), np.arange(n_rows)
    reads = Reads(np.full((n_rows, n_cols), 100, np.float32), rows, np.ones(n_rows), rows)
    if mode == "sum":
        reads = reads._replace(variances=np.tile(v, (n_rows, 1)))
    if mode == "row":
        reads = reads._replace(row_variance=np.full(n_rows, 80, np.float32))
    convert(reads, adc, 5, out, np.zeros(1, np.int64))
    of_reads = {"sum": v, "row": np.full(n_cols, 80.0), "adc": np.zeros(n_cols)}[mode]
    expected = of_reads * 0.125 / lsb**2 + (1.5**2 if mode != "row" else 0)
    assert (np.abs(out.mean(axis=0) - 100 / lsb) < 5 * np.sqrt(expected / n_rows)).all()
    assert (np.abs(out.var(axis=0) - expected) <= 5 * expected * np.sqrt(2 / n_rows)).all()
    residual = (out - 100 / lsb)[:, expected > 0] / np.sqrt(expected[expected > 0])
    correlation = residual.T @ residual / n_rows - np.eye(residual.shape[1])
    assert np.abs(correlation - np.diag(np.diag(correlation))).max() < 5.5 / np.sqrt(n_rows)


def test_codes_under_noise_have_the_mean_of_a_rounded_normal() -> None:
    """One sum of 3.3 LSB with sigma 0.8 and a largest code of 4: each code as often as the normal law says."""
    n = 200_000
    adc = converters([(0, 1, 0, 0)], 1, 4)
    rows, out, saturations = np.arange(n), np.zeros((n, 1)), np.zeros(1, np.int64)
    reads = Reads(np.full((n, 1), 3.3, np.float32), rows, np.ones(n), rows, row_variance=np.full(n, 0.64, np.float32))
    convert(reads, adc, 9, out, saturations)
    edges = ndtr((np.array([0.5, 1.5, 2.5, 3.5]) - 3.3) / 0.8)
    share = np.diff([0, *edges, 1])
    counts = np.bincount(out[:, 0].astype(int), minlength=5)
    assert (np.abs(counts - n * share) < 5 * np.sqrt(n * share)).all()
    above = n * ndtr(-(4.5 - 3.3) / 0.8)
    assert abs(saturations[0] - above) < 5 * np.sqrt(above)


def test_no_rows_change_nothing() -> None:
    adc = converters([(0, 2, 0, 0)], 1, 255)
    empty = np.zeros(0, np.int64)
    out = np.ones((3, 2))
    convert(Reads(np.zeros((0, 2), np.float32), empty, np.zeros(0), empty), adc, 1, out, np.zeros(1, np.int64))
    assert (out == 1).all()
