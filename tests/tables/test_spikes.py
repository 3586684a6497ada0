"""The printed report of spiking cores says what the values say."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from close import approx
from rich.console import Console
from spike_examples import counted, outcome, silent, three_cores

from xbar.spiking.chip import load_spiking_chip
from xbar.sweep.spike_outcome import SpikeOutcome
from xbar.tables.chips import print_spiking_chip, print_spiking_chips
from xbar.tables.spikes import print_spikes


def printed(shown: SpikeOutcome, width: int = 120) -> str:
    console = Console(width=width, record=True, file=None, quiet=False)
    with console.capture() as capture:
        print_spikes(shown, console)
    return capture.get()


def test_everything_is_told() -> None:
    text = printed(outcome())
    for words in (
        "accuracy  50.00% of 2 inputs",
        "10 ticks of 1 ms for each of 2 inputs (by hand), seed 3",
        "7 spikes per input, counted from tick 1 on",
        "13 per input   260 Hz per used neuron   6 in   7 out   0 merged",
        "15 synaptic events per input   1.5 kSOPS, 23.65 MSOPS/W",
        "3 of 4",
        "471 nJ used cores at rest + 157 nJ idle cores",
        "in a pipeline, one every 2 ticks",
        "1 ms from an input spike",
        "weights are rounded",
        "not in the energy: the host",
    ):
        assert words in text, words


def test_the_busiest_cores_come_first() -> None:
    text = printed(outcome())
    rows = [
        line.split() for line in text[text.index("load of the cores") :].splitlines() if "(" in line and "," in line
    ]
    assert [row[:2] for row in rows] == [["second", "2"], ["first", "0"], ["first", "1"]]
    assert rows[1][2:] == ["(0,", "0)", "0.5", "0.7", "0.5", "1.5"]


def test_many_cores_are_cut_short_and_a_chip_of_others_is_fine() -> None:
    n = 20
    small = three_cores(load_spiking_chip("truenorth_science_2014", {"core.axons": 4, "core.neurons": 3}))
    many = {name: np.concatenate([getattr(small, name)[:1]] * n) for name in ("axon_type", "synapses")}
    targets = replace(
        small.targets,
        **{name: np.concatenate([getattr(small.targets, name)[:1]] * n) for name in ("core", "axon", "delay")},
    )
    program = replace(
        small, **many, targets=targets, neurons=small.neurons.take(np.zeros(n, int)), layer=("first",) * n,
        place=np.stack([np.arange(n), np.zeros(n, int)], axis=1).astype(np.int32),
    )  # fmt: skip
    each = np.arange(n)
    activity = replace(
        counted(), spikes=np.ones((n, 3), np.int64), axon_events=each, synaptic_events=each, updates=each
    )
    text = printed(outcome(activity, program))
    assert "and 4 cores more; --json lists them all" in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_run_without_spikes_or_labels(width: int) -> None:
    text = printed(replace(outcome(silent()), labels=None, accuracy=None, pipelined=None), width)
    assert "accuracy" not in text
    assert "2 inputs without any" in text
    assert "nan" not in text
    assert max(map(len, text.splitlines())) <= width


def test_an_outcome_becomes_json() -> None:
    data = json.loads(json.dumps(outcome().to_dict()))
    assert data["metrics"]["accuracy"] == 0.5
    assert data["busiest_link_spikes"] == 12
    assert data["votes"] == [[6, 1], [2, 5]]
    assert [core["core"] for core in data["cores"]] == [2, 0, 1]
    assert sum(core["hops"] for core in data["cores"]) * 20 == approx(34)
    assert data["report_pipelined"]["ticks_per_input"] == 2


def test_chips_of_spiking_cores() -> None:
    chip = load_spiking_chip("truenorth_science_2014")
    console = Console(width=80)
    with console.capture() as capture:
        print_spiking_chips([chip], console)
        print_spiking_chip(chip, console)
    text = capture.get()
    for words in (
        "truenorth_science_2014",
        "4,096",
        "256x256",
        "60.35 mW",
        "268,435,456 synapses",
        "2.299 pJ",
        "2.45 pJ",
    ):
        assert words in text, words
    assert "20 Hz, 128 synapses per neuron   66.19 mW" in text
