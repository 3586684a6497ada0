"""TrueNorth's neuron: cases by hand, and chance against its formulas, as the engine draws it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xbar.parts.neuron.truenorth import TrueNorthNeuron
from xbar.parts.neurons import KEEP, SUBTRACT, TO_RESET, Neurons
from xbar.sim.spiking import METHODS, Method, Probe, simulate_spikes
from xbar.spiking.builder import SpikingBuilder
from xbar.spiking.program import SpikingProgram

NEURON = TrueNorthNeuron()


def _update(v: int, added: int = 0, leak_rho: int = 0, noise_rho: int = 0, **parameters: Any) -> tuple[int, bool]:
    def row(x: int) -> np.ndarray:
        return np.array([x], np.int32)

    out, spike = NEURON.update(Neurons.of(1, **parameters), row(v), row(added), row(leak_rho), row(noise_rho))
    return int(out[0]), bool(spike[0])


@pytest.mark.parametrize(("mode", "after"), [(TO_RESET, 3), (SUBTRACT, 2), (KEEP, 12)], ids=["to R", "linear", "none"])
def test_reset_modes(mode: int, after: int) -> None:
    shared = {"threshold": 10, "reset": 3, "reset_mode": mode}
    assert _update(8, 4, **shared) == (after, True)
    assert _update(8, 1, **shared) == (9, False)
    assert _update(8, 2, **shared)[1]  # V = alpha fires


@pytest.mark.parametrize(
    ("mode", "after"), [(TO_RESET, -3), (SUBTRACT, -2), (KEEP, -12)], ids=["to -R", "linear", "none"]
)
def test_the_negative_side(mode: int, after: int) -> None:
    shared = {"threshold": 10, "negative_threshold": 10, "reset": 3, "reset_mode": mode}
    assert _update(-8, -4, negative_saturates=False, **shared) == (after, False)
    assert _update(-8, -2, negative_saturates=False, **shared) == (-10, False)  # not below -beta
    assert _update(-8, -4, negative_saturates=True, **shared) == (-10, False)
    inclusive = TrueNorthNeuron(negative_test="at_or_below")
    still = np.zeros(1, np.int32)
    neuron = Neurons.of(1, negative_saturates=False, **shared)
    assert inclusive.update(neuron, still - 8, still - 2, still, still)[0][0] == {0: -3, 1: 0, 2: -10}[mode]


def test_leak_and_its_reversal() -> None:
    high = {"threshold": 99, "negative_threshold": 99}
    assert _update(5, leak=-7, **high)[0] == -2
    assert _update(5, leak=-7, leak_reversal=True, **high)[0] == 0  # it would cross 0
    assert _update(-5, leak=-7, leak_reversal=True, **high)[0] == 0
    assert _update(9, leak=-7, leak_reversal=True, **high)[0] == 2
    assert _update(-9, leak=-7, leak_reversal=True, **high)[0] == -2
    assert _update(0, leak=-7, leak_reversal=True, **high)[0] == 0
    assert _update(-9, leak=4, leak_reversal=True, **high)[0] == -13  # away from 0
    assert _update(5, leak=-7, leak_rho=7, stochastic_leak=True, **high)[0] == 4  # |leak| >= rho moves by 1
    assert _update(5, leak=-7, leak_rho=8, stochastic_leak=True, **high)[0] == 5
    assert _update(-5, leak=-7, leak_rho=7, stochastic_leak=True, leak_reversal=True, **high)[0] == -4


def test_threshold_noise_counts_on_the_side_that_resets() -> None:
    noisy = {"threshold": 10, "negative_threshold": 10, "noise_bits": 3, "reset_mode": SUBTRACT}
    assert _update(15, noise_rho=0xF8, **noisy) == (5, True)  # eta = 0
    assert _update(15, noise_rho=0xFD, **noisy) == (0, True)  # eta = 5
    assert _update(15, noise_rho=0xFE, **noisy) == (15, False)
    assert _update(-15, noise_rho=0xFC, negative_saturates=False, **noisy) == (-1, False)
    assert _update(-15, noise_rho=0xFD, negative_saturates=False, **noisy) == (-15, False)
    assert _update(-15, noise_rho=0xFF, negative_saturates=True, **noisy) == (-10, False)


def test_potentials_saturate() -> None:
    low, high = NEURON.potential_range
    assert (low, high) == (-(2**19), 2**19 - 1)
    keep = {"threshold": 2**18 - 1, "reset_mode": KEEP, "negative_saturates": False}
    assert _update(high, 5000, **keep) == (high, True)
    assert _update(low, -5000, **keep) == (low, False)
    assert _update(high, 5000, leak=-255, **keep) == (high - 255, True)  # after the synapses, and after the leak
    assert _update(0, reset=low, negative_threshold=0, added=-1, negative_saturates=False) == (high, False)


def _lone(n: int, axon: int | None = None, **parameters: Any) -> SpikingProgram:
    """n neurons alike; an axon of type `axon` reaches all and gets a spike for each of input 0."""
    build = SpikingBuilder()
    core = build.core()
    neurons = [core.neuron(**parameters) for _ in range(n)]
    if axon is not None:
        build.input(core.axon(axon, neurons))
    return build.build()


def _steps(program: SpikingProgram, method: Method, n_ticks: int = 400) -> np.ndarray:
    """What each tick adds to each potential, [tick, neuron]; the first axon is active in every tick."""
    every = np.argwhere(np.ones(program.neurons.shape))
    spikes = np.ones((n_ticks, 1, program.n_inputs), np.bool_)
    seen = simulate_spikes(program, spikes, seed=8, probe=Probe(potentials=every), method=method).potentials[:, 0]
    return np.diff(seen, axis=0, prepend=program.neurons.initial)


# standard errors of a share of 64 x 400 draws, and so many are allowed
WITHIN = 4


def _is_share(happened: np.ndarray, probability: float) -> bool:
    error = np.sqrt(probability * (1 - probability) / happened.size)
    return abs(happened.mean() - probability) <= WITHIN * error


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [1, 100, -37, 255, 0])
def test_stochastic_synapses_move_by_one_with_their_probability(weight: int, method: Method) -> None:
    kinds = [False, False, True, False]
    program = _lone(64, 2, weight=(0, 0, weight, 0), stochastic_weight=kinds, threshold=2**18 - 1,
                    negative_threshold=2**18 - 1)  # fmt: skip
    steps = _steps(program, method)
    assert set(np.unique(steps)) <= {0, np.sign(weight)}
    assert _is_share(steps != 0, 0 if weight == 0 else (abs(weight) + 1) / 256)
    if weight == 100:  # neighbours in space and in time know nothing of each other
        assert abs(np.corrcoef(steps[:, :-1].ravel(), steps[:, 1:].ravel())[0, 1]) < WITHIN / np.sqrt(steps.size)
        assert abs(np.corrcoef(steps[:-1].ravel(), steps[1:].ravel())[0, 1]) < WITHIN / np.sqrt(steps.size)


@pytest.mark.parametrize("method", ["plain", "auto"])
@pytest.mark.parametrize("leak", [20, -200])
def test_stochastic_leaks_move_by_one_with_their_probability(leak: int, method: Method) -> None:
    program = _lone(64, leak=leak, stochastic_leak=True, threshold=2**18 - 1, negative_threshold=2**18 - 1)
    steps = _steps(program, method)
    assert set(np.unique(steps)) == {0, np.sign(leak)}
    assert _is_share(steps != 0, (abs(leak) + 1) / 256)


@pytest.mark.parametrize("method", ["plain", "auto"])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_threshold_noise_is_uniform(bits: int, method: Method) -> None:
    """A neuron held at V fires with probability P(eta <= V - alpha)."""
    for above in (0, (1 << bits) // 2 - 1):
        program = _lone(64, threshold=5, noise_bits=bits, reset_mode=KEEP, initial=5 + above)
        spikes = simulate_spikes(program, n_ticks=400, seed=2, method=method).activity.spikes
        share = (above + 1) / (1 << bits)
        assert abs(spikes.sum() / (400 * 64) - share) <= WITHIN * np.sqrt(share * (1 - share) / (400 * 64))
