"""Bits of ADCs counted by hand, or one conversion at a time, for networks of one layer."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from layer_programs import random_case
from reference import digitise, pulses_of, reference_multiply
from small import small_chip
from torch import nn

from xbar import testing
from xbar.errors import XbarError
from xbar.hardware import Chip
from xbar.program import AdcSetting
from xbar.sim import AdcResolution, SliceResolution
from xbar.sim.crossbar import multiply
from xbar.sim.prepare import prepare
from xbar.testing.adc_bits import _read_with
from xbar.testing.subjects import program_of

ROWS = (SliceResolution("fc", 0, 8, 7, 6, 5), SliceResolution("fc", 1, 4, 3, 2, 1))
FOUND = AdcResolution(ROWS, 10, 0.01, 1.0, 1.0, 5, 1.0)


def _refused(*arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        testing.assert_adc_bits(*arguments, **more)
    return str(caught.value)


def _wrong(*arguments: Any, **more: Any) -> list[str]:
    with pytest.raises(XbarError) as caught:
        testing.assert_adc_bits(*arguments, **more)
    return list(caught.value.problems)


def test_a_resolution_by_hand() -> None:
    for by, low, high in (("lossless", 8, 4), ("seen", 7, 3), ("p999", 6, 2), ("smallest", 5, 1)):
        testing.assert_adc_bits(FOUND, at_most={0: low, -1: high}, by=by)
        testing.assert_adc_bits(FOUND, at_most=low, by=by)
        testing.assert_adc_bits(FOUND, at_most={1: high}, by=by)
        lines = _refused(FOUND, at_most={-1: high - 1 or 1, 0: low - 1}, by=by).splitlines()
        more = "" if high == 1 else f"; slice 1 needs {high} bits, at most {high - 1} allowed"
        assert lines[1] == f"  fc: slice 0 needs {low} bits, at most {low - 1} allowed{more}"
        assert lines[2:] == ["bits of all slices, slice 0 (the least significant) first:", f"  fc: {low}, {high}"]
    testing.assert_adc_bits(FOUND, at_most=8, by="lossless", max_loss=0.001)  # for which no loss was searched
    (problem,) = _wrong(FOUND, at_most=8, by="smallest", max_loss=0.001)
    assert "the ADC bits were searched for a loss of 0.01, which is more than 0.001" in problem


def _tiny(weight: list[list[int]], on: dict[str, Any]) -> tuple[nn.Module, Chip]:
    """A layer of whole weights [col, row], and a chip that holds them as they are: 5 bits in two slices of 2."""
    model = nn.Linear(len(weight[0]), len(weight), bias=False)
    model.weight.data = torch.tensor(weight).float()
    precision = {"weight_bits": 5, "input_bits": 4, "weights": "dynamic_fixed_point", "granularity": "layer"}
    return model, small_chip(precision=precision, device__cell_bits=2, **on)


def _tiny_case(**on: Any) -> tuple[nn.Module, Chip, torch.Tensor]:
    """With images of whole numbers up to 15, all 4 bits of an input."""
    weight = np.random.default_rng(3).integers(-15, 16, (3, 7))
    weight[0, 0] = 15
    images = np.random.default_rng(4).integers(0, 16, (60, 7))
    images[0, 0] = 15
    return *_tiny(weight.tolist(), on), torch.from_numpy(images).float()


def test_lossless_bits_by_hand() -> None:
    # slices (slice 1, slice 0): 5 = 1 1, 3 = 0 3, 15 = 3 3, 1 = 0 1; the largest sums: slice 0: 3 + 1, slice 1: 3
    model, on = _tiny([[5, -3, 0], [15, 0, 1]], {})
    data = (torch.full((2, 3), 15.0), torch.tensor([1, 1]))
    testing.assert_adc_bits(model, data, on, at_most={0: 3, 1: 2}, by="lossless")
    text = _refused(model, data, on, at_most={0: 2, 1: 1}, by="lossless")
    assert "slice 0 needs 3 bits, at most 2 allowed; slice 1 needs 2 bits, at most 1 allowed" in text


def test_seen_bits_against_every_column_sum() -> None:
    """Most images have one row only; those with all, 0.75 % of them, count for 99.9 % but would not for 99 %."""
    model, on, images = _tiny_case()
    images = torch.eye(7).repeat(58, 1)[:400] * torch.arange(400)[:, None] % 16
    images[:3] = 15
    data = (images, torch.zeros(400))
    program = program_of("subject", model, data, on)
    (layer,) = program.layers
    x = images.numpy().astype(np.int64)[:, None]
    seen: dict[int, list[int]] = {0: [], 1: []}
    for digit, _ in pulses_of(x, layer):
        for plane, s in enumerate(layer.plane_slice):
            seen[s] += np.einsum("vgr,grc->vgc", digit, layer.cells[plane].astype(np.int64)).ravel().tolist()
    share = {s: sorted(sums)[int(np.ceil(0.999 * len(sums))) - 1] for s, sums in seen.items()}
    for by, sums in (("seen", {s: max(own) for s, own in seen.items()}), ("p999", share)):
        bits = {s: max(1, int(y).bit_length()) for s, y in sums.items()}
        testing.assert_adc_bits(program, data, at_most=bits, by=by)
        for s in bits:
            _refused(program, data, at_most={s: bits[s] - 1}, by=by)


@pytest.mark.parametrize("encoding", ["differential", "offset", "flipped"])
def test_accuracy_against_every_conversion_one_by_one(encoding: str) -> None:
    """All combinations of bits for two or three slices, or a slice left free; flipped columns need the unit column."""
    kind = {"kind": "offset", "flipped": True} if encoding == "flipped" else {"kind": encoding}
    model, on, images = _tiny_case(encoding={**kind, "layout": "interleaved"}, crossbar__cols=16)
    program = program_of("subject", model, (images, torch.zeros(60)), on)
    (layer,) = program.layers
    with torch.no_grad():
        labels = model(images).argmax(1)

    def brute(limits: dict[int, int]) -> float:
        bits = tuple(limits.get(s, 12) for s in range(layer.n_slices))
        unit = None if encoding == "differential" else max(bits)
        limited = replace(layer, adc=AdcSetting("clip", bits, None, unit))
        out = reference_multiply(limited, images.numpy().astype(np.int64)[:, None]).out[:, 0]
        return float((torch.from_numpy(out).argmax(1) == labels).double().mean())

    assert brute({}) == 1
    losses = []
    for bits in itertools.product([1, 2, 3, None], repeat=layer.n_slices):
        limits = {s: b for s, b in enumerate(bits) if b is not None}
        if not limits:
            continue
        loss = 1 - brute(limits)
        testing.assert_adc_bits(
            program, (images, labels), at_most=limits, max_loss=round(loss, 10)
        )  # 1 - 57/60 is a little above 0.05
        if loss > 0:
            claim = {"at_most": limits, "max_loss": loss - 1e-4}
            text = _refused(program, (images, labels), **claim)
            assert f"falls by {100 * loss:.2f} percentage points, 100.00% -> {1 - loss:.2%}" in text
            assert f": falls by {100 * loss:.2f} percentage points (lossless would be " in text.splitlines()[3]
        losses.append(loss)
    assert len(set(losses)) > 5


@pytest.mark.parametrize("seed", range(40))
def test_free_slices_lose_nothing_whatever_the_inputs(seed: int) -> None:
    """All encodings, unit columns and range mode included; a limit above what is lossless changes nothing."""
    layer, x, weight = random_case(seed)
    exact = np.einsum("vgr,grc->vgc", x.astype(np.int64), weight)
    for limits in ({}, {layer.n_slices - 1: 20}):
        out, _ = multiply(prepare(_read_with(layer, limits)), x)
        np.testing.assert_array_equal(out.numpy(), exact)


def test_range_mode_is_calibrated_and_read_with_its_full_scale() -> None:
    adc = {
        "kind": "sar", "source": "made up", "bits": 6, "mode": "range", "full_scale": "max",
        "reference": {"bits": 6, "power_W": 1e-3, "area_m2": 1e-9, "rate_Hz": 1e9},
    }  # fmt: skip
    model, on, images = _tiny_case(adc=adc)
    with torch.no_grad():
        labels = model(images).argmax(1)
    program = program_of("subject", model, (images, labels), on)
    (layer,) = program.layers
    scale = layer.adc.full_scale
    assert scale is not None
    assert digitise(np.array([scale[0]]), 2, scale[0])[0] == 3  # the largest sum that occurred is the largest code
    limited = replace(layer, adc=AdcSetting("range", (2, 2), scale, None))
    out = reference_multiply(limited, images.numpy().astype(np.int64)[:, None]).out[:, 0]
    loss = 1 - float((torch.from_numpy(out).argmax(1) == labels).double().mean())
    assert loss > 0
    testing.assert_adc_bits(model, (images, labels), on, at_most=2, max_loss=loss)
    _refused(model, (images, labels), on, at_most=2, max_loss=loss - 1e-4)


@pytest.mark.parametrize("at_most", [True, 2.0, "3", None, 0, {0: True}, {0: "3"}])
def test_bits_are_whole_numbers(at_most: Any) -> None:
    (problem,) = _wrong(FOUND, by="seen", at_most=at_most)
    assert problem.startswith("at_most: bits must be a whole number from 1 up, got ")


def test_slices_are_named_once_and_may_be_numpys() -> None:
    assert _wrong(FOUND, by="seen", at_most={-1: 1, 1: 2, 0: 4}) == [
        "at_most: slice 1 is given twice, as 1 and as -1; leave one out"
    ]
    testing.assert_adc_bits(FOUND, at_most={np.int64(-1): np.int64(8)}, by="lossless")
