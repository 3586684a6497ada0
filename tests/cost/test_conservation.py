"""What holds for every network on every chip: nothing is lost, nothing is used twice, time does not run backwards."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from close import approx
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from timed_chips import outlines

from xbar.cost import estimate
from xbar.cost.cycles import cycles, simulate, without_limits
from xbar.cost.latency import analytic_pipeline
from xbar.cost.stations import Stations, stations
from xbar.kernels.cycle_state import (
    CONVERTING,
    FETCHED,
    JOINING,
    ON_LINK,
    READS,
    SUMMED,
    WORKING,
    WRITING,
    S,
)
from xbar.kernels.cycle_tables import N_UNITS, T
from xbar.traffic import OUTSIDE, edge_flows, takers

N_INPUTS = st.integers(1, 5)
MANY = 1 << 17  # intervals of a trace: all of them


@settings(max_examples=60, deadline=None)
@given(outlines(limited=False))
def test_without_limits_the_period_is_that_of_the_slowest_layer(outline):
    """To the femtosecond: copies read as the analytic pipeline says, and nothing else takes time."""
    state, _ = simulate(without_limits(stations(outline).tables), 24)
    slowest_fs = round(max(t.total_s for t in analytic_pipeline(outline)) * 1e15)
    assert np.diff(state[S.end])[-6:].tolist() == [slowest_fs] * 6


def rows_done(made: Stations) -> list[list[int]]:
    """When each row of each stream is complete if nothing but crossbars and converters takes time, in fs.

    A vector starts when the units that its row needs are complete, with all units before them, and when the crossbars
    of its copy are through with the vector before. Then they are read; a sample waits for the converters.
    """
    outline, t = made.outline, made.tables
    done: list[list[int]] = []
    convert_fs = defaultdict(int)
    read_fs = {}
    for lane, figures in enumerate(made.lanes):
        key = figures.layer, figures.copy
        convert_fs[key] = max(convert_fs[key], int(t[T.lane_convert_fs][lane]))
        read_fs[key] = int(t[T.lane_read_fs][lane])
    for stream in made.streams:
        ready = [0] * stream.rows
        for edge in stream.edges:
            units = [
                max(done[edge.source][a : b + 1]) for a, b in zip(edge.source_first, edge.source_last, strict=True)
            ]
            sent = np.maximum.accumulate(units)
            ready = [max(r, int(sent[needed])) for r, needed in zip(ready, edge.need_last, strict=True)]
        if stream.layer is None:
            done.append(np.maximum.accumulate(ready).tolist())
            continue
        layer = outline.layers[stream.layer]
        own = [0] * stream.rows
        free, converters, last = ([0] * layer.n_replicas for _ in range(3))
        for vector in range(layer.vectors_per_input):
            copy, row = vector % layer.n_replicas, vector // layer.vectors_per_row
            key, now = (stream.layer, copy), max(ready[row], free[copy])
            for _ in range(layer.n_pulses):
                now = max(now + read_fs[key], converters[copy])
                converters[copy] = now + convert_fs[key]
            free[copy], last[copy] = now, max(last[copy], converters[copy])
            own[row] = max(own[row], last[copy])
        done.append(own)
    return done


@settings(max_examples=60, deadline=None)
@given(outlines(limited=False))
def test_without_limits_the_first_input_goes_row_by_row(outline):
    made = stations(outline)
    state, _ = simulate(without_limits(made.tables), 1)
    assert made.streams[-1].kind == "sink"
    assert int(state[S.end][0]) == rows_done(made)[-1][0]


@settings(max_examples=40, deadline=None)
@given(outlines(), N_INPUTS)
def test_limits_only_make_it_slower(outline, n):
    made = stations(outline)
    (limited, _), (free, _) = simulate(made.tables, n), simulate(without_limits(made.tables), n)
    assert (limited[S.end] >= free[S.end]).all()


@settings(max_examples=60, deadline=None)
@given(outlines(), N_INPUTS, st.integers(1, 5))
def test_room_does_not_slow_crossbars_down(outline, n, more):
    """Where only crossbars take time, and each layer has one copy. It does slow down who waits for links, ports and
    buses, which serve in the order of request: rows that now set out earlier go before rows that are needed sooner."""
    assume(all(layer.n_replicas == 1 for layer in outline.layers))
    tables = without_limits(stations(outline).tables)
    slots = stations(outline).tables[T.inbox_slots]
    (few, _), (many, _) = (simulate(tables.replaced({T.inbox_slots: s}), n) for s in (slots, slots + more))
    assert (many[S.end] <= few[S.end]).all()


@settings(max_examples=40, deadline=None)
@given(outlines(), N_INPUTS)
def test_the_same_twice(outline, n):
    assert cycles(outline, n, MANY) == cycles(outline, n, MANY)


@settings(max_examples=60, deadline=None)
@given(outlines(), N_INPUTS)
def test_every_bit_arrives_and_crosses_the_links_that_it_is_counted_for(outline, n):
    made, result = stations(outline), cycles(outline, n)
    sent = 0
    for stream in made.streams:
        receiver = None if stream.kind == "sink" else stream
        for edge in stream.edges:
            sent += edge.n_units * sum(f.bits * len(f.targets) for f in edge_flows(outline, edge, receiver))
    for layer in outline.layers:
        for copy in range(layer.n_replicas):
            vectors = len(range(copy, layer.vectors_per_input, layer.n_replicas))
            sent += vectors * sum(layer.moved_sums(copy).values()) * layer.sum_bits
    assert result.bits_sent == result.bits_arrived == n * sent
    inside = sum(link.bits for link in result.links if link.ends is not None)
    assert inside == n * sum(layer.link_bits_per_input for layer in outline.layers)
    assert sum(link.bits for link in result.links) - inside == n * outline.host_ops["offchip_bits"]


@settings(max_examples=60, deadline=None)
@given(outlines(), N_INPUTS)
def test_the_bits_of_bus_and_buffer_are_those_of_the_bill(outline, n):
    """A word of the buffers is a bit here. Copies that straddle tiles differently fetch from other buffers; without
    them the times are those of the activity's bits: each fetch from a buffer, and what arrives there."""
    made, chip = stations(outline), outline.chip
    state, _ = simulate(made.tables, n)
    assume(all(layer.n_replicas == 1 for layer in outline.layers))
    vectors = np.array([layer.vectors_per_input for layer in outline.layers])
    bus = n * vectors @ [layer.per_vector.bus_bits for layer in outline.layers]
    read = n * vectors @ [layer.per_vector.buffer_read_bits for layer in outline.layers]
    rate = chip.events_per_s("bus_bits")
    if rate is not None:
        assert state[S.bus_busy].sum() * 1e-15 * rate == approx(bus, rel=1e-6)
    into = sum(
        edge.n_units * flow.bits * len(takers(outline, stream) if stream.kind == "layer" else flow.targets)
        for stream in outline.flow.streams
        for edge in stream.edges
        for flow in edge_flows(outline, edge, stream)
        if OUTSIDE not in flow.targets and stream.at is not None
    )
    word_fs = int(made.tables[T.tile_word_fs][0])
    assert state[S.port_busy].sum() == (read + n * into) * word_fs


@settings(max_examples=60, deadline=None)
@given(outlines(), N_INPUTS)
def test_time_and_energy_close(outline, n):
    """The ways of spending it add up to the run; shares are 1 at most; parts add up; stalls cost only leakage."""
    result = cycles(outline, n)
    for spent in (*result.layers, *result.tiles):
        assert min(spent.seconds.values()) >= 0
        assert sum(spent.seconds.values()) == approx(result.run_s, rel=1e-9)
        assert spent.busy_s + spent.stalled_s + spent.seconds["idle"] == approx(result.run_s, rel=1e-9)
    cores = {spent.name: spent.n_cores for spent in result.layers}
    assert cores == {layer.name: layer.cores * layer.n_replicas for layer in outline.layers}
    assert sum(cores.values()) == sum(spent.n_cores for spent in result.tiles)
    assert all(0 <= use.share <= 1 for use in result.uses)
    assert all(0 <= link.busy_s <= result.run_s * (1 + 1e-12) and link.waited_s >= 0 for link in result.links)
    assert all(0 <= begin < end <= result.run_s for begin, end in zip(result.begin_s, result.end_s, strict=True))
    assert np.all(np.diff(result.end_s) >= 0)
    lent = any("lie in those of other tiles" in note for note in result.notes)
    assert lent or all(b.capacity_bytes is None or b.high_bytes <= b.capacity_bytes for b in result.buffers)
    with_cycles, without = estimate(outline, None, result), estimate(outline)
    for report in (with_cycles, without):
        for key in ("part", "layer", "level"):
            sums = report.by(key).values()
            assert sum(s.energy_J for s in sums) == approx(report.energy_J)
            assert sum(s.area_m2 for s in sums) == approx(report.area_m2)
    assert [e.dynamic_J for e in with_cycles.ledger] == [e.dynamic_J for e in without.ledger]
    leaks_W = outline.chip.total().leakage_W * outline.n_chips
    assert sum(e.leakage_J for e in with_cycles.ledger) == approx(leaks_W * result.period_s)
    assert with_cycles.latency_s == result.latency_s


@settings(max_examples=60, deadline=None)
@given(outlines(), N_INPUTS)
def test_nothing_is_used_twice_at_a_time(outline, n):
    """Lanes, converters, links, buses, digital units one after another; of a buffer's ports as many as there are."""
    made = stations(outline)
    state, run_fs = simulate(made.tables, n, MANY)
    t = made.tables
    assert state[S.n_traced][0] <= MANY
    trace = state[S.trace][: state[S.n_traced][0]]
    assert (trace[:, 2] <= trace[:, 3]).all()
    assert trace[:, 2].min() >= 0
    assert trace[:, 3].max() <= run_fs
    used: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for kind, index, begin, end, detail, _ in trace.tolist():
        if kind in (READS, CONVERTING, FETCHED, ON_LINK):
            if kind != CONVERTING or not t[T.cycle_fs][0]:  # stages round conversions up
                used[str(kind), index].append((begin, end))
        elif kind == SUMMED:
            used["bus", int(t[T.site_tile][t[T.lane_site][index]])].append((begin, end))
        elif kind == WORKING:
            used["unit", int(t[T.home_tile][index]) * N_UNITS + detail].append((begin, end))
        elif kind == JOINING:
            used["unit", int(t[T.site_tile][index]) * N_UNITS + N_UNITS - 1].append((begin, end))
        if kind == FETCHED:
            tile, bus_fs = int(t[T.site_tile][t[T.lane_site][index]]), int(t[T.lane_bus_fs][index])
            used["bus", tile].append((begin, begin + bus_fs))
            used["ports", tile].append((begin, begin + int(t[T.lane_port_fs][index])))
        elif kind == WRITING:
            used["ports", index].append((begin, end))
    for (resource, index), intervals in used.items():
        at_a_time = int(t[T.tile_ports][index]) if resource == "ports" else 1
        assert most_at_a_time(intervals) <= at_a_time, (resource, index)


def most_at_a_time(intervals: list[tuple[int, int]]) -> int:
    """Of half-open intervals."""
    steps = sorted([(begin, 1) for begin, end in intervals if end > begin] + [(e, -1) for b, e in intervals if e > b])
    return int(np.cumsum([step for _, step in steps]).max(initial=0))


@settings(max_examples=40, deadline=None)
@given(outlines(), N_INPUTS)
def test_every_vector_goes_its_way_in_order(outline, n):
    """A lane fetches before it reads, reads before it converts, and takes its vectors one after another; every vector
    of every copy is read in every tile of the copy."""
    made = stations(outline)
    state, run_fs = simulate(made.tables, n, MANY)
    trace = state[S.trace][: state[S.n_traced][0]]
    by_kind = {
        kind: {(index, j): (begin, end) for k, index, begin, end, j, _ in trace.tolist() if k == kind}
        for kind in (FETCHED, READS, CONVERTING, SUMMED)
    }
    counts = [
        n
        * len(
            range(
                lane.copy, made.outline.layers[lane.layer].vectors_per_input, made.outline.layers[lane.layer].n_replicas
            )
        )
        for lane in made.lanes
    ]
    assert sorted(by_kind[READS]) == [(lane, j) for lane, count in enumerate(counts) for j in range(count)]
    for (lane, j), (begin, end) in by_kind[READS].items():
        assert end - begin >= made.tables[T.lane_pulses][lane] * made.tables[T.lane_read_fs][lane]
        assert by_kind[FETCHED].get((lane, j), (0, begin))[1] <= begin
        assert j == 0 or by_kind[READS][lane, j - 1][1] <= begin
        assert by_kind[CONVERTING].get((lane, j), (begin, end))[0] >= begin
        assert by_kind[SUMMED].get((lane, j), (run_fs, 0))[0] >= by_kind[CONVERTING].get((lane, j), (end, end))[1]
