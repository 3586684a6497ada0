"""The spiking engine on kernels: a program laid out for them, and a run through them."""

from __future__ import annotations

import numpy as np

from xbar.kernels import spikes as kernel
from xbar.kernels.parallel import Team, team
from xbar.kernels.spike_words import LANES
from xbar.parts.neuron.truenorth import TrueNorthNeuron
from xbar.parts.neurons import N_TYPES, SUBTRACT, TO_RESET
from xbar.sim.spiking_run import FIRST_SYNAPSE, Run
from xbar.spiking.bits import WORD, n_words, packed
from xbar.spiking.program import OUTPUT, SpikingProgram

ROWS_MOST = 20  # active axons of a core above which counting synapses by type beats adding rows (measured)
_LINE_BYTES = 64
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
        rows_most, _rows_abreast(program), FIRST_SYNAPSE,
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


def _rows_abreast(program: SpikingProgram) -> int:
    """Rows whose weights an int16 can sum, whatever their signs."""
    heaviest = int(np.abs(program.neurons.weight.astype(np.int32)).max(initial=1))
    return np.iinfo(np.int16).max // max(heaviest, 1)


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
    def room(n: int, dtype: type, n_rows: int = n_tasks) -> np.ndarray:
        """[task, n]; rows lie so far apart that threads never write to the same line of the cache."""
        each = _LINE_BYTES // np.dtype(dtype).itemsize
        return np.zeros((n_rows, (-(-n // each) + 1) * each), dtype)

    return kernel.Desk(
        listed=room(size.axon_words * WORD, np.int32),
        sent=room(kernel.TOGETHER + size.width, np.int32),
        active=room(size.axon_words, np.uint64),
        of_type=room(size.axon_words, np.uint64),
        narrow=room(size.width, np.int16),
        total=room(size.width, np.int32),
        old=room(size.width, np.int32),
        fired=room(size.words, np.uint64),
        counts=room(kernel.N_COUNTS, np.int64, max(n_tasks, n_batch)),
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
    n, width = program.neurons, n_words(program.n_neurons) * LANES
    linear, to_reset = n.reset_mode == SUBTRACT, n.reset_mode == TO_RESET
    general = (n.stochastic_leak | n.leak_reversal | (n.noise_bits > 0)).any(1)
    kind = np.where(general, kernel.GENERAL, np.where(n.negative_saturates.all(1), kernel.SATURATING, kernel.RESETTING))
    up = np.select([to_reset, linear], [n.reset, -n.threshold])
    models = _models(program, kind)
    _, first, model = np.unique(_rows(models), return_index=True, return_inverse=True)
    # a general core's neurons are reset in their step already, the others' when their spikes are delivered
    reset_later = kind[:, None] != kernel.GENERAL
    core = program.targets.core
    target = np.where(core >= 0, _address(program, core, program.targets.axon), core)
    target = np.where(core == OUTPUT, -2 - program.targets.axon.astype(np.int64), target)
    spike = np.zeros((program.n_cores, width, kernel.FIELDS), np.int32)
    spike[..., kernel.TARGET] = _padded(target, width, np.int32, -1)
    keeps = -(~to_reset | ~reset_later).astype(np.int32)
    spike[..., kernel.DELAY] = _padded(keeps * (1 << kernel.KEEPS) + program.targets.delay, width, np.int32)
    spike[..., kernel.UP] = _padded(up * reset_later, width, np.int32)
    sizes = np.bitwise_count(program.synapses).sum(-1, dtype=np.int32)
    return kernel.Cores(
        synapses=_aligned(program.synapses),
        columns=kernel.transposed(threads, program.synapses),
        axon=sizes * N_TYPES + program.axon_type,
        type_mask=packed(program.axon_type[:, None] == np.arange(N_TYPES)[:, None]),
        model=np.ravel(model).astype(np.int64),
        spike=np.broadcast_to(spike, (n_parts, *spike.shape)).copy(),
        **{name: np.ascontiguousarray(values[first]) for name, values in models.items()},
    )


def _aligned(values: np.ndarray) -> np.ndarray:
    """A copy that begins with a line of the cache, so that a row of synapses lies in one."""
    room = np.empty(values.nbytes + _LINE_BYTES, np.uint8)
    first = -room.ctypes.data % _LINE_BYTES
    out = room[first : first + values.nbytes].view(values.dtype).reshape(values.shape)
    out[:] = values
    return out


def _models(program: SpikingProgram, kind: np.ndarray) -> dict[str, np.ndarray]:
    """The parameters of each core as `kernel.Cores` has them by model, [core, ...]."""
    n, limits = program.neurons, np.iinfo(np.int32)
    width = n_words(program.n_neurons) * LANES
    saturates, linear, to_reset = n.negative_saturates, n.reset_mode == SUBTRACT, n.reset_mode == TO_RESET
    low, high = program.chip.neuron.potential_range
    beta = n.negative_threshold
    part = program.chip.neuron
    inclusive = isinstance(part, TrueNorthNeuron) and part.negative_test == "at_or_below"
    # where all saturate, the floor is where they stay; else it is where they fall
    floor = -beta + np.where(kind == kernel.SATURATING, 0, int(inclusive))[:, None]
    down = np.select([saturates, to_reset, linear], [-beta, np.clip(-n.reset, low, high), beta])
    by_type, chance = np.moveaxis(n.weight, 2, 1), np.moveaxis(n.stochastic_weight, 2, 1)
    flags = (
        n.stochastic_leak * kernel.STOCHASTIC_LEAK
        + n.leak_reversal * kernel.REVERSAL
        + saturates * kernel.SATURATES
        + linear * kernel.LINEAR
    )
    return {
        "weight": _padded(np.where(chance, 0, by_type), width, np.int16),
        "chance_weight": _padded(by_type * chance, width, np.int16),
        "chance": packed(chance),
        "has_chance": np.asarray(chance.any((1, 2))),
        "kind": kind.astype(np.uint8),
        "random": np.asarray(n.is_random.any(1)),
        "flags": _padded(flags, width, np.uint8),
        "noise": _padded(n.noise_bits, width, np.uint8),
        "leak": _padded(n.leak, width, np.int16),
        "threshold": _padded(n.threshold, width, np.int32, limits.max),
        "floor": _padded(floor, width, np.int32, limits.min),
        "up": _padded(np.select([to_reset, linear], [n.reset, -n.threshold]), width, np.int32),
        "down": _padded(down, width, np.int32),
        "keep_up": packed(~to_reset),
        "keep_down": packed(~saturates & ~to_reset),
    }


def _padded(values: np.ndarray, width: int, dtype: type, fill: int = 0) -> np.ndarray:
    """[core, ..., neuron] with neurons up to whole words."""
    out = np.full((*values.shape[:-1], width), fill, dtype)
    out[..., : values.shape[-1]] = values
    return out


def _rows(models: dict[str, np.ndarray]) -> np.ndarray:
    """A number for each core, the same where all parameters are."""
    seen: dict[bytes, int] = {}
    n_cores = len(models["kind"])
    return np.array([seen.setdefault(b"".join(v[c].tobytes() for v in models.values()), c) for c in range(n_cores)])
