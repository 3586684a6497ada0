"""Speed of spiking cores: against the plain twin, against their own rest, and of a whole chip against real time."""

from __future__ import annotations

import resource
import statistics
import time

import pytest
import torch
from spiking_chips import busy_chip

from xbar.sim.spiking import Method, simulate_spikes
from xbar.spiking.program import SpikingProgram
from xbar.spiking.result import SpikeState

PEER_S = 145e-6  # per core and tick, of a simulator in C++ at -O3 (RANC's, at the best)


def _seconds_per_tick(program: SpikingProgram, state: SpikeState, n_ticks: int, method: Method = "auto") -> float:
    """Of the ticks alone: what two lengths of run differ by."""
    took = []
    for n in (n_ticks // 4, n_ticks):
        start = time.perf_counter()
        simulate_spikes(program, n_ticks=n, state=state, method=method)
        took.append(time.perf_counter() - start)
    return (took[1] - took[0]) / (n_ticks - n_ticks // 4)


def _warm(program: SpikingProgram) -> SpikeState:
    return simulate_spikes(program, n_ticks=20).state


def test_kernels_beat_their_plain_twin_and_rest_is_cheap() -> None:
    """Coarse, since the machine may be shared: 20 times faster than numpy; 2 Hz cheaper than 20 Hz."""
    busy, calm = (busy_chip(rate, cols=8, rows=8) for rate in (20, 2))
    states = {20: _warm(busy), 2: _warm(calm)}
    rounds = [
        (
            _seconds_per_tick(busy, states[20], 4, "plain"),
            _seconds_per_tick(busy, states[20], 1500),
            _seconds_per_tick(calm, states[2], 1500),
        )
        for _ in range(3)
    ]
    plain, of_busy, of_calm = (statistics.median(column) for column in zip(*rounds, strict=True))
    assert plain > 20 * of_busy
    assert of_calm < of_busy


@pytest.mark.slow
def test_a_whole_chip_runs_at_half_of_real_time() -> None:
    """4,096 cores, 20 Hz, 128 synapses per neuron, random targets and delays: 500 ticks/s, on two threads, 2 GB.

    100 times less than the peer's time per core and tick, and at 2 Hz half the time of 20 Hz.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        chips = {rate: busy_chip(rate) for rate in (20, 2)}
        states = {rate: _warm(chip) for rate, chip in chips.items()}
        rounds = [{rate: _seconds_per_tick(chips[rate], states[rate], 1600) for rate in chips} for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    took = {rate: statistics.median(r[rate] for r in rounds) for rate in chips}
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print({f"{rate} Hz": f"{1 / s:.0f} ticks/s" for rate, s in took.items()}, f"{peak_bytes / 1e9:.2f} GB")
    assert took[20] <= 1 / 500
    assert took[20] / 4096 <= PEER_S / 100
    assert took[2] <= took[20] / 2
    assert peak_bytes < 2e9
