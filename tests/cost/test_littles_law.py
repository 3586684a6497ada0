"""Little's law: inputs on the chip = inputs per second x time that each of them spends there (Little 1961)."""

from __future__ import annotations

import numpy as np
import pytest
from close import approx
from flow_networks import flow_network
from timed_chips import CYCLE_S, part, timed_chip

import mapping
from xbar.cost.cycles import cycles
from xbar.timing import Cycles

BATCH, FIRST, LAST = 40, 12, 28


def steady(name: str, capacity_bytes: int, tiles: int, budget: int | None) -> Cycles:
    """A long batch on a chip with a bus, converters and links that all take their time."""
    parts = {"bus": part("bus_bits", 16), "activation": part("activation_ops", 4), "ALU": part("digital_ops", 4)}
    chip = timed_chip(capacity_bytes, tiles, parts, core__crossbars=4)
    return cycles(mapping.outline(flow_network(name), chip, budget), BATCH, max_trace=10**6)


def messages(result: Cycles, label: str, each: int) -> np.ndarray:
    """Begin of the first and end of the last of the `each` messages that each input has on a link, [input, 2]."""
    trace = result.trace
    assert trace is not None
    own = trace.thread == trace.threads.index(label)
    begin, end = trace.begin_s[own].reshape(-1, each), trace.end_s[own].reshape(-1, each)
    return np.stack([begin[:, 0], end[:, -1]], axis=1)


@pytest.mark.parametrize(
    ("name", "rows_in", "messages_out", "capacity_bytes", "tiles", "budget"),
    [
        ("chain", 6, 1, 20, 4, None),
        ("chain", 6, 1, 40, 20, 20),
        ("residual", 6, 1, 60, 9, None),
        ("sequence", 5, 5, 12, 4, None),
        ("grouped", 18, 1, 64, 9, None),
    ],
)
def test_occupancy_is_throughput_times_latency(name, rows_in, messages_out, capacity_bytes, tiles, budget):
    """In the middle of the batch. Who is on the chip is counted from the messages on the links to the outside, over the
    window between two inputs' ends; throughput is that of the window, latency that of the inputs that end in it."""
    result = steady(name, capacity_bytes, tiles, budget)
    enters = messages(result, "link into the chip", rows_in)[:, 0]
    leaves = messages(result, "link out of the chip", messages_out)[:, 1]
    np.testing.assert_allclose(leaves, result.end_s, atol=1e-3 * CYCLE_S)
    assert (enters >= np.array(result.begin_s) - 1e-3 * CYCLE_S).all()  # a row that is sent may wait for the link
    low, high = leaves[FIRST], leaves[LAST]
    occupied_s = sum(np.clip(leaves, low, high) - np.clip(enters, low, high))
    throughput_per_s = (LAST - FIRST) / (high - low)
    latency_s = np.mean(leaves[FIRST + 1 : LAST + 1] - enters[FIRST + 1 : LAST + 1])
    assert occupied_s / (high - low) == approx(throughput_per_s * latency_s, rel=0.02)
    assert throughput_per_s == approx(result.throughput_per_s, rel=0.05)
    assert occupied_s / (high - low) >= 1
