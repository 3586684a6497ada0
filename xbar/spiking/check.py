"""What does not fit: every rule that a spiking program breaks on its chip, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from xbar.errors import CapacityError
from xbar.parts.neurons import N_TYPES, Neurons
from xbar.parts.spiking import Neuron
from xbar.spiking.bits import n_words, unpacked
from xbar.spiking.program import NOWHERE, OUTPUT, SpikingProgram

MOST = 50  # problems that an error lists
ALIKE = 10  # of them, values of one parameter that break the same rule


class Where(Protocol):
    """How a place is told: that of a core, and of a neuron, an axon or a named parameter in it."""

    def __call__(
        self, core: int, *, neuron: int | None = None, axon: int | None = None, name: str | None = None
    ) -> str: ...


def plain_where(core: int, *, neuron: int | None = None, axon: int | None = None, name: str | None = None) -> str:
    """`core 3: neuron 12: weight[2]`."""
    parts = [f"core {core}"]
    parts += [] if neuron is None else [f"neuron {neuron}"]
    parts += [] if axon is None else [f"axon {axon}"]
    return ": ".join(parts + ([] if name is None else [name]))


def check_program(program: SpikingProgram, where: Where = plain_where) -> None:
    """Raises CapacityError with everything that the chip cannot hold: at most MOST lines, and how many more.

    where: how to tell places, for front ends whose files name them otherwise.
    """
    refuse(list(program_problems(program, where)), program.name)


def refuse(problems: list[str], name: str) -> None:
    """Raises CapacityError with the first MOST problems of a program and the number of others, if there are any."""
    if problems:
        rest = len(problems) - MOST
        raise CapacityError(problems[:MOST] + ([f"{name}: and {rest} more of such problems"] if rest > 0 else []))


def program_problems(program: SpikingProgram, where: Where = plain_where) -> Iterator[str]:
    """Every broken rule, one readable line each."""
    shapes = list(_shapes(program))
    if shapes:  # the rest needs arrays that fit each other
        yield from shapes
        return
    yield from _sizes(program, where)
    yield from _axons(program, where)
    yield from _neurons(program, where)
    yield from _targets(program, where)
    yield from _inputs(program, where)


def _shapes(p: SpikingProgram) -> Iterator[str]:
    """Arrays of other shapes or types than SpikingProgram says."""
    if p.axon_type.ndim != 2 or len(p.neurons.shape) != 2:
        yield f"{p.name}: axon_type must be [core, axon] and neurons [core, neuron], got {p.axon_type.shape} and more"
        return
    cores, n_links = (p.n_cores, p.n_neurons), np.shape(p.inputs.line)
    types: list[tuple[str, np.ndarray, tuple[int, ...], type]] = [
        ("axon_type", p.axon_type, (p.n_cores, p.n_axons), np.uint8),
        ("place", p.place, (p.n_cores, 2), np.int32),
        ("synapses", p.synapses, (p.n_cores, p.n_axons, n_words(p.n_neurons)), np.uint64),
        ("targets.core", p.targets.core, cores, np.int32),
        ("targets.axon", p.targets.axon, cores, np.int32),
        ("targets.delay", p.targets.delay, cores, np.uint8),
        *((f"inputs.{name}", getattr(p.inputs, name), n_links, np.int32) for name in ("line", "core", "axon", "delay")),
        *((f"neurons.{n}", v, (*cores, N_TYPES) if v.ndim == 3 else cores, v.dtype.type) for n, v in p.neurons.items()),
    ]
    for name, array, shape, dtype in types:
        if array.shape != shape or array.dtype != dtype:
            wanted = f"{np.dtype(dtype).name} {list(shape)}"
            yield f"{p.name}: {name} must be {wanted}, got {array.dtype.name} {list(array.shape)}"
    if len(p.layer) != p.n_cores:
        yield f"{p.name}: needs the name of a layer for each of {p.n_cores} cores, got {len(p.layer)}"


def _sizes(p: SpikingProgram, where: Where) -> Iterator[str]:
    chip = p.chip
    if p.n_cores < 1:
        yield f"{p.name}: needs at least one core, got none"
    if p.n_cores > chip.n_cores:
        yield (
            f"{p.name}: needs {p.n_cores} cores, but {chip.name} has {chip.n_cores}; put chips side by side with "
            "board.cols and board.rows, or make the network smaller"
        )
    for kind, needs, has in (("axons", p.n_axons, chip.core.axons), ("neurons", p.n_neurons, chip.core.neurons)):
        if needs > has:
            yield f"{p.name}: needs cores of {needs} {kind}, but those of {chip.name} have {has}"
    outside = ((p.place < 0) | (p.place >= [chip.cols, chip.rows])).any(1)
    for core in np.flatnonzero(outside):
        x, y = p.place[core]
        yield f"{where(int(core))}: must be on the mesh of {chip.cols} x {chip.rows} cores, got ({x}, {y})"
    _, first, count = np.unique(p.place, axis=0, return_index=True, return_counts=True)
    for core in first[count > 1]:
        x, y = p.place[core]
        others = np.flatnonzero((p.place == p.place[core]).all(1))[1:]
        yield f"{where(int(others[0]))}: must have a place of its own, got ({x}, {y}), where {where(int(core))} is"


def _axons(p: SpikingProgram, where: Where) -> Iterator[str]:
    for core, axon in np.argwhere(p.axon_type >= N_TYPES):
        got = p.axon_type[core, axon]
        yield f"{where(int(core), axon=int(axon))}: axon type must be from 0 to {N_TYPES - 1}, got {got}"
    if p.n_neurons % 64:
        beyond = unpacked(p.synapses[..., -1:], 64)[..., p.n_neurons % 64 :].any(-1)
        for core, axon in np.argwhere(beyond):
            yield f"{where(int(core), axon=int(axon))}: has a synapse to a neuron beyond the {p.n_neurons} of the core"


def _neurons(p: SpikingProgram, where: Where) -> Iterator[str]:
    def tell(place: tuple[int, ...], name: str) -> str:
        core, neuron = place
        return where(core, neuron=neuron, name=name)

    yield from parameter_problems(p.neurons, p.chip.neuron, p.name, tell)


def parameter_problems(
    neurons: Neurons, part: Neuron, name: str, tell: Callable[[tuple[int, ...], str], str]
) -> Iterator[str]:
    """What neurons [..., neuron] hold that a chip's cannot; of a parameter, ALIKE places and how many more there are.

    tell: a place [..., neuron] and the name of a parameter in words; name: of the whole.
    """
    values = dict(neurons.items())
    for rule in part.rules():
        hint = "; or let the chip take any, with --set neuron.reset_values=any" if rule.power_of_two else ""
        places = np.argwhere(rule.broken(values[rule.name]))
        shown = places if len(places) <= ALIKE + 1 else places[:ALIKE]
        for place in shown:
            at = tuple(int(k) for k in place)
            index = "".join(f"[{g}]" for g in at[len(neurons.shape) :])
            yield f"{tell(at[: len(neurons.shape)], rule.name + index)}: {rule}, got {values[rule.name][at]}{hint}"
        if len(places) > len(shown):
            yield f"{name}: {rule.name} breaks the same rule in {len(places) - len(shown)} more places"


def _targets(p: SpikingProgram, where: Where) -> Iterator[str]:
    core, axon, delay = (getattr(p.targets, name) for name in ("core", "axon", "delay"))

    def told(broken: np.ndarray, name: str, rule: str, got: np.ndarray) -> Iterator[str]:
        for c, n in np.argwhere(broken):
            yield f"{where(int(c), neuron=int(n), name=name)}: {rule}, got {got[c, n]}"

    absent = (core >= p.n_cores) | ((core < 0) & (core != NOWHERE) & (core != OUTPUT))
    yield from told(absent, "target core", f"must be one of the {p.n_cores} cores", core)
    inside = (core >= 0) & ~absent
    yield from told(
        inside & ((axon < 0) | (axon >= p.n_axons)), "target axon", f"must be from 0 to {p.n_axons - 1}", axon
    )
    out = core == OUTPUT
    yield from told(out & ((axon < 0) | (axon >= p.n_outputs)), "output", f"must be from 0 to {p.n_outputs - 1}", axon)
    wrong = inside & ((delay < 1) | (delay > p.chip.max_delay))
    yield from told(wrong, "delay", f"must be from 1 to {p.chip.max_delay}", delay)


def _inputs(p: SpikingProgram, where: Where) -> Iterator[str]:
    links = p.inputs
    for i in np.flatnonzero((links.line < 0) | (links.line >= p.n_inputs)):
        yield f"{p.name}: input link {i}: line must be from 0 to {p.n_inputs - 1}, got {links.line[i]}"
    for i in np.flatnonzero((links.core < 0) | (links.core >= p.n_cores)):
        yield f"{p.name}: input {links.line[i]}: its core must be one of the {p.n_cores} cores, got {links.core[i]}"
    for i in np.flatnonzero((links.axon < 0) | (links.axon >= p.n_axons)):
        yield f"{p.name}: input {links.line[i]}: axon must be from 0 to {p.n_axons - 1}, got {links.axon[i]}"
    for i in np.flatnonzero(links.delay < 0):
        yield f"{p.name}: input {links.line[i]}: delay must be 0 or more, got {links.delay[i]}"
    if p.classes is not None and len(p.classes) != p.n_outputs:
        yield f"{p.name}: needs one class for each of {p.n_outputs} outputs, got {len(p.classes)}"
