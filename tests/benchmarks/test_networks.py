"""Whole networks on crossbars against the plain float32 forward pass of torch, as a ratio measured in one run."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable

import models
import pytest
import torch
from torch import nn

import mapping
import xbar

EIGHT_BITS = {"precision.weight_bits": 8, "precision.input_bits": 8, "adc.bits": 8}
ENCODINGS = {
    "isaac": {},
    "differential": {"encoding.kind": "differential", "encoding.flipped": False},
}


def _ratio(slow: Callable[[], object], fast: Callable[[], object], n_runs: int) -> float:
    """Median time of `slow` over median time of `fast`, run in turns after one round that does not count."""
    slow(), fast()
    times: dict[Callable[[], object], list[float]] = {slow: [], fast: []}
    for _ in range(n_runs):
        for function, took in times.items():
            start = time.perf_counter()
            function()
            took.append(time.perf_counter() - start)
    return statistics.median(times[slow]) / statistics.median(times[fast])


def _simulated_over_float(model: nn.Module, inputs: torch.Tensor, encoding: str, n_runs: int = 5) -> float:
    chip = xbar.load_chip("isaac_isca_2016", {**EIGHT_BITS, **ENCODINGS[encoding]})
    net = xbar.from_torch(model.eval(), inputs[:2])
    program = mapping.compile(xbar.quantize(net, [inputs[:64]], chip), chip)
    assert {layer.n_slices for layer in program.layers} == {4}

    def plain() -> None:
        with torch.no_grad():
            for part in inputs.split(500):
                model(part)

    return _ratio(lambda: xbar.simulate(program, inputs), plain, n_runs)


def _images(n: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Sparse like strokes or photographs: about half of the pixels are dark."""
    return torch.relu(torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))).clamp(max=1)


CASES = {"LeNet-5": (models.LeNet5, (1, 28, 28), 2000, 15), "ResNet-20": (models.ResNet20, (3, 32, 32), 64, 12)}


def _measured(name: str, encoding: str, n_runs: int) -> tuple[float, float]:
    """The ratio and its bar."""
    kind, shape, n, bar = CASES[name]
    torch.manual_seed(0)
    ratio = _simulated_over_float(kind(), _images(n, shape), encoding, n_runs)
    print(f"{name}, {encoding}: {ratio:.2f} times the float32 forward pass")
    return ratio, bar


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", CASES)
def test_within_the_bar_of_float_forward_passes(name: str, encoding: str) -> None:
    ratio, bar = _measured(name, encoding, 5)
    assert ratio < bar


@pytest.mark.parametrize("name", CASES)
def test_an_engine_that_lost_its_speed_is_noticed_on_a_busy_machine_too(name: str) -> None:
    """The bars are for a quiet machine (`make slow`): other work on the cores slows many short kernels the most."""
    ratio, bar = _measured(name, "isaac", 3)
    assert ratio < 3 * bar


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_ten_thousand_images_stay_within_2_GB_and_15_times() -> None:
    ratio = _simulated_over_float(models.LeNet5(), _images(10_000, (1, 28, 28)), "isaac")
    peak_GB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"LeNet-5, 10,000 images: {ratio:.2f} times, {peak_GB:.2f} GB peak")
    assert ratio < 15
    assert peak_GB < 2
