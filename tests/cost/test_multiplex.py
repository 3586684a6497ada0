"""A network in turns on one chip, by hand: two layers of four crossbars and one, on chips of one tile."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from close import approx
from small import random_weights, small_chip, small_network

import mapping
from xbar.cost import estimate
from xbar.cost.multiplex import cells_of, multiplexed
from xbar.cost.programming import cells_of as cells_of_program
from xbar.errors import CapacityError, DataError
from xbar.outline import Outline
from xbar.traffic import link_bits

# 3-bit cells of 1 to 8 uS: levels 1/8 .. 1; a pulse is 1 pJ and 100 ns, a row at a time
WRITES = {"pulse_s": 1e-7, "energy_J": 1e-12, "pulses": 2, "verify": False, "parallel": "row", "endurance": 1000}
DEVICE = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 8e-6, "programming": WRITES}


def sketch(n_chips: int | None = None, **changes: object) -> Outline:
    """10 -> 6 -> 3 on chips of one tile: layer 0 fills the two cores of chip 0, layer 1 is on chip 1."""
    chip = small_chip(**{"chip__tiles": 1, "device": dict(DEVICE), **changes})
    return mapping.outline(small_network(random_weights([(6, 10), (3, 6)])).network, chip, n_chips=n_chips)


def test_two_turns_by_hand():
    """Writing: layer 0 has crossbars of 8 and 2 word lines, 8 x 2 pulses of 100 ns; layer 1 6 x 2. Computing: 800 ns
    and 400 ns (see test_estimate). 120 and 36 cells, 2 pJ each.

    Turn 0 loads 10 inputs and stores 6 results of 4 bits, turn 1 loads those and stores 3 outputs: 64 and 36 bits over
    a link of 1 Gbit/s, less than computing.
    """
    result = multiplexed(sketch(), batch=10)
    assert [turn.layers for turn in result.turns] == [("layer0",), ("layer1",)]
    assert [turn.write_s for turn in result.turns] == approx([1.6e-6, 1.2e-6])
    assert [turn.write_J for turn in result.turns] == approx([240e-12, 72e-12])
    assert [turn.compute_s for turn in result.turns] == approx([800e-9, 400e-9])
    assert [turn.offchip_s for turn in result.turns] == approx([64e-9, 36e-9])
    assert result.batch_s == approx(1.6e-6 + 8e-6 + 1.2e-6 + 4e-6)
    assert result.throughput_per_s == approx(10 / 14.8e-6)
    assert result.write_J == approx(31.2e-12)
    assert result.write_share == approx(2.8 / 14.8)
    # 500 programmings of 2 pulses; each batch of 10 writes a cell twice
    assert result.inferences_until_worn == 10 * 250


def test_energy_is_that_of_the_events_and_one_chips_leakage():
    """One buffer leaks 1 mW for as long as a batch takes."""
    whole = sketch()
    result = multiplexed(whole, batch=10)
    dynamic_J = sum(entry.dynamic_J for entry in estimate(whole).ledger)
    assert result.energy_J == approx(dynamic_J + 1e-3 * result.batch_s / 10)


def test_slow_links_set_the_pace():
    link = {"event": "offchip_bits", "area_m2": 1e-7, "energy_J": 1e-12, "rate_Hz": 1e7}
    turn, _ = multiplexed(sketch(chip__parts={"link": link}), batch=10).turns
    assert turn.offchip_s == approx(6.4e-6)
    assert turn.time_s(10) == approx(turn.write_s + 64e-6)


def test_the_first_input_goes_through_all_layers_of_a_turn():
    """Of 10 -> 6 -> 6 -> 3 layer 0 fills chip 0, and the other two are on chip 1."""
    network = small_network(random_weights([(6, 10), (6, 6), (3, 6)])).network
    chip = small_chip(chip__tiles=1, device=dict(DEVICE))
    _, turn = multiplexed(mapping.outline(network, chip, n_chips=None), batch=10).turns
    assert turn.layers == ("layer1", "layer2")
    first = [layer.total_s for layer in estimate(mapping.outline(network, chip, n_chips=None)).timing][1:]
    assert (turn.first_s, turn.compute_s) == (approx(sum(first)), approx(max(first)))
    assert turn.time_s(1) == approx(turn.write_s + sum(first))
    assert turn.time_s(10) == approx(turn.write_s + sum(first) + 9 * max(first))


def test_what_turns_load_and_store_is_what_crosses_the_chips_edges():
    """Partial sums of layer 0, which is on four chips, and inputs that are handed on to each of them, included."""
    whole = sketch(tile__cores=1, core__crossbars=1)
    _, by_chip = link_bits(whole)
    assert len(by_chip) == whole.n_chips == 5
    assert sum(by_chip) == whole.host_ops["offchip_bits"]
    assert by_chip[-1] == 6 * 4 + 3 * 4


def test_clocks_that_are_not_gated_draw_for_the_whole_batch():
    """Writing included: at 1, each digital part draws its full power all the time."""
    gated, running = sketch(), sketch(idle_clock_rel=1.0)
    a, b = (multiplexed(s, batch=10) for s in (gated, running))
    spent = {name: part.dynamic_J for name, part in estimate(running).by("part").items()}
    idle = [
        row.count_per_chip * (row.cost.power_W - row.cost.leakage_W) * b.batch_s / 10 - spent[f"{row.level}.{row.part}"]
        for row in running.chip.ledger()
        if row.level in ("tile", "chip") or row.part == "shift and add"
    ]
    assert min(idle) > 0
    assert len(idle) == 3
    assert b.energy_J == approx(a.energy_J + sum(idle))


def test_larger_batches_write_less_often():
    few, many = (multiplexed(sketch(), batch) for batch in (1, 1000))
    assert many.write_J == approx(few.write_J / 1000)
    assert many.throughput_per_s > few.throughput_per_s
    assert many.write_share < 0.01 < few.write_share


def test_a_layer_on_two_chips_has_its_cores_in_both_turns():
    """A crossbar per core, a core per tile: layer 0 takes chips 0 to 3, layer 1 chip 4."""
    result = multiplexed(sketch(tile__cores=1, core__crossbars=1), batch=1)
    assert [turn.layers for turn in result.turns] == [("layer0",)] * 4 + [("layer1",)]
    assert sum(turn.write_J for turn in result.turns) == approx(312e-12)


@pytest.mark.parametrize("layout", ["interleaved", "separate"])
@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_cells_of_a_shape_are_those_of_a_dense_program(kind: str, layout: str) -> None:
    """The largest weight is the largest integer, so that the float weights are quantized to themselves."""
    weights = random_weights([(6, 10), (3, 6)], seed=3)
    for weight in weights:
        weight[:, 0] = 7
    qnet = small_network(weights)
    program = mapping.compile(qnet, small_chip(device=DEVICE, encoding={"kind": kind, "layout": layout}))
    sketch = mapping.weighed(mapping.outline(qnet.network, program.chip), qnet.network)
    for layer, shape in zip(program.layers, sketch.layers, strict=True):
        found, expected = asdict(cells_of(shape, sketch)), asdict(cells_of_program(layer, program.chip))
        assert found.pop("name") == expected.pop("name")
        assert found == approx(expected)


def test_what_cannot_be():
    with pytest.raises(DataError, match="batch: must be 1 or more, got 0"):
        multiplexed(sketch(), 0)
    fits = mapping.outline(small_network(random_weights([(3, 6)])).network, small_chip(device=DEVICE))
    with pytest.raises(CapacityError, match="the network fits one chip"):
        multiplexed(fits, 10)
    with pytest.raises(
        CapacityError, match=r"writing the weights, of which chip small says nothing \(device.programming\)"
    ):
        multiplexed(sketch(device__programming=None), 10)


def test_json_and_text():
    result = multiplexed(sketch(), batch=10)
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["turns"][1]["layers"] == ["layer1"]
    text = str(result)
    assert "small on one small, in 2 turns, 10 inputs at a time" in text
    assert "used up after 2,500 inferences" in text
