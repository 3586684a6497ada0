"""RANC's JSON files, read: an open simulator and FPGA of a chip like TrueNorth (Mack et al., IEEE TCAD 40, 2021).

`input.json` holds cores, packets of input spikes and the output bus, `config.json` beside it the sizes. RANC's neurons
begin with its tick 1, so that its tick t + 1 is our tick t: a packet of step k with destination_tick d is integrated in
our tick k + d, and outputs[t] is RANC's row t + 1 (its row 0 is always empty). A neuron's destination_tick d is a delay
of d + 1 ticks; spikes to the output bus do not wait. Per tick and neuron: V += weights + leak; a spike if V >= P, then
V = R (reset_mode 0) or V - P (1); else if V < N (neuron_reset_type 0) or V <= N (1), V = -R or V - N. So our negative
threshold is -N, and it resets. RANC's potentials have no limits, ours saturate at those of the chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xbar.errors import CapacityError, DataError
from xbar.frontends.json_places import Places, read_json
from xbar.parts.neurons import N_TYPES, Neurons
from xbar.same import same_fields
from xbar.spiking.bits import n_words, packed
from xbar.spiking.check import program_problems
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.program import NOWHERE, OUTPUT, InputLinks, SpikingProgram, Targets

CHIP = "truenorth_science_2014"  # whose figures a chip that is made for a file takes
MOST_OUTPUTS = 1 << 20
SIDE = 256  # longest side of a mesh
VERBOSITIES = ("neuron_block_trace_verbosity", "core_controller_trace_verbosity", "scheduler_trace_verbosity")
CONFIG = ("num_axons", "num_neurons", "num_cores_x", "num_cores_y", "num_weights", "max_tick_offset")
CORE = ("coordinates", "axons", "neurons", "connections")
PACKET = ("destination_core", "destination_axon", "destination_tick")
LIMITED = {  # numbers of a neuron and the parameter whose limits on the chip they keep
    "leak": "leak",
    "positive_threshold": "threshold",
    "negative_threshold": "negative_threshold",
    "reset_potential": "reset",
    "current_potential": "initial",
}
NEURON = (*LIMITED, "weights", "reset_mode", "destination_core_offset", "destination_axon", "destination_tick")
NAMES = {ours: theirs for theirs, ours in LIMITED.items()}


@dataclass(frozen=True, eq=False)
class RancCase:
    """What a RANC file says: the program, and its input spikes, bool [tick, 1, input].

    Each input is an axon of a core that packets go to. output_place: (x, y) of the output bus.
    """

    program: SpikingProgram
    inputs: np.ndarray
    output_place: tuple[int, int]

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@dataclass(frozen=True)
class _Sizes:
    """Of config.json: cores of axons x neurons, cols x rows of them, types of axons, the longest delay, `V <= N`."""

    axons: int
    neurons: int
    cols: int
    rows: int
    types: int = N_TYPES
    max_delay: int = 15
    at_or_below: bool = False


def load_ranc(
    path: str | Path, chip: SpikingChip | None = None, config: str | Path | None = None, name: str | None = None
) -> RancCase:
    """Reads a RANC network with its input spikes; path: the input file, or the folder of an `input.json`.

    config: RANC's file of sizes; where not told, a config.json beside the input file, else sizes follow from the cores.
    chip: what the network must fit; where not told, TrueNorth's with this file's cores, mesh and negative test, and any
    reset potential. DataError lists everything that is wrong with the files, CapacityError what the chip cannot hold.
    """
    path = Path(path)
    path = path / "input.json" if path.is_dir() else path
    beside = path.with_name("config.json")
    config = Path(config) if config is not None else beside if beside.exists() and beside != path else None
    document = read_json(path)
    sizes = _read_sizes(config) if config is not None else None
    places = Places(str(path))
    top = places.object(document, "", ("packets", "output_bus", "cores"))
    places.fail()
    sizes = sizes or _inferred(top)
    chip = chip or _chip_for(sizes)
    reading = _Reading(places, sizes, chip)
    case = reading.case(top, name or (path.parent.name if path.stem == "input" else path.stem))
    misfits = list(program_problems(case.program, reading.where)) if reading.has_places else []
    error = DataError if places.problems else CapacityError
    places.problems += misfits
    places.fail(error)
    return case


def _read_sizes(path: Path) -> _Sizes:
    places = Places(str(path))
    top = places.object(read_json(path), "", CONFIG, ("neuron_reset_type", *VERBOSITIES))
    places.fail()
    limits = {
        "num_weights": (1, N_TYPES),
        "max_tick_offset": (2, 16),
        "num_cores_x": (1, SIDE),
        "num_cores_y": (1, SIDE),
    }
    n_axons, n_neurons, cols, rows, types, offset = (
        places.whole(top[key], key, *limits.get(key, (1, 4096)), otherwise=1) for key in CONFIG
    )
    test = places.whole(top.get("neuron_reset_type", 0), "neuron_reset_type", 0, 1)
    places.fail()
    return _Sizes(n_axons, n_neurons, cols, rows, types, offset - 1, test == 1)


def _inferred(top: Mapping[str, Any]) -> _Sizes:
    """The smallest sizes that hold the file; what is malformed is told later."""

    def listed(value: Any, key: str | None = None) -> list[Any]:
        value = value.get(key) if key and isinstance(value, dict) else None if key else value
        return value if isinstance(value, list) else []

    cores = listed(top["cores"])
    at = [listed(c, "coordinates") for c in [*cores, top["output_bus"]]]
    sides = [max([1, *(p[i] + 1 for p in at if len(p) == 2 and type(p[i]) is int and p[i] < SIDE)]) for i in (0, 1)]
    rows = [row for c in cores for row in listed(c, "connections") if isinstance(row, list)]
    n_axons = max([1, *(len(listed(c, "axons")) for c in cores), *map(len, rows)])
    n_neurons = max([1, *(len(listed(c, "neurons")) for c in cores)])
    return _Sizes(min(n_axons, 4096), min(n_neurons, 4096), *sides)


def _chip_for(sizes: _Sizes) -> SpikingChip:
    """TrueNorth with these sizes; its die shrinks with its cores."""
    base = load_spiking_chip(CHIP)
    area_m2 = base.mesh.chip_area_m2 / (base.mesh.cols * base.mesh.rows) * sizes.cols * sizes.rows
    overrides = {
        "name": f"{CHIP} with {sizes.cols} x {sizes.rows} cores",
        "core.axons": sizes.axons,
        "core.neurons": sizes.neurons,
        "mesh.cols": sizes.cols,
        "mesh.rows": sizes.rows,
        "mesh.chip_area_m2": area_m2,
        "neuron.reset_values": "any",
        "neuron.negative_test": "at_or_below" if sizes.at_or_below else "below",
        "max_delay": sizes.max_delay,
    }
    return load_spiking_chip(CHIP, overrides)


class _Reading:
    """One file on its way to a program; wrong values are told to `places`, and something harmless stands for them."""

    def __init__(self, places: Places, sizes: _Sizes, chip: SpikingChip) -> None:
        self.places, self.sizes, self.chip = places, sizes, chip
        self.limits = {rule.name: rule for rule in chip.neuron.rules()}
        self.bus, self.n_outputs = (0, 0), 1
        self.core_at: dict[tuple[int, int], int] = {}
        self.has_places = True  # every core and the bus, so that targets can be judged

    def where(self, core: int, *, neuron: int | None = None, axon: int | None = None, name: str | None = None) -> str:
        """A place of the program in the words of the file."""
        parts = [f"{self.places.file}: cores[{core}]"]
        parts += [] if neuron is None else [f"neurons[{neuron}]"]
        parts += [] if axon is None else [f"axons[{axon}]"]
        return ".".join(parts + ([] if name is None else [NAMES.get(name, name.replace("weight[", "weights["))]))

    def case(self, top: Mapping[str, Any], name: str) -> RancCase:
        tell, sizes = self.places, self.sizes
        cores = [tell.object(c, f"cores[{i}]", CORE) for i, c in enumerate(tell.array(top["cores"], "cores"))]
        if not cores:
            tell.tell("cores", "must hold at least one core", silent=True)
            cores = [{"coordinates": [0, 0]}]
        place = np.array([self._coordinates(core, f"cores[{c}]") for c, core in enumerate(cores)], np.int32)
        self._find_places(place)
        self._read_bus(top["output_bus"])
        axon_type = np.zeros((len(cores), sizes.axons), np.uint8)
        synapses = np.zeros((len(cores), sizes.axons, n_words(sizes.neurons)), np.uint64)
        values = _nothing((len(cores), sizes.neurons))
        for c, core in enumerate(cores):
            at = f"cores[{c}]"
            types = tell.wholes(core.get("axons", []), f"{at}.axons", 0, sizes.types - 1, sizes.axons)
            axon_type[c, : len(types)] = types
            neurons = tell.array(core.get("neurons", []), f"{at}.neurons", sizes.neurons)
            for n, neuron in enumerate(neurons):
                for key, value in self._neuron(neuron, f"{at}.neurons[{n}]", place[c]).items():
                    values[key][c, n] = value
            synapses[c] = self._connections(core.get("connections", []), f"{at}.connections", len(neurons))
        targets = Targets(*(values.pop(key) for key in ("core", "axon", "delay")))
        lines, inputs = self._inputs(top["packets"])
        n_inputs = len(lines)
        links = InputLinks(
            np.arange(n_inputs, dtype=np.int32), *np.divmod(lines, sizes.axons), np.zeros(n_inputs, np.int32)
        )
        program = SpikingProgram(
            name=name, chip=self.chip, place=place, layer=("cores",) * len(cores), axon_type=axon_type,
            synapses=synapses, neurons=Neurons.of((len(cores), sizes.neurons), **values), targets=targets,
            inputs=links, n_inputs=n_inputs, n_outputs=self.n_outputs,
        )  # fmt: skip
        return RancCase(program, inputs, self.bus)

    def _find_places(self, place: np.ndarray) -> None:
        for c, (x, y) in enumerate(place.tolist()):
            first = self.core_at.setdefault((x, y), c)
            if first != c and self.has_places:
                at = f"cores[{c}].coordinates"
                self.places.tell(at, f"must be a place of its own, but cores[{first}] is there too", [x, y])
        self.has_places &= len(self.core_at) == len(place)

    def _coordinates(self, owner: Mapping[str, Any], at: str) -> tuple[int, int]:
        given = self.places.pair(owner.get("coordinates", [0, 0]), f"{at}.coordinates", 0, SIDE - 1)
        self.has_places &= given is not None and "coordinates" in owner
        return given or (0, 0)

    def _read_bus(self, value: Any) -> None:
        bus = self.places.object(value, "output_bus", ("coordinates", "num_outputs"))
        self.bus = self._coordinates(bus, "output_bus")
        if "num_outputs" in bus:
            self.n_outputs = self.places.whole(bus["num_outputs"], "output_bus.num_outputs", 1, MOST_OUTPUTS, 1)
        if self.has_places and self.bus in self.core_at:
            taken = f"must not be where cores[{self.core_at[self.bus]}] is"
            self.places.tell("output_bus.coordinates", taken, list(self.bus))
            self.has_places = False

    def _neuron(self, value: Any, at: str, place: np.ndarray) -> dict[str, Any]:
        """Parameters and target of a neuron, by the names of `Neurons` and `Targets`."""
        tell = self.places
        neuron = tell.object(value, at, NEURON)
        made: dict[str, Any] = {"negative_saturates": False}
        for theirs, ours in LIMITED.items():
            if theirs in neuron:
                rule, sign = self.limits[ours], -1 if theirs == "negative_threshold" else 1
                low, high = sorted((sign * rule.low, sign * rule.high))
                made[ours] = sign * tell.whole(neuron[theirs], f"{at}.{theirs}", low, high)
        rule = self.limits["weight"]
        weights = tell.wholes(neuron.get("weights", []), f"{at}.weights", rule.low, rule.high, self.sizes.types)
        made["weight"] = weights + [0] * (N_TYPES - len(weights))
        if "reset_mode" in neuron:
            made["reset_mode"] = tell.whole(neuron["reset_mode"], f"{at}.reset_mode", 0, 1)
        return made | self._target(neuron, at, place)

    def _target(self, neuron: Mapping[str, Any], at: str, place: np.ndarray) -> dict[str, int]:
        if not neuron.keys() >= {"destination_core_offset", "destination_axon", "destination_tick"}:
            return {}
        tell, longest = self.places, self.chip.max_delay
        delays = f" (a delay of 1 to {longest} ticks)"
        delay = 1 + tell.whole(neuron["destination_tick"], f"{at}.destination_tick", 0, longest - 1, hint=delays)
        axon = neuron["destination_axon"]
        if isinstance(axon, list):
            rule = "a neuron has one target; give a neuron to each target more"
            tell.tell(f"{at}.destination_axon", rule, axon)
            return {}
        offset = tell.pair(neuron["destination_core_offset"], f"{at}.destination_core_offset", 1 - SIDE, SIDE - 1)
        if offset is None or not self.has_places:
            return {}
        to = (int(place[0]) + offset[0], int(place[1]) + offset[1])
        if to == self.bus:
            output = tell.whole(axon, f"{at}.destination_axon", 0, self.n_outputs - 1, hint=" (outputs)")
            return {"core": OUTPUT, "axon": output, "delay": delay}
        if to not in self.core_at:
            rule = f"must lead to a core or the output bus, and none is at {to}"
            tell.tell(f"{at}.destination_core_offset", rule, list(offset))
            return {}
        axon = tell.whole(axon, f"{at}.destination_axon", 0, self.sizes.axons - 1)
        return {"core": self.core_at[to], "axon": axon, "delay": delay}

    def _connections(self, value: Any, at: str, n_neurons: int) -> np.ndarray:
        """Synapses uint64 [axon, word] from one row of 0 and 1 per neuron."""
        bits = np.zeros((self.sizes.neurons, self.sizes.axons), np.bool_)
        for n, given in enumerate(self.places.array(value, at, n_neurons)):
            row = self.places.array(given, f"{at}[{n}]", self.sizes.axons)
            if not (set(map(type, row)) <= {int} and set(row) <= {0, 1}):
                row = self.places.wholes(row, f"{at}[{n}]", 0, 1, len(row))
            bits[n, : len(row)] = row
        return packed(bits.T)

    def _inputs(self, value: Any) -> tuple[np.ndarray, np.ndarray]:
        """Axons that packets go to, as core * axons + axon int32 [input], and their spikes, bool [tick, 1, input]."""
        tell, n_axons = self.places, self.sizes.axons
        events: list[tuple[int, int]] = []
        steps = tell.array(value, "packets")
        for k, step in enumerate(steps):
            for i, given in enumerate(tell.array(step, f"packets[{k}]")):
                at = f"packets[{k}][{i}]"
                packet = tell.object(given, at, PACKET)
                if not packet.keys() >= set(PACKET):
                    continue
                to = tell.pair(packet["destination_core"], f"{at}.destination_core", 0, SIDE - 1)
                axon = tell.whole(packet["destination_axon"], f"{at}.destination_axon", 0, n_axons - 1)
                tick = tell.whole(packet["destination_tick"], f"{at}.destination_tick", 0, self.chip.max_delay - 1)
                if to in self.core_at:
                    events.append((k + tick, self.core_at[to] * n_axons + axon))
                elif to and self.has_places:
                    tell.tell(f"{at}.destination_core", "must be the place of a core", list(to))
        rows, keys = np.array(events, np.int64).reshape(-1, 2).T
        lines, line = np.unique(keys, return_inverse=True)
        inputs = np.zeros((max(len(steps), int(rows.max(initial=0)) + 1), 1, len(lines)), np.bool_)
        inputs[rows, 0, line] = True
        return lines.astype(np.int32), inputs


def _nothing(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Neurons that never fire and go nowhere, to be filled."""
    values = {name: array.copy() for name, array in Neurons.of(shape).items()}
    target = {"core": np.full(shape, NOWHERE, np.int32), "axon": np.zeros(shape, np.int32)}
    return values | target | {"delay": np.ones(shape, np.uint8)}
