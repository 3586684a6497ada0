"""A training as a YAML file: network, data, methods and stages. `load_recipe("bit_slice_l1_zhang_2019")`, or your own.

model: mlp-784-300-10            # a network of `xbar.training.names.NETWORKS`, or my_package.nets:MyNet
data: mnist                      # as for `xbar run --data`
optimizer: {kind: sgd, momentum: 0.9}
methods:
  slices: {kind: bit_slice_l1, strength: 0.5}
stages:
  - {epochs: 20, lr: 0.01}
  - {epochs: 10, lr: 0.01, attach: [slices]}
"""

from __future__ import annotations

import difflib
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import SGD, Adam

from xbar import datasets
from xbar.config import Document, load_yaml, validate
from xbar.errors import ConfigError, DataError, TrainingError, XbarError
from xbar.settings import Settings, problems
from xbar.training.base import Method
from xbar.training.names import contents, method, network
from xbar.training.stages import Stage, stage_problems
from xbar.training.trainer import Data, Training


class StageSettings(Settings):
    """See `xbar.training.stages.Stage`."""

    epochs: int = Field(strict=True, ge=0)
    lr: float = Field(gt=0)
    attach: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    call: tuple[str, ...] = ()
    lr_every: int | None = Field(None, strict=True, ge=1)
    lr_factor: float = Field(0.5, gt=0, le=1)
    patience: int | None = Field(None, strict=True, ge=1)


class OptimizerSettings(Settings):
    """torch's SGD (with momentum) or Adam; weight decay as theirs."""

    kind: Literal["sgd", "adam"] = "sgd"
    momentum: float | None = Field(None, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _nothing_inert(self) -> OptimizerSettings:
        if self.kind == "adam" and self.momentum is not None:
            raise ValueError("momentum has no effect with kind: adam; remove it")
        return self

    def build(self, model: nn.Module, lr: float) -> SGD | Adam:
        if self.kind == "adam":
            return Adam(model.parameters(), lr, weight_decay=self.weight_decay)
        return SGD(model.parameters(), lr, momentum=self.momentum or 0.0, weight_decay=self.weight_decay)


class AugmentSettings(Settings):
    """Random changes of each image: shifted by up to `shift_px` pixels each way (zeros come in), half mirrored."""

    shift_px: int = Field(0, strict=True, ge=0)
    mirror: bool = Field(False, strict=True)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if images.dim() != 4:
            got = list(images.shape[1:])
            raise TrainingError(f"augment: needs images [channel, row, col], got {got}; leave it out")
        if self.shift_px:
            images = _shifted(images, self.shift_px, generator)
        if self.mirror:
            left = torch.rand(len(images), generator=generator).to(images.device) < 0.5
            images = torch.where(left[:, None, None, None], images.flip(-1), images)
        return images


class Recipe(Settings):
    """What a recipe file says.

    methods: any names, each with a `kind` (a file of xbar/training, or module:Class) and the arguments of that method.
    """

    name: str = ""
    citation: str = ""
    model: str
    data: str
    seed: int = Field(0, strict=True, ge=0)
    batch: int = Field(64, strict=True, ge=1)
    optimizer: OptimizerSettings = OptimizerSettings()
    augment: AugmentSettings | None = None
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    stages: tuple[StageSettings, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _everything_exists(self) -> Recipe:
        found: list[tuple[tuple[str | int, ...], str, Any]] = []
        try:
            network(self.model)
        except ValueError as error:
            found.append((("model",), str(error), self.model))
        built: dict[str, Method] = {}
        for name, arguments in self.methods.items():
            try:
                built[name] = method(arguments)
            except ValueError as error:
                found.append((("methods", name), str(error), None))
            except XbarError as error:
                found += [(("methods", name), problem, None) for problem in error.problems]
        if len(built) == len(self.methods):
            found += [(_place(problem), problem, None) for problem in stage_problems(built, self._stages())]
        if found:
            raise problems("Recipe", found)
        return self

    def _stages(self) -> list[Stage]:
        return [Stage(**stage.model_dump()) for stage in self.stages]

    def training(self) -> Training:
        """Network, optimizer and methods, ready to run; first weights follow from the seed. Raises TrainingError."""
        torch.manual_seed(self.seed)
        try:
            model = network(self.model)()
        except Exception as error:  # whatever a class of the user's raises
            raise TrainingError(
                f"model: {self.model} cannot be made without arguments ({type(error).__name__}: {error}); give them "
                "defaults, or correct the class"
            ) from error
        optimizer = self.optimizer.build(model, self.stages[0].lr)
        methods = {name: method(arguments) for name, arguments in self.methods.items()}
        settings = self.model_dump(mode="json", include={"model", "data", "optimizer", "augment"})
        settings["methods"] = {name: contents(arguments) for name, arguments in self.methods.items()}
        return Training(
            model,
            optimizer,
            methods,
            self._stages(),
            batch=self.batch,
            seed=self.seed,
            augment=self.augment,
            settings=settings,
        )

    def load_data(self) -> Data:
        """All images of the recipe's data. Raises DataError, too where there are none to learn from but the test's."""
        train, test = datasets.load(self.data, "train"), datasets.load(self.data, "test")
        if np.array_equal(train.images, test.images):
            raise DataError(
                f"data: {self.data} must have images to learn from, got only those to judge by; add train_images and "
                "train_labels"
            )
        return Data(*(torch.from_numpy(a) for a in (train.images, train.labels, test.images, test.labels)))


def _place(problem: str) -> tuple[str | int, ...]:
    """Where in a recipe a problem of its stages is: "stage 2: ..." names one of them."""
    number = problem.partition(":")[0].removeprefix("stage ")
    return ("stages", int(number) - 1) if number.isdigit() else ("stages",)


def _shifted(images: Tensor, shift_px: int, generator: torch.Generator) -> Tensor:
    n, _, rows, cols = images.shape
    padded = nn.functional.pad(images, (shift_px,) * 4)
    down, right = torch.randint(0, 2 * shift_px + 1, (2, n), generator=generator)
    row = (down[:, None] + torch.arange(rows)).to(images.device)
    col = (right[:, None] + torch.arange(cols)).to(images.device)
    image = torch.arange(n, device=images.device)
    return padded.permute(0, 2, 3, 1)[image[:, None, None], row[:, :, None], col[:, None, :]].permute(0, 3, 1, 2)


def list_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    files = importlib.resources.files("xbar.training") / "recipes"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files.iterdir() if f.name.endswith(".yaml")))


def load_recipe(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name (`list_recipes()`) or by the path of its YAML file.

    overrides: settings to change, {"stages.0.epochs": 2}. Raises ConfigError with every problem at once.
    """
    return validate(Recipe, _document(name_or_path), overrides)


def _document(name_or_path: str | Path) -> Document:
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name:
        return load_yaml(name_or_path)
    if name not in list_recipes():
        close = difflib.get_close_matches(name, list_recipes(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"the recipes are {', '.join(list_recipes())}"
        raise ConfigError(f"recipe: must be a known recipe or a .yaml file, got {name}; {hint}")
    with importlib.resources.as_file(importlib.resources.files("xbar.training") / "recipes" / f"{name}.yaml") as path:
        document = load_yaml(path)
    return Document(f"{name}.yaml", document.data, document.lines)
