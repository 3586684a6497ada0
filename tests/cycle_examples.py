"""A run of the cycle model by hand: two layers in two tiles, an inference every 10 us."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xbar.timing import KINDS, WAYS, BufferUse, Cycles, LinkLoad, Spent, Trace, Use

RUN_S = 40e-6


def spent(name: str, **shares: float) -> Spent:
    """Shares of the run by the first word of a way; the rest is idle."""
    named = {way: shares.get(way.replace(" ", "_"), 0.0) for way in WAYS}
    named["idle"] = 1 - sum(named.values())
    return Spent(name, 2, {way: share * RUN_S for way, share in named.items()})


def by_hand(**changes: Any) -> Cycles:
    """Layer `first` reads for 80 % of the time, `second` for 10 % and waits for input; one link is taken for 30 %."""
    known: dict[str, Any] = {
        "network": "two layers",
        "chip": "small",
        "n_inputs": 4,
        "begin_s": (0.0, 8e-6, 18e-6, 28e-6),
        "end_s": (10e-6, 20e-6, 30e-6, RUN_S),
        "period_s": 10e-6,
        "run_s": RUN_S,
        "layers": (
            spent("first", read=0.8, ADC_busy=0.1, fetch=0.05),
            spent("second", read=0.1, input_not_ready=0.6, buffer_full=0.25),
        ),
        "tiles": (spent("tile 0", read=0.8, ADC_busy=0.1, fetch=0.05), spent("tile 1", read=0.1, input_not_ready=0.85)),
        "uses": (Use("crossbars of first", 9e-6, 0.9), Use("tile 0 -> 1", 3e-6, 0.3)),
        "buffers": (BufferUse(0, 512, 65536), BufferUse(1, 32768, 65536)),
        "links": (
            LinkLoad("tile 0 -> 1", 0, ((0.0, 0.0), (1.0, 0.0)), 4096, 0.3 * RUN_S, 8e-6),
            LinkLoad("tile 1 -> 0", 0, ((1.0, 0.0), (0.0, 0.0)), 64, 0.1 * RUN_S, 0.0),
            LinkLoad("link out of the chip", 0, None, 128, 0.02 * RUN_S, 0.0),
        ),
        "bits_sent": 5000,
        "bits_arrived": 5000,
        "n_events": 100,
        "bottleneck": "crossbars of first, taken 90% of the time; more copies of its weights help",
        "notes": ("buffers of tiles have no size, so they are never full",),
    }
    return Cycles(**{**known, **changes})


def traced() -> Cycles:
    """With a trace of its first 10 us: `first` reads row 0 from 1 to 3 and row 1 from 3 to 5 us after a fetch, and
    again for input 1; `second` gets a row from 5 to 6 us and reads it from 7 to 9."""
    rows = [
        ("fetch", 0, 0, 0, 0, 0, 0.0, 1.0),
        ("reads", 0, 1, 0, 0, 0, 1.0, 2.0),
        ("reads", 0, 1, 0, 0, 1, 3.0, 2.0),
        ("message", 2, 3, 1, -1, -1, 5.0, 1.0),
        ("reads", 0, 1, 0, 1, 0, 6.0, 4.0),
        ("reads", 1, 2, 1, 0, 0, 7.0, 2.0),
    ]
    kind, *columns, begin_us, duration_us = zip(*rows, strict=True)
    process, thread, stream, n_input, row = (np.array(column) for column in columns)
    trace = Trace(
        processes=("tile 0", "tile 1", "links"),
        threads=("first: input", "first", "second", "tile 0 -> 1"),
        streams=("first", "second"),
        kind=np.array([KINDS.index(name) for name in kind]),
        process=process,
        thread=thread,
        stream=stream,
        n_input=n_input,
        row=row,
        begin_s=np.array(begin_us) * 1e-6,
        duration_s=np.array(duration_us) * 1e-6,
        n_lost=0,
    )
    return replace(by_hand(), trace=trace)
