"""Spiking programs written as RANC's JSON; `xbar.frontends.ranc` tells the format and reads it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from xbar.errors import OutputError
from xbar.frontends.json_places import MOST
from xbar.frontends.ranc import CONFIG, VERBOSITIES
from xbar.parts.neuron.truenorth import TrueNorthNeuron
from xbar.parts.neurons import KEEP, N_TYPES, TO_RESET
from xbar.spiking.bits import unpacked
from xbar.spiking.program import NOWHERE, OUTPUT, SpikingProgram

REACH = 255  # cores that a spike can go along each axis


def save_ranc(
    program: SpikingProgram,
    inputs: np.ndarray,
    folder: str | Path,
    output_place: tuple[int, int] | None = None,
) -> None:
    """Writes input.json and config.json, from which RANC's simulator and `load_ranc` make the same output spikes.

    inputs: bool [tick, 1, input], of which the file holds the packets. output_place: (x, y) of the output bus; where
    not told, the first place without a core. Names of layers, classes and the chip's figures have no place in the file.

    OutputError names everything that RANC cannot express: chance (stochastic synapses and leaks, threshold noise), leak
    reversal, reset mode 2, a potential that saturates at its negative threshold (unless a reset to -R does the same, or
    the potential can never get there), a firing neuron without a target in a core without an unused axon, and a batch
    of inputs. Nothing is written then. Where a potential saturates at the chip's limits, RANC's does not.
    """
    folder = Path(folder)
    inputs = np.asarray(inputs)
    writing = _Writing(program)
    problems = [*_wrong_inputs(program, inputs), *writing.problems()]
    bus = output_place or writing.free_place()
    if bus in writing.places or min(bus) < 0:
        problems.append(f"output_place: must be a place without a core, got {tuple(bus)}")
    if problems:
        rest = len(problems) - MOST
        last = [f"{program.name}: and {rest} more problems"] if rest > 0 else []
        raise OutputError([*problems[:MOST], *last])
    document = {
        "packets": writing.packets(inputs[:, 0]),
        "output_bus": {"coordinates": list(bus), "num_outputs": max(1, program.n_outputs)},
        "cores": [writing.core(c, bus) for c in range(program.n_cores)],
    }
    cols, rows = (int(n) + 1 for n in np.maximum(program.place.max(0), bus))
    sizes = [program.n_axons, program.n_neurons, cols, rows, N_TYPES, 16]
    test = program.chip.neuron.negative_test if isinstance(program.chip.neuron, TrueNorthNeuron) else "below"
    config = dict(zip(CONFIG, sizes, strict=True)) | dict.fromkeys(VERBOSITIES, 0)
    config["neuron_reset_type"] = int(test == "at_or_below")
    _write_all({folder / "config.json": config, folder / "input.json": document})


def _wrong_inputs(program: SpikingProgram, inputs: np.ndarray) -> Iterator[str]:
    if inputs.ndim != 3 or inputs.shape[2] != program.n_inputs:
        yield f"inputs: must be [tick, 1, input] with {program.n_inputs} inputs, got {list(inputs.shape)}"
    elif inputs.shape[1] != 1:
        yield f"inputs: a file holds the spikes of one run, so the batch must be 1, got {inputs.shape[1]}"
    if inputs.dtype != np.bool_:
        yield f"inputs: must be spikes, of type bool, got {inputs.dtype}"


class _Writing:
    """A program on its way to a file: what RANC would do with each neuron."""

    def __init__(self, program: SpikingProgram) -> None:
        self.program = program
        self.places = [(int(x), int(y)) for x, y in program.place]
        self.bits = [unpacked(words, program.n_neurons) for words in program.synapses]  # bool [axon, neuron] per core
        self.kinds = np.stack(  # which types reach a neuron, bool [core, neuron, type]
            [
                np.stack([bits[types == g].any(0) for g in range(N_TYPES)], -1)
                for bits, types in zip(self.bits, program.axon_type, strict=True)
            ]
        )
        n, chip = program.neurons, program.chip.neuron
        weight = n.weight * self.kinds
        below = isinstance(chip, TrueNorthNeuron) and chip.negative_test == "below"
        still = ~weight.any(-1) & (n.leak == 0) & (n.initial == 0) & (n.threshold > 0)
        self.silent = still & (n.negative_saturates | (n.negative_threshold > 0) | (n.reset == 0) | below)
        rises = (weight >= 0).all(-1) & (n.leak >= 0) & (n.initial >= 0)
        self.never_negative = rises & ((n.reset_mode != TO_RESET) | (n.reset >= 0)) & ~n.leak_reversal
        same_floor = (n.reset_mode == TO_RESET) & (n.reset == n.negative_threshold)
        self.refused = {
            "has stochastic synapses (stochastic_weight)": (n.stochastic_weight & (weight != 0)).any(-1),
            "has a stochastic leak (stochastic_leak)": n.stochastic_leak & (n.leak != 0),
            "has a leak that changes direction (leak_reversal)": n.leak_reversal & (n.leak != 0),
            "has threshold noise (noise_bits)": n.noise_bits > 0,
            f"is not reset by its spikes (reset_mode {KEEP})": n.reset_mode == KEEP,
            "saturates at its negative threshold (negative_saturates)": n.negative_saturates
            & ~(same_floor | self.never_negative),
        }
        self.nowhere = (program.targets.core == NOWHERE) & ~self.silent
        self.unused = [np.flatnonzero(~bits.any(1)) for bits in self.bits]  # axons

    def problems(self) -> Iterator[str]:
        """What RANC cannot express, by neuron."""
        if not isinstance(self.program.chip.neuron, TrueNorthNeuron):
            yield f"{self.program.name}: RANC has TrueNorth's neuron, got {self.program.chip.neuron.kind!r}"
        for what, found in self.refused.items():
            for c, k in np.argwhere(found & ~self.silent):
                yield f"core {c}: neuron {k}: {what}, which RANC has no words for"
        for c, k in np.argwhere(self.nowhere):
            if not self.unused[c].size:
                yield (
                    f"core {c}: neuron {k}: has no target; RANC wants one for every neuron, and the core has no axon "
                    "without synapses that could take its spikes"
                )
        for c, k in np.argwhere(self.program.targets.core >= 0):
            way = self.program.place[self.program.targets.core[c, k]] - self.program.place[c]
            if np.abs(way).max() > REACH:
                yield f"core {c}: neuron {k}: its target must be at most {REACH} cores away, got {way.tolist()}"

    def free_place(self) -> tuple[int, int]:
        """The first place without a core in the smallest mesh around all, else north of it."""
        taken = set(self.places)
        cols, rows = (int(n) + 1 for n in self.program.place.max(0))
        return next(((x, y) for y in range(rows) for x in range(cols) if (x, y) not in taken), (0, rows))

    def packets(self, inputs: np.ndarray) -> list[list[dict[str, Any]]]:
        """Inputs, bool [tick, input], as packets of each step; RANC integrates those of step k in our tick k."""
        links = self.program.inputs
        tick, link = np.nonzero(inputs[:, links.line])
        step = tick + links.delay[link]
        steps: list[list[dict[str, Any]]] = [[] for _ in range(max(len(inputs), int(step.max(initial=-1)) + 1))]
        for k, i in zip(step.tolist(), link.tolist(), strict=True):
            to = self.places[links.core[i]]
            axon = int(links.axon[i])
            steps[k].append({"destination_core": list(to), "destination_axon": axon, "destination_tick": 0})
        return steps

    def core(self, c: int, bus: tuple[int, int]) -> dict[str, Any]:
        """One core; silent neurons without a target after the last other one are left away."""
        dead = self.silent[c] & (self.program.targets.core[c] == NOWHERE)
        n_listed = int(np.flatnonzero(~dead).max(initial=-1)) + 1
        return {
            "coordinates": list(self.places[c]),
            "axons": self.program.axon_type[c].tolist(),
            "neurons": [self._neuron(c, k, bus) for k in range(n_listed)],
            "connections": self.bits[c].T[:n_listed].astype(int).tolist(),
        }

    def _neuron(self, c: int, k: int, bus: tuple[int, int]) -> dict[str, Any]:
        n, floor = self.program.neurons, int(self.program.neurons.negative_threshold[c, k])
        if n.negative_saturates[c, k] and self.never_negative[c, k]:
            floor = max(floor, 1)  # no reset at V <= 0
        given = {
            "reset_potential": int(n.reset[c, k]),
            "weights": n.weight[c, k].tolist(),
            "leak": int(n.leak[c, k]),
            "positive_threshold": int(n.threshold[c, k]),
            "negative_threshold": -floor,
            "current_potential": int(n.initial[c, k]),
            "reset_mode": int(n.reset_mode[c, k]),
        }
        if any(found[c, k] for found in self.refused.values()):  # of a silent one, whose parameters do not matter
            given = dict.fromkeys(given, 0) | {"weights": [0] * N_TYPES, "positive_threshold": 1}
        return given | self._target(c, k, bus)

    def _target(self, c: int, k: int, bus: tuple[int, int]) -> dict[str, Any]:
        targets = self.program.targets
        core, axon, delay = (int(a[c, k]) for a in (targets.core, targets.axon, targets.delay))
        if core == NOWHERE:  # an axon without synapses swallows spikes; a silent neuron sends none
            core, axon, delay = c, int(self.unused[c][0]) if self.unused[c].size else 0, 1
        to = bus if core == OUTPUT else self.places[core]
        here = self.places[c]
        offset = [to[0] - here[0], to[1] - here[1]]
        return {"destination_core_offset": offset, "destination_axon": axon, "destination_tick": max(delay, 1) - 1}


def _write_all(files: dict[Path, Any]) -> None:
    """Each file under another name first, so that none is ever half there."""
    parts = {path: path.with_name(f".{path.name}.part") for path in files}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path].write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
        for path, part in parts.items():
            part.replace(path)
    except OSError as e:
        raise OutputError(f"{e.filename or next(iter(files)).parent}: cannot be written ({e.strerror})") from None
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink()
