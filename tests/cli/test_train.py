"""`xbar train` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hw_configs
from xbar import datasets, from_torch

RECIPE = """model: mlp-64-16-10
data: digits
optimizer: {momentum: 0.9}
methods:
  sparse: {kind: l1, strength: 0.1}
stages:
  - {epochs: 2, lr: 0.05}
  - {epochs: 1, lr: 0.05, attach: [sparse]}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return path


def test_a_trained_model_runs_on_a_chip(xbar, recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    code, out, _ = xbar("train", recipe, "--out", folder, "--seed", 3, "--set", "stages.0.epochs=4")
    assert code == 0
    assert out.count("accuracy") == 6
    figures = json.loads((folder / "training.json").read_text())
    assert figures["recipe"]["seed"] == 3
    assert len(figures["epochs"]) == 5
    assert figures["accuracy"] > 0.8
    code, out, _ = xbar("run", folder / "model.pt2", "--data", "digits", "--no-search")
    assert code == 0
    assert f"{figures['accuracy']:.2%} float32" in out


def test_the_last_line_tells_float32_and_the_epochs_what_the_method_shows(xbar, recipe: Path, tmp_path: Path) -> None:
    changes = "chip: {name: isaac_isca_2016, precision.weight_bits: 2, precision.input_bits: 1}"
    recipe.write_text(RECIPE.replace("kind: l1, strength: 0.1", f"kind: quantization_aware, {changes}"))
    _, out, _ = xbar("train", recipe, "--out", tmp_path / "out")
    figures = json.loads((tmp_path / "out" / "training.json").read_text())
    assert figures["epochs"][-1]["accuracy"] != figures["accuracy"]
    assert f"accuracy in float32 {figures['accuracy']:.2%}" in out


def test_learned_ranges_are_those_of_the_run(xbar, recipe: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("kind: l1, strength: 0.1", "kind: quantization_aware, chip: isaac_isca_2016")
    recipe.write_text(text)
    assert xbar("train", recipe, "--out", tmp_path / "aware")[0] == 0
    ranges = json.loads((tmp_path / "aware" / "training.json").read_text())["input_ranges"]
    assert sorted(ranges) == sorted(from_torch(tmp_path / "aware" / "model.pt2").input_ranges)
    assert from_torch(tmp_path / "aware" / "model.pt2").input_ranges == ranges


def test_another_recipe_in_the_same_folder_is_told(xbar, recipe: Path, tmp_path: Path) -> None:
    assert xbar("train", recipe, "--out", tmp_path)[0] == 0
    code, _, err = xbar("train", recipe, "--out", tmp_path, "--set", "methods.sparse.strength=50")
    assert code == 2
    assert "is of another training (different methods)" in " ".join(err.split())


def test_another_chip_in_a_file_of_the_same_name_is_told(xbar, recipe: Path, tmp_path: Path) -> None:
    chip = tmp_path / "chip.yaml"
    text = (Path(hw_configs.__file__).parent / "isaac_isca_2016.yaml").read_text()
    chip.write_text(text)
    recipe.write_text(RECIPE.replace("kind: l1, strength: 0.1", f"kind: quantization_aware, chip: {chip}"))
    assert xbar("train", recipe, "--out", tmp_path / "out")[0] == 0
    chip.write_text(text.replace("weight_bits: 16", "weight_bits: 2"))
    assert chip.read_text() != text
    code, _, err = xbar("train", recipe, "--out", tmp_path / "out")
    assert code == 2
    assert "is of another training (different methods)" in " ".join(err.split())


def test_images_to_judge_by_are_not_learned_from(xbar, recipe: Path, tmp_path: Path) -> None:
    test = datasets.load("digits", "test")
    np.savez(tmp_path / "own.npz", images=test.images, labels=test.labels)
    code, _, err = xbar("train", recipe, "--out", tmp_path / "out", "--data", f"npz:{tmp_path / 'own.npz'}")
    assert code == 2
    assert "add train_images and train_labels" in " ".join(err.split())


OWN = """import torch

class Wanting(torch.nn.Module):
    def __init__(self, size):
        super().__init__()

class Small(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(16, 10))

class Looking(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(64, 10))

    def forward(self, x):
        y = super().forward(x)
        return y if y.sum() > 0 else -y
"""


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("own_nets:Wanting", "model: own_nets:Wanting cannot be made without arguments (TypeError"),
        ("own_nets:Small", "model: cannot take images of [1, 8, 8]"),
        ("own_nets:Looking", "model: torch.export cannot trace it"),
        ("broken_nets:Any", "cannot import broken_nets (division by zero)"),
    ],
)
def test_a_network_of_ones_own_that_cannot_be_used_is_told_first(
    xbar, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, told: str
) -> None:
    (tmp_path / "own_nets.py").write_text(OWN)
    (tmp_path / "broken_nets.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    code, out, err = xbar("train", recipe, "--out", tmp_path / "out", "--set", f"model={model}")
    assert code == 2
    assert told in " ".join(err.split())
    assert "epoch" not in out


def test_a_result_that_cannot_be_written_is_told_first(xbar, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "training.json").mkdir(parents=True)
    code, out, err = xbar("train", recipe, "--out", tmp_path / "out")
    assert code == 2
    assert "training.json cannot be written (Is a directory)" in " ".join(err.split())
    assert "epoch" not in out


def test_a_training_that_is_done_only_tells_its_result_again(xbar, recipe: Path, tmp_path: Path) -> None:
    assert xbar("train", recipe, "--out", tmp_path)[0] == 0
    before = json.loads((tmp_path / "training.json").read_text())
    code, out, _ = xbar("train", recipe, "--out", tmp_path)
    assert code == 0
    assert "epoch" not in out
    assert json.loads((tmp_path / "training.json").read_text()) == before  # what it took included


def test_without_a_recipe_it_lists_them(xbar) -> None:
    from xbar.training.recipe import list_recipes

    code, out, _ = xbar("train")
    assert code == 0
    assert all(name in out for name in list_recipes())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "recipe: must be a known recipe or a .yaml file, got nothing"),
        (["{recipe}"], "--out: a training needs a folder"),
        (["nothing", "--out", "{folder}"], "recipe: must be a known recipe or a .yaml file, got nothing"),
        (["{recipe}", "--out", "{recipe}"], "cannot be written (File exists)"),
        (["{recipe}", "--out", "{folder}", "--set", "batch=0"], "--set batch"),
        (["{recipe}", "--out", "{folder}", "--data", "mnist:/nowhere"], "/nowhere does not exist"),
        (["{recipe}", "--out", "{folder}", "--set", "stages.1.attach=[gone]"], "must be one of the methods (sparse)"),
        (["{recipe}", "--out", "{folder}", "--set", "stages.0.lr=1e30"], "the loss must be finite"),
        (["{recipe}", "--out", "{folder}", "--set", "model=lenet5"], "model: cannot take images of [1, 8, 8]"),
    ],
)
def test_wrong_input_gives_one_clear_error(xbar, recipe: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    filled = [a.format(recipe=recipe, folder=tmp_path / "out") for a in arguments]
    code, _, err = xbar("train", *filled)
    assert code == 2
    assert told in err
    assert "Traceback" not in err
