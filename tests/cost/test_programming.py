"""Writing the weights, worked out by hand on the chip of tests/small.py.

10 -> 6 -> 3 on 8 x 8 crossbars, differential weights of one 3-bit cell per polarity: layer 0 has 8 x 8, 2 x 8, 8 x 4
and 2 x 4 cells in four crossbars, layer 1 has 6 x 6 in one (tests/mapping/test_compiler.py).
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from close import approx
from hypothesis import given
from hypothesis import strategies as st
from small import random_weights, small_chip, small_network

import mapping
from xbar.cost.programming import LayerCells, Programming, cells_of, price, programming, why_not
from xbar.errors import DataError
from xbar.hardware import Chip
from xbar.program import Program

WEIGHTS = random_weights([(6, 10), (3, 6)])
BY_ENERGY = {"pulse_s": 50e-9, "energy_J": 2e-12, "parallel": "row"}
BY_VOLTAGE = {"pulse_s": 50e-9, "voltage_V": 2.0, "parallel": "row"}
CELL = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 15e-6}
OHMIC = {
    "kind": "ohmic", "rows": 8, "cols": 8, "read_time_s": 100e-9, "read_voltage_V": 0.2, "cell_area_m2": 1e-14,
}  # fmt: skip


def compiled(pulses: dict[str, Any] | None, device: dict[str, Any] | None = None, **changes: Any) -> Program:
    device = dict(device or {"kind": "levels", "cell_bits": 3})
    if pulses is not None:
        device["programming"] = pulses
    weight_bits = changes.pop("weight_bits", 4)
    vectors, budget = changes.pop("vectors", 1), changes.pop("budget", None)
    chip = small_chip(device=device, **changes)
    return mapping.compile(small_network(WEIGHTS, vectors, weight_bits=weight_bits), chip, budget)


def written(program: Program) -> Programming:
    found = programming(program)
    assert found is not None
    return found


def test_cells_pulses_and_time_by_hand():
    """120 + 36 cells, one pulse of 2 pJ each; 8 and 6 word lines of the fullest crossbars, 50 ns each."""
    found = written(compiled(BY_ENERGY))
    first, second = found.layers
    assert (first.cells, first.crossbars, second.cells, second.crossbars) == (120, 4, 36, 1)
    assert (first.write_J, second.write_J) == (approx(240e-12), approx(72e-12))
    assert (first.verify_J, second.verify_J) == (0, 0)
    assert (first.time_s, second.time_s) == (approx(400e-9), approx(300e-9))
    assert found.time_s == first.time_s
    assert found.n_pulses == found.cells == 156
    assert found.n_programmings is None


@pytest.mark.parametrize(("parallel", "units"), [("cell", 64), ("row", 8), ("crossbar", 1)])
def test_what_is_written_at_a_time(parallel: str, units: int):
    first, _ = written(compiled({**BY_ENERGY, "parallel": parallel, "pulses": 3})).layers
    assert first.time_s == approx(3 * units * 50e-9)
    assert first.write_J == approx(3 * 240e-12)


def test_energy_follows_the_levels_that_cells_really_get():
    """V^2 t (g_min + g) / 2 over all cells, g = 1 uS + level x 2 uS."""
    program = compiled(BY_VOLTAGE, CELL)
    for layer, w in zip(written(program).layers, WEIGHTS, strict=True):
        levels = np.concatenate([np.maximum(w, 0), np.maximum(-w, 0)])
        g_S = 1e-6 + 2e-6 * levels
        assert layer.write_J == approx(float((4.0 * 50e-9 * (1e-6 + g_S) / 2).sum()))


def test_uneven_levels():
    """7 states even in resistance: the mean conductance of the levels, not the conductance of the mean level."""
    program = compiled(BY_VOLTAGE, {**CELL, "n_states": 7, "spacing": "resistance"})
    levels = program.chip.device.levels_rel() * 15e-6
    w = WEIGHTS[1]
    g_S = np.concatenate([levels[np.maximum(w, 0)], levels[np.maximum(-w, 0)]])
    assert written(program).layers[1].write_J == approx(float((4.0 * 50e-9 * (1e-6 + g_S) / 2).sum()))


def test_verifying_reads_by_hand_row_by_row():
    """Array 1e-10 J per read of 64 cells, driver 1e-14 J, conversion 1 pJ; 2 crossbars of 8 columns on 4 ADCs: 200 ns.

    Layer 1: 36 cells, 6 word lines, 3 pulses.
    """
    pulses = {**BY_ENERGY, "verify": True, "pulses": 3}
    _, second = written(compiled(pulses)).layers
    assert second.verify_J == approx(3 * (36 * (1e-10 / 64 + 1e-12) + 6 * 1e-14))
    assert second.time_s == approx(3 * 6 * (50e-9 + 200e-9))
    _, whole = written(compiled({**pulses, "parallel": "crossbar"})).layers
    assert whole.verify_J == second.verify_J
    assert whole.time_s == approx(3 * (50e-9 + 6 * 200e-9))


def test_verifying_reads_by_hand_cell_by_cell():
    """Every cell drives its word line alone; one conversion of 50 ns fits into the read of 100 ns."""
    _, second = written(compiled({**BY_ENERGY, "verify": True, "parallel": "cell"})).layers
    assert second.verify_J == approx(36 * (1e-10 / 64 + 1e-12 + 1e-14))
    assert second.time_s == approx(36 * 150e-9)


def test_a_resistive_array_is_read_by_ohms_law():
    """0.2 V over the conductance halfway to the level, for 100 ns."""
    program = compiled({**BY_ENERGY, "verify": True}, CELL, crossbar=OHMIC)
    w = WEIGHTS[1]
    g_S = 1e-6 + 2e-6 * np.concatenate([np.maximum(w, 0), np.maximum(-w, 0)])
    read_J = float((0.04 * 100e-9 * (1e-6 + g_S) / 2).sum())
    _, second = written(program).layers
    assert second.verify_J == approx(read_J + 36 * 1e-12 + 6 * 1e-14)


@pytest.mark.parametrize("kind", ["ohmic", "ir_drop"])
def test_the_price_of_a_verifying_read_does_not_depend_on_the_size_of_the_array(kind: str):
    """V^2 G t of each cell, whatever else is in the crossbar."""
    wires = {"word_line_Ohm": 1.0, "bit_line_Ohm": 1.0} if kind == "ir_drop" else {}
    held = [LayerCells("layer", 36, 6, 1, 36, 6, 0.5)]
    for size in (8, 64):
        crossbar = {**OHMIC, "kind": kind, "rows": size, "cols": size, **wires}
        chip = small_chip(
            device={**CELL, "programming": {**BY_ENERGY, "verify": True}}, crossbar=crossbar, adc={"kind": "ideal"}
        )
        found = price(chip, held)
        assert found is not None
        assert found.verify_J == approx(36 * 0.04 * (1e-6 + 7.5e-6) / 2 * 100e-9 + 6 * 1e-14)


def test_unit_and_reference_columns_are_written_too():
    """Offset, one 4-bit cell per weight: 8 x 6 and 2 x 6 cells, and a unit column (level 1) per crossbar.

    With a finite on/off ratio each crossbar has a column of HRS cells as well.
    """
    offset = {"encoding": {"kind": "offset"}}
    plain = compiled(BY_ENERGY, {"kind": "levels", "cell_bits": 4}, **offset)
    assert [layer.cells for layer in written(plain).layers] == [60 + 10, 18 + 6]
    held = cells_of(plain.layers[1], plain.chip)
    levels = WEIGHTS[1] + 8
    assert (held.word_lines, held.largest_cells) == (6, 24)
    assert held.mean_rel == approx((levels.sum() + 6) / 15 / 24)
    real = compiled(BY_VOLTAGE, {**CELL, "cell_bits": 4}, **offset)
    assert [layer.cells for layer in written(real).layers] == [60 + 20, 18 + 12]
    assert cells_of(real.layers[1], real.chip).mean_rel * 15e-6 * 30 == approx(
        (1e-6 + 14e-6 / 15 * levels).sum() + 6 * (1e-6 + 14e-6 / 15) + 6 * 1e-6
    )


def test_pieces_that_no_crossbar_holds_are_not_written():
    """Weights on the diagonal only: of 2 x 2 pieces of 8 rows and 4 outputs, two have no weight."""
    w = np.zeros((8, 16), np.int32)
    w[:4, :8] = w[4:, 8:] = 7
    chip = small_chip(device={**CELL, "programming": BY_VOLTAGE})
    found = written(mapping.compile(small_network([w]), chip))
    assert [layer.cells for layer in found.layers] == [2 * 8 * 8]
    assert found.write_J == approx(4.0 * 50e-9 * (64 * (1 + 15) / 2 + 64 * 1) * 1e-6)


def test_copies_are_written_at_the_same_time():
    once, more = (written(compiled(BY_ENERGY, vectors=12, budget=n)) for n in (None, 4))
    assert [layer.cells for layer in more.layers] == [3 * 120, 2 * 36]
    assert [layer.crossbars for layer in more.layers] == [12, 2]
    assert [layer.time_s for layer in more.layers] == [layer.time_s for layer in once.layers]


def test_endurance_and_inferences():
    """1000 pulses of which 3 write a cell: 333 programmings."""
    found = written(compiled({**BY_ENERGY, "pulses": 3, "endurance": 1000}))
    assert found.n_programmings == 333
    assert found.inferences_until_worn(50) == 333 * 50
    assert found.inferences_until_worn(50, n_rounds=4) == 83 * 50
    assert found.energy_per_inference_J(50) == approx(found.energy_J / 50)
    assert written(compiled(BY_ENERGY)).inferences_until_worn(50) is None
    for wrong in (0, -1, math.nan, math.inf):
        with pytest.raises(DataError, match="n_inferences: must be a number from 1"):
            found.energy_per_inference_J(wrong)
    with pytest.raises(DataError, match="n_rounds: must be a number from 1, got 0"):
        found.inferences_until_worn(1, 0)


def test_a_chip_that_says_nothing():
    program = compiled(None)
    assert programming(program) is None
    assert why_not(program.chip) == (
        "not in the bill: writing the weights, of which chip small says nothing (device.programming)"
    )
    assert why_not(compiled(BY_ENERGY).chip) is None


def test_an_ideal_converter_verifies_for_free_and_says_so():
    found = written(compiled({**BY_ENERGY, "verify": True}, adc={"kind": "ideal"}))
    assert found.layers[1].verify_J == approx(36 * 1e-10 / 64 + 6 * 1e-14)
    assert "not in the energy of verifying: conversions (an ideal ADC has no price)" in found.notes
    assert len(written(compiled(BY_ENERGY, adc={"kind": "ideal"})).notes) == 1


def test_json_and_text():
    found = written(compiled({**BY_ENERGY, "pulses": 3, "endurance": 1000, "source": "made up"}))
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["energy_J"] == approx(3 * 156 * 2e-12)
    assert data["layers"][0]["cells"] == 120
    assert data["pulses"]["parallel"] == "row"
    text = str(found)
    for words in ("156 in 5 crossbars, row by row", "936 pJ", "1.2 µs", "333 programmings", "layer1", "made up"):
        assert words in text
    assert "not known" in str(written(compiled(BY_ENERGY)))


def test_without_layers():
    found = price(small_chip(device={"kind": "levels", "cell_bits": 3, "programming": BY_ENERGY}), ())
    assert found is not None
    assert (found.cells, found.energy_J, found.time_s) == (0, 0, 0)


cells = st.builds(
    lambda cells, lines, name: LayerCells(name, cells * 2, lines * 2, 2, cells, lines, 0.5),
    st.integers(1, 10**6), st.integers(1, 10**4), st.text("abc", min_size=1, max_size=3),
)  # fmt: skip


def _chip(**pulses: Any) -> Chip:
    return small_chip(device={**CELL, "programming": {**BY_VOLTAGE, **pulses}}, crossbar=OHMIC)


@given(
    st.lists(cells, max_size=5),
    st.sampled_from(["cell", "row", "crossbar"]),
    st.booleans(),
    st.floats(1, 1e3),
    st.floats(1, 10),
)
def test_sums_close_and_all_is_linear_in_pulses(held, parallel, verify, pulses, factor):
    found = price(_chip(parallel=parallel, verify=verify, pulses=pulses), held)
    more = price(_chip(parallel=parallel, verify=verify, pulses=pulses * factor), held)
    assert found is not None
    assert more is not None
    assert found.cells == sum(c.cells for c in held)
    assert found.energy_J == approx(sum(layer.energy_J for layer in found.layers))
    assert found.energy_J == approx(found.write_J + found.verify_J)
    assert found.time_s == max((layer.time_s for layer in found.layers), default=0)
    for name in ("n_pulses", "write_J", "verify_J", "time_s"):
        assert getattr(more, name) == approx(factor * getattr(found, name))
        assert math.isfinite(getattr(more, name))
    if not verify:
        assert found.verify_J == 0


@given(st.floats(0, 7), st.integers(1, 10**5))
def test_mean_levels_of_shapes_alone(level: float, n: int):
    """What is known by shape only: the mean level m of evenly spaced levels costs V^2 t (g_min + g(m)) / 2 per cell."""
    chip = _chip()
    mean_rel = float(np.interp(level, range(8), chip.device.levels_rel()))
    found = price(chip, [LayerCells("by shape", n, 8, 1, n, 8, mean_rel)])
    assert found is not None
    assert found.write_J == approx(n * 4.0 * 50e-9 * (1e-6 + (1e-6 + 2e-6 * level)) / 2)


def test_more_parallel_is_never_slower():
    held = replace(cells_of(compiled(None).layers[0], small_chip()), mean_rel=0.5)
    times = []
    for parallel in ("cell", "row", "crossbar"):
        found = price(_chip(parallel=parallel), [held])
        assert found is not None
        times.append(found.time_s)
    assert times == sorted(times, reverse=True)
