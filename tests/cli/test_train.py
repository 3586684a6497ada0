"""`xbar train` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xbar import from_torch

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


def test_a_training_that_is_done_only_tells_its_result_again(xbar, recipe: Path, tmp_path: Path) -> None:
    assert xbar("train", recipe, "--out", tmp_path)[0] == 0
    before = json.loads((tmp_path / "training.json").read_text())
    code, out, _ = xbar("train", recipe, "--out", tmp_path)
    assert code == 0
    assert "epoch" not in out
    after = json.loads((tmp_path / "training.json").read_text())
    assert {**after, "seconds": 0} == {**before, "seconds": 0}


def test_without_a_recipe_it_lists_them(xbar) -> None:
    from xbar.training.recipe import list_recipes

    code, out, _ = xbar("train")
    assert code == 0
    assert all(name in out for name in list_recipes())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{recipe}"], "--out: a training needs a folder"),
        (["nothing", "--out", "{folder}"], "recipe: must be a known recipe or a .yaml file, got nothing"),
        (["{recipe}", "--out", "{recipe}"], "cannot be made"),
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
