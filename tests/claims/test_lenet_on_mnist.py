"""The README's figure: LeNet-5 trained on the real MNIST, all 10,000 test images simulated on ISAAC."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from close import approx

from xbar.demo.train import fitted, write
from xbar.sweep.job import Job, run
from xbar.units import si

KEPT = json.loads((Path(__file__).parent / "results" / "lenet5_mnist_isaac.json").read_text())
EIGHT_BITS = {"precision.weight_bits": "8", "precision.input_bits": "8"}


def figures(kept: dict[str, Any]) -> dict[str, str]:
    """The kept result in the words of the README."""
    metrics = kept["metrics"]
    return {
        "float32": f"{metrics['accuracy_float']:.2%} float32",
        "integers": f"{metrics['accuracy_quantized']:.2%} integer network",
        "hardware": f"{metrics['accuracy']:.2%} on hardware",
        "energy": f"{si(metrics['energy_J'], 'J')} per inference",
        "power": f"{si(metrics['power_W'], 'W')} average",
        "efficiency": f"{metrics['tops_per_W']:.3g} TOPS/W",
        "latency": si(metrics["latency_s"], "s"),
        "throughput": f"{metrics['throughput_per_s']:,.0f} inferences/s",
        "fewer bits": f"{kept['uniform_bits']} bits: {kept['accuracy_uniform_bits']:.2%} of all 10,000",
    }


@pytest.mark.parametrize(("name", "text"), figures(KEPT).items())
def test_the_readme_prints_the_kept_result(name: str, text: str) -> None:
    assert text in (Path(__file__).parents[2] / "README.md").read_text(), name


def test_the_kept_result_is_good_enough() -> None:
    assert KEPT["n_inputs"] == 10_000
    assert KEPT["metrics"]["accuracy_float"] >= 0.990


@pytest.mark.slow
@pytest.mark.skipif("XBAR_DATA" not in os.environ, reason="set XBAR_DATA to the folder that holds mnist/")
def test_lenet5_reaches_99_percent_and_keeps_it_on_isaac(tmp_path: Path) -> None:
    model, example = fitted("mnist")
    write(model, example, str(tmp_path / "lenet5.pt2"))
    job = Job(model=str(tmp_path / "lenet5.pt2"), data="mnist", settings=EIGHT_BITS, max_loss=0.01)
    outcome = run(job)
    assert outcome.n_inputs == 10_000
    assert outcome.accuracy_float >= 0.990
    assert outcome.accuracy_hardware == outcome.accuracy_quantized
    assert outcome.accuracy_hardware >= outcome.accuracy_float - 0.002
    # another processor may round the training differently; the bill depends on the weights only a little
    assert outcome.report.energy_J == approx(KEPT["metrics"]["energy_J"], rel=0.02)
    assert outcome.report.latency_s == approx(KEPT["metrics"]["latency_s"], rel=1e-6)
    assert outcome.adc is not None
    fewer = {**EIGHT_BITS, "adc.bits": str(outcome.adc.uniform_bits)}
    assert run(replace(job, settings=fewer, max_loss=None)).accuracy_hardware >= outcome.accuracy_hardware - 0.02
