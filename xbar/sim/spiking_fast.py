"""The spiking engine on kernels: a program laid out for them, and a run through them."""

from __future__ import annotations

import numpy as np

from xbar.kernels import spikes as kernel
from xbar.kernels.parallel import Team, team
from xbar.kernels.spike_words import LANES
from xbar.parts.neurons import N_TYPES, SUBTRACT, TO_RESET
from xbar.sim.spiking_run import FIRST_SYNAPSE, Run
from xbar.spiking.bits import WORD, n_words, packed
from xbar.spiking.program import OUTPUT, SpikingProgram

ROWS_MOST = 40  # active axons of a core above which counting synapses by type beats adding rows (measured)
_TASKS = 64  # pieces of a tick, so that threads that are held up do not hold up the others


def advance_fast(program: SpikingProgram, run: Run, method: str) -> None:
    """All ticks of a run; fills its arrays and counts."""
    threads = team()
    alone = Team(threads.start, 1)
    rows_most = {"rows": program.n_axons, "popcount": -1}.get(method, ROWS_MOST)
    low, high = program.chip.neuron.potential_range
    words = n_words(program.n_neurons)
    size = kernel.Size(
        program.n_cores, program.n_axons, n_words(program.n_axons), program.n_neurons, words, words * LANES, low, high,
        rows_most, FIRST_SYNAPSE,
    )  # fmt: skip
    cores_each, batch_each = _pieces(program.n_cores, run.n_batch)
    n_parts = -(-run.n_batch // batch_each)
    n_tasks = -(-program.n_cores // cores_each) * n_parts
    cores = cores_of(program, n_parts, threads)
    flow, desks = _flow(run, size, n_parts), _desks(size, n_tasks, run.n_batch)
    probes = tuple(np.asarray(p, np.int64).reshape(-1, 2) for p in (run.probe.spikes, run.probe.potentials))
    kernel.advance(
        threads, alone, cores, size, _links(program), flow, desks, run.keys, run.rows, run.tick,
        (cores_each, batch_each, n_tasks), probes, run.probed, run.seen,
    )  # fmt: skip
    run.potential[:] = flow.potential[..., : program.n_neurons]
    run.spikes[:] = cores.spike[..., : program.n_neurons, kernel.TIMES].sum(0, dtype=np.int64)
    run.axon_events[:], run.synaptic_events[:], run.updates[:] = np.moveaxis(flow.by_core.sum(0), 1, 0)
    totals = desks.counts.sum(0)
    for name, place in (("merged", kernel.MERGED), ("output_spikes", kernel.OUTPUTS), ("input_spikes", kernel.INPUTS)):
        run.counts[name] = int(totals[place])


def _pieces(n_cores: int, n_batch: int) -> tuple[int, int]:
    """Cores and inputs of one task: what is too little to share is one task."""
    if n_cores * n_batch < _TASKS:
        return n_cores, n_batch
    cores_each = -(-n_cores // _TASKS)
    batch_parts = max(1, _TASKS // -(-n_cores // cores_each))
    return cores_each, -(-n_batch // min(batch_parts, n_batch))


def _flow(run: Run, size: kernel.Size, n_parts: int) -> kernel.Flow:
    potential = np.zeros((run.n_batch, size.cores, size.width), np.int32)
    potential[..., : size.neurons] = run.potential
    return kernel.Flow(
        potential=potential,
        pending=run.pending,
        settled=run.settled,
        fired=np.zeros((run.n_batch, size.cores, size.words), np.uint64),
        outputs=run.outputs,
        by_core=np.zeros((n_parts, size.cores, 3), np.int64),
    )


def _desks(size: kernel.Size, n_tasks: int, n_batch: int) -> kernel.Desk:
    return kernel.Desk(
        listed=np.zeros((n_tasks, size.axon_words * WORD), np.int32),
        sent=np.zeros((n_tasks, kernel.TOGETHER + size.width), np.int32),
        active=np.zeros((n_tasks, size.axon_words), np.uint64),
        of_type=np.zeros((n_tasks, size.axon_words), np.uint64),
        narrow=np.zeros((n_tasks, size.width), np.int16),
        total=np.zeros((n_tasks, size.width), np.int32),
        old=np.zeros((n_tasks, size.width), np.int32),
        fired=np.zeros((n_tasks, size.words), np.uint64),
        counts=np.zeros((max(n_tasks, n_batch), kernel.N_COUNTS), np.int64),
    )


def _links(program: SpikingProgram) -> kernel.Links:
    links = program.inputs
    order = np.lexsort((links.line, links.delay))
    delays = np.unique(links.delay)
    lines = np.arange(program.n_inputs + 1)
    first = np.zeros((len(delays), program.n_inputs + 1), np.int64)
    for group, delay in enumerate(delays):
        start = np.searchsorted(links.delay[order], delay)
        own = links.line[order][links.delay[order] == delay]
        first[group] = start + np.searchsorted(own, lines)
    return kernel.Links(delays.astype(np.int64), first, _address(program, links.core, links.axon)[order])


def _address(program: SpikingProgram, core: np.ndarray, axon: np.ndarray) -> np.ndarray:
    """The bit of an axon in a slot, int64."""
    return core.astype(np.int64) * (n_words(program.n_axons) * WORD) + axon


def cores_of(program: SpikingProgram, n_parts: int, threads: Team) -> kernel.Cores:
    """A program as the kernels read it; n_parts: of the batch, each with its own counts."""
    n = program.neurons
    width = n_words(program.n_neurons) * LANES
    words = np.iinfo(np.int32)

    def padded(values: np.ndarray, dtype: type, fill: int = 0) -> np.ndarray:
        """[core, ..., neuron] with neurons up to whole words."""
        out = np.full((*values.shape[:-1], width), fill, dtype)
        out[..., : program.n_neurons] = values
        return out

    saturates, linear = n.negative_saturates, n.reset_mode == SUBTRACT
    down = np.select(
        [saturates, n.reset_mode == TO_RESET, linear], [-n.negative_threshold, -n.reset, n.negative_threshold]
    )
    low, high = program.chip.neuron.potential_range
    inclusive = getattr(program.chip.neuron, "negative_test", "below") == "at_or_below"
    general = n.stochastic_leak | n.leak_reversal | (n.noise_bits > 0)
    kind = np.where(general.any(1), kernel.GENERAL, np.where(saturates.all(1), kernel.SATURATING, kernel.RESETTING))
    # where all saturate, the floor is where they stay; else it is where they fall
    floor = -n.negative_threshold + np.where(kind == kernel.SATURATING, 0, int(inclusive))[:, None]
    by_type = np.moveaxis(n.weight, 2, 1)
    chance = np.moveaxis(n.stochastic_weight, 2, 1)
    flags = (
        n.stochastic_leak * kernel.STOCHASTIC_LEAK
        + n.leak_reversal * kernel.REVERSAL
        + saturates * kernel.SATURATES
        + linear * kernel.LINEAR
    )
    core = program.targets.core
    target = np.where(core >= 0, _address(program, core, program.targets.axon), core)
    target = np.where(core == OUTPUT, -2 - program.targets.axon.astype(np.int64), target)
    of_type = program.axon_type[:, None] == np.arange(N_TYPES)[:, None]
    up = padded(np.select([n.reset_mode == TO_RESET, linear], [n.reset, -n.threshold]), np.int32)
    reset_later = kind[:, None] != kernel.GENERAL
    spike = np.zeros((program.n_cores, width, kernel.FIELDS), np.int32)
    spike[..., kernel.TARGET] = padded(target, np.int32, -1)
    spike[..., kernel.DELAY] = padded(program.targets.delay, np.int32, 1)
    spike[..., kernel.UP] = up * reset_later
    spike[..., kernel.KEPT] = padded(-((n.reset_mode != TO_RESET) | ~reset_later).astype(np.int32), np.int32)
    return kernel.Cores(
        synapses=np.ascontiguousarray(program.synapses),
        columns=kernel.transposed(threads, program.synapses),
        axon_type=np.ascontiguousarray(program.axon_type),
        type_mask=packed(of_type),
        row_size=np.bitwise_count(program.synapses).sum(-1, dtype=np.int32),
        weight=padded(np.where(chance, 0, by_type), np.int16),
        chance_weight=padded(by_type, np.int16),
        chance=packed(chance),
        has_chance=np.asarray(chance.any((1, 2))),
        kind=kind.astype(np.uint8),
        random=np.asarray(n.is_random.any(1)),
        flags=padded(flags, np.uint8),
        noise=padded(n.noise_bits, np.uint8),
        leak=padded(n.leak, np.int16),
        threshold=padded(n.threshold, np.int32, words.max),
        floor=padded(floor, np.int32, words.min),
        up=up,
        down=padded(np.clip(down, low, high), np.int32),
        keep_up=packed(n.reset_mode != TO_RESET),
        keep_down=packed(~saturates & (n.reset_mode != TO_RESET)),
        spike=np.broadcast_to(spike, (n_parts, *spike.shape)).copy(),
    )
