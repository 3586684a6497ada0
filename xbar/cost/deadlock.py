"""Why a run of the cycle model cannot go on: who waits for what, and what would help."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xbar.cost.buffers import smallest_bytes
from xbar.cost.stations import Stations
from xbar.kernels.cycle_state import S
from xbar.kernels.cycle_tables import BUFFER_FULL, INPUT_WAIT, OUTPUT_WAIT, T
from xbar.kernels.packed import Packed


def explain(made: Stations, state: Packed, n_inputs: int) -> list[str]:
    """One problem that tells the whole circle."""
    done = int((state[S.end] >= 0).sum())
    waits = [*_full(made, state, n_inputs), *_waiting(made, state)]
    smallest = smallest_bytes(made.outline, made.inboxes, made.streams)
    buffer = made.outline.chip.tile_buffer
    got = "no buffer" if buffer is None else f"{buffer.capacity_bytes:,}"
    shown = "; ".join(waits[:6]) + (f"; and {len(waits) - 6} more" if len(waits) > 6 else "")
    return [
        f"{made.outline.network} on {made.outline.chip.name}: a deadlock after {done} of {n_inputs} inputs: {shown}. "
        f"A buffer of {smallest:,} bytes per tile holds what the branches need, got {got}; set the capacity_bytes of "
        f"the tiles' buffer to {smallest:,} or more"
    ]


def _full(made: Stations, state: Packed, n_inputs: int) -> Iterator[str]:
    """Edges whose next unit is there, and finds no place."""
    t = made.tables
    for e, source in enumerate(t[T.edge_source].tolist()):
        n, units = int(state[S.sent][e]), int(t[T.edge_units][e])
        if n >= units * n_inputs:
            continue
        k, unit = divmod(n, units)
        place = t[T.unit_ptr][e] + unit
        first = state[S.row_ptr][source] + k * t[T.stream_rows][source]
        rows = state[S.row_done][first + t[T.unit_first][place] : first + t[T.unit_last][place] + 1]
        for i in range(t[T.edge_inbox_ptr][e], t[T.edge_inbox_ptr][e + 1]):
            if rows.all() and n >= state[S.freed][i] + t[T.inbox_slots][i]:
                inbox = made.inboxes[i]
                yield (
                    f"{made.streams[source].name} cannot send to {made.streams[inbox.to].name}, whose buffer in tile "
                    f"{inbox.tile} holds {int(t[T.inbox_slots][i])} of its rows and is full"
                )
                break


def _waiting(made: Stations, state: Packed) -> Iterator[str]:
    """Layers and joins that have work left, by what they wait for."""
    t = made.tables
    words = {
        INPUT_WAIT: "waits for its input",
        BUFFER_FULL: "waits until its results are sent",
        OUTPUT_WAIT: "waits for its partial sums",
    }
    told = set()
    for lane in np.flatnonzero(state[S.lane_waits]).tolist():
        stream = int(t[T.site_stream][t[T.lane_site][lane]])
        if stream not in told:
            told.add(stream)
            yield f"{made.streams[stream].name} {words.get(int(state[S.lane_reason][lane]), 'waits')}"
    for site in range(len(t[T.site_tile])):
        stream = int(t[T.site_stream][site])
        if made.streams[stream].kind == "join" and stream not in told:
            missing = [
                made.streams[int(t[T.edge_source][t[T.inbox_edge][i]])].name
                for i in t[T.site_inbox][t[T.site_inbox_ptr][site] : t[T.site_inbox_ptr][site + 1]].tolist()
                if state[S.arrived][i] <= state[S.freed][i]
            ]
            if missing:
                told.add(stream)
                yield f"{made.streams[stream].name} waits for rows of {', '.join(missing)}"
