"""NIR graphs: against their meaning in plain floats, written and read again, and refused by name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_reference import nir_outputs

import mapping
from xbar.errors import DataError, ModelError, OutputError, XbarError
from xbar.frontends import nir_file
from xbar.frontends.nir_graph import from_nir
from xbar.frontends.nir_write import to_nir
from xbar.parts.neurons import Neurons
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.chip import load_spiking_chip
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork, by_weight

nir = pytest.importorskip("nir")
TICKS, BATCH = 30, 2
CHIP = load_spiking_chip("truenorth_science_2014", {"neuron.reset_values": "any"})


def _chain(*nodes: Any, shape: tuple[int, ...]) -> Any:
    """Input > nodes > Output; the output has the shape of the last node's parameters."""
    last = nodes[-1]
    out = np.shape(last.threshold if type(last).__name__ == "Threshold" else last.v_threshold)
    named = {"input": nir.Input(np.array(shape)), **{f"n{k}": n for k, n in enumerate(nodes)}}
    named["output"] = nir.Output(np.array(out))
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)), type_check=False)


def _if(shape: Any, threshold: float = 1.0, r: float = 1.0, v_reset: float = 0.0) -> Any:
    return nir.IF(*(np.full(shape, v) for v in (r, threshold, v_reset)))


def _levels(rng: np.random.Generator, shape: tuple[int, ...], step: float = 0.25) -> np.ndarray:
    return (rng.choice([-2, -1, 0, 1, 3], shape) * step).astype(np.float32)


def _spikes(network: SpikingNetwork, inputs: np.ndarray) -> np.ndarray:
    program = mapping.compile_spikes(network, CHIP)
    return simulate_spikes(program, inputs, len(inputs) + program.latency, method="plain").outputs[program.latency :]


def _same(graph: Any, dt_s: float = 1.0, rate: float = 0.4, **options: Any) -> SpikingNetwork:
    """The network, once its spikes are those of the graph, as it is and written and read again."""
    n = int(np.prod(graph.nodes["input"].input_type["input"]))
    inputs = np.random.default_rng(5).random((TICKS, BATCH, n)) < rate
    expected = nir_outputs(graph, inputs, dt_s, options.get("reset") == "subtract")
    assert 0 < expected.sum() < expected.size
    network = from_nir(graph, CHIP, dt_s=dt_s, **options)
    np.testing.assert_array_equal(_spikes(network, inputs), expected)
    if options.get("reset") != "subtract":
        again = from_nir(to_nir(network, dt_s=2e-3), CHIP, dt_s=2e-3)
        np.testing.assert_array_equal(_spikes(again, inputs), expected)
    return network


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 999), st.sampled_from([0.0, -0.5, 0.25, 0.625]), st.sampled_from([1.0, 0.9, 0.25]))
def test_two_layers_of_if_with_bias(seed: int, v_reset: float, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    bias = rng.integers(-1, 2, 8) * 0.25
    one = nir.Affine(_levels(rng, (8, 6)), bias)
    two = nir.Affine(_levels(rng, (5, 8)), np.abs(rng.integers(-1, 2, 5)) * 0.25)
    graph = _chain(one, _if(8, max(threshold, v_reset), v_reset=v_reset), two, _if(5, 1.1), shape=(6,))
    assert _same(graph).notes == ()


@pytest.mark.parametrize("dt_s", [1e-3, 0.02])
def test_dt_and_r_scale_the_drive(dt_s: float) -> None:
    rng = np.random.default_rng(1)
    graph = _chain(nir.Linear(_levels(rng, (8, 6))), _if(8, 0.011, r=10.0), shape=(6,))
    network = _same(graph, dt_s=dt_s)
    assert network.layers[0].neurons.threshold[0] == int(0.011 / (dt_s * 10 * 0.25)) + 1


def test_strict_thresholds_and_equal_potentials() -> None:
    """v = theta does not fire: three spikes of 0.1 do not exceed 0.3, whatever float64 makes of 0.1 + 0.1 + 0.1."""
    network = from_nir(_chain(nir.Linear(np.array([[0.1]])), _if(1, 0.3), shape=(1,)), dt_s=1.0)
    np.testing.assert_array_equal(_spikes(network, np.ones((8, 1, 1), bool)).ravel(), [0, 0, 0, 1, 0, 0, 0, 1])


def test_convolutions_poolings_scale_and_flatten() -> None:
    rng = np.random.default_rng(2)
    conv = nir.Conv2d(None, _levels(rng, (3, 1, 3, 3), 0.5), 1, "same", 1, 1, np.array([0.0, 0.5, -0.5]))
    pool = nir.SumPool2d(*(np.array(v) for v in ([2, 2], [2, 2], [0, 0])))
    deep = nir.Conv2d((3, 3), _levels(rng, (4, 3, 3, 2), 0.5), (2, 1), (1, 0), (1, 2), 1, np.zeros(4))
    graph = _chain(
        conv, _if((3, 6, 6), 1.2), pool, deep, nir.Scale(np.full((4, 2, 1), 2.0)), _if((4, 2, 1), 2.0),
        nir.Flatten({"input": np.array([4, 2, 1])}, 0, -1), nir.Linear(_levels(rng, (3, 8), 1.0)), _if(3, 1.5),
        shape=(1, 6, 6),
    )  # fmt: skip
    network = _same(graph)
    assert [layer.name for layer in network.layers] == ["n1", "n5", "n8"]
    assert network.notes == ()


def test_grouped_convolutions_in_one_and_two_axes_and_a_mean_pool_as_a_layer() -> None:
    rng = np.random.default_rng(3)
    line = nir.Conv1d(9, _levels(rng, (4, 1, 3), 1.0), 2, 1, 1, 2, np.array([0.0, 1.0, -1.0, 0.0]))
    _same(_chain(line, _if((4, 5), 1.5), shape=(2, 9)))
    pool = nir.AvgPool2d(*(np.array(v) for v in ([2, 2], [2, 2], [0, 0])))
    network = _same(_chain(pool, _if((3, 2, 2), 0.6), shape=(3, 4, 4)))
    assert network.layers[0].synapses.nnz == 3 * 16


def test_branches_are_added_and_delays_wait() -> None:
    """A skip connection, and a delay of its own for each line."""
    rng = np.random.default_rng(4)
    nodes = {
        "input": nir.Input(np.array([6])), "a": nir.Linear(_levels(rng, (5, 6))), "spikes_a": _if(5),
        "wait": nir.Delay(np.array([0.0, 1e-3, 3e-3, 1e-3, 20e-3])), "b": nir.Linear(_levels(rng, (4, 5))),
        "skip": nir.Linear(_levels(rng, (4, 6))), "late": nir.Delay(np.full(4, 2e-3)), "spikes_b": _if(4),
        "output": nir.Output(np.array([4])),
    }  # fmt: skip
    edges = [("input", "a"), ("a", "spikes_a"), ("spikes_a", "wait"), ("wait", "b"), ("b", "spikes_b"),
             ("input", "skip"), ("skip", "late"), ("late", "spikes_b"), ("spikes_b", "output")]  # fmt: skip
    for node in ("spikes_a", "spikes_b"):
        nodes[node].r = np.full_like(nodes[node].r, 1e3)
    network = _same(nir.NIRGraph(nodes, edges, type_check=False), dt_s=1e-3)
    assert dict(zip(network.layers[1].sources, network.layers[1].delays, strict=False))[INPUT] == 2
    assert sorted(
        d for s, d in zip(network.layers[1].sources, network.layers[1].delays, strict=True) if s != INPUT
    ) == [0, 1, 3, 20]


def test_threshold_and_a_lif_that_forgets() -> None:
    rng = np.random.default_rng(6)
    lif = nir.LIF(*(np.full(5, v) for v in (1e-3, 2.0, 0.25, 0.75)))  # tau, r, v_leak, v_threshold
    graph = _chain(
        nir.Affine(_levels(rng, (8, 6)), _levels(rng, (8,))), nir.Threshold(np.full(8, 0.5)),
        nir.Linear(_levels(rng, (5, 8))), lif, shape=(6,),
    )  # fmt: skip
    network = _same(graph, dt_s=1e-3)
    assert all((layer.neurons.threshold == 0).all() for layer in network.layers)


def test_lif_is_approximated_only_where_allowed() -> None:
    rng = np.random.default_rng(7)
    weight = (rng.choice([-1, 1, 2], (20, 30)) * 0.02).astype(np.float32)
    lif = nir.LIF(*(np.full(20, v) for v in (0.05, 50.0, 0.0, 0.5)))
    graph = _chain(nir.Linear(weight), lif, shape=(30,))
    with pytest.raises(ModelError, match=r"node 'n1' \(LIF\): LIF's exponential leak .* approximate=True"):
        from_nir(graph, CHIP)
    network = from_nir(graph, CHIP, approximate=True)
    assert "layer n1: LIF's exponential leak is a constant one, off by at most 1." in network.notes[0]
    inputs = rng.random((300, 1, 30)) < 0.1
    ours, wanted = _spikes(network, inputs), nir_outputs(graph, inputs, 1e-3)
    assert wanted.sum() > 100
    assert abs(int(ours.sum()) - int(wanted.sum())) < 0.2 * wanted.sum()


def test_subtracting_resets() -> None:
    rng = np.random.default_rng(8)
    graph = _chain(nir.Linear(_levels(rng, (8, 6))), _if(8), nir.Linear(_levels(rng, (5, 8))), _if(5, 0.5), shape=(6,))
    assert _same(graph, reset="subtract").notes == ()
    odd = _chain(nir.Linear(_levels(rng, (8, 6))), _if(8, np.pi / 3), shape=(6,))
    with pytest.raises(ModelError, match=r"neuron 0 would be off by .* in its thresholds"):
        from_nir(odd, CHIP, dt_s=1.0, reset="subtract")
    assert "thresholds are off" in from_nir(odd, CHIP, dt_s=1.0, reset="subtract", max_error=0.2).notes[0]


def test_weights_that_are_no_multiples_are_rounded_or_refused() -> None:
    rng = np.random.default_rng(9)
    graph = _chain(nir.Linear(rng.normal(size=(3, 20))), _if(3), shape=(20,))
    with pytest.raises(ModelError, match=r"off by .*% in its weights \(20 different ones; it can hold 4\)"):
        from_nir(graph, CHIP, dt_s=1.0)
    (note,) = from_nir(graph, CHIP, dt_s=1.0, max_error=0.5).notes
    assert note.startswith("layer n1: its weights are off by at most ")
    few = _chain(nir.Linear(np.array([[0.3, 1.0, -0.61803, 0.1234]])), _if(1), shape=(4,))
    (note,) = from_nir(few, CHIP, dt_s=1.0).notes
    assert float(note.split("at most ")[1].split("%")[0]) < 0.5


def test_what_leads_nowhere_is_left_out() -> None:
    nodes = {"input": nir.Input(np.array([2])), "w": nir.Linear(np.ones((1, 2))), "s": _if(1), "x": _if(1),
             "output": nir.Output(np.array([1]))}  # fmt: skip
    edges = [("input", "w"), ("w", "s"), ("w", "x"), ("s", "output")]
    network = from_nir(nir.NIRGraph(nodes, edges, type_check=False), dt_s=1.0)
    assert [layer.name for layer in network.layers] == ["s"]
    assert network.notes == ("x leads to no output and is left out",)


def _all(value: float, n: int) -> list[np.ndarray]:
    return [np.full(3, value) for _ in range(n)]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (lambda: nir.CubaLIF(*_all(1.0, 5)), "(CubaLIF): its synaptic current decays exponentially"),
        (lambda: nir.CubaLI(*_all(1.0, 4)), "(CubaLI): it gives potentials instead of spikes"),
        (lambda: nir.LI(*_all(1.0, 3)), "(LI): it gives potentials"),
        (lambda: nir.I(np.ones(3)), "(I): it gives potentials"),
        (lambda: nir.Linear(np.ones((3, 4))), "its weight is for an input of shape (4,), got (3,)"),
        (lambda: nir.Linear(np.full((3, 3), np.nan)), "weight must be finite, got nan"),
        (lambda: nir.Conv1d(None, np.ones((1, 1, 3)), 1, 0, 1, 1, np.zeros(1)), "its input must be (channel, *1 axes"),
        (lambda: nir.SumPool2d(*_all(2, 3)), "its input must be (channel, row, col), got (3,)"),
        (lambda: nir.Scale(np.ones(4)), "scale must have the shape of its input, (3,), got (4,)"),
        (lambda: nir.Delay(np.full(3, 0.5)), "delay must be 0, 1, 2, ... times dt_s (1 s), got 0.5 s"),
        (lambda: nir.Delay(np.full(3, -1.0)), "delay must be 0, 1, 2, ... times dt_s (1 s), got -1 s"),
        (lambda: nir.Flatten({"input": np.array([3])}, 1, -1), "start_dim 1 and end_dim -1 do not fit"),
        (lambda: _if(3, -1.0), "v_threshold - v_reset must be 0 or more, got -1 (neuron 0)"),
        (lambda: _if(4), "r must have the shape of its input, (3,), got (4,)"),
        (lambda: nir.LIF(*_all(0.5, 4)), "tau must be dt_s (1 s) or more"),
    ],
)  # fmt: skip
def test_nodes_that_cannot_be_had_are_named(node: Any, said: str) -> None:
    made = node()
    nodes = {"input": nir.Input(np.array([3])), "odd one": made, "s": _if(3), "output": nir.Output(np.array([3]))}
    graph = nir.NIRGraph(nodes, [("input", "odd one"), ("odd one", "s"), ("s", "output")], type_check=False)
    with pytest.raises(ModelError) as caught:
        from_nir(graph, dt_s=1.0, name="net")
    (problem,) = caught.value.problems
    assert problem.startswith("net: node 'odd one' (")
    assert said in problem


def test_all_problems_of_a_graph_come_at_once() -> None:
    nodes = {"input": nir.Input(np.array([3])), "a": nir.LI(*_all(1.0, 3)), "b": nir.I(np.ones(3)), "c": _if(4),
             "alone": _if(3)}  # fmt: skip
    edges = [("input", "a"), ("input", "b"), ("input", "c"), ("input", "c"), ("c", "nobody")]
    with pytest.raises(ModelError) as caught:
        from_nir(nir.NIRGraph(nodes, edges, type_check=False), name="net")
    told = "\n".join(caught.value.problems)
    for said in ("'a' (LI)", "'b' (I)", "'c' (IF)", "is there twice", "no node 'nobody'", "needs one Output node",
                 "'alone' (IF): hears no other node"):  # fmt: skip
        assert said in told


def test_cycles_readouts_and_options_are_told() -> None:
    nodes = {
        "input": nir.Input(np.array([3])),
        "w": nir.Linear(2 * np.eye(3)),
        "s": _if(3),
        "output": nir.Output(np.array([3])),
    }
    chain = [("input", "w"), ("w", "s"), ("s", "output")]
    with pytest.raises(ModelError, match=r"must not form a cycle, got .*w.* -> "):
        from_nir(nir.NIRGraph(dict(nodes), [*chain, ("s", "w")], type_check=False))
    with pytest.raises(ModelError, match="outputs must be the spikes of one IF"):
        from_nir(
            nir.NIRGraph(dict(nodes), [("input", "s"), ("s", "w"), ("w", "output")], type_check=False),
            max_error=1,
        )
    with pytest.raises(ModelError) as caught:
        from_nir(nir.NIRGraph(dict(nodes), chain), dt_s=0, reset="zero", max_error=2)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3
    with pytest.raises(DataError, match=r"must be a nir\.NIRGraph or a file of one, got int"):
        from_nir(3)


def test_files_go_both_ways(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    graph = _chain(nir.Affine(_levels(rng, (8, 6)), _levels(rng, (8,))), _if(8), shape=(6,))
    nir.write(tmp_path / "theirs.nir", graph)
    network = from_nir(tmp_path / "theirs.nir", dt_s=1.0)
    assert network.name == "theirs"
    labelled = SpikingNetwork(network.name, 6, network.layers, np.arange(8, dtype=np.int32) % 3)
    to_nir(labelled, tmp_path / "new" / "ours.nir")
    assert nir.read(tmp_path / "new" / "ours.nir").nodes.keys() == {
        "input",
        "n1_in0",
        "n1",
        "output",
    }  # and its types fit
    again = from_nir(tmp_path / "new" / "ours.nir")
    assert again.layers == network.layers
    np.testing.assert_array_equal(again.classes, labelled.classes)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["ours.nir"]


def test_broken_and_malicious_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import h5py

    graph = _chain(nir.Linear(np.eye(3)), _if(3), shape=(3,))
    good = tmp_path / "good.nir"
    nir.write(good, graph)
    path = tmp_path / "bad.nir"

    def told(said: str) -> None:
        with pytest.raises(XbarError) as caught:
            from_nir(path)
        (problem,) = caught.value.problems
        assert problem.startswith(str(path))
        assert said in problem

    told("there is no such file")
    for content in (b"", b"not HDF5", good.read_bytes()[:3000]):
        path.write_bytes(content)
        told("cannot be read as a NIR graph")
    for damage in ("node", "node/nodes/n0/weight", "node/edges", "node/nodes/n1/type"):
        path.write_bytes(good.read_bytes())
        with h5py.File(path, "a") as file:
            del file[damage]
        told("cannot be read as a NIR graph")
    for link in (h5py.ExternalLink(str(good), "/node"), h5py.SoftLink("/node")):
        path.write_bytes(good.read_bytes())
        with h5py.File(path, "a") as file:
            file["node/other"] = link
        told("must be in the file itself, not a link")
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "a") as file:
        file["node/nodes/self"] = file["node"]
    told("is there twice, or holds itself")
    monkeypatch.setattr(nir_file, "MOST_BYTES", 64)
    path.write_bytes(good.read_bytes())
    told("its arrays must be")
    nir.write(path, nir.Linear(np.eye(2)))
    monkeypatch.setattr(nir_file, "MOST_BYTES", 1 << 20)
    told("cannot be read as a NIR graph")


def _layer(**values: Any) -> SpikingNetwork:
    synapses, table = by_weight(_csc(np.array([[1, -1], [2, 0]])))
    neurons = Neurons.of(2, weight=table, **({"negative_threshold": (1 << 18) - 1} | values))
    return SpikingNetwork("hand", 2, (SpikingLayer("one", (INPUT,), (0,), synapses, neurons),))


def _csc(dense: np.ndarray) -> Any:
    from scipy import sparse

    return sparse.csc_array(dense)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stochastic_weight": [True, False, False, False]}, "stochastic synapses"),
        ({"stochastic_leak": True, "leak": 1}, "a stochastic leak"),
        ({"leak_reversal": True, "leak": -1}, "a leak that changes direction"),
        ({"noise_bits": 2}, "threshold noise"),
        ({"reset_mode": 1}, "a reset other than to R"),
        ({"negative_threshold": [9, 5]}, "neuron 1 has a floor of its potential"),
        ({"reset": 1}, "a reset above the threshold"),
        ({"threshold": [0, 1], "negative_threshold": 0}, "history-free neurons need a layer of their own"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(values: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"layer one: .*{said}"):
        to_nir(_layer(**values), tmp_path / "x.nir")
    assert not (tmp_path / "x.nir").exists()


def test_other_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="write the network it was mapped from"):
        to_nir(mapping.compile_spikes(_layer(), CHIP), tmp_path / "x.nir")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="dt_s: must be above 0"):
        to_nir(_layer(), dt_s=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        to_nir(_layer(), tmp_path / "file" / "x.nir")
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(ModelError, match=r"pip install 'xbar-sim\[nir\]'"):
        from_nir(tmp_path / "x.nir")
