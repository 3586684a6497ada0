"""`xbar.cycles`: a program, or an outline, one crossbar read after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from xbar.cost.deadlock import explain
from xbar.cost.stations import Stations, stations
from xbar.cost.tracing import trace_of
from xbar.errors import CapacityError, DataError
from xbar.kernels.cycle_state import (
    ARRIVED_BITS,
    N_HANDLED,
    SENT_BITS,
    S,
    new_state,
)
from xbar.kernels.cycle_tables import NO_LIMIT, T
from xbar.kernels.cycles import run_cycles
from xbar.kernels.packed import Packed
from xbar.outline import Outline, outline
from xbar.program import Program
from xbar.timing import WAYS, BufferUse, Cycles, LinkLoad, Spent, Use, period_s

_FS = 1e-15
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
# by kind of part: what would help, and the times that are 0 without it
_REMEDIES: dict[str, tuple[str, tuple[T, ...]]] = {
    "crossbars": ("more copies of its weights help (a larger tile budget), or fewer pulses", ()),
    "bus": ("a wider bus helps", (T.lane_bus_fs, T.lane_sums_fs)),
    "buffer ports": ("more ports, or wider words, help", (T.tile_word_fs, T.lane_port_fs)),
    "adders": ("more of them, or larger cores, help", (T.home_fs,)),
    "activation units": ("more of them help", (T.home_fs,)),
    "pooling units": ("more of them help", (T.home_fs,)),
    "digital units": ("more of them help", (T.home_fs, T.site_fs)),
    "links": ("wider flits, or a faster network, help", (T.link_flit_fs,)),
}
_UNITS = ("adders", "activation units", "pooling units", "digital units")


def cycles(program: Program | Outline, n_inputs: int = 4, max_trace: int = 0) -> Cycles:
    """Simulate `n_inputs` network inputs, which follow each other as fast as they are taken.

    See `xbar.kernels.cycles` for what is simulated. max_trace: intervals of the trace to keep, 0 for none. What the
    chip has no part for takes no time, and `Cycles.notes` says so.

    Raises CapacityError where a buffer cannot hold a window of a layer (with the smallest that can), and where the run
    ends in a deadlock (with who waits for whom, and the smallest buffer that is enough); DataError for n_inputs < 1.
    """
    if n_inputs < 1:
        raise DataError(f"n_inputs: must be 1 or more, got {n_inputs}")
    made = stations(program if isinstance(program, Outline) else outline(program))
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
    busy = {name: fs * _FS / n_inputs for name, fs in _busy_fs(made, state)}
    longest_s = max(result.period_s, *busy.values())  # the last inputs of a short batch may follow faster than the rest
    uses = tuple(
        Use(name, busy_s, busy_s / longest_s) for name, busy_s in sorted(busy.items(), key=lambda x: (-x[1], x[0]))
    )
    return replace(result, uses=uses, bottleneck=_bottleneck(made, result, uses, n_inputs))


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


def _busy_fs(made: Stations, state: Packed) -> Iterator[tuple[str, float]]:
    """How long parts are taken in the run: crossbars and converters of the layers, the busiest buses, ports, units,
    links."""
    layer_of = np.array([lane.layer for lane in made.lanes])
    for i, layer in enumerate(made.outline.layers):
        own = state[S.spent][layer_of == i]
        yield f"crossbars of {layer.name}", float((own[:, 0] + own[:, 1]).max())
    t = made.tables
    for name, busy in (
        ("bus of tile", state[S.bus_busy]),
        ("buffer ports of tile", state[S.port_busy] / np.maximum(t[T.tile_ports], 1)),
        *((f"{unit} of tile", state[S.unit_busy][:, k]) for k, unit in enumerate(_UNITS)),
    ):
        busiest = int(np.argmax(busy[: made.n_tiles])) if made.n_tiles else 0
        if busy[busiest] > 0:
            yield f"{name} {busiest}", float(busy[busiest])
    for link in np.argsort(-state[S.link_busy], kind="stable")[:3].tolist():
        if state[S.link_busy][link] > 0:
            yield made.links.label(link), float(state[S.link_busy][link])


def _bottleneck(made: Stations, result: Cycles, uses: tuple[Use, ...], n_inputs: int) -> str:
    """The busiest part and what more of it would bring, found by a run without it; or who waits for room."""
    busiest = uses[0]
    if busiest.share < _BUSY:
        faster = _period_s(made, {T.inbox_slots: NO_LIMIT}, n_inputs)
        if faster < result.period_s * (1 - _GAIN):
            gain = result.period_s / faster
            return (
                f"buffers of tiles: too small for results to wait in; with larger ones {gain:.3g} times the throughput"
            )
    remedy, changes = _REMEDIES.get(busiest.name.partition(" of ")[0], _REMEDIES["links"])
    text = f"{busiest.name}, taken {busiest.share:.0%} of the time; {remedy}"
    if not changes:
        return text
    faster = _period_s(made, dict.fromkeys(changes, 0), n_inputs)
    return f"{text} (without that limit: {result.period_s / faster:.3g} times the throughput)"


def _period_s(made: Stations, changes: dict[T, int], n_inputs: int) -> float:
    """Of a run with other tables."""
    state, _ = simulate(made.tables.replaced(changes), n_inputs)
    return period_s(tuple((state[S.end] * _FS).tolist()), tuple((state[S.begin] * _FS).tolist()))
