"""The clipping kernel against its plain twin, on the cells of random layers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from layer_programs import layer_program

from xbar.kernels.clip import clip_codes, clip_codes_plain
from xbar.kernels.pulses import pack_pulses, route_pulses
from xbar.program import AdcSetting
from xbar.sim.prepare import prepare


@pytest.mark.parametrize(
    ("rows", "cell_bits", "dac_bits"), [(30, 1, 1), (64, 2, 1), (128, 2, 1), (128, 3, 2), (200, 2, 3)]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_equals_its_twin_for_any_number_of_threads(rows: int, cell_bits: int, dac_bits: int, threads: int) -> None:
    rng = np.random.default_rng(rows)
    weight = rng.integers(-127, 128, (1, 205, 37))
    x = rng.integers(-128, 128, (70, 1, 205)).astype(np.int8)
    n_slices = layer_program(weight, cell_bits=cell_bits).n_slices
    full_scale = ((7, 11, 60) * n_slices)[:n_slices]  # slices that clip, round and saturate, and only round
    adc = AdcSetting("range", (3,) * n_slices, full_scale, None)
    prepared = prepare(
        layer_program(weight, cell_bits=cell_bits, rows=rows, dac_bits=dac_bits, input_signed=True, adc=adc)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for blocks in prepared.blocks:
            packed = pack_pulses(x, blocks.pair_group, blocks.pair_rows, blocks.n_words, 8, prepared.digit)
            routes = route_pulses(packed.n_active, blocks.n_safe, prepared.pulse_bits)
            ours = np.zeros((70, 1, 1 + len(prepared.slots), 64), np.int64)
            theirs, wide = ours.copy(), ours.copy()
            common = (packed.words, routes.send, routes.active, prepared.digit, blocks.packed)
            saturations = clip_codes(*common, False, ours)
            np.testing.assert_array_equal(saturations, clip_codes_plain(*common, theirs))
            np.testing.assert_array_equal(ours, theirs)
            clip_codes(*common, True, wide)
            np.testing.assert_array_equal(wide, theirs)
            assert saturations[0] > 0
            assert saturations[1] > 0
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("cell_bits", [2, 8])
def test_columns_of_many_thousand_rows(cell_bits: int) -> None:
    """257 words of 32 rows: more than 16 bits hold."""
    weight = np.full((1, 8223, 3), 127)
    weight[0, 0] = [0, 63, 1]
    x = np.full((2, 1, 8223), 255, np.uint8)
    n_slices = layer_program(weight, cell_bits=cell_bits).n_slices
    adc = AdcSetting("clip", (20,) * n_slices, None, None)
    layer = layer_program(weight, cell_bits=cell_bits, rows=8223, adc=adc)
    prepared = prepare(dataclasses.replace(layer, adc=dataclasses.replace(adc, bits=(10,) * n_slices)))
    (blocks,) = prepared.blocks
    packed = pack_pulses(x, blocks.pair_group, blocks.pair_rows, blocks.n_words, 8, prepared.digit)
    send = np.full(packed.words.shape[:2], 255, np.uint32)
    for bits in (10, 20):  # the cells are packed as for 10 bits: with 20 nothing is clipped
        wider = blocks.packed._replace(
            max_code=np.full(n_slices, 2**bits - 1), narrow=np.zeros_like(blocks.packed.narrow)
        )
        ours = np.zeros((2, 1, 1, 32), np.int64)
        theirs = ours.copy()
        common = (packed.words, send, send, prepared.digit, wider)
        saturations = clip_codes(*common, False, ours)
        np.testing.assert_array_equal(saturations, clip_codes_plain(*common, theirs))
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours[0, 0, 0, :3], 255 * weight[0].sum(axis=0))
