"""What is wrong with a training is told before its first epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from models import MLP
from torch import nn
from torch.optim import SGD

from xbar import datasets
from xbar.errors import TrainingError
from xbar.training.adc_aware import AdcAware
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.dry_run import Data, try_methods
from xbar.training.l1 import L1
from xbar.training.pruning import MagnitudePruning
from xbar.training.quantization_aware import QuantizationAware
from xbar.training.rank_clipping import RankClipping
from xbar.training.recipe import AugmentSettings, list_recipes, load_recipe
from xbar.training.stages import Stage
from xbar.training.trainer import CHECKPOINT, Training


class Pair(nn.Module):
    """Two answers where one is wanted."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.flatten(1), x


class Lost(nn.Module):
    """Raises what layers of torch do not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return {"other": x}["x"]


@pytest.fixture(scope="module")
def data() -> Data:
    train, test = (datasets.load("digits", split) for split in ("train", "test"))
    return Data(*(torch.from_numpy(a) for a in (train.images, train.labels, test.images, test.labels)))


@pytest.mark.parametrize("model", [MLP((16, 10)), MLP((64, 9)), nn.Flatten(0), Pair(), Lost()])
def test_a_model_that_does_not_suit_the_data_is_told_before_anything_runs(data: Data, model: nn.Module) -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], 0.1)
    with pytest.raises(
        TrainingError, match=r"model: (cannot take images of \[1, 8, 8\]|must give one number for each of 10)"
    ):
        Training(model, optimizer, {}, [Stage(1, 0.1)]).run(data)


def test_images_to_judge_by_are_like_those_to_learn_from(data: Data) -> None:
    other = Data(data.images, data.labels, data.test_images[:, :, 1:], data.test_labels)
    with pytest.raises(TrainingError, match=r"must be like those to learn from, \[1, 8, 8\], got \[1, 7, 8\]"):
        _training({}, [Stage(1, 0.1)]).run(other)


def test_images_are_compared_as_the_model_sees_them_and_stay_as_they_are(data: Data) -> None:
    padded = nn.functional.pad(data.images, (1, 1, 1, 1))
    before = padded.clone()

    def cropped(images: torch.Tensor, _: torch.Generator) -> torch.Tensor:
        return images.mul_(1.0)[..., 1:-1, 1:-1].add_(0.5)

    seen = Data(padded, data.labels, data.test_images, data.test_labels)
    assert len(_training({}, [Stage(1, 0.1)], augment=cropped).run(seen)) == 1
    assert torch.equal(padded, before)
    other = Data(padded, data.labels, padded[:9], data.labels[:9])
    with pytest.raises(TrainingError, match=r"like those to learn from, \[1, 8, 8\], got \[1, 10, 10\]"):
        _training({}, [Stage(1, 0.1)], augment=cropped).run(other)


def test_flat_images_cannot_be_shifted_or_mirrored(data: Data) -> None:
    flat = Data(data.images.flatten(1), data.labels, data.test_images.flatten(1), data.test_labels)
    with pytest.raises(TrainingError, match=r"augment: needs images \[channel, row, col\], got \[64\]; leave it out"):
        _training({}, [Stage(1, 0.1)], augment=AugmentSettings(mirror=True)).run(flat)


def test_a_last_batch_of_one_image_is_told_where_batch_norm_cannot_take_it(data: Data) -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    batch = len(data.images) - 1
    training = Training(model, SGD(model.parameters(), 0.1), {}, [Stage(1, 0.1)], batch=batch)
    with pytest.raises(
        TrainingError, match=f"batch: {batch} leaves one of {batch + 1} images .*Expected more than 1 value"
    ):
        training.run(data)


def test_a_last_batch_of_one_image_is_enough_for_batch_norm_of_whole_images(data: Data) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10))
    training = Training(model, SGD(model.parameters(), 0.1), {}, [Stage(1, 0.1)], batch=len(data.images) - 1)
    assert len(training.run(data)) == 1


def _training(methods: dict[str, Any], stages: list[Stage], **options: Any) -> Training:
    torch.manual_seed(0)
    model = MLP((64, 24, 10))
    return Training(model, SGD(model.parameters(), 0.1, momentum=0.5), methods, stages, **options)


def test_a_layer_of_a_later_stage_that_does_not_exist_is_told(data: Data, tmp_path: Path) -> None:
    stages = [Stage(1, 0.1), Stage(1, 0.1, attach=("slices",))]
    training = _training({"slices": BitSliceL1(1, layers=["fc1"])}, stages)
    with pytest.raises(TrainingError, match="stage 2: BitSliceL1: the model has no layer 'fc1'; it has 1, 3"):
        training.run(data, tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(
    "other", [MagnitudePruning(fraction=0.5), QuantizationAware("isaac_isca_2016")], ids=["masks", "quantization"]
)
def test_masks_and_quantization_do_not_fit_ranks_that_fall(data: Data, other: Any) -> None:
    stages = [Stage(1, 0.1), Stage(1, 0.1, attach=("ranks", "other"))]
    with pytest.raises(
        TrainingError, match=r"stage 2: \w+: layer 1\.u: its rank still falls, .*; finish rank clipping"
    ):
        _training({"ranks": RankClipping(), "other": other}, stages).run(data)


class Single(nn.Linear):
    """A layer that does not let itself be copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        raise RuntimeError("there is only one")


def test_what_cannot_be_copied_is_trained_all_the_same(data: Data) -> None:
    model = nn.Sequential(nn.Flatten(), Single(64, 10))
    stages, batch = [Stage(1, 0.1, attach=("l1",))], len(data.images) - 1
    training = Training(model, SGD(model.parameters(), 0.1), {"l1": L1(1)}, stages, batch=batch)
    assert len(training.run(data)) == 1


class Freeze(L1):
    """A method of a user's, which acts on more than it is given."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__(1.0)
        self.other: Callable[[], nn.Module] = lambda: other

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().attach(model, optimizer)
        self.other().requires_grad_(False)


def test_methods_of_others_act_only_when_their_stage_begins(data: Data) -> None:
    model = MLP((64, 24, 10))
    stages = [Stage(1, 0.1), Stage(1, 0.1, attach=("freeze",))]
    try_methods(model, SGD(model.parameters(), 0.1), {"freeze": Freeze(model[1])}, stages)
    assert model[1].weight.requires_grad


def test_what_follows_from_trained_weights_is_left_to_the_training() -> None:
    """No first weight reaches the threshold, and layers are one again while no rank has fallen."""
    model = MLP((64, 24, 10))
    methods = {"ranks": RankClipping(skip=["3"]), "l1": L1(1), "masks": MagnitudePruning(threshold=5, layers=["1.u"])}
    stages = [
        Stage(1, 0.1, attach=("ranks", "l1")),
        Stage(1, 0.1, finish=("l1",)),
        Stage(1, 0.1, finish=("ranks",), attach=("masks",)),
    ]
    before = [p.clone() for p in model.parameters()]
    try_methods(model, SGD(model.parameters(), 0.1), methods, stages)
    try_methods(
        model, SGD(model.parameters(), 0.1), {"masks": MagnitudePruning(threshold=5)}, [Stage(1, 1, ("masks",))]
    )
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not methods["ranks"].treated


@pytest.mark.parametrize("name", list_recipes())
def test_recipes_pass(name: str) -> None:
    training = load_recipe(name, {"data": "digits"}).training()
    try_methods(training.model, training.optimizer, training.methods, training.stages)
    assert all(not method.treated for method in training.methods.values())


def test_layers_that_nobody_calls_are_told(data: Data) -> None:
    """Attention reads the weights of its projection, so that nothing sees the inputs."""
    for make in (QuantizationAware, AdcAware):
        model = nn.Sequential(nn.Flatten(1), nn.Unflatten(1, (8, 8)), Attention(), nn.Flatten(), nn.Linear(64, 10))
        stages = [Stage(1, 0.1), Stage(1, 0.1, attach=("q",))]
        method = make("isaac_isca_2016", layers=["2.inner.out_proj", "4"])
        training = Training(model, SGD(model.parameters(), 0.1), {"q": method}, stages)
        with pytest.raises(
            TrainingError, match=rf"{make.__name__}: layer 2\.inner\.out_proj: its inputs cannot be seen"
        ):
            training.run(data)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.inner(x, x, x)[0]
        return attended
