"""Spiking cores, tick by tick: `simulate_spikes` runs a program on a batch of inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from xbar.errors import DataError
from xbar.parts.neuron.truenorth import TrueNorthNeuron
from xbar.sim.spiking_plain import advance_plain
from xbar.sim.spiking_run import Probe as Probe
from xbar.sim.spiking_run import Run
from xbar.spiking.bits import n_words, packed, unpacked
from xbar.spiking.check import check_program
from xbar.spiking.program import SpikingProgram
from xbar.spiking.result import N_SLOTS, SpikeActivity, SpikeResult, SpikeState

Method = Literal["auto", "rows", "popcount", "plain"]
METHODS: tuple[Method, ...] = get_args(Method)


def simulate_spikes(
    program: SpikingProgram,
    inputs: np.ndarray | None = None,
    n_ticks: int | None = None,
    *,
    seed: int = 0,
    probe: Probe | None = None,
    state: SpikeState | None = None,
    first: int = 0,
    method: Method = "auto",
) -> SpikeResult:
    """Run a program tick by tick on a batch of independent inputs.

    inputs: bool [tick, batch, input]; a spike in row t is integrated in tick t + the delay of its link. None: a batch
        of one without input spikes. n_ticks: as many as there are rows, unless more (or fewer) are wanted.
    seed: of random synapses, leaks and thresholds; input b of the batch draws those of number `first` + b, so that
        a batch may be run in pieces. state: where to go on (`result.state`); it has its own seed and first.
    probe: neurons whose spikes or potentials are kept.
    method: how synapses are added up. "rows": the crossbar rows of active axons, one after the other; "popcount":
        counts of active synapses by axon type; "auto": what is faster, per core and tick; "plain": numpy. All give
        the same bits, whatever the number of threads (torch's).

    Raises CapacityError where the program does not fit its chip, DataError with everything that is wrong with inputs,
    state or probe.
    """
    check_program(program)
    probe = _filled(probe or Probe())
    if method not in METHODS:
        raise DataError(f"method: must be one of {', '.join(METHODS)}, got {method!r}")
    rows, n_batch = _rows(program, inputs, n_ticks, state)
    _check(program, rows, n_batch, probe, state, first)
    state = initial_state(program, n_batch, seed=seed, first=first) if state is None else state
    run = Run(program, state, np.concatenate([state.past, rows]), probe)
    if method == "plain" or not isinstance(program.chip.neuron, TrueNorthNeuron):
        advance_plain(program, run)
    else:
        from xbar.sim.spiking_fast import advance_fast

        advance_fast(program, run, method)
    return _result(program, state, run)


def initial_state(program: SpikingProgram, n_batch: int, *, seed: int = 0, first: int = 0) -> SpikeState:
    """The state before the first tick: potentials as the program says, no spike on its way."""
    shape = (n_batch, program.n_cores)
    n_past = int(program.inputs.delay.max(initial=0))
    return SpikeState(
        tick=0,
        seed=seed,
        first=first,
        potential=np.broadcast_to(program.neurons.initial, (n_batch, *program.neurons.shape)).copy(),
        pending=np.zeros((n_batch, N_SLOTS, program.n_cores, n_words(program.n_axons)), np.uint64),
        past=np.zeros((n_past, n_batch, n_words(program.n_inputs)), np.uint64),
        settled=np.zeros(shape, np.bool_),
    )


def _filled(probe: Probe) -> Probe:
    """A probe whose empty lists are [0, 2] like others."""
    lists = {name: np.asarray(getattr(probe, name)) for name in ("spikes", "potentials")}
    return Probe(**{k: v if v.size else np.zeros((0, 2), np.int64) for k, v in lists.items()})


def _rows(
    program: SpikingProgram, inputs: np.ndarray | None, n_ticks: int | None, state: SpikeState | None
) -> tuple[np.ndarray, int]:
    """Input spikes in words, as many rows as ticks, and the size of the batch."""
    if inputs is None:
        n_batch = 1 if state is None else state.potential.shape[0]
        inputs = np.zeros((0, n_batch, program.n_inputs), np.bool_)
        if n_ticks is None:
            raise DataError("n_ticks: is needed where there are no inputs; say how many ticks to run")
    try:
        inputs = np.asarray(inputs)
    except ValueError as error:
        raise DataError("inputs: must be an array [tick, batch, input], got lists of several lengths") from error
    if inputs.ndim != 3 or inputs.shape[2] != program.n_inputs or inputs.shape[1] < 1:
        raise DataError(
            f"inputs: must be [tick, batch, input] with {program.n_inputs} inputs, got {list(inputs.shape)}"
        )
    if inputs.dtype != np.bool_:
        if not np.isin(inputs, (0, 1)).all():
            raise DataError("inputs: must be spikes, 0 or 1; give numbers of spikes as several ticks")
        inputs = inputs.astype(np.bool_)
    n_ticks = len(inputs) if n_ticks is None else n_ticks
    if isinstance(n_ticks, bool) or not isinstance(n_ticks, (int, np.integer)) or n_ticks < 0:
        raise DataError(f"n_ticks: must be a whole number from 0 up, got {n_ticks!r}")
    rows = np.zeros((n_ticks, inputs.shape[1], n_words(program.n_inputs)), np.uint64)
    rows[: len(inputs)] = packed(inputs[:n_ticks])
    return rows, inputs.shape[1]


def _check(
    program: SpikingProgram, rows: np.ndarray, n_batch: int, probe: Probe, state: SpikeState | None, first: int
) -> None:
    problems = []
    if isinstance(first, bool) or not isinstance(first, (int, np.integer)) or first < 0:
        problems.append(f"first: must be a whole number from 0 up, got {first!r}")
    for name in ("spikes", "potentials"):
        wanted = np.asarray(getattr(probe, name))
        if wanted.ndim != 2 or wanted.shape[1] != 2 or wanted.dtype.kind not in "iu":
            problems.append(f"probe: {name}: must be whole numbers [n, 2] of (core, neuron), got {list(wanted.shape)}")
            continue
        for core, neuron in wanted[(wanted < 0).any(1) | (wanted >= program.neurons.shape).any(1)]:
            problems.append(
                f"probe: {name}: there is no neuron {neuron} in core {core}; the program has {program.n_cores} cores "
                f"of {program.n_neurons}"
            )
    if state is not None:
        like = initial_state(program, n_batch)
        for name in ("potential", "pending", "past", "settled"):
            has, needs = getattr(state, name), getattr(like, name)
            if has.shape != needs.shape or has.dtype != needs.dtype:
                problems.append(
                    f"state: {name}: must be {needs.dtype} {list(needs.shape)} for this program and batch, got "
                    f"{has.dtype} {list(has.shape)}"
                )
    if problems:
        raise DataError(problems)


def _result(program: SpikingProgram, before: SpikeState, run: Run) -> SpikeResult:
    in_flight = int(np.bitwise_count(run.pending).sum()) - int(np.bitwise_count(before.pending).sum())
    activity = SpikeActivity(
        n_ticks=run.n_ticks,
        n_batch=run.n_batch,
        spikes=run.spikes,
        axon_events=run.axon_events,
        synaptic_events=run.synaptic_events,
        updates=run.updates,
        in_flight=in_flight,
        **run.counts,
    )
    state = replace(
        before,
        tick=run.tick + run.n_ticks,
        potential=run.potential,
        pending=run.pending,
        past=run.rows[len(run.rows) - run.n_past :],
        settled=run.settled,
    )
    return SpikeResult(unpacked(run.outputs, program.n_outputs), activity, state, run.probed, run.seen)
