"""Conversions with read noise against the matrix product that makes their sums, as ratios measured in one run.

A row block of 128 word lines and 512 columns (8 planes of 64 outputs, 8-bit ADCs, 8 pulses a vector): a product of
128 multiply-adds for each conversion.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from xbar.kernels.convert import Reads, convert, convert_plain, converters
from xbar.kernels.digits import digit_rows
from xbar.kernels.pulses import digit_table

N_LINES, N_OUT, N_PLANES, N_VECTORS = 128, 64, 8, 128
DIGIT = digit_table(8, True, 1)
RNG = np.random.default_rng(0)
CELLS = RNG.integers(0, 4, (N_LINES, N_PLANES * N_OUT)).astype(np.float32)
INPUTS = RNG.integers(-128, 128, (N_VECTORS, N_LINES)).astype(np.int8)


def _median_times(functions: dict[str, Callable[[], object]], n_runs: int) -> dict[str, float]:
    """Median times in s, run in turns after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(n_runs + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(took) for name, took in times.items()}


def _times(n_runs: int) -> dict[str, float]:
    """Of the product, and of conversions without noise, with a variance by row, and with one by sum."""
    rows = digit_rows(INPUTS, DIGIT, keep_silent=True)
    digits, cells = torch.from_numpy(rows.digits), torch.from_numpy(CELLS)
    sums = torch.mm(digits, cells)
    weight = DIGIT[rows.pulse, 2].astype(np.float64)
    silent = Reads(sums.numpy(), rows.vector, weight, np.arange(len(weight)))
    kinds = {
        "none": silent,
        "by row": silent._replace(row_variance=rows.digits.sum(axis=1)),
        "by sum": silent._replace(variances=(digits @ cells.square()).numpy()),
    }
    runs = [(p * N_OUT, (p + 1) * N_OUT, p // 2, 0) for p in range(N_PLANES)]
    factor = np.repeat([(-1.0) ** p * 4.0 ** (p // 2) for p in range(N_PLANES)], N_OUT)
    adc = converters(runs, factor, max_code=255, variance_scale=0.01)
    out, saturations = np.zeros((N_VECTORS, N_OUT)), np.zeros(4, np.int64)
    for reads in kinds.values():
        both = np.zeros((2, N_VECTORS, N_OUT))
        convert(reads, adc, 1, both[0], saturations)
        convert_plain(reads, adc, 1, both[1], saturations)
        assert np.array_equal(both[0], both[1])
    functions: dict[str, Callable[[], object]] = {"product": lambda: torch.mm(digits, cells, out=sums)}
    for name, reads in kinds.items():
        functions[name] = lambda reads=reads: convert(reads, adc, 1, out, saturations)  # type: ignore[misc]
    times = _median_times(functions, n_runs)
    per_ns = sums.numel() / torch.get_num_threads() * 1e-9
    print(", ".join(f"{name}: {took / per_ns:.2f} ns" for name, took in times.items()), "a conversion and core")
    return times


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_noisy_conversions_take_no_longer_than_their_product(threads: int) -> None:
    """A third to a half of it where this was measured; the bar is the product itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        times = _times(51)
    finally:
        torch.set_num_threads(before)
    assert times["by sum"] <= times["product"]
    assert times["by row"] <= times["product"]


def test_a_kernel_that_lost_its_speed_is_noticed_on_a_busy_machine_too() -> None:
    """No more than twice the product, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = _times(15)
    finally:
        torch.set_num_threads(before)
    assert times["by sum"] <= 2 * times["product"]
