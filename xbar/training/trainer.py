"""A training in stages: methods come and go, every epoch is kept on disk, and what was killed goes on as if it was not.

images, labels = ...                                          # tensors
training = Training(model, optimizer, {"sparse": L1(10.0), "slices": BitSliceL1(0.5)}, [
    Stage(epochs=20, lr=0.01, attach=("sparse",)),
    Stage(epochs=10, lr=0.01, finish=("sparse",), attach=("slices",)),
])
history = training.run(Data(images, labels, test_images, test_labels), folder="runs/mine")
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from xbar.errors import OutputError, TrainingError
from xbar.rng import generator, key
from xbar.training.base import Method, check_present
from xbar.training.dry_run import Augment, Data, try_methods, try_model
from xbar.training.stages import Stage, stage_problems

CHECKPOINT = "checkpoint.pt"
_KEYS = {"stage", "epoch", "history", "seconds", "made_by", "finished", "found", "active", "model", "optimizer"}


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. loss: mean of cross entropy and penalties; zeros: share of weights that are exactly 0."""

    stage: int
    epoch: int
    loss: float
    accuracy: float
    zeros: float


@dataclass
class _Progress:
    """How far a training is: the next epoch of a stage, and what happened before."""

    stage: int = 0
    epoch: int = 0
    history: list[Epoch] = field(default_factory=list)


class Training:
    """A model, its optimizer, named methods and the stages in which they act.

    One optimizer serves all stages, because methods keep its momentum in order. Batches are drawn anew in every epoch
    from the seed; torch's own generator is seeded with every epoch, so that dropout repeats as well.
    settings: what else a checkpoint must have been written with to go on from it, plain numbers and texts by name (of a
    recipe: its model, data, optimizer and the arguments of its methods).
    seconds: what all epochs took, those before a kill included.
    Raises TrainingError with everything that is wrong with the stages.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        methods: Mapping[str, Method],
        stages: Sequence[Stage],
        *,
        batch: int = 64,
        seed: int = 0,
        augment: Augment | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.optimizer, self.methods, self.stages = model, optimizer, dict(methods), tuple(stages)
        self.batch, self.seed, self._augment = batch, seed, augment
        self.seconds = 0.0
        self._settings = dict(settings or {})
        self._active: list[str] = []
        self._finished: dict[str, dict[str, Any]] = {}
        self._found: dict[int, dict[str, Tensor]] = {}
        problems = stage_problems(self.methods, self.stages)
        if batch < 1:
            problems.append(f"batch: must be at least 1, got {batch}")
        if problems:
            raise TrainingError(problems)

    def run(
        self, data: Data, folder: str | Path | None = None, told: Callable[[Epoch], None] | None = None
    ) -> list[Epoch]:
        """All stages that are not done yet, then every method still attached is finished.

        folder: where the checkpoint of the last epoch is kept, and found again: a training that was killed goes on from
        there with the same result. told: gets every epoch as it ends.
        Raises TrainingError where the model does not suit the data, or the loss is not finite (the checkpoint of the
        epoch before stays), OutputError where the folder cannot be written.
        """
        try_model(self.model, data, self.batch, self._augment)
        try_methods(self.model, self.optimizer, self.methods, self.stages)
        file = None if folder is None else Path(folder) / CHECKPOINT
        progress = self._resumed(file) if file is not None and file.exists() else _Progress()
        for number in range(progress.stage, len(self.stages)):
            stage = self.stages[number]
            if progress.epoch == 0:
                self._enter(number, keep=file is not None)
            while not _is_over(stage, progress):
                start = time.perf_counter()
                done = self._epoch(data, number, progress.epoch)
                self.seconds += time.perf_counter() - start
                progress.history.append(done)
                progress.epoch += 1
                if file is not None:
                    self._keep(file, progress)
                if told is not None:
                    told(done)
            progress.stage, progress.epoch = number + 1, 0
        for name in tuple(self._active):
            self._finish(name)
        return progress.history

    def _enter(self, number: int, keep: bool) -> None:
        stage = self.stages[number]
        for name in stage.finish:
            self._finish(name)
        if stage.attach and keep:
            self._found[number] = {name: value.clone() for name, value in _tensors(self.model)}
        for name in stage.attach:
            self.methods[name].attach(self.model, self.optimizer)
            self._active.append(name)
        check_present([(name, self.methods[name]) for name in self._active], self.model)
        for step in stage.call:
            name, _, action = step.partition(".")
            getattr(self.methods[name], action)()

    def _finish(self, name: str) -> None:
        self._finished[name] = self.methods[name].state_dict()
        self.methods[name].finish()
        self._active.remove(name)

    def _epoch(self, data: Data, number: int, epoch: int) -> Epoch:
        stage, active = self.stages[number], [self.methods[name] for name in self._active]
        for group in self.optimizer.param_groups:
            group["lr"] = stage.lr * stage.lr_factor ** (epoch // stage.lr_every if stage.lr_every else 0)
        torch.manual_seed(key(self.seed, "epoch", number, epoch) >> 1)
        noise = torch.Generator().manual_seed(key(self.seed, "augment", number, epoch) >> 1)
        order = torch.from_numpy(generator(self.seed, "order", number, epoch).permutation(len(data.images)))
        self.model.train()
        total, n_steps = 0.0, 0
        for chosen in order.split(self.batch):
            images = data.images[chosen]
            if self._augment is not None:
                images = self._augment(images, noise)
            loss = functional.cross_entropy(self.model(images), data.labels[chosen])
            for method in active:
                loss = loss + method.penalty()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError(
                    f"stage {number + 1}, epoch {epoch + 1}: the loss must be finite, got {value} at step "
                    f"{n_steps + 1}; lower the learning rate or the strength of a method (an earlier checkpoint stays)"
                )
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            for method in active:
                method.after_step()
            total, n_steps = total + value, n_steps + 1
        score = accuracy(self.model, data.test_images, data.test_labels)
        return Epoch(number, epoch, total / max(n_steps, 1), score, zero_share(self.model))

    def _keep(self, file: Path, progress: _Progress) -> None:
        state = {
            "stage": progress.stage,
            "epoch": progress.epoch,
            "history": [asdict(e) for e in progress.history],
            "seconds": self.seconds,
            "made_by": self._made_by(),
            "finished": self._finished,
            "found": self._found,
            "active": {name: self.methods[name].state_dict() for name in self._active},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        beside = file.with_suffix(".new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, beside)
            beside.replace(file)  # at once: a kill leaves the old checkpoint or the new one
        except (OSError, RuntimeError) as error:  # torch's own writer knows only the second
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            reason = error.strerror if isinstance(error, OSError) else "no space, or no right to write"
            raise OutputError(f"{file}: cannot be written ({reason}); choose another folder") from error

    def _made_by(self) -> dict[str, Any]:
        """What a training must share with this one to go on from its checkpoint."""
        return {
            "stages": [asdict(s) for s in self.stages],
            "seed": self.seed,
            "batch": self.batch,
            "methods": {name: type(method).__name__ for name, method in self.methods.items()},
            "optimizer": type(self.optimizer).__name__,
            "settings": self._settings,
        }

    def _resumed(self, file: Path) -> _Progress:
        """Model, optimizer and methods as they were when the checkpoint was written."""
        try:
            state = torch.load(file, weights_only=True)
        except OSError as error:
            raise TrainingError(f"{file}: cannot be read ({error.strerror}); check its rights") from error
        except Exception as error:  # a file may be broken in as many ways as there are bytes
            lines = [line.strip() for line in str(error).splitlines() if "Unsupported global" in line]
            reason = f" ({lines[0][:200]})" if lines else ""
            raise TrainingError(f"{file}: is no checkpoint of a training{reason}; remove it to start anew") from error
        if not (isinstance(state, dict) and state.keys() >= _KEYS):
            raise TrainingError(f"{file}: is no checkpoint of a training, or of another version; remove it")
        mine = self._made_by()
        theirs = state.get("made_by", {})
        other = [name for name in mine if name != "settings" and theirs.get(name) != mine[name]]
        theirs_set = theirs.get("settings", {})
        other += sorted(n for n in {*theirs_set, *self._settings} if theirs_set.get(n) != self._settings.get(n))
        if other:
            raise TrainingError(
                f"{file}: is of another training (different {', '.join(dict.fromkeys(other))}); remove it or choose "
                "another folder"
            )
        for number, stage in enumerate(self.stages[: state["stage"] + 1]):
            for name in stage.finish:
                self.methods[name].finish()
            if stage.attach:
                _fill(self.model, state["found"][number])  # what the methods found when they were attached
            for name in stage.attach:
                self.methods[name].attach(self.model, self.optimizer)
                self.methods[name].load_state_dict({**state["finished"], **state["active"]}[name])
        self._finished, self._active, self._found = state["finished"], list(state["active"]), state["found"]
        self.seconds = state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        return _Progress(state["stage"], state["epoch"], [Epoch(**e) for e in state["history"]])


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Those of a state_dict, where modules may put anything else beside them."""
    return ((name, value) for name, value in model.state_dict().items() if isinstance(value, Tensor))


def _fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """The values of a state, but for factors whose rank is another by now."""
    for name, tensor in _tensors(model):
        if name in state and state[name].shape == tensor.shape:
            tensor.copy_(state[name])


def _is_over(stage: Stage, progress: _Progress) -> bool:
    if progress.epoch >= stage.epochs:
        return True
    if stage.patience is None or progress.epoch == 0:
        return False
    scores = [e.accuracy for e in progress.history if e.stage == progress.stage]
    return len(scores) > stage.patience + scores.index(max(scores))


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of the images whose largest output is the label."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        hits = sum(
            int((model(x).argmax(1) == y).sum()) for x, y in zip(images.split(500), labels.split(500), strict=True)
        )
    model.train(was_training)
    return hits / len(labels)


def zero_share(model: nn.Module) -> float:
    """Share of the weights (parameters of two or more axes) that are exactly 0."""
    weights = [p for p in model.parameters() if p.dim() >= 2]
    n = sum(p.numel() for p in weights)
    return sum(int((p == 0).sum()) for p in weights) / n if n else 0.0
