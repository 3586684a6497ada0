"""The README's figure: LeNet-5 trained on the real MNIST, all 10,000 test images simulated on ISAAC."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from xbar.demo.train import fitted, write
from xbar.sweep.job import Job, run

RESULT = Path(__file__).parent / "results" / "lenet5_mnist_isaac.json"
EIGHT_BITS = {"precision.weight_bits": "8", "precision.input_bits": "8"}


def test_the_readme_prints_the_kept_result() -> None:
    kept = json.loads(RESULT.read_text())
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert kept["accuracy_float"] >= 0.99
    for name, text in kept["readme"].items():
        assert text in readme, f"{name}: README does not say {text}"


@pytest.mark.slow
@pytest.mark.skipif("XBAR_DATA" not in os.environ, reason="set XBAR_DATA to the folder that holds mnist/")
def test_lenet5_reaches_99_percent_and_keeps_it_on_isaac(tmp_path: Path) -> None:
    model, example = fitted("mnist")
    write(model, example, str(tmp_path / "lenet5.pt2"))
    outcome = run(Job(model=str(tmp_path / "lenet5.pt2"), data="mnist", settings=EIGHT_BITS))
    kept = json.loads(RESULT.read_text())
    assert outcome.n_inputs == 10_000
    assert outcome.accuracy_float >= 0.990
    assert outcome.accuracy_hardware == outcome.accuracy_quantized
    assert outcome.accuracy_hardware >= outcome.accuracy_float - 0.002
    # another processor may round the training differently; the bill depends on the weights only a little
    assert outcome.report.energy_J == pytest.approx(kept["metrics"]["energy_J"], rel=0.02)
    assert outcome.report.latency_s == pytest.approx(kept["metrics"]["latency_s"], rel=1e-6)
