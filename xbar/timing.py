"""What the cycle model found: when inputs were done, who was busy, who waited for what, and what limits the chip."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbar.errors import OutputError
from xbar.same import same_fields
from xbar.units import si

# how the crossbars of a layer spend their time, in the order of telling
WAYS = (
    "read",  # crossbars are read
    "ADC busy",  # a sample waits for converters
    "input not ready",  # rows of the input are not there yet
    "buffer full",  # results cannot go where they are needed
    "output busy",  # partial sums wait for bus and links, or sums for the digital units
    "bus busy",  # inputs wait for the buffer's ports or the bus
    "fetch",  # inputs are on their way to the input register
    "idle",  # all inputs of the run are through
)


@dataclass(frozen=True)
class Spent:
    """Seconds of one layer's crossbars, or of all crossbars of a tile, on average over cores, by WAYS; they sum to the
    run.

    name: of the layer, or `tile 3`. n_cores: with all copies.
    """

    name: str
    n_cores: int
    seconds: Mapping[str, float]

    @property
    def busy_s(self) -> float:
        return self.seconds["read"]

    @property
    def stalled_s(self) -> float:
        """Neither reading nor through."""
        return sum(self.seconds.values()) - self.busy_s - self.seconds["idle"]


@dataclass(frozen=True)
class Use:
    """How long a part is taken for each input of the batch. share: of the time between inputs, 1 at most."""

    name: str
    busy_s: float
    share: float


@dataclass(frozen=True)
class LinkLoad:
    """One link: bits over the whole run, how long it was taken, and how long messages waited for it.

    chip: where it is, or which chip it leads out of or into. ends: in tile pitches of its chip; None: to the outside.
    """

    label: str
    chip: int
    ends: tuple[tuple[float, float], tuple[float, float]] | None
    bits: int
    busy_s: float
    waited_s: float


@dataclass(frozen=True)
class BufferUse:
    """The most that the buffer of a tile held, of what it has (None: no limit is known)."""

    tile: int
    high_bytes: int
    capacity_bytes: int | None


# what an interval of a trace is
KINDS = (
    "reads",  # all pulses of a vector, by the crossbars of a copy in a tile
    "fetch",  # a vector on its way to the input register
    "join",  # digital work on a row of several streams
    "write",  # a row, or a part of it, to a tile's buffer
    "message",  # on a link
    "convert",  # the last sample of a vector, in whole cycles where the chip has them
    "shift-and-add",  # the last of a vector
    "sums",  # of a vector, on the bus of a tile
    "digital",  # the digital units of a tile, on a vector that is put together there
)


@dataclass(frozen=True, eq=False)
class Trace:
    """What was done when, by rising begin; work that takes no time is left out.

    All [interval]: kind: int64 into KINDS. process, thread: int64 into `processes` (tiles, and the links) and `threads`
    (what is in a tile, or which link; intervals of one thread do not overlap). stream: int64 into `streams`, the layer
    or join that computes, or that the row is for. n_input, row: int64, which input of the batch and which row of the
    stream; -1 for writes, messages and digital units. begin_s, duration_s: float64. n_lost: intervals beyond the limit
    that was asked for.
    """

    processes: tuple[str, ...]
    threads: tuple[str, ...]
    streams: tuple[str, ...]
    kind: NDArray[np.int64]
    process: NDArray[np.int64]
    thread: NDArray[np.int64]
    stream: NDArray[np.int64]
    n_input: NDArray[np.int64]
    row: NDArray[np.int64]
    begin_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    n_lost: int

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __len__(self) -> int:
        return len(self.begin_s)

    @property
    def end_s(self) -> NDArray[np.float64]:
        """float64 [interval]."""
        return self.begin_s + self.duration_s

    def first(self, n: int) -> Trace:
        """The first n intervals."""
        columns = [f.name for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)]
        cut = {name: getattr(self, name)[:n] for name in columns}
        return replace(self, **cut, n_lost=self.n_lost + max(0, len(self) - n))

    def save(self, file: str | Path) -> None:
        """Write it in the Trace Event Format (JSON), which Perfetto (ui.perfetto.dev) and chrome://tracing open.

        Times are in microseconds, as the format wants, to the picosecond. Raises OutputError where the file cannot be
        written.
        """
        pairs, tid = np.unique(np.stack([self.process, self.thread], axis=1), axis=0, return_inverse=True)
        events = [*self._names(pairs.tolist()), *self._events(tid.reshape(-1) + 1)]
        try:
            with Path(file).open("w", encoding="utf-8") as stream:
                stream.write('{"displayTimeUnit": "ns", "traceEvents": [\n')
                stream.write(",\n".join(map(json.dumps, events)))
                stream.write("\n]}\n")
        except OSError as error:
            raise OutputError(f"{file}: cannot be written ({error.strerror}); choose another path") from error

    def _names(self, pairs: list[list[int]]) -> Iterator[dict[str, Any]]:
        """Metadata events of processes and threads; both count from 1, since viewers keep 0 for the idle process."""

        def named(kind: str, pid: int, tid: int, name: str) -> Iterator[dict[str, Any]]:
            place = {"ph": "M", "pid": pid, "tid": tid}
            yield {**place, "name": f"{kind}_name", "args": {"name": name}}
            yield {**place, "name": f"{kind}_sort_index", "args": {"sort_index": pid if kind == "process" else tid}}

        for p in sorted({p for p, _ in pairs}):
            yield from named("process", p + 1, 0, self.processes[p])
        for i, (p, t) in enumerate(pairs):
            yield from named("thread", p + 1, i + 1, self.threads[t])

    def _events(self, tid: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """Complete events, by rising ts."""
        begin_us, duration_us = np.round(self.begin_s * 1e6, 6), np.round(self.duration_s * 1e6, 6)
        columns = (self.kind, self.process + 1, tid, self.stream, self.n_input, self.row, begin_us, duration_us)
        for kind, p, t, stream, n_input, row, begin, duration in zip(*(c.tolist() for c in columns), strict=True):
            name = self.streams[stream]
            event = {"ph": "X", "pid": p, "tid": t, "cat": KINDS[kind], "ts": begin, "dur": duration}
            if row >= 0:
                yield {**event, "name": f"{name} row {row}", "args": {"input": n_input, "row": row}}
            else:
                yield {**event, "name": f"for {name}"}


def period_s(end_s: tuple[float, ...], begin_s: tuple[float, ...]) -> float:
    """Mean time from one input's end to the next one's over the second half of a batch; of one input its own time.

    The last inputs of a short batch have the chip more and more for themselves, and may follow faster than the rest.
    """
    if len(end_s) == 1:
        return end_s[0] - begin_s[0]
    first = (len(end_s) - 1) // 2
    return (end_s[-1] - end_s[first]) / (len(end_s) - 1 - first)


@dataclass(frozen=True, eq=False)
class Cycles:
    """The outcome of a run of `n_inputs` inputs that follow each other as fast as the chip takes them.

    begin_s, end_s: [input] when its first row was sent and its last result was out. period_s: from one input to the
    next once the pipeline is full (see `period_s`), and never less than the busiest part takes for an input. layers,
    tiles: how their crossbars spent the run. uses: parts by how much of that time they are taken, the busiest first.
    bits_sent, bits_arrived: all messages, with every place where they are dropped.
    """

    network: str
    chip: str
    n_inputs: int
    begin_s: tuple[float, ...]
    end_s: tuple[float, ...]
    period_s: float
    run_s: float
    layers: tuple[Spent, ...]
    tiles: tuple[Spent, ...]
    uses: tuple[Use, ...]
    buffers: tuple[BufferUse, ...]
    links: tuple[LinkLoad, ...]
    bits_sent: int
    bits_arrived: int
    n_events: int
    bottleneck: str
    notes: tuple[str, ...]
    trace: Trace | None = None

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    @property
    def latency_s(self) -> float:
        """Of the first input, which has the chip for itself at first."""
        return self.end_s[0] - self.begin_s[0]

    @property
    def throughput_per_s(self) -> float:
        return 1 / self.period_s

    @property
    def occupancy(self) -> float:
        """Inputs on the chip at a time, mean over the run."""
        return sum(e - b for b, e in zip(self.begin_s, self.end_s, strict=True)) / self.run_s

    def metrics(self) -> dict[str, float]:
        """The figures of a table, SI units in the names."""
        return {
            "latency_s": self.latency_s,
            "period_s": self.period_s,
            "throughput_per_s": self.throughput_per_s,
            "occupancy": self.occupancy,
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; the trace has a file of its own."""
        return {
            **self.metrics(),
            "n_inputs": self.n_inputs,
            "begin_s": list(self.begin_s),
            "end_s": list(self.end_s),
            "bottleneck": self.bottleneck,
            **{
                name: [asdict(x) for x in getattr(self, name)]
                for name in ("layers", "tiles", "uses", "buffers", "links")
            },
            "bits_sent": self.bits_sent,
            "bits_arrived": self.bits_arrived,
            "n_events": self.n_events,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [
            f"{self.network} on {self.chip}, {self.n_inputs} inputs, {self.n_events:,} events",
            f"  latency      {si(self.latency_s, 's')} of the first input",
            f"  throughput   {self.throughput_per_s:,.4g} inputs/s, one every {si(self.period_s, 's')}",
            f"  bottleneck   {self.bottleneck}",
            f"  {'layer':<20}" + "".join(f"{way:>16}" for way in WAYS),
        ]
        for spent in self.layers:
            shares = (spent.seconds[way] / self.run_s for way in WAYS)
            lines.append(f"  {spent.name:<20}" + "".join(f"{share:>16.1%}" for share in shares))
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])
