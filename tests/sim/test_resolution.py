"""The search for the smallest ADC: what it reports holds when it is simulated."""

from __future__ import annotations

from dataclasses import replace

import models
import pytest
import torch
from close import approx
from small import random_weights, small_chip, small_network

import mapping
from xbar.errors import DataError
from xbar.program import Program
from xbar.quantization import quantize
from xbar.sim import AdcResolution, SliceResolution, adc_resolution, simulate


def _case(
    encoding: dict[str, object], adc: dict[str, object] | None = None
) -> tuple[Program, torch.Tensor, torch.Tensor]:
    chip = small_chip(
        encoding={"layout": "interleaved", **encoding}, chip__tiles=1000, device__cell_bits=2, crossbar__rows=64,
        precision={"weight_bits": 6, "input_bits": 6}, adc=adc or {"kind": "ideal"},
    )  # fmt: skip
    x = models.inputs(models.MLP, 60)
    program = mapping.compile(quantize(models.traced(models.MLP), x, chip), chip)
    return program, x, simulate(program, x).outputs.argmax(dim=1)


def _with_bits(program: Program, bits: list[list[int]]) -> Program:
    layers = []
    for layer, chosen in zip(program.layers, bits, strict=True):
        unit = None if layer.unit_coef is None else max(chosen)
        mode = "range" if layer.adc.full_scale else "clip"
        layers.append(replace(layer, adc=replace(layer.adc, mode=mode, bits=tuple(chosen), unit_bits=unit)))
    return replace(program, layers=tuple(layers))


RANGE = {
    "kind": "sar", "source": "made up", "bits": 8, "mode": "range", "full_scale": "worst_case",
    "reference": {"bits": 8, "power_W": 1e-3, "area_m2": 1e-9, "rate_Hz": 1e9},
}  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "adc"),
    [({"kind": "differential"}, None), ({"kind": "offset", "flipped": True}, None), ({"kind": "differential"}, RANGE)],
)
def test_the_smallest_bits_keep_the_accuracy_that_they_report(
    encoding: dict[str, object], adc: dict[str, object]
) -> None:
    program, x, labels = _case(encoding, adc)
    heard: list[tuple[int, int]] = []
    found = adc_resolution(program, x, labels, 0.1, lambda done, total: heard.append((done, total)))
    assert heard == [(i + 1, len(found.slices)) for i in range(len(found.slices))]
    assert found.lossless_accuracy == 1.0
    bits = [[r.smallest_bits for r in found.slices if r.layer == layer.name] for layer in program.layers]
    accuracy = (simulate(_with_bits(program, bits), x).outputs.argmax(dim=1) == labels).double().mean().item()
    assert accuracy == approx(found.accuracy)
    assert accuracy >= 0.9
    uniform = [[found.uniform_bits] * layer.n_slices for layer in program.layers]
    accuracy = (simulate(_with_bits(program, uniform), x).outputs.argmax(dim=1) == labels).double().mean().item()
    assert accuracy == approx(found.uniform_accuracy)
    assert accuracy >= 0.9
    for row in found.slices:
        assert row.lossless_bits >= row.max_bits >= row.p999_bits >= 1
        assert row.smallest_bits <= max(found.uniform_bits, 1)
    assert found.rows()[0]["lossless_bits"] == found.slices[0].lossless_bits
    assert "60 inputs" in found.summary()


def test_no_loss_allowed_means_no_loss() -> None:
    program, x, labels = _case({"kind": "differential"})
    found = adc_resolution(program, x, labels, 0.0)
    assert found.accuracy == found.lossless_accuracy == 1.0
    assert sum(r.smallest_bits for r in found.slices) < sum(r.lossless_bits for r in found.slices)


def test_wrong_labels_and_loss() -> None:
    program = mapping.compile(small_network(random_weights([(3, 8)])), small_chip())
    x = torch.ones(5, 1, 8)
    with pytest.raises(DataError, match=r"scores \[input, class\].*\n?.*"):
        adc_resolution(program, x, torch.zeros(5, dtype=torch.long))
    with pytest.raises(DataError, match="max_loss"):
        adc_resolution(program, x, torch.zeros(5, dtype=torch.long), 2.0)
    program, x, _ = _case({"kind": "differential"})
    with pytest.raises(DataError, match="one integer for each of 60 inputs"):
        adc_resolution(program, x, torch.zeros(5, dtype=torch.long))


def test_prints_a_line_for_each_layer() -> None:
    slices = (
        SliceResolution("a", 0, 8, 7, 6, 5),
        SliceResolution("a", 1, 4, 3, 2, 1),
        SliceResolution("b", 0, 9, 9, 9, 9),
    )
    lines = str(AdcResolution(slices, 100, 0.01, 0.9, 0.895, 7, 0.9)).splitlines()
    assert lines[1].split() == ["a", "8/7/6", ">", "5", "4/3/2", ">", "1"]
    assert lines[2].split() == ["b", "9/9/9", ">", "9"]
    assert "7 bits everywhere" in lines[3]
