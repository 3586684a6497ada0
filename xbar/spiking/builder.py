"""Programs by hand: cores, neurons, synapses, connections.

build = SpikingBuilder("truenorth_science_2014", name="counter")
core = build.core()
every = core.neuron(leak=1, threshold=10)          # fires every ten ticks
echo = core.neuron(weight=(1, 0, 0, 0))            # fires for each spike of an axon of type 0
build.connect(every, core.axon(0, [echo]), delay=3)
build.input(core.axon(1, [echo]))                  # input 0 of the program
build.output(echo)                                 # output 0
program = build.build()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xbar.parts.neurons import N_TYPES, Neurons, joined
from xbar.spiking.bits import packed
from xbar.spiking.check import program_problems, refuse
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.program import NOWHERE, OUTPUT, InputLinks, SpikingProgram, Targets

_MOST_LINES = 1 << 24  # inputs and outputs


@dataclass(frozen=True)
class Neuron:
    """One neuron of a program that is being built."""

    core: int
    number: int

    def __str__(self) -> str:
        return f"core {self.core}: neuron {self.number}"


@dataclass(frozen=True)
class Axon:
    """One axon of a program that is being built."""

    core: int
    number: int


@dataclass
class _Target:
    core: int
    axon: int
    delay: int


@dataclass
class Core:
    """A core that is being filled; axons and neurons are numbered in the order in which they are made."""

    number: int
    place: tuple[int, int] | None
    layer: str
    types: list[int] = field(default_factory=list)
    neurons: list[Neurons] = field(default_factory=list)
    synapses: set[tuple[int, int]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def axon(self, kind: int, reaches: Iterable[Neuron] = ()) -> Axon:
        """A new axon of type `kind` (0 .. 3), with a synapse to each neuron in `reaches`."""
        axon = Axon(self.number, len(self.types))
        self.types.append(kind)
        for neuron in reaches:
            self.synapse(axon, neuron)
        return axon

    def neuron(self, **parameters: Any) -> Neuron:
        """A new neuron; parameters as in `xbar.parts.neurons.Neurons`, numbers (of a weight, one for each type)."""
        neuron = Neuron(self.number, len(self.neurons))
        try:
            made = Neurons.of(1, **parameters)
        except ValueError as error:
            self.problems.append(f"{neuron}: {error}")
            made = Neurons.of(1)
        self.neurons.append(made)
        return neuron

    def synapse(self, axon: Axon, neuron: Neuron) -> None:
        """Connect an axon of this core to a neuron of this core."""
        for what, part in (("axon", axon), ("neuron", neuron)):
            if part.core != self.number:
                self.problems.append(
                    f"core {self.number}: a synapse needs an {what} of the same core, got that of core {part.core}; "
                    "connect the neuron to an axon there"
                    if what == "axon"
                    else f"core {self.number}: a synapse needs a neuron of the same core, got {part}; connect it by a "
                    "neuron of this core and an axon of that"
                )
                return
        self.synapses.add((axon.number, neuron.number))


class SpikingBuilder:
    """Collects cores, neurons and connections; `build` checks all of it at once and gives the program."""

    def __init__(self, chip: SpikingChip | str | Path = "truenorth_science_2014", name: str = "program") -> None:
        self.chip = chip if isinstance(chip, SpikingChip) else load_spiking_chip(chip)
        self.name = name
        self._cores: list[Core] = []
        self._targets: dict[Neuron, _Target] = {}
        self._links: list[tuple[int, Axon, int]] = []
        self._outputs = 0
        self._inputs = 0
        self._problems: list[str] = []

    def core(self, at: tuple[int, int] | None = None, layer: str = "core") -> Core:
        """A new core; at: its place (x, y) on the mesh, by default the next free one of a row."""
        number = len(self._cores)
        if at is not None and not (isinstance(at, tuple) and len(at) == 2 and all(_is_whole(x) for x in at)):
            self._problems.append(f"core {number}: at: must be two whole numbers (x, y), got {at!r}")
            at = None
        self._cores.append(Core(number, at, layer))
        return self._cores[-1]

    def connect(self, neuron: Neuron, axon: Axon, delay: int = 1) -> None:
        """Spikes of the neuron arrive at the axon `delay` ticks later. A neuron has one target."""
        if self._has(axon, f"connect {neuron}"):
            self._aim(neuron, _Target(axon.core, axon.number, delay))

    def output(self, neuron: Neuron, number: int | None = None) -> int:
        """The neuron's spikes leave the chip as this output, by default the next one; its number."""
        number = self._outputs if number is None else self._line(number, f"{neuron}: output")
        self._outputs = max(self._outputs, number + 1)
        self._aim(neuron, _Target(OUTPUT, number, 1))
        return number

    def input(self, axon: Axon, line: int | None = None, delay: int = 0) -> int:
        """The host's input `line`, by default the next one, reaches the axon; its number. One may reach many axons."""
        line = self._inputs if line is None else self._line(line, "input")
        self._inputs = max(self._inputs, line + 1)
        if self._has(axon, f"input {line}"):
            self._links.append((line, axon, self._line(delay, f"input {line}: delay")))
        return line

    def _line(self, value: int, what: str) -> int:
        """A number that the user gives; 0 where it is none, which is told as a problem."""
        if _is_whole(value) and 0 <= value < _MOST_LINES:
            return int(value)
        self._problems.append(f"{what}: must be a whole number from 0 to {_MOST_LINES - 1}, got {value!r}")
        return 0

    def _has(self, part: Neuron | Axon, what: str) -> bool:
        """Whether an axon or a neuron is one of this program's."""
        known = self._cores[part.core] if part.core < len(self._cores) else None
        count = 0 if known is None else len(known.types if isinstance(part, Axon) else known.neurons)
        if part.number < count:
            return True
        kind = "axon" if isinstance(part, Axon) else "neuron"
        self._problems.append(
            f"{what}: core {part.core} of this program has no {kind} {part.number}; is it another builder's?"
        )
        return False

    def _aim(self, neuron: Neuron, target: _Target) -> None:
        if not self._has(neuron, f"target of {neuron}"):
            return
        if neuron in self._targets:
            self._problems.append(
                f"{neuron}: has one target, got a second one; send it through a core of neurons that repeat its spikes"
            )
        self._targets.setdefault(neuron, target)

    def build(self) -> SpikingProgram:
        """The program. Raises CapacityError with everything that is wrong."""
        problems = [p for core in self._cores for p in core.problems] + self._problems
        most = self.chip.max_delay
        problems += [
            f"{neuron}: delay: must be from 1 to {most}, got {target.delay}"
            for neuron, target in self._targets.items()
            if target.delay != _as_byte(target.delay)
        ]
        problems += [
            f"core {core.number}: axon {i}: axon type must be from 0 to {N_TYPES - 1}, got {kind}"
            for core in self._cores
            for i, kind in enumerate(core.types)
            if kind != _as_byte(kind)
        ]
        size, full = self.chip.core, []
        for core in self._cores:
            for what, needs, has in (
                ("axons", len(core.types), size.axons),
                ("neurons", len(core.neurons), size.neurons),
            ):
                if needs > has:
                    full.append(f"core {core.number}: needs {needs} {what}, but a core of {self.chip.name} has {has}")
        if not full:
            program = self._program()
            problems += program_problems(program)
        refuse(problems + full, self.name)
        return program

    def _program(self) -> SpikingProgram:
        n_cores = len(self._cores)
        axons = max((len(c.types) for c in self._cores), default=0) or 1
        neurons = max((len(c.neurons) for c in self._cores), default=0) or 1
        axon_type = np.zeros((n_cores, axons), np.uint8)
        bits = np.zeros((n_cores, axons, neurons), np.bool_)
        rows = []
        for core in self._cores:
            axon_type[core.number, : len(core.types)] = [_as_byte(kind) for kind in core.types]
            for row, column in core.synapses:
                bits[core.number, row, column] = True
            rows += [*core.neurons, _silent(neurons - len(core.neurons))]
        flat = joined(rows) if rows else Neurons.of(0)
        target, axon_of = np.full((n_cores, neurons), NOWHERE, np.int32), np.zeros((n_cores, neurons), np.int32)
        delay = np.ones((n_cores, neurons), np.uint8)
        for neuron, to in self._targets.items():
            at = (neuron.core, neuron.number)
            target[at], axon_of[at], delay[at] = to.core, to.axon, _as_byte(to.delay)
        links = [(line, axon.core, axon.number, wait) for line, axon, wait in self._links]
        line, core_of, axon_in, wait = np.array(links, np.int32).reshape(-1, 4).T.copy()
        return SpikingProgram(
            name=self.name,
            chip=self.chip,
            place=self._places(),
            layer=tuple(core.layer for core in self._cores),
            axon_type=axon_type,
            synapses=packed(bits),
            neurons=Neurons(**{k: v.reshape(n_cores, neurons, *v.shape[1:]) for k, v in flat.items()}),
            targets=Targets(target, axon_of, delay),
            inputs=InputLinks(line, core_of, axon_in, wait),
            n_inputs=self._inputs,
            n_outputs=self._outputs,
        )

    def _places(self) -> np.ndarray:
        taken = {core.place for core in self._cores if core.place is not None}
        cols = self.chip.cols
        every = ((i % cols, i // cols) for i in range(len(taken) + len(self._cores)))
        free = (place for place in every if place not in taken)
        return np.array([core.place or next(free) for core in self._cores], np.int32).reshape(-1, 2)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _as_byte(value: int) -> int:
    """The value, or where a byte cannot hold it (it is told as a problem) one that breaks no rule."""
    return int(value) if isinstance(value, int | np.integer) and 0 <= value <= 255 else 1


def _silent(n: int) -> Neurons:
    """Neurons that no synapse reaches, so that they never fire."""
    return Neurons.of(n, threshold=1)
