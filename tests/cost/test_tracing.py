"""What a trace of the cycle model holds, against the rules of the Trace Event Format and the run that it is of."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from close import approx
from models import ResNet20

import mapping
import xbar
from xbar.cost.cycles import cycles
from xbar.outline import Outline
from xbar.timing import KINDS, Cycles

N_INPUTS = 2


@pytest.fixture(scope="module")
def outline() -> Outline:
    """A small residual network on ISAAC, with copies and joins, over several tiles."""
    network = xbar.from_torch(ResNet20(width=8, blocks=1).eval(), torch.zeros(2, 3, 32, 32))
    digital = {"event": "digital_ops", "area_m2": 0, "energy_J": 0, "rate_Hz": 1e9}
    return mapping.outline(network, xbar.load_chip("isaac_isca_2016", {"tile.parts.ALU": digital}), tile_budget=6)


@pytest.fixture(scope="module")
def run(outline: Outline) -> Cycles:
    return cycles(outline, N_INPUTS, max_trace=1_000_000)


def test_every_kind_is_there_and_nothing_overlaps_in_a_thread(run: Cycles):
    trace = run.trace
    assert trace is not None
    assert trace.n_lost == 0
    assert {KINDS[kind] for kind in np.unique(trace.kind)} == set(KINDS)
    assert (np.diff(trace.begin_s) >= 0).all()
    assert (trace.duration_s > 0).all()
    assert trace.end_s.max() <= run.run_s * (1 + 1e-12)
    ends: dict[tuple[int, int], float] = defaultdict(float)
    for place, begin, end in zip(
        zip(trace.process, trace.thread, strict=True), trace.begin_s, trace.end_s, strict=True
    ):
        assert begin >= ends[place] - 1e-16
        ends[place] = end


def test_reads_are_those_of_the_layers(outline: Outline, run: Cycles):
    """Every vector of every input is read once in each tile of its copy, row by row; times are those that are told."""
    trace, streams = run.trace, outline.flow.streams
    assert trace is not None
    reads = trace.kind == KINDS.index("reads")
    for i, stream in enumerate(streams):
        if stream.layer is None:
            continue
        layer = outline.layers[stream.layer]
        own = reads & (trace.stream == i)
        lanes = [len(layer.tiles_of(copy)) for copy in range(layer.n_replicas)]
        vectors = [len(range(copy, layer.vectors_per_input, layer.n_replicas)) for copy in range(layer.n_replicas)]
        assert own.sum() == N_INPUTS * np.dot(lanes, vectors)
        for k in range(N_INPUTS):
            rows = np.unique(trace.row[own & (trace.n_input == k)])
            assert rows.tolist() == list(range(stream.rows))
        if layer.n_replicas == 1 and len(layer.tiles_of(0)) == 1:
            spent = next(s for s in run.layers if s.name == layer.name).seconds
            assert trace.duration_s[own].sum() == approx(spent["read"] + spent["ADC busy"])


def test_messages_carry_what_the_links_are_told_to_carry(run: Cycles):
    trace = run.trace
    assert trace is not None
    found: dict[str, float] = defaultdict(float)
    for i in np.flatnonzero(trace.kind == KINDS.index("message")):
        found[trace.threads[trace.thread[i]]] += trace.duration_s[i]
    told = {link.label: link.busy_s for link in run.links if link.busy_s > 0}
    assert found == approx(told)


def test_joins_are_done_row_by_row(outline: Outline, run: Cycles):
    trace = run.trace
    assert trace is not None
    joins = [i for i, stream in enumerate(outline.flow.streams) if stream.kind == "join" and stream.ops]
    assert joins
    for i in joins:
        own = (trace.kind == KINDS.index("join")) & (trace.stream == i)
        seen = {(int(k), int(row)) for k, row in zip(trace.n_input[own], trace.row[own], strict=True)}
        assert seen == {(k, row) for k in range(N_INPUTS) for row in range(outline.flow.streams[i].rows)}


def test_a_file_follows_the_trace_event_format(run: Cycles, tmp_path: Path):
    """Complete events by rising ts, in microseconds, nested or apart in each thread, all threads and processes named
    (ids above 0, threads with an id of their own); viewers need no more."""
    assert run.trace is not None
    run.trace.save(tmp_path / "trace.json")
    found = json.loads((tmp_path / "trace.json").read_text())
    assert found["displayTimeUnit"] == "ns"
    events = found["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert len(spans) == len(run.trace)
    assert len(spans) + sum(event["ph"] == "M" for event in events) == len(events)
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in spans} == named
    assert len({tid for _, tid in named}) == len(named)
    assert {e["pid"] for e in spans} == {e["pid"] for e in events if e["name"] == "process_name"}
    ends: dict[int, float] = defaultdict(float)
    before = 0.0
    for event in spans:
        assert event["pid"] > 0 < event["tid"]
        assert event["ts"] >= before
        assert event["ts"] >= ends[event["tid"]] - 2e-6  # rounded to picoseconds
        before, ends[event["tid"]] = event["ts"], event["ts"] + event["dur"]
    assert before == approx(1e6 * run.trace.begin_s[-1])


def test_what_is_beyond_the_limit_is_counted(outline: Outline, run: Cycles):
    assert run.trace is not None
    few = cycles(outline, N_INPUTS, max_trace=100).trace
    assert few is not None
    assert len(few) <= 100
    assert len(few) + few.n_lost >= len(run.trace)
    assert cycles(outline, N_INPUTS).trace is None
