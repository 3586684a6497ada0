"""What can be known to be wrong with a training before its first epoch: hours are lost if it is told later."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError
from xbar.training.base import MATRIX_MODULES, Method, check_present
from xbar.training.stages import Stage

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, eq=False)
class Data:
    """Images [n, ...] and labels [n] to learn from and to judge by."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def try_model(model: nn.Module, data: Data, batch: int, augment: Augment | None) -> None:
    """One image through the model, which stays as it was. Raises TrainingError where they do not suit each other."""
    shape, classes = list(data.images.shape[1:]), int(max(data.labels.max(), data.test_labels.max())) + 1
    images = data.images[:1].clone()
    if augment is not None:
        images = augment(images, torch.Generator())
    if images.shape[1:] != data.test_images.shape[1:]:
        raise TrainingError(
            f"data: images to judge by must be like those to learn from, {list(images.shape[1:])}, got "
            f"{list(data.test_images.shape[1:])}"
        )
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            outputs = model(images)
    except Exception as error:  # whatever a model of the user's raises at images that it does not expect
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(
            f"model: cannot take images of {shape} ({reason}); choose another network or data"
        ) from error
    finally:
        model.train(was_training)
    got = list(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or outputs.shape[1] < classes:
        raise TrainingError(
            f"model: must give one number for each of {classes} classes, got {got} for one image; "
            "choose another network or data"
        )
    if len(data.images) % batch == 1:
        try:
            _try_alone(model, images)
        except ValueError as error:
            raise TrainingError(
                f"batch: {batch} leaves one of {len(data.images)} images for the last batch, which the model cannot "
                f"take in training ({error}); choose another batch"
            ) from error


def _try_alone(model: nn.Module, image: Tensor) -> None:
    """One image in training, as the last batch has it: a BatchNorm of single values cannot take that."""
    try:
        model = copy.deepcopy(model)
    except Exception:  # what cannot be copied is tried in earnest only
        return
    with torch.no_grad(), torch.random.fork_rng():
        model.train()(image)


def try_methods(model: nn.Module, optimizer: Optimizer, methods: Mapping[str, Method], stages: Sequence[Stage]) -> None:
    """All stages on copies, without an epoch: a layer that no method finds is told before hours of training.

    Only the package's own methods: what others do when they are attached may reach beyond the copies.
    """
    try:
        model, optimizer, methods = copy.deepcopy((model, optimizer, methods))
    except Exception:  # what cannot be copied is tried in earnest only
        return
    active: dict[str, Method] = {}
    for number, stage in enumerate(stages, start=1):
        if not all(type(methods[name]).__module__.startswith("xbar.training.") for name in stage.attach):
            return
        try:
            before = _layers(model)
            for name in stage.finish:
                active.pop(name).finish()
            if _layers(model) != before:  # by ranks that have not fallen yet
                return
            for name in stage.attach:
                methods[name].attach(model, optimizer)
                active[name] = methods[name]
            check_present(active.items(), model)
        except LayerError as error:
            raise TrainingError(f"stage {number}: {problem}" for problem in error.problems) from error
        except Exception:  # of weights that are not trained yet; else told again in earnest
            return


def _layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, MATRIX_MODULES)]
