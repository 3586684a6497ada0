"""`xbar.cycles`: a program, or an outline, one crossbar read after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbar.cost.deadlock import explain
from xbar.cost.latency import analytic_pipeline
from xbar.cost.stations import Stations, stations
from xbar.cost.tracing import UNITS, trace_of
from xbar.errors import CapacityError, DataError
from xbar.kernels.cycle_state import (
    ARRIVED_BITS,
    N_HANDLED,
    SENT_BITS,
    S,
    new_state,
)
from xbar.kernels.cycle_tables import ADC, ADD, DIGITAL, N_UNITS, NO_LIMIT, READ, T
from xbar.kernels.cycles import run_cycles
from xbar.kernels.packed import Packed
from xbar.outline import Outline, outline
from xbar.program import Program
from xbar.timing import WAYS, BufferUse, Cycles, LinkLoad, Spent, Use, period_s

_FS = 1e-15
_MOST_S = 1000.0  # a ninth of what 64 bits of femtoseconds hold
# times of everything but crossbars and converters
_BESIDE = (
    T.lane_port_fs,
    T.lane_bus_fs,
    T.lane_add_fs,
    T.lane_sums_fs,
    T.home_fs,
    T.site_fs,
    T.link_flit_fs,
    T.tile_word_fs,
    T.cycle_fs,
)
_BUSY, _GAIN = 0.9, 0.02  # a part is the bottleneck from that share on; a gain that is worth telling


@dataclass(frozen=True)
class _Part:
    """What may limit the chip. busy_fs: in the whole run. times: of the tables, with what of them is this part's."""

    name: str
    busy_fs: float
    remedy: str
    times: dict[T, Any]


def cycles(program: Program | Outline, n_inputs: int = 4, max_trace: int = 0) -> Cycles:
    """Simulate `n_inputs` network inputs, which follow each other as fast as they are taken.

    See `xbar.kernels.cycles` for what is simulated. max_trace: intervals of the trace to keep, 0 for none. What the
    chip has no part for takes no time, and `Cycles.notes` says so.

    Raises CapacityError where a buffer cannot hold a window of a layer (with the smallest that can), and where the run
    ends in a deadlock (with who waits for whom, and the smallest buffer that is enough); DataError for n_inputs < 1, or
    so many that the chip is at work for more than a quarter of an hour.
    """
    if n_inputs < 1:
        raise DataError(f"n_inputs: must be 1 or more, got {n_inputs}")
    sketch = program if isinstance(program, Outline) else outline(program)
    least_s = n_inputs * sum(timing.total_s for timing in analytic_pipeline(sketch))
    if least_s > _MOST_S:
        rule = f"n_inputs: must be so few that the crossbars work for at most {_MOST_S:g} s, got {n_inputs}"
        raise DataError(f"{rule} inputs, {least_s:.3g} s; simulate fewer")
    made = stations(sketch)
    state, run_fs = simulate(made.tables, n_inputs, max_trace)
    if (state[S.end] < 0).any():
        raise CapacityError(explain(made, state, n_inputs))
    return _told(made, state, run_fs, n_inputs, max_trace)


def simulate(tables: Packed, n_inputs: int, max_trace: int = 0) -> tuple[Packed, int]:
    """The state at the end, and when that is."""
    state = new_state(tables, n_inputs, max_trace)
    return state, int(run_cycles(tables.data, state.data, n_inputs))


def without_limits(tables: Packed) -> Packed:
    """Buffers that are never full, and everything but crossbars and converters takes no time."""
    return tables.replaced({T.inbox_slots: NO_LIMIT} | dict.fromkeys(_BESIDE, 0))


def _told(made: Stations, state: Packed, run_fs: int, n_inputs: int, max_trace: int) -> Cycles:
    outline = made.outline
    begin, end = (tuple((times * _FS).tolist()) for times in (state[S.begin], state[S.end]))
    result = Cycles(
        network=outline.network,
        chip=outline.chip.name,
        n_inputs=n_inputs,
        begin_s=begin,
        end_s=end,
        period_s=_period_s(made, state, n_inputs),
        run_s=run_fs * _FS,
        layers=tuple(_spent(made, state, run_fs, "layer")),
        tiles=tuple(_spent(made, state, run_fs, "tile")),
        uses=(),
        buffers=tuple(_buffers(made, state)),
        links=tuple(_links(made, state)),
        bits_sent=int(state[S.moved][SENT_BITS]),
        bits_arrived=int(state[S.moved][ARRIVED_BITS]),
        n_events=int(state[S.moved][N_HANDLED]),
        bottleneck="",
        notes=made.notes,
        trace=trace_of(made, state) if max_trace else None,
    )
    parts = sorted(_parts(made, state), key=lambda part: (-part.busy_fs, part.name))
    uses = tuple(Use(part.name, busy := part.busy_fs * _FS / n_inputs, busy / result.period_s) for part in parts)
    return replace(result, uses=uses, bottleneck=_bottleneck(made, result, parts[0], uses[0].share))


def _spent(made: Stations, state: Packed, run_fs: int, by: str) -> Iterator[Spent]:
    """How lanes spent the run, by layer or by tile, each lane with its cores."""
    lanes = made.lanes
    keys = np.array([lane.layer if by == "layer" else lane.tile for lane in lanes])
    cores = np.array([lane.cores for lane in lanes])
    for key in np.unique(keys):
        own = keys == key
        seconds = (state[S.spent][own] * cores[own, None]).sum(axis=0) / cores[own].sum() * _FS
        name = made.outline.layers[key].name if by == "layer" else f"tile {key}"
        yield Spent(name, int(cores[own].sum()), dict(zip(WAYS, seconds.tolist(), strict=True)))


def _buffers(made: Stations, state: Packed) -> Iterator[BufferUse]:
    buffer = made.outline.chip.tile_buffer
    size = None if buffer is None else buffer.capacity_bytes
    for tile in np.flatnonzero(state[S.tile_high][: made.n_tiles]).tolist():
        yield BufferUse(tile, -(-int(state[S.tile_high][tile]) // 8), size)


def _links(made: Stations, state: Packed) -> Iterator[LinkLoad]:
    links = made.links
    for link in np.flatnonzero(state[S.link_bits]).tolist():
        yield LinkLoad(
            label=links.label(link),
            chip=links.chip(link),
            ends=links.ends(link),
            bits=int(state[S.link_bits][link]),
            busy_s=state[S.link_busy][link] * _FS,
            waited_s=state[S.link_wait][link] * _FS,
        )


def _parts(made: Stations, state: Packed) -> Iterator[_Part]:
    """Crossbars with converters of the layers, and the busiest of the buses, ports, units and links."""
    layer_of = np.array([lane.layer for lane in made.lanes])
    help_reads = "more copies of its weights help (a larger tile budget), or fewer pulses"
    for i, layer in enumerate(made.outline.layers):
        own = layer_of == i
        busy_fs = state[S.spent][own][:, [READ, ADC]].sum(axis=1).max()
        times = {T.lane_read_fs: own, T.lane_convert_fs: own}
        yield _Part(f"crossbars of {layer.name}", float(busy_fs), help_reads, times)
    ports = state[S.port_busy] / np.maximum(made.tables[T.tile_ports], 1)
    for name, busy, remedy, times in (
        ("bus", state[S.bus_busy], "a wider bus helps", {T.lane_bus_fs: True, T.lane_sums_fs: True}),
        ("buffer ports", ports, "more ports, or wider words, help", {T.tile_word_fs: True, T.lane_port_fs: True}),
        *_units(made, state),
    ):
        busiest = int(np.argmax(busy[: made.n_tiles]))
        if busy[busiest] > 0:
            yield _Part(f"{name} of tile {busiest}", float(busy[busiest]), remedy, times)
    inner = np.arange(made.links.n) < made.links.n_inner
    for link in np.argsort(-state[S.link_busy], kind="stable")[:3].tolist():
        if state[S.link_busy][link] > 0:
            remedy = "wider flits, or a faster network, help" if inner[link] else "faster links off the chip help"
            alike = {T.link_flit_fs: inner == inner[link]}
            yield _Part(made.links.label(link), float(state[S.link_busy][link]), remedy, alike)


def _units(made: Stations, state: Packed) -> Iterator[tuple[str, NDArray[np.int64], str, dict[T, Any]]]:
    """The digital units of the tiles; those that one part is, together."""
    for k in range(N_UNITS):
        own = made.tables[T.unit_server] == k
        remedy = "more of them, or larger cores, help" if own[ADD] else "more of them help"
        work = {T.home_fs: own} | ({T.site_fs: True} if own[DIGITAL] else {})
        yield (
            ", ".join(unit for unit, is_own in zip(UNITS, own, strict=True) if is_own),
            state[S.unit_busy][:, k],
            remedy,
            work,
        )


def _bottleneck(made: Stations, result: Cycles, busiest: _Part, share: float) -> str:
    """The busiest part and what it costs, found by a run without it; or who waits for room."""

    def gain(changes: dict[T, Any]) -> float:
        state, _ = simulate(made.tables.replaced(changes), result.n_inputs)
        without_s = _period_s(made, state, result.n_inputs)
        return result.period_s / without_s if without_s else np.inf

    if share < _BUSY and (more := gain({T.inbox_slots: NO_LIMIT})) > 1 + _GAIN:
        return f"buffers of tiles: too small for results to wait in; with larger ones {more:.3g} times the throughput"
    more = gain({key: np.where(own, 0, made.tables[key]) for key, own in busiest.times.items()})
    told = f"{more:.3g} times the throughput" if more > 1 + _GAIN else "hardly more throughput"
    told = "nothing else takes time" if np.isinf(more) else told
    return f"{busiest.name}, taken {share:.0%} of the time; {busiest.remedy} (without that limit: {told})"


def _period_s(made: Stations, state: Packed, n_inputs: int) -> float:
    """See `Cycles.period_s`."""
    begin_s, end_s = (tuple((state[times] * _FS).tolist()) for times in (S.begin, S.end))
    return max(period_s(end_s, begin_s), *(part.busy_fs * _FS / n_inputs for part in _parts(made, state)))
