"""Figures of an outcome from made-up runs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch
from close import approx
from small import counted, random_weights, small_chip, small_network

import mapping
from xbar.config import from_data, validate
from xbar.cost import estimate
from xbar.noise import NoiseModel
from xbar.program import Program
from xbar.result import Activity, SimResult
from xbar.spread import Spread
from xbar.sweep.outcome import Outcome, total_activity

READ = {"read": {"kind": "white", "sigma_rel": 0.1, "relative_to": "g_max"}}


def _program(**noise: Any) -> Program:
    chip = small_chip()
    if noise:
        chip = chip.model_copy(update={"noise": validate(NoiseModel, from_data({"name": "mine", **noise}, "test"))})
    return mapping.compile(small_network(random_weights([(6, 8)])), chip)


def _run(program: Program, saturations: int, clipped: int, active_rows: int) -> SimResult:
    activity = counted(program, 2, active_rows)
    layers = tuple(replace(layer, saturations=(saturations,), clipped_inputs=clipped) for layer in activity.layers)
    return SimResult(torch.zeros(2, 6), Activity(2, layers, activity.host))


def _outcome(
    program: Program, results: tuple[SimResult, ...], accuracies: tuple[float, ...], **changes: Any
) -> Outcome:
    known: dict[str, Any] = {
        "program": program,
        "seed": 3,
        "results": results,
        "report": estimate(program, total_activity(results)),
        "n_inputs": 2,
        "accuracy_float": 0.99,
        "accuracy_quantized": 0.98,
        "accuracy_ideal_cells": 0.97,
        "accuracy_no_noise": 0.96,
        "accuracy": Spread(accuracies),
        "adc": None,
        "errors": None,
    }
    return Outcome(**{**known, **changes})


def test_runs_are_averaged() -> None:
    program = _program(effects=READ)
    results = (_run(program, 4, 1, 5), _run(program, 8, 3, 5))
    outcome = _outcome(program, results, (0.9, 0.7))
    metrics = outcome.metrics()
    (layer,) = results[0].activity.layers
    assert metrics["saturated_rel"] == approx(6 / layer.count("conversions"))
    assert metrics["clipped_inputs_rel"] == approx(2 / (2 * 8))  # of 2 inputs of 8 activations
    assert metrics["energy_J"] == approx(estimate(program, results[0].activity).energy_J)
    assert (metrics["accuracy"], metrics["accuracy_worst"]) == (approx(0.8), 0.7)
    assert metrics["accuracy_std"] == approx(0.02**0.5)
    assert metrics["accuracy_ci95"] == approx(12.706204736432095 * 0.02**0.5 / 2**0.5)  # Student's t, 1 degree
    assert metrics["accuracy_ideal_cells"] == 0.97
    assert metrics["accuracy_no_noise"] == 0.96
    assert next(iter(metrics)) == "accuracy_float"  # what a sweep puts after the varied settings
    assert outcome.result is results[0]
    assert outcome.accuracy_hardware == approx(0.8)


def test_the_chain_goes_from_float_to_hardware() -> None:
    program = _program(effects=READ)
    outcome = _outcome(program, (_run(program, 0, 0, 5),), (0.9,))
    assert [value for _, value in outcome.chain()] == [0.99, 0.98, 0.97, 0.96, 0.9]
    ideal = _outcome(_program(), outcome.results, (0.9,), accuracy_ideal_cells=None, accuracy_no_noise=None)
    assert [value for _, value in ideal.chain()] == [0.99, 0.98, 0.9]


def test_what_has_no_spread_tells_none() -> None:
    spread = {"accuracy_std", "accuracy_ci95", "accuracy_worst"}
    program = _program(effects=READ)
    single = _outcome(program, (_run(program, 0, 0, 5),), (0.9,))
    assert not spread & single.metrics().keys()  # a single random run: nothing is known
    quiet = _program(effects={})
    assert spread <= _outcome(quiet, single.results, (0.9,)).metrics().keys()  # nothing is random: it is 0
    ideal = _outcome(_program(), single.results, (0.9,), accuracy_ideal_cells=None, accuracy_no_noise=None)
    assert not (spread | {"accuracy_ideal_cells", "accuracy_no_noise"}) & ideal.metrics().keys()


def test_it_is_json() -> None:
    program = _program(effects=READ, time_s=60)
    results = (_run(program, 4, 1, 5), _run(program, 8, 3, 5))
    found = json.loads(json.dumps(_outcome(program, results, (0.7, 0.9)).to_dict()))
    assert found["accuracy_of_runs"] == [0.7, 0.9]
    assert found["worst_run"] == 0
    assert found["seed"] == 3
    assert found["chip"]["noise"]["time_s"] == 60
    assert found["activity"]["n_inputs"] == 4  # of both runs
    assert found["error_sources"] is None
    assert found["activity"]["layers"][0]["cell_reads"] == 0  # cells without a conductance
    conducting = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 1e-5}
    chip = small_chip(device=conducting)
    program = mapping.compile(small_network(random_weights([(6, 8)])), chip)
    found = json.loads(json.dumps(_outcome(program, (_run(program, 0, 0, 5),), (0.7,)).to_dict()))
    assert found["activity"]["layers"][0]["cell_reads"] == 2 * 5 * 7.0
