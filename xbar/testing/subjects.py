"""What assertions are about: models, programs and outcomes, the data and the chip to judge them with, made ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

import mapping
from xbar import datasets
from xbar.datasets import Labelled
from xbar.errors import DataError, ModelError, XbarError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip, load_chip
from xbar.program import Program
from xbar.quantization import quantize
from xbar.sim import AdcResolution, calibrate_adc
from xbar.sweep.outcome import Outcome

Array = Tensor | np.ndarray
Data = str | Labelled | tuple[Array, Array]
AnyChip = str | Path | Chip
ROUNDING = 1e-9  # 0.97 - 0.96 is a little more than 0.01
_N_CALIBRATION = 512
_NO_DATA = "data: labelled images are needed, got none; give data='digits' or data=(images, labels)"


class Images:
    """Labelled images to judge by, and those that set the ranges of a model's activations; read when first used."""

    def __init__(self, data: Data) -> None:
        if isinstance(data, str):
            datasets.place_of(data)
        self._given = _labelled(data) if isinstance(data, tuple) else data
        if not isinstance(self._given, str | Labelled):
            raise DataError(
                f"data: must be a specification or (images, labels), got {type(data).__name__}; give for example "
                "data='digits'"
            )

    @cached_property
    def test(self) -> Labelled:
        return datasets.load(self._given, "test") if isinstance(self._given, str) else self._given

    @cached_property
    def calibration(self) -> Labelled:
        train = datasets.load(self._given, "train") if isinstance(self._given, str) else self._given
        return train.first(_N_CALIBRATION)

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Images and labels to judge by."""
        return torch.from_numpy(self.test.images), torch.from_numpy(self.test.labels)

    def accuracy(self, outputs: Tensor) -> float:
        """Share of the images whose largest output [image, class] is at their label."""
        labels = self.tensors[1]
        if not isinstance(outputs, Tensor) or outputs.dim() != 2 or len(outputs) != len(labels):
            got = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ModelError(f"model: must return scores [image, class] to have an accuracy, got {got}")
        if outputs.shape[1] <= int(labels.max()):
            raise DataError(f"data: labels go up to {int(labels.max())}, but the model has {outputs.shape[1]} outputs")
        return float((outputs.argmax(1) == labels).double().mean())


def _labelled(pair: tuple[Array, ...]) -> Labelled:
    """(images, labels) as they are, but for float64, which models do not take."""
    if len(pair) != 2 or not all(isinstance(part, Tensor | np.ndarray) for part in pair):
        got = ", ".join(type(part).__name__ for part in pair)
        raise DataError(f"data: must be (images, labels) as tensors or arrays, got ({got})")
    images, labels = (torch.as_tensor(part).detach().cpu() for part in pair)
    if images.dim() < 2 or labels.dim() != 1:
        raise DataError(
            f"data: must be images [image, ...] and labels [image], got {list(images.shape)} and {list(labels.shape)}; "
            "a label is the number of its class"
        )
    images = images.float() if images.is_floating_point() else images
    return Labelled("data", images.numpy(), labels.long().numpy())


@dataclass(frozen=True)
class Setting:
    """Where subjects are judged. problems: all that is wrong with subjects, data and chip."""

    images: Images | None
    chip: Chip | None
    problems: tuple[str, ...]

    @property
    def judged(self) -> Images:
        if self.images is None:
            raise DataError(_NO_DATA)
        return self.images


def setting(
    subjects: Mapping[str, object],
    data: Data | None,
    chip: AnyChip | None,
    *,
    needs_data: bool = False,
    needs_chip: bool = True,
    also: Mapping[type, str] | None = None,
) -> Setting:
    """Data and chip made ready.

    needs_data: whether a Program or an Outcome does; a model always does. needs_chip: whether a model does.
    also: types of subjects beside model, Program and Outcome, with their names.
    """
    problems, images, found = [], None, None
    also = {nn.Module: "a torch model", Program: "a Program", Outcome: "an Outcome", **(also or {})}
    models = [name for name, subject in subjects.items() if isinstance(subject, nn.Module)]
    for name, subject in subjects.items():
        if not isinstance(subject, tuple(also)) or isinstance(subject, bool):
            *most, last = also.values()
            problems.append(f"{name}: must be {', '.join(most)} or {last}, got {type(subject).__name__}")
    if data is not None:
        try:
            images = Images(data)
        except XbarError as error:
            problems += error.problems
    elif needs_data or models:
        problems.append(_NO_DATA)
    if chip is not None:
        try:
            found = chip if isinstance(chip, Chip) else load_chip(chip)
        except XbarError as error:
            problems += error.problems
        if not models:
            problems.append("chip: only a model needs one (a Program or an Outcome has its own); leave it out")
    elif models and needs_chip:
        problems.append(
            f"chip: needed for the model{'s' if len(models) > 1 else ''} given as {' and '.join(models)}, got none; "
            "give for example chip='isaac_isca_2016'"
        )
    return Setting(images, found, tuple(problems))


def program_of(name: str, subject: object, data: Data | Images | None, chip: Chip | None) -> Program:
    """The program of an outcome, or of a model on a chip; `name` says in errors which of the subjects it is."""
    if isinstance(subject, Outcome):
        return subject.program
    if isinstance(subject, Program):
        return subject
    assert isinstance(subject, nn.Module)
    assert data is not None
    assert chip is not None
    images = data if isinstance(data, Images) else Images(data)
    inputs = torch.from_numpy(images.calibration.images)
    try:
        program = mapping.compile(quantize(from_torch(subject, inputs[:2]), [inputs], chip), chip)
        waits = any(layer.adc.mode == "range" and layer.adc.full_scale is None for layer in program.layers)
        return calibrate_adc(program, inputs) if waits else program
    except XbarError as error:
        raise type(error)(f"{name}: {problem}" for problem in error.problems) from error


def n_slices(subject: object, chip: Chip | None) -> int | None:
    """Bit slices of a weight; None where it is not known, since the chip is missing."""
    if isinstance(subject, AdcResolution):
        return 1 + max(s.slice for s in subject.slices)
    program = subject.program if isinstance(subject, Outcome) else subject
    if isinstance(program, Program):
        return max(layer.n_slices for layer in program.layers)
    return None if chip is None else chip.n_slices


def slice_problems(where: str, slices: Iterable[object], n: int | None) -> list[str]:
    """n: how many slices there are, None where nobody knows."""
    problems = []
    for s in slices:
        if not is_whole(s):
            problems.append(f"{where}: a slice must be a whole number, got {s!r}; -1 is the most significant")
        elif n is not None and s not in range(-n, n):
            problems.append(f"{where}: a slice must be from {-n} to {n - 1}, as a weight has {n} slices, got {s}")
    return problems


def fraction_problems(**fractions: object) -> list[str]:
    return [
        f"{name}: must be a fraction from 0 to 1, got {value!r}; 0.01 is one percent"
        for name, value in fractions.items()
        if not (isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1)
    ]


def is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def points(loss: float) -> str:
    """A loss of accuracy in words."""
    return f"{100 * loss:.2f} percentage points"
