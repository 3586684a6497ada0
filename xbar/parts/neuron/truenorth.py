"""TrueNorth's neuron: integer, leaky, three reset modes, and chance in synapses, leak and threshold where asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xbar.parts.neurons import SUBTRACT, TO_RESET, Neurons
from xbar.parts.spiking import Neuron, NeuronRule

Ints = NDArray[np.int32]
Bits = Annotated[int, Field(strict=True, ge=2, le=16)]


@final
class TrueNorthNeuron(Neuron):
    """Per tick, after the synapses (Cassidy et al., IJCNN 2013; words as in `Neurons`):

        V += Omega [(1 - c) lambda + c F(lambda, rho) sgn(lambda)],   Omega = (1 - epsilon) + epsilon sgn(V)
        if V >= alpha + eta:  spike; V = R, V - (alpha + eta) or V by reset mode
        elif V < -[beta kappa + (beta + eta)(1 - kappa)]:  V = -beta (kappa 1), else -R, V + (beta + eta) or V

    F(s, rho) = 1 if |s| >= rho, rho uniform in 0 .. 255; eta = rho AND (2^TM - 1). Where sources leave it open: Omega
    acts on the whole bracket, since else epsilon would be lost on a stochastic leak; with epsilon a leak that would
    cross 0 stops at 0; V saturates at its limits after the synapses, after the leak and after a reset.

    weight_bits, leak_bits: signed, symmetric: 9 bits are -255 .. 255. threshold_bits, negative_threshold_bits:
    unsigned. potential_bits: signed, two's complement. reset_values: `power_of_two` holds R = +-(2^n - 1) alone, as
    the chip does, `any` any R. negative_test: `below` is V < -beta, `at_or_below` V <= -beta.
    """

    weight_bits: Bits = 9
    leak_bits: Bits = 9
    threshold_bits: Annotated[int, Field(strict=True, ge=1, le=24)] = 18
    negative_threshold_bits: Annotated[int, Field(strict=True, ge=1, le=24)] = 18
    noise_bits: Annotated[int, Field(strict=True, ge=0, le=8)] = 8
    potential_bits: Annotated[int, Field(strict=True, ge=8, le=28)] = 20
    reset_values: Literal["power_of_two", "any"] = "power_of_two"
    negative_test: Literal["below", "at_or_below"] = "below"

    @property
    def potential_range(self) -> tuple[int, int]:
        """Smallest and largest membrane potential."""
        return -(1 << self.potential_bits - 1), (1 << self.potential_bits - 1) - 1

    def rules(self) -> Iterator[NeuronRule]:
        """The range of every parameter, and what the chip cannot store."""
        low, high = self.potential_range
        most = {"weight": self.weight_bits, "leak": self.leak_bits}
        for name, bits in most.items():
            limit = (1 << bits - 1) - 1
            yield NeuronRule(name, -limit, limit)
        yield NeuronRule("threshold", 0, (1 << self.threshold_bits) - 1)
        yield NeuronRule("negative_threshold", 0, (1 << self.negative_threshold_bits) - 1)
        yield NeuronRule("noise_bits", 0, self.noise_bits)
        yield NeuronRule("reset_mode", 0, 2)
        yield NeuronRule("reset", low, high, self.reset_values == "power_of_two")
        yield NeuronRule("initial", low, high)

    def update(
        self, neurons: Neurons, potential: Ints, added: Ints, leak_rho: Ints, noise_rho: Ints
    ) -> tuple[Ints, NDArray[np.bool_]]:
        """Potentials and spikes after one tick; every array [..., neuron].

        added: what the synapses give; leak_rho, noise_rho: random, 0 .. 255.
        """
        n = neurons
        v = self._limited(potential.astype(np.int64) + added)
        leak = n.leak.astype(np.int64)
        drawn = np.where(n.stochastic_leak, np.sign(leak) * (np.abs(leak) >= leak_rho), leak)
        towards = np.where(n.leak_reversal, np.sign(v) * drawn, drawn)
        moved = v + towards
        moved = np.where(n.leak_reversal & (np.sign(moved) == -np.sign(v)), 0, moved)
        v = self._limited(moved)
        eta = noise_rho & ((1 << n.noise_bits.astype(np.int64)) - 1)
        alpha, beta = n.threshold + eta, n.negative_threshold.astype(np.int64)
        spikes = v >= alpha
        floor = np.where(n.negative_saturates, beta, beta + eta)
        low = ~spikes & (v < -floor if self.negative_test == "below" else v <= -floor)
        by_mode = [n.reset_mode == TO_RESET, n.reset_mode == SUBTRACT]
        up = np.select(by_mode, [n.reset.astype(np.int64), v - alpha], v)
        down = np.where(n.negative_saturates, -beta, np.select(by_mode, [-n.reset.astype(np.int64), v + floor], v))
        v = np.where(spikes, up, np.where(low, down, v))
        return self._limited(v).astype(np.int32), spikes

    def _limited(self, v: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.clip(v, *self.potential_range)
