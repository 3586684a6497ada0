"""RANC's files: random networks against RANC's rules spelled out, both ways, and what is wrong told with its place."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranc_reference import ranc_outputs

from xbar.errors import CapacityError, DataError, OutputError, XbarError
from xbar.frontends.ranc import load_ranc
from xbar.frontends.ranc_write import save_ranc
from xbar.parts.neurons import Neurons
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.bits import packed
from xbar.spiking.chip import load_spiking_chip
from xbar.spiking.program import NOWHERE, OUTPUT, InputLinks, SpikingProgram, Targets

N_TICKS = 30
Document = dict[str, Any]
PLACES = [(0, 0), (1, 0), (0, 1)]  # of cores; the bus is at (1, 1)


def _config(n_axons: int, n_neurons: int, reset_type: int) -> Document:
    sizes = {"num_neurons": n_neurons, "num_axons": n_axons, "num_cores_x": 2, "num_cores_y": 2}
    return sizes | {"num_weights": 4, "max_tick_offset": 16, "neuron_reset_type": reset_type}


def _random_case(seed: int, reset_type: int) -> tuple[Document, Document]:
    """Three cores of 6 axons x 5 neurons that fire at each other and at the bus, with as many signs as can be."""
    rng = np.random.default_rng(seed)

    def whole(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    def neuron(x: int, y: int) -> Document:
        tx, ty = (*PLACES, (1, 1))[whole(0, 3)]
        return {
            "reset_potential": whole(-4, 4), "weights": [whole(-6, 9) for _ in range(4)], "leak": whole(-2, 2),
            "positive_threshold": whole(0, 9), "negative_threshold": -whole(0, 9), "current_potential": whole(-9, 9),
            "reset_mode": whole(0, 1), "destination_core_offset": [tx - x, ty - y], "destination_axon": whole(0, 5),
            "destination_tick": whole(0, 14),
        }  # fmt: skip

    def core(x: int, y: int) -> Document:
        neurons = [neuron(x, y) for _ in range(whole(2, 5))]
        rows = [[whole(0, 1) for _ in range(whole(0, 6))] for _ in neurons]
        return {
            "coordinates": [x, y],
            "axons": [whole(0, 3) for _ in range(6)],
            "neurons": neurons,
            "connections": rows,
        }

    def packet() -> Document:
        to = PLACES[whole(0, 2)]
        return {"destination_core": list(to), "destination_axon": whole(0, 5), "destination_tick": whole(0, 14)}

    packets = [[packet() for _ in range(whole(0, 4))] for _ in range(whole(0, 20))]
    bus = {"coordinates": [1, 1], "num_outputs": 6}
    return {"packets": packets, "output_bus": bus, "cores": [core(*at) for at in PLACES]}, _config(6, 5, reset_type)


def _write(folder: Path, document: Document, config: Document | None) -> Path:
    (folder / "input.json").write_text(json.dumps(document))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 1), st.booleans())
def test_random_networks_follow_rancs_rules_and_survive_a_round_trip(seed: int, reset_type: int, told: bool) -> None:
    document, config = _random_case(seed, reset_type if told else 0)
    expected = ranc_outputs(document, config, N_TICKS + 1)[1:]
    with tempfile.TemporaryDirectory() as folder:
        case = load_ranc(_write(Path(folder), document, config if told else None))
        save_ranc(case.program, case.inputs, Path(folder) / "again", case.output_place)
        again = load_ranc(Path(folder) / "again")
    for each in (case, again):
        outputs = simulate_spikes(each.program, each.inputs, N_TICKS).outputs[:, 0]
        np.testing.assert_array_equal(outputs, expected)
    assert replace(again.program, name=case.program.name) == case.program
    np.testing.assert_array_equal(again.inputs, case.inputs)


def test_a_chip_of_the_users_own_is_kept_to(tmp_path: Path) -> None:
    document, config = _random_case(1, 0)
    for core in document["cores"]:
        for neuron in core["neurons"]:
            neuron["reset_potential"] = 0
    truenorth = load_spiking_chip("truenorth_science_2014")
    case = load_ranc(_write(tmp_path, document, config), truenorth)
    assert case.program.chip == truenorth
    document["cores"][1]["neurons"][1]["reset_potential"] = 5
    with pytest.raises(CapacityError, match=r"cores\[1\]\.neurons\[1\]\.reset_potential: must be .*2\^n - 1.*got 5"):
        load_ranc(_write(tmp_path, document, config), truenorth)
    tiny = load_spiking_chip("truenorth_science_2014", {"core.neurons": 4, "mesh.cols": 1, "mesh.rows": 1})
    with pytest.raises(CapacityError) as caught:
        load_ranc(_write(tmp_path, document, config), tiny)
    told = "\n".join(caught.value.problems)
    assert "needs 3 cores" in told
    assert "needs cores of 5 neurons" in told
    assert "cores[1]: must be on the mesh" in told


def _set(*path: Any, to: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        at = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to

    return change


N1 = ("cores", 1, "neurons", 1)
WRONG = [
    (_set(*N1, "weights", 2, to=300), "cores[1].neurons[1].weights[2]: must be from -255 to 255, got 300"),
    (_set(*N1, "weights", to=[1] * 5), "cores[1].neurons[1].weights: must have at most 4 items, got 5"),
    (_set(*N1, "leak", to=1.0), "cores[1].neurons[1].leak: must be a whole number from -255 to 255, got 1.0"),
    (_set(*N1, "leak", to=True), "cores[1].neurons[1].leak: must be a whole number from -255 to 255, got true"),
    (_set(*N1, "positive_threshold", to=10**30), "positive_threshold: must be from 0 to 262143, got 1000000"),
    (_set(*N1, "negative_threshold", to=3), "negative_threshold: must be from -262143 to 0, got 3"),
    (_set(*N1, "reset_mode", to=2), "cores[1].neurons[1].reset_mode: must be 0 or 1, got 2"),
    (_set(*N1, "destination_tick", to=15), "destination_tick: must be from 0 to 14 (a delay of 1 to 15 ticks), got 15"),
    (_set(*N1, "destination_tick", to=-1), "destination_tick: must be from 0 to 14 (a delay of 1 to 15 ticks), got -1"),
    (_set(*N1, "destination_axon", to=[0, 1]), "destination_axon: a neuron has one target"),
    (_set(*N1, "destination_core_offset", to=[1, 2]), "must lead to a core or the output bus, and none is at (2, 2)"),
    (_set(*N1, "destination_core_offset", to=[0]), "_offset: must be two whole numbers [x, y], got [0]"),
    (_set(*N1, "colour", to=1), "cores[1].neurons[1]: has an unknown key 'colour'"),
    (lambda d: d["cores"][1]["neurons"][1].pop("leak"), "cores[1].neurons[1]: needs 'leak'"),
    (_set("cores", 0, "axons", 2, to=4), "cores[0].axons[2]: must be from 0 to 3, got 4"),
    (_set("cores", 0, "connections", 0, to=[0, 2]), "cores[0].connections[0][1]: must be 0 or 1, got 2"),
    (_set("cores", 0, "connections", 0, to=[0] * 7), "cores[0].connections[0]: must have at most 6 items, got 7"),
    (_set("cores", 2, "coordinates", to=[0, 0]), "cores[2].coordinates: must be a place of its own, but cores[0]"),
    (_set("cores", 2, "coordinates", to=[0, "1"]), "cores[2].coordinates[1]: must be a whole number from 0 to 255"),
    (_set("output_bus", "coordinates", to=[1, 0]), "output_bus.coordinates: must not be where cores[1] is"),
    (_set("packets", to=[[{"destination_core": [0, 9], "destination_axon": 0, "destination_tick": 0}]]),
     "packets[0][0].destination_core: must be the place of a core, got [0, 9]"),
    (_set("packets", to=[[{"destination_core": [0, 0], "destination_axon": 6, "destination_tick": 0}]]),
     "packets[0][0].destination_axon: must be from 0 to 5, got 6"),
    (_set("packets", to=[3]), "packets[0]: must be a list, got 3"),
    (_set("cores", to=[]), "cores: must hold at least one core"),
    (lambda d: d.pop("output_bus"), "needs 'output_bus'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_file_is_told_with_its_place(change: Callable[[Document], None], said: str, tmp_path: Path) -> None:
    document, config = _random_case(3, 0)
    change(document)
    with pytest.raises(XbarError) as caught:
        load_ranc(_write(tmp_path, document, config))
    assert caught.value.problems[0].startswith(str(tmp_path / "input.json"))
    assert any(said in problem for problem in caught.value.problems)


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    document, config = _random_case(3, 0)
    chosen = [WRONG[i] for i in (0, 6, 7, 9, 14, 15, 20)]
    for change, _ in chosen:
        change(document)
    with pytest.raises(DataError) as caught:
        load_ranc(_write(tmp_path, document, config))
    assert len(caught.value.problems) == len(chosen)
    assert all(any(said in p for p in caught.value.problems) for _, said in chosen)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"packets": [],\n "cores": [',
            "input.json:2: must be JSON: Expecting value (column 12); the file ends too early",
        ),
        ("", "the file ends too early, is it truncated?"),
        ("[1]", "input.json: must be an object, got [1]"),
        ('{"packets": [], "packets": []}', "key 'packets' comes twice"),
        ('{"packets": NaN}', "NaN is not a number of JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"packets": ' + "1" * 5000 + "}", "must be JSON: Exceeds the limit"),
        ("\x80abc", "is not a text file in UTF-8"),
    ],
)
def test_what_is_no_json(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        load_ranc(tmp_path)
    assert said in str(caught.value)


def test_a_wrong_config_or_an_absent_file(tmp_path: Path) -> None:
    document, config = _random_case(3, 0)
    wrong = config | {"num_weights": 5, "max_tick_offset": 17, "neuron_reset_type": 2, "num_cores_x": 0}
    with pytest.raises(DataError) as caught:
        load_ranc(_write(tmp_path, document, wrong))
    assert len(caught.value.problems) == 4
    with pytest.raises(DataError, match="cannot be read"):
        load_ranc(tmp_path / "none.json")


def _program(**changes: Any) -> SpikingProgram:
    """Two cores of 3 axons x 2 neurons: input > (0, 0) > (1, 0) > output; the second neurons are what a test makes."""
    values: dict[str, Any] = {"weight": [[[2, 0, 0, 0], [1, -1, 0, 0]]] * 2, "threshold": [[2, 3]] * 2}
    bits = np.array([[[1, 1], [0, 1], [0, 0]]] * 2, bool)
    program = SpikingProgram(
        name="hand", chip=load_spiking_chip("truenorth_science_2014"), place=np.array([[3, 0], [4, 2]], np.int32),
        layer=("a", "b"), axon_type=np.array([[0, 1, 2]] * 2, np.uint8), synapses=packed(bits),
        neurons=Neurons.of((2, 2), **(values | {"reset_mode": [[0, 0]] * 2} | changes.pop("values", {}))),
        targets=Targets(np.array([[1, NOWHERE], [OUTPUT, NOWHERE]], np.int32), np.array([[0, 0], [4, 0]], np.int32),
                        np.array([[15, 1], [1, 1]], np.uint8)),
        inputs=InputLinks(*(np.array(v, np.int32) for v in ([0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 2, 40]))),
        n_inputs=2, n_outputs=5,
    )  # fmt: skip
    return replace(program, **changes)


def test_what_ranc_can_mimic_is_written(tmp_path: Path) -> None:
    """Potentials that saturate at 0 and are reset to 0 (Tea's), or never fall; neurons without a target; long waits."""
    program = _program(values={"reset_mode": [[1, 0], [0, 0]]})
    inputs = np.random.default_rng(0).random((60, 1, 2)) < 0.5
    save_ranc(program, inputs, tmp_path / "new" / "folder")
    case = load_ranc(tmp_path / "new" / "folder")
    assert case.program.n_outputs == 5
    ours, theirs = (simulate_spikes(p, x, 120).outputs for p, x in ((program, inputs), (case.program, case.inputs)))
    assert ours.sum() > 20
    np.testing.assert_array_equal(theirs, ours)
    document, config = (json.loads((tmp_path / "new/folder" / f"{n}.json").read_text()) for n in ("input", "config"))
    np.testing.assert_array_equal(ranc_outputs(document, config, 121)[1:], ours[:, 0])


REFUSED = {
    "stochastic synapses": {"stochastic_weight": [[[1, 0, 0, 0]] * 2] * 2},
    "stochastic leak": {"stochastic_leak": True, "leak": 1},
    "leak that changes direction": {"leak_reversal": True, "leak": -1},
    "threshold noise": {"noise_bits": 3},
    "is not reset by its spikes": {"reset_mode": 2},
    "saturates at its negative threshold": {"negative_threshold": 4},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_ranc_cannot_express_is_refused_by_name(said: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"core 0: neuron 1: .*{said}"):
        save_ranc(_program(values=REFUSED[said]), np.zeros((1, 1, 2), bool), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_other_refusals_leave_no_file(tmp_path: Path) -> None:
    program, inputs = _program(), np.zeros((1, 1, 2), bool)
    full = replace(program, synapses=packed(np.ones((2, 3, 2), bool)))
    far = replace(program, place=np.array([[0, 0], [256, 0]], np.int32))
    file = tmp_path / "file"
    file.write_text("")
    for wrong, spikes, bus, said in [
        (full, inputs, None, "core 0: neuron 1: has no target"),
        (far, inputs, None, "at most 255 cores away, got .256, 0."),
        (program, np.zeros((1, 2, 2), bool), None, "the batch must be 1, got 2"),
        (program, np.zeros((1, 1, 3), bool), None, "with 2 inputs"),
        (program, inputs, (4, 2), "a place without a core"),
    ]:
        with pytest.raises(OutputError, match=said):
            save_ranc(wrong, spikes, tmp_path / "x", bus)
        assert not (tmp_path / "x").exists()
    with pytest.raises(OutputError, match="cannot be written"):
        save_ranc(program, inputs, file)
    save_ranc(program, inputs, tmp_path / "y")
    assert sorted(p.name for p in (tmp_path / "y").iterdir()) == ["config.json", "input.json"]
