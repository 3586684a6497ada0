"""What mapping emits for spiking cores and the engine runs: crossbars of bits, neurons, targets, inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbar.parts.neurons import Neurons
from xbar.same import same_fields
from xbar.spiking.chip import SpikingChip

NOWHERE, OUTPUT = -1, -2  # targets of neurons that no core receives


@dataclass(frozen=True, eq=False)
class Targets:
    """Where the spikes of each neuron go; int32 [core, neuron], delay uint8.

    core: the core, NOWHERE, or OUTPUT. axon: of that core, or the number of the output. delay: a spike of tick t is
    integrated in tick t + delay; outputs see it in tick t, whatever the delay.
    """

    core: np.ndarray
    axon: np.ndarray
    delay: np.ndarray

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@dataclass(frozen=True, eq=False)
class InputLinks:
    """Where the host sends the spikes of each input; int32 [link].

    A spike that input `line` has in tick t is integrated by `axon` of `core` in tick t + delay; delays of any length,
    since the host can wait. A line may have several links.
    """

    line: np.ndarray
    core: np.ndarray
    axon: np.ndarray
    delay: np.ndarray

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@dataclass(frozen=True, eq=False, repr=False)
class SpikingProgram:
    """Cores with their crossbars, neurons, targets, and places on the mesh. All cores have the same size.

    place: int32 [core, 2], x (east) and y (north) on the mesh of all chips.
    layer: the name of each core's layer, [core].
    axon_type: uint8 [core, axon], 0 .. 3.
    synapses: uint64 [core, axon, word], bit k of word w is the synapse to neuron 64 w + k; see `xbar.spiking.bits`.
    neurons: [core, neuron].
    classes: int32 [output], which class a spike of an output votes for, or None where outputs have no classes.
    latency: ticks from an input spike to the output spikes that it causes, where the program knows one, else 0.
    """

    name: str
    chip: SpikingChip
    place: np.ndarray
    layer: tuple[str, ...]
    axon_type: np.ndarray
    synapses: np.ndarray
    neurons: Neurons
    targets: Targets
    inputs: InputLinks
    n_inputs: int
    n_outputs: int
    classes: np.ndarray | None = None
    latency: int = 0

    @property
    def n_cores(self) -> int:
        return int(self.axon_type.shape[0])

    @property
    def n_axons(self) -> int:
        """Axons of a core."""
        return int(self.axon_type.shape[1])

    @property
    def n_neurons(self) -> int:
        """Neurons of a core."""
        return self.neurons.shape[1]

    @property
    def hops(self) -> np.ndarray:
        """Hops of one spike of each neuron, int32 [core, neuron]: |dx| + |dy| to its target; 0 for outputs."""
        target = self.targets.core
        way = np.abs(self.place[np.maximum(target, 0)] - self.place[:, None]).sum(-1)
        return np.where(target >= 0, way, 0).astype(np.int32)

    @property
    def chip_crossings(self) -> np.ndarray:
        """Borders between chips that one spike of each neuron crosses, int32 [core, neuron]."""
        chip = self.place // np.array([self.chip.mesh.cols, self.chip.mesh.rows])
        target = self.targets.core
        way = np.abs(chip[np.maximum(target, 0)] - chip[:, None]).sum(-1)
        return np.where(target >= 0, way, 0).astype(np.int32)

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def _headline(self) -> str:
        return (
            f"{self.name} on {self.chip.name}: {self.n_cores} of {self.chip.n_cores} cores of {self.n_axons} axons x "
            f"{self.n_neurons} neurons, {self.n_inputs} inputs, {self.n_outputs} outputs"
        )

    def __str__(self) -> str:
        names = list(dict.fromkeys(self.layer))
        width = max((len(n) for n in names), default=0)
        rows = [f"  {n:{width}}  {self.layer.count(n)} cores" for n in names]
        return "\n".join([self._headline(), *rows])

    def __repr__(self) -> str:
        return f"<SpikingProgram {self._headline()}>"
