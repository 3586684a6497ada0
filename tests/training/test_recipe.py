"""Recipes: what a file says becomes a training, and everything wrong in it is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from xbar.errors import ConfigError
from xbar.training.l1 import L1
from xbar.training.recipe import AugmentSettings, list_recipes, load_recipe

GOOD = """
model: mlp-64-20-10
data: digits
optimizer: {kind: sgd, momentum: 0.9}
methods:
  sparse: {kind: l1, strength: 1.0}
stages:
  - {epochs: 1, lr: 0.05}
  - {epochs: 1, lr: 0.02, attach: [sparse], lr_every: 1}
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text.lstrip())
    return path


def test_a_file_becomes_a_training(tmp_path: Path) -> None:
    recipe = load_recipe(_file(tmp_path, GOOD))
    training = recipe.training()
    assert isinstance(training.methods["sparse"], L1)
    assert training.stages[1].attach == ("sparse",)
    history = training.run(recipe.load_data())
    assert [(e.stage, e.epoch) for e in history] == [(0, 0), (1, 0)]
    again = load_recipe(tmp_path / "mine.yaml").training()
    assert again.run(recipe.load_data()) == history
    assert load_recipe(tmp_path / "mine.yaml", {"seed": 1}).training().run(recipe.load_data()) != history


def test_adam_takes_no_momentum(tmp_path: Path) -> None:
    path = _file(tmp_path, GOOD)
    training = load_recipe(path, {"optimizer": {"kind": "adam", "weight_decay": 1e-4}}).training()
    assert isinstance(training.optimizer, torch.optim.Adam)
    with pytest.raises(ConfigError, match="momentum has no effect with kind: adam"):
        load_recipe(path, {"optimizer.kind": "adam"})


def test_everything_wrong_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace("mlp-64-20-10", "resnet21").replace("strength: 1.0", "strenght: 1.0")
    with pytest.raises(ConfigError) as caught:
        load_recipe(_file(tmp_path, text))
    told = "\n".join(caught.value.problems)
    assert "mine.yaml:1: model: must be a network, got resnet21; did you mean resnet20?" in told
    assert "mine.yaml:5: methods.sparse: L1: has no argument 'strenght'; did you mean strength?" in told
    assert "mine.yaml:5: methods.sparse: L1: needs 'strength'; give it a value" in told
    with pytest.raises(ConfigError, match=r"mine.yaml:7: stages.0.epochs: .*got -1"):
        load_recipe(_file(tmp_path, GOOD.replace("epochs: 1, lr: 0.05", "epochs: -1, lr: 0.05")))
    with pytest.raises(ConfigError, match=r"methods.sparse: L1: strength"):
        load_recipe(_file(tmp_path, GOOD.replace("strength: 1.0", "strength: -1.0")))
    with pytest.raises(ConfigError, match="did you mean l1"):
        load_recipe(_file(tmp_path, GOOD.replace("kind: l1", "kind: l11")))


def test_wrong_stages_are_told_with_their_lines_before_any_data_are_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(
            _file(tmp_path, GOOD.replace("attach: [sparse]", "attach: [nobody]").replace("digits", "mnist:gone"))
        )
    assert [problem.partition("mine.yaml:")[2] for problem in caught.value.problems] == [
        "8: stages.1: stage 2: attach: must be one of the methods (sparse), got 'nobody'",
        "6: stages: methods: 'sparse' is never attached; name it in a stage or leave it out",
    ]


def test_shifts_move_whole_images_and_mirrors_turn_them() -> None:
    image = torch.zeros(200, 1, 5, 5)
    image[:, 0, 2, 2] = 1
    image[:, 0, 2, 3] = 2
    generator = torch.Generator().manual_seed(0)
    shifted = AugmentSettings(shift_px=1)(image, generator)
    places = {tuple(place) for place in (shifted == 1).nonzero()[:, 2:].tolist()}
    assert places == {(r, c) for r in (1, 2, 3) for c in (1, 2, 3)}
    assert torch.equal(shifted.sum(dim=(1, 2, 3)), torch.full((200,), 3.0))
    mirrored = AugmentSettings(mirror=True)(image, generator)
    share = (mirrored[:, 0, 2, 1] == 2).float().mean()
    assert 0.4 < share < 0.6
    assert torch.equal(mirrored[:, 0, 2, 2], torch.ones(200))
    assert torch.equal(AugmentSettings()(image, generator), image)


@pytest.mark.parametrize("name", list_recipes())
def test_the_recipes_of_the_package_are_right(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.citation
    recipe.training()


def test_an_unknown_recipe_is_told_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"must be a known recipe or a \.yaml file, got nothing"):
        load_recipe("nothing")
