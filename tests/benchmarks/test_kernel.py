"""The layer engine against the same computation as torch matrix products with clamps, as ratios measured in one run.

512 x 512 uniform weights of 8 bits (7 magnitude bits in 4 slices of 2 bits, two polarities), 512 vectors of uniform
8-bit inputs, 128 rows a crossbar: 8 pulses x 4 row blocks x 8 planes of column sums, each clipped. The engine also
counts saturations, which torch is spared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from layer_programs import layer_program

from xbar.kernels.pulses import count_digits
from xbar.program import AdcSetting, LayerProgram
from xbar.sim.crossbar import multiply
from xbar.sim.prepare import PreparedLayer, prepare

N = 512
RNG = np.random.default_rng(0)
WEIGHT = RNG.integers(-127, 128, (1, N, N))
INPUTS = RNG.integers(0, 256, (N, 1, N)).astype(np.uint8)


@cache
def _prepared(encoding: str, bits: int) -> PreparedLayer:
    return prepare(layer_program(WEIGHT, encoding=encoding, adc=AdcSetting("clip", (bits,) * 4, None, None)))


def _in_torch(layer: LayerProgram) -> Callable[[], torch.Tensor]:
    """All planes of a row block side by side in one product per pulse, clamped and added up in place."""
    n_planes, top = len(layer.plane_slice), 2 ** layer.adc.bits[0] - 1  # type: ignore[index]
    spans = list(pairwise(layer.row_edges))
    cells = [torch.from_numpy(layer.cells[:, 0, a:b].swapaxes(0, 1).reshape(b - a, -1)).float() for a, b in spans]
    factors = torch.tensor([4.0**s for s in layer.plane_slice])[:, None]
    signs = [torch.from_numpy(layer.plane_sign[:, b, 0]).float() * factors for b in range(len(spans))]
    units = (
        [] if layer.unit_coef is None else [torch.from_numpy(layer.unit_coef[b, 0]).float() for b in range(len(spans))]
    )
    x = torch.from_numpy(INPUTS[:, 0]).int()

    def run() -> torch.Tensor:
        total = torch.zeros(N, N)
        pulses = [((x >> p) & 1).float() for p in range(8)]
        for block, (first, last) in enumerate(spans):
            codes = torch.zeros(N, n_planes * N)
            for p, pulse in enumerate(pulses):
                y = pulse[:, first:last] @ cells[block]
                codes.add_(y.clamp_(max=top), alpha=2.0**p)
            total += (codes.view(N, n_planes, N) * signs[block]).sum(dim=1)
            if units:
                total += x[:, first:last].sum(dim=1, keepdim=True) * units[block]
        return total

    return run


def _ratio(slow: Callable[[], object], fast: Callable[[], object], n_runs: int = 7) -> float:
    """Median time of `slow` over that of `fast`, run in turns after a round that does not count."""
    times: tuple[list[float], list[float]] = [], []
    slow(), fast()
    for _ in range(n_runs):
        for function, took in zip((slow, fast), times, strict=True):
            start = time.perf_counter()
            function()
            took.append(time.perf_counter() - start)
    return statistics.median(times[0]) / statistics.median(times[1])


def _times_faster_than_torch(encoding: str, bits: int, n_runs: int) -> float:
    """How many times faster than torch, after a check that the results are the same."""
    prepared = _prepared(encoding, bits)
    in_torch = _in_torch(prepared.layer)
    assert torch.equal(multiply(prepared, INPUTS)[0][:, 0].float(), in_torch())
    ratio = _ratio(in_torch, lambda: multiply(prepared, INPUTS), n_runs)
    print(f"{encoding}, ADC of {bits} bits: {ratio:.1f} times faster than torch products with clamps")
    return ratio


@pytest.mark.slow
@pytest.mark.parametrize("bits", range(3, 10))
def test_seven_times_faster_than_products_with_clamps(bits: int) -> None:
    assert _times_faster_than_torch("differential", bits, 15) >= 7


@pytest.mark.parametrize("bits", [3, 8])
def test_a_kernel_that_lost_its_speed_is_noticed_on_a_busy_machine_too(bits: int) -> None:
    """The bar of 7 is for a quiet machine (`make slow`); here a loss by a factor of two fails."""
    assert _times_faster_than_torch("differential", bits, 5) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["offset", "offset_flipped"])
@pytest.mark.parametrize("bits", [3, 6, 8])
def test_offset_encodings_are_faster_too(encoding: str, bits: int) -> None:
    """Half the planes: torch's products then fit its caches better, and the bar is lower."""
    assert _times_faster_than_torch(encoding, bits, 15) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["differential", "offset_flipped"])
def test_within_three_float_products_where_nothing_clips(encoding: str) -> None:
    prepared = _prepared(encoding, 9)
    weight, x = torch.from_numpy(WEIGHT[0]).float(), torch.from_numpy(INPUTS[:, 0]).float()

    def counted() -> None:
        count_digits(INPUTS, 8, False, 1)
        multiply(prepared, INPUTS)

    ratio = _ratio(counted, lambda: x @ weight, 51)
    print(f"{encoding}, nothing clips: {ratio:.2f} times one float32 product, counts included")
    assert ratio <= 3
