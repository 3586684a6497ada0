"""Programs by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xbar.errors import CapacityError
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.bits import unpacked
from xbar.spiking.builder import SpikingBuilder
from xbar.spiking.chip import load_spiking_chip


def test_a_counter_and_its_echo() -> None:
    build = SpikingBuilder(name="counter")
    core, far = build.core(layer="first"), build.core(at=(5, 7), layer="second")
    every = core.neuron(leak=1, threshold=10)
    echo = far.neuron(weight=(1, 0, 0, 0))
    build.connect(every, far.axon(0, [echo]), delay=3)
    assert build.input(far.axon(0, [echo])) == 0
    assert build.output(echo) == 0
    program = build.build()
    assert (program.place.tolist(), program.layer) == ([[0, 0], [5, 7]], ("first", "second"))
    assert program.hops[0, 0] == 12
    assert unpacked(program.synapses, program.n_neurons).sum() == 2
    inputs = np.zeros((40, 1, 1), np.bool_)
    inputs[[2, 12]] = True
    result = simulate_spikes(program, inputs)
    # the counter fires in ticks 9, 19, 29, 39; its echo three ticks later; spike 12 of the host meets that of tick 9
    assert np.flatnonzero(result.outputs[:, 0, 0]).tolist() == [2, 12, 22, 32]
    assert result.activity.merged == 0  # they arrive at two axons


def test_places_that_are_taken_are_left_out() -> None:
    build = SpikingBuilder()
    for at in (None, (0, 0), None, (2, 0), None):
        core = build.core(at)
        build.output(core.neuron())
    assert build.build().place.tolist() == [[1, 0], [0, 0], [3, 0], [2, 0], [4, 0]]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    build = SpikingBuilder(name="wrong")
    core, other = build.core(), build.core(at=(64, 0))
    heavy = core.neuron(weight=(300, 0, 0, 0))
    late, early = core.neuron(), core.neuron()
    twice = other.neuron()
    axon = core.axon(0, [heavy])
    build.connect(late, axon, delay=16)
    build.connect(early, axon, delay=0)
    build.connect(twice, axon)
    build.output(twice)
    core.axon(4)
    core.synapse(axon, twice)
    with pytest.raises(CapacityError) as caught:
        build.build()
    assert caught.value.problems == (
        "core 0: a synapse needs a neuron of the same core, got core 1: neuron 0; connect it by a neuron of this core "
        "and an axon of that",
        "core 1: neuron 0: has one target, got a second one; send it through a core of neurons that repeat its spikes",
        "core 1: must be on the mesh of 64 x 64 cores, got (64, 0)",
        "core 0: axon 1: axon type must be from 0 to 3, got 4",
        "core 0: neuron 0: weight[0]: must be from -255 to 255, got 300",
        "core 0: neuron 1: delay: must be from 1 to 15, got 16",
        "core 0: neuron 2: delay: must be from 1 to 15, got 0",
    )


def test_what_no_array_can_hold_is_told() -> None:
    build = SpikingBuilder()
    core = build.core()
    core.neuron(leak=0.5)
    core.neuron(colour=3)
    build.connect(core.neuron(), core.axon(0), delay=-1)
    with pytest.raises(CapacityError) as caught:
        build.build()
    text = str(caught.value)
    assert "core 0: neuron 0: leak: must be a whole number" in text
    assert "core 0: neuron 1: unknown parameters colour" in text
    assert "core 0: neuron 2: delay: must be from 1 to 15, got -1" in text


def test_cores_that_are_too_full_or_too_many_are_told() -> None:
    build = SpikingBuilder()
    core = build.core()
    for _ in range(257):
        core.axon(0)
    with pytest.raises(CapacityError, match="core 0: needs 257 axons, but a core of truenorth_science_2014 has 256"):
        build.build()
    build = SpikingBuilder(load_spiking_chip("truenorth_science_2014", {"mesh.cols": 8, "mesh.rows": 8}))
    for _ in range(65):
        build.core().neuron()
    with pytest.raises(CapacityError, match="needs 65 cores, but truenorth_science_2014 has 64;"):
        build.build()


def test_numbers_and_parts_that_are_none_are_told() -> None:
    other = SpikingBuilder()
    stranger = [other.core().neuron() for _ in range(3)][-1]
    build = SpikingBuilder()
    core = build.core(at=(1.5, 0))  # type: ignore[arg-type]
    neuron, axon = core.neuron(), core.axon(0)
    build.input(axon, delay=1.5)  # type: ignore[arg-type]
    build.input(axon, -1)
    build.output(neuron, 2.5)  # type: ignore[arg-type]
    build.connect(stranger, axon)
    for wrong in ({"weight": None}, {"threshold": 2**80}, {"threshold": float("nan")}, {"weight": (1, 2, 3)}):
        core.neuron(**wrong)
    with pytest.raises(CapacityError) as caught:
        build.build()
    text = str(caught.value)
    for told in (
        "core 0: at: must be two whole numbers (x, y), got (1.5, 0)",
        "input 0: delay: must be a whole number from 0 to 16777215, got 1.5",
        "input: must be a whole number from 0 to 16777215, got -1",
        "core 0: neuron 0: output: must be a whole number from 0 to 16777215, got 2.5",
        "core 2 of this program has no neuron 0; is it another builder's?",
        "neuron 1: weight: must be a whole number from -32768 to 32767, got None",
        f"neuron 2: threshold: must be a whole number from -2147483648 to 2147483647, got {2**80}",
        "neuron 3: threshold: must be a whole number from -2147483648 to 2147483647, got nan",
        "neuron 4: weight: must be one number, or [1, 4] of them, got [3]",
    ):
        assert told in text


def test_neurons_that_share_an_output_merge_and_are_counted() -> None:
    build = SpikingBuilder()
    core = build.core()
    for _ in range(2):
        build.output(core.neuron(leak=1), 0)
    result = simulate_spikes(build.build(), n_ticks=10)
    assert (result.outputs.sum(), result.activity.output_spikes, result.merged_outputs) == (10, 20, 10)
