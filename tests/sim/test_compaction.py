"""Crossbars that do not exist do nothing: no HRS current, no read noise, no conversions, whatever the physics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from analog_reference import analog_reference
from close import approx
from small import small_chip, small_network

import mapping
import xbar
from xbar.config import from_data, validate
from xbar.noise import NoiseModel
from xbar.program import LayerProgram, Program
from xbar.sim.adc import calibrate_adc, column_sum_histograms
from xbar.sim.analog import multiply_analog
from xbar.sim.analog_prepare import prepare_analog
from xbar.sim.cells import Draw, realise, strips_of
from xbar.sim.compaction import active_rows, gather, scatter

DEVICE = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 1e-5}
OHMIC = {"kind": "ir_drop", "rows": 8, "cols": 8, "read_time_s": 1e-7, "read_voltage_V": 0.2, "cell_area_m2": 1e-14}
WIRES = {**OHMIC, "word_line_Ohm": 300.0, "bit_line_Ohm": 500.0}
GATED = {**WIRES, "gated": True}


def _blocks(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Integer weights [row, col] without a zero."""
    values = np.random.default_rng(seed).choice([-7, -5, -3, -1, 2, 4, 7], (2, 8, 4))
    return values[0], values[1]


def _program(weight: np.ndarray, kind: str, layout: str, baseline: str | None = None, **changes: Any) -> Program:
    encoding = {"kind": kind, "layout": layout} | ({"baseline": baseline} if baseline else {})
    chip = small_chip(encoding=encoding, device=DEVICE, adc={"kind": "ideal"}, chip__tiles=64, **changes)
    return mapping.compile(small_network([weight.T.astype(np.int32)]), chip)


def _diagonal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two blocks 8 x 4 on the diagonal of crossbars of 8 x 8, where zeros lie beside each block."""
    weight = np.zeros((16, 16), np.int32)
    weight[:8, :8], weight[8:, 8:] = np.hstack([a, a[::-1]]), np.hstack([b, b[::-1]])
    return weight


def _noise(**effects: dict[str, Any]) -> NoiseModel:
    return validate(NoiseModel, from_data({"effects": effects}, "test"))


PHYSICS: dict[str, dict[str, Any]] = {
    "cells": {},
    "reference columns": {"baseline": "reference"},
    "digital baseline": {"baseline": "digital"},
    "wires": {"crossbar": WIRES},
    "a circuit for every input": {"crossbar": GATED},
}


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize("layout", ["interleaved", "separate"])
@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_a_block_diagonal_layer_is_two_layers(encoding: str, layout: str, physics: str) -> None:
    """Real cells without noise: each block gives what it gives alone, as if the other did not exist."""
    weight = _diagonal(*_blocks())
    x = torch.from_numpy(np.random.default_rng(1).integers(0, 16, (5, 1, 16)).astype(np.float32))
    whole = _program(weight, encoding, layout, **PHYSICS[physics])
    parts = [_program(weight[s, s], encoding, layout, **PHYSICS[physics]) for s in (slice(8), slice(8, 16))]
    assert len(whole.layers[0].blocks) == sum(len(p.layers[0].blocks) for p in parts)
    found = xbar.simulate(whole, x, noise="none").outputs
    alone = [
        xbar.simulate(p, x[..., s], noise="none").outputs for p, s in zip(parts, (slice(8), slice(8, 16)), strict=True)
    ]
    scale = float(found.abs().max())
    assert (found - torch.cat(alone, dim=-1)).abs().max() < 1e-4 * scale
    assert scale > 100


@pytest.mark.parametrize("layout", ["interleaved", "separate"])
@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_programmed_cells_give_what_they_do_one_by_one(encoding: str, layout: str) -> None:
    """The engine against the plain twin on the crossbars that there are; main cells are 0 on those that are not."""
    program = _program(_diagonal(*_blocks()), encoding, layout)
    (layer,), chip = program.layers, program.chip
    noise = _noise(programming={"kind": "gaussian", "sigma_rel": 0.05, "relative_to": "range"})
    strips = strips_of(layer, chip)
    cells = realise(layer, chip, noise, strips, Draw(3))
    assert not cells.main[:, 0, :8, 8:].any()
    assert not cells.main[:, 0, 8:, :8].any()
    x = np.random.default_rng(2).integers(0, 16, (6, 1, 16)).astype(np.uint8)
    wanted, _ = analog_reference(layer, chip, cells, strips, x)
    got, _ = multiply_analog(prepare_analog(layer, chip, noise, Draw(3)), x, 0)
    assert np.abs(got.numpy() - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_read_noise_comes_from_the_cells_that_exist() -> None:
    """8 word lines of a block times two planes, a sigma of 0.02 g_max each; beside it nothing is read."""
    program = _program(_diagonal(*_blocks()), "differential", "separate")
    noise = _noise(read={"kind": "white", "sigma_rel": 0.02, "relative_to": "g_max"})
    x = torch.ones(20_000, 1, 16)
    (layer,) = program.layers
    sums = multiply_analog(prepare_analog(layer, program.chip, noise, Draw(0)), np.ones((len(x), 1, 16), np.uint8), 0)[
        0
    ]
    variance = sums.numpy()[:, 0].var(axis=0)
    one = 0.02 / (0.9 / 7)  # g_max over a step of conductance
    assert variance == approx(np.full(16, 8 * 2 * one**2), rel=5 * np.sqrt(2 / len(x)))


def test_sums_that_are_not_converted_are_not_seen() -> None:
    """Two of four blocks and no top slice: 16 columns x 2 planes, 4 pulses, 5 inputs; calibrated all the same."""
    weight = np.clip(_diagonal(*_blocks()), -3, 3)
    chip = {"device": {"kind": "levels", "cell_bits": 2}, "adc__mode": "range", "adc__full_scale": "max"}
    separate = {"kind": "differential", "layout": "separate"}
    program = mapping.compile(small_network([weight.T]), small_chip(encoding=separate, **chip))
    x = torch.ones(5, 1, 16)
    (seen,) = column_sum_histograms(program, x)
    assert seen.by_slice.sum(axis=1).tolist() == [5 * 4 * 2 * 16, 0]
    assert seen.largest()[1] == seen.percentile(99.9)[1] == 0
    for method in ("max", "mse"):
        adc = program.chip.adc.model_copy(update={"full_scale": method})
        changed = replace(program, chip=program.chip.model_copy(update={"adc": adc}))
        assert calibrate_adc(changed, x).layers[0].adc.full_scale[1] == 1  # type: ignore[index]


def _layer(**changes: Any) -> LayerProgram:
    weight = np.zeros((12, 5), np.int32)
    weight[[1, 2, 4, 5, 6, 7, 8, 9, 11]] = [0, 3, 0, 2, -1]
    return mapping.compile(small_network([weight.T]), small_chip(**changes)).layers[0]


def test_gather_and_scatter_by_hand() -> None:
    layer = _layer()
    x = np.arange(24, dtype=np.uint8).reshape(2, 1, 12)
    assert gather(layer, x)[1, 0].tolist() == [13, 14, 16, 17, 18, 19, 20, 21, 23]
    sums = torch.tensor([[[4.0, 5.0, 6.0]]])
    assert scatter(layer, sums).tolist() == [[[0, 4, 0, 5, 6]]]


def test_active_rows_by_hand() -> None:
    """9 word lines in row blocks of 8 and 1, two crossbars each, one per polarity. An input of 5 is two digits."""
    separate = {"kind": "differential", "layout": "separate"}
    layer = _layer(encoding=separate)
    active = np.zeros((1, 9), np.int64)
    active[0, [0, 8]] = 2, 1
    assert active_rows(layer, active) == 2 * 3
    fewer = replace(layer, blocks=layer.blocks[:-1])  # the second row block has one crossbar
    assert active_rows(fewer, active) == 2 * 2 + 1


def test_errors_of_a_layer_with_outputs_left_out() -> None:
    """Where errors come from, with rows and columns that are not there: outputs that are left out have none."""
    weight = _diagonal(*_blocks())
    weight[:, 3] = 0
    weight[5] = 0
    program = _program(weight, "differential", "separate")
    noise = _noise(read={"kind": "white", "sigma_rel": 0.02, "relative_to": "g_max"})
    x = torch.from_numpy(np.random.default_rng(1).integers(0, 16, (50, 1, 16)).astype(np.float32))
    (errors,) = xbar.error_sources(program, x, noise).layers
    assert errors.total.shape == (16,)
    assert errors.total[3] == 0
    assert np.delete(errors.total, 3).min() > 0
