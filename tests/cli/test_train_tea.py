"""`xbar train` of a network of connection probabilities."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xbar.frontends.tea_model import load_bernoulli


def test_a_recipe_leaves_a_file_with_the_network(xbar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tea.yaml").write_text(
        "model: tests_tea_digits:Cores\ndata: digits\noptimizer: {kind: adam}\n"
        "methods: {tea: {kind: tea}, certain: {kind: truenorth_bias, strength: 1.0}}\n"
        "stages: [{epochs: 1, lr: 0.02, attach: [tea, certain]}]\n"
    )
    (tmp_path / "tests_tea_digits.py").write_text(
        "import numpy as np\nfrom xbar.training.tea_network import *\n"
        "class Cores(TeaNetwork):\n    def __init__(self):\n"
        "        lines = patches((1, 8, 8), 8, 8)\n"
        "        super().__init__(64, [TeaLayer(lines, *balanced(1, 64, 50, 10))], merged(50, 10))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = xbar("train", tmp_path / "tea.yaml", "--out", tmp_path / "out")
    assert code == 0, err
    found = load_bernoulli(tmp_path / "out" / "model.pt2")
    assert found is not None
    assert found.layers[0].probability.shape == (1, 64, 50)
    assert json.loads((tmp_path / "out" / "training.json").read_text())["accuracy"] > 0.5
    code, _, err = xbar("run", tmp_path / "out" / "model.pt2", "--data", "digits")
    assert code == 2
    assert "is a network of connection probabilities for spiking cores; run it with `xbar spike" in err
