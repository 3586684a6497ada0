"""The family of neurons of spiking cores, abstract."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from xbar.parts.base import Part
from xbar.parts.neurons import Neurons


@dataclass(frozen=True)
class NeuronRule:
    """From where to where a parameter of `Neurons` may go; power_of_two: its magnitude is 2^n - 1."""

    name: str
    low: int
    high: int
    power_of_two: bool = False

    def broken(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Where values break the rule."""
        wide = values.astype(np.int64)
        outside = (wide < self.low) | (wide > self.high)
        magnitude = np.abs(wide)
        return outside | ((magnitude & (magnitude + 1)) != 0) if self.power_of_two else outside

    def __str__(self) -> str:
        kind = " and plus or minus (2^n - 1)" if self.power_of_two else ""
        return f"must be from {self.low} to {self.high}{kind}"


class Neuron(Part):
    """What the neurons of a spiking core do in a tick, once the synapses have been added up."""

    folders: ClassVar[tuple[str, ...]] = ("neuron",)

    @property
    @abstractmethod
    def potential_range(self) -> tuple[int, int]:
        """Smallest and largest membrane potential; sums saturate there."""

    @abstractmethod
    def rules(self) -> Iterator[NeuronRule]:
        """What the parameters of neurons may be."""

    @abstractmethod
    def update(
        self,
        neurons: Neurons,
        potential: NDArray[np.int32],
        added: NDArray[np.int32],
        leak_rho: NDArray[np.int32],
        noise_rho: NDArray[np.int32],
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Potentials and spikes after one tick, [..., neuron].

        added: sum over the active axons' synapses. leak_rho, noise_rho: random, uniform in 0 .. 255.
        """
