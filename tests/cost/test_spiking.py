"""The bill of spiking cores: counted by hand, sums that close, and what stays when nobody spikes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from close import approx
from hypothesis import given
from hypothesis import strategies as st
from spike_examples import counted, silent, three_cores, tiny_chip

from xbar.cost.spiking import estimate_spikes, operating_point, used_neurons
from xbar.errors import DataError
from xbar.parts.neurons import Neurons
from xbar.spiking.chip import load_spiking_chip
from xbar.spiking.program import InputLinks, SpikingProgram, Targets
from xbar.spiking.report import AT_REST, SpikingReport
from xbar.spiking.result import SpikeActivity


def assert_sums_close(report: SpikingReport) -> None:
    for key in ("part", "layer"):
        sums = report.by(key).values()
        assert sum(c.energy_J for c in sums) == approx(report.energy_J, rel=1e-12)
        assert sum(c.area_m2 for c in sums) == approx(report.area_m2, rel=1e-12)
    assert report.dynamic_J + report.static_J == approx(report.energy_J, rel=1e-12)
    assert all(math.isfinite(value) and value >= 0 for value in report.metrics().values())


def test_counted_by_hand():
    report = estimate_spikes(three_cores(), counted())
    parts = {name: cost.energy_J for name, cost in report.by("part").items()}
    assert parts == {
        "synaptic events": approx(30 / 2 * 1.5e-12),
        "hops": approx((10 * 3 + 2 * 2) / 2 * 2.45e-12),
        "chip crossings": approx(12 / 2 * 32 * 27.7e-12),
        AT_REST: approx(4 * 15.7e-6 * 10e-3),
        "edge": approx(26 / 2 * 32 * 2.13e-12),
        "die around the cores": 0,
    }
    assert report.idle_J == approx(15.7e-6 * 10e-3)
    assert report.by("layer")["second"].energy_J == approx(7 * 1.5e-12 + 15.7e-6 * 10e-3)
    assert report.power_W == approx(report.energy_J / 10e-3)
    assert report.latency_s == 1e-3
    assert report.used_area_m2 == approx(3 * 240e-6 * 390e-6)
    assert report.area_m2 == approx(2 * 430e-6)
    first, second = report.layers
    assert (first.n_cores, first.n_neurons, first.spikes, first.axon_events, first.hops) == (2, 3, 6, 6, 17)
    assert (second.synaptic_events, report.synaptic_events, report.spikes) == (7, 15, 13)
    assert report.rate_Hz == approx(13 / 5 / 10e-3)
    assert report.metrics()["gsops_per_W"] == approx(15 / report.energy_J / 1e9)
    assert_sums_close(report)


def test_everything_falls_with_the_square_of_the_voltage():
    high, low = (
        estimate_spikes(three_cores(tiny_chip(**{"energy.voltage_V": v})), counted()).by("part") for v in (1.0, 0.7)
    )
    for name, cost in high.items():
        assert low[name].energy_J == approx(0.49 * cost.energy_J)
        assert low[name].area_m2 == cost.area_m2


def test_neuron_updates_are_paid_in_every_tick_of_used_cores():
    chip = tiny_chip(**{"energy.neuron_update_J": 1e-12})
    report = estimate_spikes(three_cores(chip), silent())
    assert report.by("part")["neuron updates"].energy_J == approx(3 * 3 * 10 * 1e-12)
    assert not any("neuron updates" in note for note in report.notes)
    assert any("neuron updates" in note for note in estimate_spikes(three_cores(), silent()).notes)


def test_a_chip_where_nobody_spikes_pays_for_its_ticks():
    report = estimate_spikes(three_cores(), silent())
    assert report.energy_J == report.static_J == approx(4 * 15.7e-6 * 10e-3)
    assert report.metrics()["gsops_per_W"] == report.rate_Hz == 0
    assert_sums_close(report)


def test_a_chip_without_prices_has_no_ratio_to_its_power():
    free = dict.fromkeys(("core_static_W", "synaptic_event_J", "hop_J", "edge_bit_J", "chip_to_chip_bit_J"), 0)
    report = estimate_spikes(three_cores(tiny_chip(**{f"energy.{k}": v for k, v in free.items()})), counted())
    assert report.energy_J == 0
    assert "gsops_per_W" not in report.metrics()
    assert_sums_close(report)
    assert "100.0%" in str(report)


def test_in_a_pipeline_an_input_pays_for_its_own_ticks_alone():
    """Events stay; rest, power and rates are of the time from one input to the next."""
    alone, piped = estimate_spikes(three_cores(), counted()), estimate_spikes(three_cores(), counted(), 2)
    assert piped.dynamic_J == alone.dynamic_J
    assert piped.static_J == approx(alone.static_J / 5)
    assert piped.rate_Hz == approx(5 * alone.rate_Hz)
    assert piped.latency_s == alone.latency_s


@given(st.integers(1, 50), st.integers(1, 50))
def test_figures_per_input_do_not_depend_on_the_batch(n_batch: int, n_ticks: int):
    once, often = counted(n_ticks, 1), counted(n_ticks, 1)
    for _ in range(n_batch - 1):
        often = often + once
    one, many = estimate_spikes(three_cores(), once), estimate_spikes(three_cores(), often)
    assert many.n_inputs == n_batch
    for name, value in many.metrics().items():
        assert value == approx(one.metrics()[name], rel=1e-12)
    assert_sums_close(many)


def test_used_neurons_have_a_target_or_a_synapse():
    assert used_neurons(three_cores()).tolist() == [[True, True, False], [True, False, False], [True, True, False]]


def test_a_full_chip_at_an_operating_point():
    """On a mesh of 2 x 1 the mean way is half a hop, twice over: (n - 1/n) / 3 counts all pairs."""
    chip = tiny_chip(**{"board.cols": 1})
    report = operating_point(chip, 100, 2)
    spikes = 2 * 3 * 0.1
    parts = report.by("part")
    assert parts["hops"].energy_J == approx(spikes * 0.5 * 2.45e-12)
    assert parts["synaptic events"].energy_J == approx(spikes * 2 * 3 / 4 * 1.5e-12)
    assert report.rate_Hz == approx(100)
    assert "chip crossings" not in parts
    assert "chip crossings" in operating_point(tiny_chip(), 100, 2).by("part")
    assert_sums_close(report)
    with pytest.raises(DataError) as raised:
        operating_point(chip, 1001, 5)
    assert len(raised.value.problems) == 2


def test_activity_of_another_program_or_of_nothing_is_told():
    other = load_spiking_chip("truenorth_science_2014")
    with pytest.raises(DataError) as raised:
        estimate_spikes(three_cores(other), counted(0, 0).__class__(0, 0, *[counted().axon_events] * 4, 0, 0, 0, 0), 0)
    assert [p.partition(":")[0] for p in raised.value.problems] == ["activity"] * 3 + ["ticks_per_input"]


def test_the_report_prints_and_becomes_json():
    report = estimate_spikes(three_cores(), counted())
    for words in ("3 of 4", "SOPS/W", "synaptic events", "second", "(unused)", "per used neuron", "0.8 V"):
        assert words in str(report), words
    data = json.loads(json.dumps(report.to_dict()))
    assert sum(e["energy_J"] for e in data["ledger"]) == approx(data["metrics"]["energy_J"])
    assert data["by_layer"]["first"]["area_m2"] == approx(2 * 0.0936e-6)


def test_a_simulated_chip_of_random_targets_costs_what_the_operating_point_says():
    """Ways, borders and events of actual targets against their means."""
    chip = tiny_chip(**{"core.neurons": 64, "core.axons": 64, "mesh.cols": 7, "mesh.rows": 12, "board.rows": 2})
    drawn = np.random.default_rng(0)
    shape = (chip.n_cores, 64)
    program = SpikingProgram(
        name="random",
        chip=chip,
        place=np.stack(np.divmod(np.arange(chip.n_cores), chip.rows), axis=1).astype(np.int32),
        layer=("all",) * chip.n_cores,
        axon_type=np.zeros(shape, np.uint8),
        synapses=np.zeros((*shape, 1), np.uint64),
        neurons=Neurons.of(shape),
        targets=Targets(drawn.integers(0, chip.n_cores, shape, np.int32), np.zeros(shape, np.int32), np.ones(shape)),
        inputs=InputLinks(*(np.zeros(0, np.int32) for _ in range(4))),
        n_inputs=1,
        n_outputs=1,
    )
    spikes = drawn.poisson(2, shape)
    events = spikes.sum(1)
    activity = SpikeActivity(100, 1, spikes, events, 10 * events, events, 0, 0, 0, 0)
    ours = estimate_spikes(program, activity)
    parts, expected = ours.by("part"), operating_point(chip, ours.rate_Hz, 10).by("part")
    for name in ("synaptic events", "hops", "chip crossings", "cores at rest"):
        assert parts[name].energy_J == approx(100 * expected[name].energy_J, rel=0.02), name
    assert ours.power_W == approx(operating_point(chip, ours.rate_Hz, 10).power_W, rel=0.01)
