"""The spiking engine against plain Python, for every way to add up synapses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import spiking_reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import random_inputs, random_program

from xbar.errors import CapacityError, DataError
from xbar.parts.neurons import Neurons
from xbar.sim import spiking_fast
from xbar.sim.spiking import METHODS, Method, Probe, simulate_spikes
from xbar.spiking.check import check_program
from xbar.spiking.program import SpikingProgram
from xbar.spiking.result import SpikeResult

TICKS, BATCH = 40, 2


def _all(program: SpikingProgram) -> Probe:
    every = np.argwhere(np.ones(program.neurons.shape))
    return Probe(every, every)


def _run(program: SpikingProgram, inputs: np.ndarray, method: Method, **options: object) -> SpikeResult:
    return simulate_spikes(program, inputs, TICKS, probe=_all(program), method=method, **options)


programs = st.builds(
    random_program,
    st.integers(0, 10**6),
    cores=st.integers(1, 4),
    axons=st.sampled_from((5, 64, 70)),
    neurons=st.sampled_from((3, 64, 66)),
    chance=st.booleans(),
    reversal=st.booleans(),
    saturating=st.booleans(),
    negative_test=st.sampled_from(("below", "at_or_below")),
    potential_bits=st.sampled_from((8, 12, 20)),
    max_weight=st.sampled_from((3, 40, 255, 32767)),
)


@contextmanager
def _shared_by(threads: int, pieces: int) -> Iterator[None]:
    """So many threads, and a tick in at least so many pieces, however small the program is."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with patch.object(spiking_fast, "_TASKS", pieces):
            yield
    finally:
        torch.set_num_threads(before)


@settings(max_examples=12, deadline=None)
@given(programs, st.integers(0, 1000), st.integers(1, 4), st.sampled_from((2, 3, 64)))
def test_every_method_equals_plain_python(program: SpikingProgram, seed: int, threads: int, pieces: int) -> None:
    check_program(program)
    inputs = random_inputs(seed, program, TICKS - 5, BATCH)
    truth = spiking_reference.run(program, inputs, TICKS, seed)
    with _shared_by(threads, pieces):
        results = [_run(program, inputs, method, seed=seed) for method in METHODS]
    for method, result in zip(METHODS, results, strict=True):
        shape = (TICKS, BATCH, *program.neurons.shape)
        assert {tuple(x) for x in np.argwhere(result.spikes.reshape(shape))} == truth.spikes, method
        assert {tuple(x) for x in np.argwhere(result.outputs)} == truth.outputs, method
        for (tick, b), potential in truth.potentials.items():
            assert np.array_equal(result.potentials.reshape(shape)[tick, b], potential), (method, tick)
        counts = result.activity
        assert counts.spikes.sum() == len(truth.spikes)
        assert counts.axon_events.sum() == truth.axon_events
        assert counts.synaptic_events.sum() == truth.synaptic_events
        assert (counts.input_spikes, counts.merged) == (truth.input_spikes, truth.merged), method
        assert result == results[0], method


@settings(max_examples=15, deadline=None)
@given(programs, st.integers(0, 1000), st.integers(0, TICKS), st.sampled_from(METHODS))
def test_going_on_changes_nothing(program: SpikingProgram, seed: int, stop: int, method: Method) -> None:
    inputs = random_inputs(seed, program, TICKS, BATCH, rate=0.1)
    whole = _run(program, inputs, method, seed=seed)
    one = simulate_spikes(program, inputs[:stop], probe=_all(program), seed=seed, method=method)
    two = simulate_spikes(program, inputs[stop:], probe=_all(program), state=one.state, method=method)
    for name in ("outputs", "spikes", "potentials"):
        assert np.array_equal(np.concatenate([getattr(one, name), getattr(two, name)]), getattr(whole, name)), name
    assert two.state == whole.state
    parts = replace(one.activity, n_ticks=TICKS) + replace(two.activity, n_ticks=TICKS)
    assert replace(parts, n_batch=BATCH) == whole.activity


@settings(max_examples=15, deadline=None)
@given(programs, st.integers(0, 1000), st.sampled_from(METHODS))
def test_no_spike_is_lost_or_doubled(program: SpikingProgram, seed: int, method: Method) -> None:
    inputs = random_inputs(seed, program, TICKS, BATCH)
    activity = simulate_spikes(program, inputs, seed=seed, method=method).activity
    sent = activity.input_spikes + int(activity.spikes[program.targets.core >= 0].sum())
    assert sent == activity.axon_events.sum() + activity.merged + activity.in_flight


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_in_pieces_and_any_number_of_threads_give_the_same(method: Method) -> None:
    program = random_program(7, cores=5)
    inputs = random_inputs(7, program, TICKS, 5)
    whole = simulate_spikes(program, inputs, seed=3, method=method)
    pieces = [simulate_spikes(program, inputs[:, b : b + 2], seed=3, first=b, method=method) for b in (0, 2, 4)]
    assert np.array_equal(np.concatenate([p.outputs for p in pieces], 1), whole.outputs)
    sums = pieces[0].activity + pieces[1].activity + pieces[2].activity
    assert sums == whole.activity
    for n in (1, 2, 5):
        with _shared_by(n, 8):
            assert simulate_spikes(program, inputs, seed=3, method=method) == whole
    assert simulate_spikes(program, inputs, seed=4, method=method) != whole


@pytest.mark.parametrize("method", METHODS)
def test_a_core_that_cannot_change_is_not_computed(method: Method) -> None:
    program = random_program(5, chance=False)
    quiet = replace(
        program,
        neurons=replace(
            program.neurons,
            leak=np.zeros_like(program.neurons.leak),
            initial=np.zeros_like(program.neurons.initial),
            threshold=program.neurons.threshold + 1,
        ),
    )
    inputs = np.zeros((30, 1, program.n_inputs), np.bool_)
    activity = simulate_spikes(quiet, inputs, method=method).activity
    assert activity.updates.tolist() == [1] * program.n_cores
    assert simulate_spikes(program, inputs, method=method).activity.updates.min() > 1


def test_what_cannot_be_run_is_told() -> None:
    program = random_program(1)
    far = replace(program, targets=replace(program.targets, core=program.targets.core + 9))
    with pytest.raises(CapacityError, match="target core: must be one of the 3 cores"):
        simulate_spikes(far, n_ticks=1)
    with pytest.raises(DataError, match="method: must be one of auto, rows, popcount, plain, got 'fast'"):
        simulate_spikes(program, n_ticks=1, method="fast")  # type: ignore[arg-type]
    state = simulate_spikes(program, n_ticks=3).state
    good = np.zeros((4, 2, program.n_inputs), np.bool_)
    with pytest.raises(DataError, match=r"inputs: must be \[tick, batch, input\] with 6 inputs, got \[4, 2\]"):
        simulate_spikes(program, good[..., 0])
    with pytest.raises(DataError, match="inputs: must be spikes, 0 or 1"):
        simulate_spikes(program, good + 0.5)
    with pytest.raises(DataError, match="inputs: must be an array"):
        simulate_spikes(program, [[1], [1, 2]])  # type: ignore[arg-type]
    assert simulate_spikes(program, good, probe=Probe(spikes=[])).spikes.shape == (4, 2, 0)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="n_ticks: is needed"):
        simulate_spikes(program)
    with pytest.raises(DataError, match="n_ticks: must be a whole number from 0 up, got -1"):
        simulate_spikes(program, good, -1)
    with pytest.raises(DataError) as caught:
        simulate_spikes(program, good, state=state, probe=Probe(np.array([[0, 99], [3, 0]])), first=-2)
    text = str(caught.value)
    assert "there is no neuron 99 in core 0" in text
    assert "there is no neuron 0 in core 3" in text
    assert "first: must be a whole number from 0 up, got -2" in text
    assert "state: potential: must be int32 [2, 3, 12]" in text


def test_heavy_weights_of_many_axons_do_not_wrap() -> None:
    program = random_program(11, axons=70, neurons=66, chance=False, potential_bits=28, max_weight=32767)
    inputs = np.ones((TICKS, 1, program.n_inputs), np.bool_)
    assert _run(program, inputs, "rows") == _run(program, inputs, "popcount") == _run(program, inputs, "plain")


def test_a_linear_reset_at_the_lower_limit() -> None:
    """V = -128 = -beta in 8 bits, at_or_below: V + beta is 0, though 128 itself is beyond the limits."""
    program = random_program(
        11, cores=1, axons=1, neurons=2, chance=False, potential_bits=8, negative_test="at_or_below"
    )
    values = {name: np.zeros_like(array) for name, array in program.neurons.items()}
    values |= {"threshold": np.full((1, 2), 99, np.int32), "negative_threshold": np.full((1, 2), 128, np.int32)}
    values |= {"initial": np.full((1, 2), -128, np.int32), "reset_mode": np.ones((1, 2), np.uint8)}
    at_limit = replace(program, neurons=Neurons(**values))
    for method in METHODS:
        seen = simulate_spikes(at_limit, n_ticks=1, probe=_all(at_limit), method=method).potentials
        assert not seen.any(), method
