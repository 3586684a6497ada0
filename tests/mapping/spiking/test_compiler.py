from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import mapping
from xbar.errors import CapacityError
from xbar.parts.neurons import Neurons
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.bits import unpacked
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork
from xbar.spiking.program import OUTPUT, SpikingProgram


def small_chip(axons: int = 8, neurons: int = 8, **more: Any) -> SpikingChip:
    sizes = {"core.axons": axons, "core.neurons": neurons, "mesh.cols": 16, "mesh.rows": 16}
    return load_spiking_chip("truenorth_science_2014", sizes | more)


CHIPS = {size: small_chip(*size, **{"board.cols": 4, "board.rows": 4}) for size in [(8, 8), (8, 3), (9, 20)]}
CHIP = CHIPS[8, 8]


def layer(name: str, synapses: Any, *sources: str, delays: tuple[int, ...] = (), **values: Any) -> SpikingLayer:
    matrix = sparse.csc_array(np.asarray(synapses, np.uint8))
    neurons = Neurons.of(matrix.shape[1], **({"weight": 1} | values))
    return SpikingLayer(name, sources or (INPUT,), delays or (0,) * max(len(sources), 1), matrix, neurons)


def network(*layers: SpikingLayer, **more: Any) -> SpikingNetwork:
    return SpikingNetwork("net", layers[0].n_lines, layers, **more)


def reference(net: SpikingNetwork, inputs: np.ndarray, chip: SpikingChip = CHIP) -> np.ndarray:
    """Spikes of the outputs, bool [tick, output], where spikes need no time; random weights are 255, which is sure."""
    spikes = {INPUT: inputs}
    for own in net.layers:
        late = [np.concatenate([np.zeros((d, spikes[s].shape[1]), bool), spikes[s]]) for s, d in
                zip(own.sources, own.delays, strict=True)]  # fmt: skip
        lines = np.concatenate([s[: len(inputs)] for s in late], axis=1)
        step = np.where(own.neurons.stochastic_weight, np.sign(own.neurons.weight), own.neurons.weight)
        weight = np.zeros(own.synapses.shape, np.int64)
        at = own.synapses.tocoo()
        weight[at.row, at.col] = step[at.col, at.data.astype(int) - 1]
        potential, nothing = own.neurons.initial, np.zeros(own.n_neurons, np.int32)
        fired = np.zeros((len(inputs), own.n_neurons), np.bool_)
        for t in range(len(inputs)):
            added = (lines[t] @ weight).astype(np.int32)
            potential, fired[t] = chip.neuron.update(own.neurons, potential, added, nothing, nothing)
        spikes[own.name] = fired
    return spikes[net.layers[-1].name]


def outputs(program: SpikingProgram, inputs: np.ndarray) -> np.ndarray:
    result = simulate_spikes(program, inputs[:, None], len(inputs) + program.latency, method="plain")
    assert result.activity.merged == 0
    return result.outputs[:, 0]


@st.composite
def networks(draw: st.DrawFn, n_inputs: int | None = None) -> SpikingNetwork:
    """Random layers that stay at rest without spikes; some neurons draw random numbers, to no effect."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = {INPUT: n_inputs or draw(st.integers(1, 10))}
    layers = []
    for i in range(draw(st.integers(1, 4))):
        sources = draw(st.lists(st.sampled_from(list(sizes)), min_size=1, max_size=3))
        delays = draw(st.lists(st.integers(0, 40) | st.just(0), min_size=len(sources), max_size=len(sources)))
        lines, n = sum(sizes[s] for s in sources), draw(st.integers(1, 30))
        synapses = np.zeros((lines, n), np.uint8)
        for j in range(n):
            fan_in = rng.integers(0, min(lines, 8) + 1)
            synapses[rng.choice(lines, fan_in, replace=False), j] = rng.integers(1, 5, fan_in)
        if draw(st.booleans()):
            synapses[:] = synapses[:, :1]
        chance = (rng.random((n, 1)) < 0.4).repeat(4, 1) & draw(st.booleans())
        weight = rng.integers(-1, 4, (n, 4))
        values = {
            "weight": np.where(chance, 255 * np.sign(weight), weight),
            "stochastic_weight": chance,
            "threshold": rng.integers(1, 4, n),
            "leak": rng.integers(-1, 1, n),
            "reset_mode": rng.integers(0, 2, n),
        }
        layers.append(layer(f"layer{i}", synapses, *sources, delays=tuple(delays), **values))
        sizes[f"layer{i}"] = n
    return SpikingNetwork("random", sizes[INPUT], tuple(layers))


@settings(max_examples=25, deadline=None)
@given(networks(), st.integers(0, 99), st.sampled_from(list(CHIPS)))
def test_a_program_does_what_its_network_does_later_by_the_latency(net, seed, size):
    chip = CHIPS[size]
    program = mapping.compile_spikes(net, chip)
    inputs = np.random.default_rng(seed).random((30, net.n_inputs)) < 0.5
    got = outputs(program, inputs)
    np.testing.assert_array_equal(got[program.latency :], reference(net, inputs))
    assert not got[: program.latency].any()


@settings(max_examples=10, deadline=None)
@given(st.lists(networks(n_inputs=6), min_size=1, max_size=3), st.integers(0, 99))
def test_copies_answer_at_the_same_time_one_after_the_other(nets, seed):
    program = mapping.compile_spikes(nets, CHIP)
    inputs = np.random.default_rng(seed).random((20, 6)) < 0.5
    want = np.concatenate([reference(net, inputs) for net in nets], axis=1)
    np.testing.assert_array_equal(outputs(program, inputs)[program.latency :], want)


def test_two_layers_by_hand():
    """3 inputs > 2 neurons > 1 neuron: two cores, one hop of one tick, inputs without delay."""
    first = layer("first", [[1, 0], [1, 1], [0, 2]], weight=[1, -1, 0, 0], threshold=2)
    last = layer("last", [[1], [1]], "first")
    program = mapping.compile_spikes(network(first, last, classes=np.array([7])), CHIP, name="by hand")
    assert (program.name, program.n_cores, program.layer, program.latency) == ("by hand", 2, ("first", "last"), 1)
    links = program.inputs
    assert sorted(zip(links.line, links.core, links.axon, links.delay, strict=True)) == [
        (0, 0, 0, 0), (1, 0, 1, 0), (2, 0, 2, 0)
    ]  # fmt: skip
    assert program.axon_type[0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert unpacked(program.synapses[0], 2)[:3].tolist() == [[True, False], [True, True], [False, True]]
    assert program.targets.core[0, :3].tolist() == [1, 1, -1]
    assert program.targets.axon[0, :2].tolist() == [0, 1]
    assert (program.targets.core[1, 0], program.targets.axon[1, 0]) == (OUTPUT, 0)
    assert program.targets.delay[0, 0] == 1
    assert program.hops.sum() == 2
    assert program == mapping.compile_spikes(network(first, last, classes=np.array([7])), CHIP, name="by hand")
    assert program.classes.tolist() == [7]


def test_neurons_that_several_cores_need_are_duplicated_where_that_is_cheaper():
    """One neuron that feeds 16 others on two cores: there twice, in the core that has room."""
    net = network(layer("one", [[1]]), layer("many", np.ones((1, 16)), "one"))
    program = mapping.compile_spikes(net, CHIP)
    assert program.layer == ("one", "many", "many")
    assert (program.targets.core[0] >= 0).sum() == 2
    assert program.latency == 1


def test_random_neurons_reach_several_cores_through_relays():
    chance = {"weight": 255, "stochastic_weight": True}
    net = network(layer("one", [[1]], **chance), layer("many", np.ones((1, 16)), "one"))
    program = mapping.compile_spikes(net, CHIP)
    assert program.layer == ("one", "many", "many", "relays")
    assert (program.targets.core[0] >= 0).sum() == 1
    assert (program.targets.core[3] >= 0).sum() == 2
    assert program.latency == 2
    inputs = np.ones((1, 1), np.bool_)
    assert outputs(program, inputs).tolist() == [[False] * 16] * 2 + [[True] * 16]


def test_a_tree_of_relays_serves_more_cores_than_a_core_has_neurons():
    """20 cores behind a random neuron: 3 levels of at most 3 relays."""
    chip = small_chip(8, 3)
    net = network(layer("one", [[1]], weight=255, stochastic_weight=True), layer("many", np.ones((1, 60)), "one"))
    program = mapping.compile_spikes(net, chip)
    assert program.latency == 1 + 3
    assert outputs(program, np.ones((1, 1), np.bool_)).sum(1).tolist() == [0, 0, 0, 0, 60]


def test_short_ways_wait_for_long_ones():
    """A skip from the first of three layers to the last waits two ticks more than its neighbour."""
    net = network(layer("a", [[1]]), layer("b", [[1]], "a"), layer("c", [[1]], "b"), layer("d", [[1], [1]], "a", "c"))
    program = mapping.compile_spikes(net, CHIP)
    assert program.latency == 3
    assert sorted(program.targets.delay[program.targets.core >= 0].tolist()) == [1, 1, 1, 3]


def test_delays_longer_than_the_chips_pass_relays():
    net = network(layer("a", [[1]]), layer("b", [[1]], "a", delays=(40,)))
    program = mapping.compile_spikes(net, CHIP)
    assert sorted(program.targets.delay[program.targets.core >= 0].tolist()) == [11, 15, 15]
    inputs = np.arange(50)[:, None] == 3
    assert np.flatnonzero(outputs(program, inputs)[:, 0]).tolist() == [3 + 40 + 1]


def test_history_free_neurons_need_not_be_at_rest():
    """Threshold 0 and a leak of 0 spike in every tick without input spikes: right from tick `latency` on."""
    tea = {"threshold": 0, "weight": [1, -1, 0, 0]}
    net = network(layer("a", [[1, 2], [2, 1]], **tea), layer("b", [[1, 2], [2, 0]], "a", **tea))
    inputs = np.random.default_rng(0).random((20, 2)) < 0.5
    program = mapping.compile_spikes(net, CHIP)
    got = outputs(program, inputs)[program.latency :]
    np.testing.assert_array_equal(got, reference(net, inputs))


def test_classes_of_copies_follow_each_other():
    net = network(layer("a", np.eye(3), threshold=1), classes=np.array([0, 1, 1]))
    program = mapping.compile_spikes([net] * 3, CHIP)
    assert program.classes.tolist() == [0, 1, 1] * 3
    assert program.n_outputs == 9
    result = simulate_spikes(program, np.ones((1, 1, 3), np.bool_), method="plain")
    assert result.votes(program.classes).tolist() == [[3, 6]]


def problems(nets: Any, chip: SpikingChip = CHIP) -> str:
    with pytest.raises(CapacityError) as caught:
        mapping.compile_spikes(nets, chip)
    return str(caught.value)


def test_every_misfit_is_listed_at_once():
    wide = layer("wide", np.ones((9, 2)), weight=300, reset=5)
    text = problems(network(wide, layer("next", [[5], [1]], "wide")))
    assert "net: layer wide: neuron 0: needs 9 axons, but a core of truenorth_science_2014 has 8" in text
    assert "layer wide: neuron 1: needs 9 axons" in text
    assert "layer wide: neuron 1: weight[3]: must be from -255 to 255, got 300" in text
    assert "layer wide: neuron 0: reset: must be from -524288 to 524287 and plus or minus (2^n - 1), got 5" in text
    assert "layer next: neuron 0: axon type of line 0: must be from 0 to 3, got 4" in text


def test_long_lists_end_with_how_many_more():
    text = problems(network(layer("wide", np.ones((9, 70)))))
    assert text.endswith("and 20 more of such problems")


def test_broken_networks_are_refused():
    good = layer("a", np.ones((2, 2)))
    assert "needs at least one layer, got none" in problems(SpikingNetwork("empty", 2, ()))
    assert "needs at least one network, got none" in problems([])
    assert "needs at least one neuron, got none" in problems(network(layer("a", np.ones((2, 0)))))
    text = problems(network(good, layer("b", np.ones((3, 1)), "a"), layer("b", np.ones((1, 1)), "c", delays=(-1, 2))))
    assert "layer b: its sources have 2 lines, but its synapses 3; the synapses name lines that do not exist" in text
    assert "layer b: sources must be 'input' or earlier layers, got 'c'; they are input, a, b" in text
    assert "names must differ" in text
    assert "needs a delay for each of its 1 sources, got 2" in text
    assert "extra delays must be 0 or more ticks, got -1" in text
    assert "needs parameters [2], got [3]" in problems(network(replace(good, neurons=Neurons.of(3))))
    assert "classes: needs one for each of 2 outputs, got [3]" in problems(network(good, classes=np.arange(3)))
    twice = sparse.csc_array((np.ones(2, np.uint8), np.array([1, 1]), np.array([0, 2])), shape=(2, 1))
    text = problems(network(replace(layer("a", [[1], [1]]), synapses=twice)))
    assert "neuron 0: line 1 must have one synapse at most, got several" in text


def test_copies_that_differ_are_refused():
    one, two = network(layer("a", np.ones((2, 1)))), network(layer("a", np.ones((3, 1))), classes=np.array([0]))
    text = problems([one, two])
    assert "net (copy 2): must have the 2 inputs of copy 1, since the host feeds all copies alike, got 3" in text
    assert "net (copy 2): either all copies have classes of their outputs or none; copy 1 differs" in text


def test_too_many_cores_name_the_board_that_would_do():
    net = network(layer("a", np.eye(1), weight=1), layer("b", np.ones((1, 5000)), "a"))
    text = problems(net, small_chip())
    assert "cores" in text
    assert "but truenorth_science_2014 has 256; put 3 chips side by side with --set board.cols=3" in text
    assert mapping.compile_spikes(net, small_chip(**{"board.cols": 3})).n_cores <= 3 * 256


def test_a_core_of_one_neuron_has_no_room_for_relays():
    chance = layer("a", [[1]], weight=255, stochastic_weight=True)
    text = problems(network(chance, layer("b", [[1, 1]], "a")), small_chip(8, 1))
    assert "relays, which need cores of 2 neurons or more, got 1" in text
