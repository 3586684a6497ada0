"""Trainings in stages: what happens when, and that a killed one goes on with the same result."""

from __future__ import annotations

import dataclasses
import itertools
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from models import MLP
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from xbar import datasets
from xbar.errors import OutputError, TrainingError
from xbar.training.base import Method, Treated, find_layers
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.l1 import L1
from xbar.training.pruning import MagnitudePruning
from xbar.training.rank_clipping import RankClipping
from xbar.training.stages import Stage
from xbar.training.trainer import CHECKPOINT, Data, Epoch, Training, accuracy, zero_share


class Decay(Method):
    """Squared weights; remembers how often it acted, and acts harder after `harden`."""

    def __init__(self, strength: float = 1e-3) -> None:
        self.strength, self.steps, self.log = strength, 0, list[str]()
        self._found: tuple[Treated, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._found = find_layers("Decay", model, optimizer)
        self.log.append("attach")

    def penalty(self) -> Tensor:
        return self.strength * torch.stack([(t.parameter**2).sum() for t in self._found]).sum()

    def harden(self) -> None:
        self.strength *= 10
        self.log.append("harden")

    def after_step(self) -> None:
        self.steps += 1

    def finish(self) -> None:
        self.log.append(f"finish after {self.steps}")

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "strength": self.strength}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.strength = state["steps"], state["strength"]


class Dropped(nn.Sequential):
    """An MLP with dropout, whose random numbers must repeat as well."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 10))


STAGES = (
    Stage(2, 0.1, attach=("early",), lr_every=1),
    Stage(2, 0.05, finish=("early",), attach=("late",), call=("late.harden",)),
)


@pytest.fixture(scope="module")
def data() -> Data:
    train, test = (datasets.load("digits", split) for split in ("train", "test"))
    return Data(*(torch.from_numpy(a) for a in (train.images, train.labels, test.images, test.labels)))


def _training(stages: tuple[Stage, ...] = STAGES, seed: int = 0, **options: Any) -> Training:
    torch.manual_seed(1)
    model = Dropped()
    methods = {name: Decay() for stage in stages for name in stage.attach}
    return Training(model, SGD(model.parameters(), 0.1, momentum=0.9), methods, stages, seed=seed, **options)


def _weights(training: Training) -> Tensor:
    return nn.utils.parameters_to_vector(training.model.parameters())


def test_stages_attach_call_and_finish_in_order(data: Data) -> None:
    training = _training()
    history = training.run(data)
    n = -(-len(data.images) // 64)
    assert [(e.stage, e.epoch) for e in history] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert training.methods["early"].log == ["attach", f"finish after {2 * n}"]
    assert training.methods["late"].log == ["attach", "harden", f"finish after {2 * n}"]
    assert training.optimizer.param_groups[0]["lr"] == 0.05
    assert history[-1].accuracy > 0.85
    assert history[-1].loss < history[0].loss
    assert history[-1].accuracy == accuracy(training.model, data.test_images, data.test_labels)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(data: Data) -> None:
    one, same, other = _training(), _training(), _training(seed=1)
    histories = [training.run(data) for training in (one, same, other)]
    assert torch.equal(_weights(one), _weights(same))
    assert histories[0] == histories[1]
    assert not torch.equal(_weights(one), _weights(other))


@pytest.mark.parametrize("killed_after", [1, 2, 3, 4])
def test_a_killed_training_goes_on_with_the_same_result(data: Data, tmp_path: Path, killed_after: int) -> None:
    whole = _training()
    history = whole.run(data)
    seen: list[Epoch] = []

    def kill(epoch: Epoch) -> None:
        seen.append(epoch)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _training().run(data, tmp_path, kill)
    resumed, more = _training(), list[Epoch]()
    assert resumed.run(data, tmp_path, more.append) == history
    assert len(more) == 4 - killed_after
    assert torch.equal(_weights(resumed), _weights(whole))
    assert resumed.methods["late"].strength == whole.methods["late"].strength
    assert not list(tmp_path.glob("*.new"))


def test_a_method_that_looks_at_weights_when_attached_goes_on_as_well(data: Data, tmp_path: Path) -> None:
    """First weights are all below the threshold, trained ones are not; and another method renames them later."""

    def pruned() -> Training:
        torch.manual_seed(1)
        model = MLP((64, 24, 10))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.1)
        stages = [Stage(3, 0.2), Stage(2, 0.05, attach=("masks", "slices"))]
        methods = {"masks": MagnitudePruning(threshold=0.05), "slices": BitSliceL1(0.1)}
        return Training(model, SGD(model.parameters(), 0.2, momentum=0.9), methods, stages)

    whole = pruned()
    history = whole.run(data)

    def kill(epoch: Epoch) -> None:
        if epoch.stage == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pruned().run(data, tmp_path, kill)
    resumed = pruned()
    assert resumed.run(data, tmp_path) == history
    assert torch.equal(_weights(resumed), _weights(whole))


def test_the_seconds_of_all_epochs_add_up(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("xbar.training.trainer.time.perf_counter", lambda: float(next(ticks)))

    def kill(epoch: Epoch) -> None:
        if (epoch.stage, epoch.epoch) == (1, 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _training().run(data, tmp_path, kill)
    resumed = _training()
    resumed.run(data, tmp_path)
    assert resumed.seconds == 4.0  # one for each epoch


def test_masks_go_on_after_weights_fell_below_their_threshold(data: Data, tmp_path: Path) -> None:
    """A method is attached anew to what it found, not to what became of that."""

    def pruned() -> Training:
        torch.manual_seed(1)
        model = MLP((64, 24, 10))
        stages = [Stage(1, 0.1, attach=("masks",)), Stage(3, 0.05, attach=("decay",))]
        methods = {"masks": MagnitudePruning(threshold=0.1), "decay": Decay(0.5)}
        return Training(model, SGD(model.parameters(), 0.1, momentum=0.9), methods, stages)

    whole = pruned()
    history = whole.run(data, tmp_path)
    assert max(float(p.detach().abs().max()) for p in whole.model.parameters() if p.dim() == 2) < 0.1
    resumed = pruned()
    assert resumed.run(data, tmp_path) == history
    assert torch.equal(_weights(resumed), _weights(whole))


def test_a_method_whose_weights_are_gone_is_told(data: Data) -> None:
    model = MLP((64, 24, 10))
    methods = {"masks": MagnitudePruning(fraction=0.5), "ranks": RankClipping(skip=["3"])}
    stages = [Stage(1, 0.1, attach=("masks",)), Stage(1, 0.1, attach=("ranks",))]
    training = Training(model, SGD(model.parameters(), 0.1), methods, stages)
    with pytest.raises(TrainingError, match=r"stage 2: masks: works on weights of 1 that the model has no more"):
        training.run(data)


def test_a_penalty_on_factors_that_are_put_back_is_told(data: Data) -> None:
    """Only the training knows which ranks fall."""
    model = MLP((64, 24, 10))
    methods = {"ranks": RankClipping(eps=1e-9, skip=["3"]), "l1": L1(1e-3)}
    stages = [Stage(1, 0.1, attach=("ranks", "l1")), Stage(1, 0.1, finish=("ranks",))]
    training = Training(model, SGD(model.parameters(), 0.1), methods, stages)
    with pytest.raises(TrainingError, match=r"l1: works on weights of 1\.u, 1\.v that the model has no more"):
        training.run(data)


class Counted(nn.Linear):
    """With extra state, which is no tensor."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        assert state == {"calls": 3}


def test_extra_state_of_a_model_is_left_alone(data: Data, tmp_path: Path) -> None:
    def counted() -> Training:
        model = nn.Sequential(nn.Flatten(), Counted(64, 10))
        return Training(model, SGD(model.parameters(), 0.1), {"l1": L1(1e-3)}, [Stage(1, 0.1, attach=("l1",))])

    history = counted().run(data, tmp_path)
    assert counted().run(data, tmp_path) == history


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_epoch(data: Data, tmp_path: Path) -> None:
    stages = (Stage(1, 0.1, attach=("early",)), Stage(2, 1e20))
    training = _training(stages)
    with pytest.raises(TrainingError, match=r"stage 2, epoch 1: the loss must be finite, got .* at step"):
        training.run(data, tmp_path)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert (state["stage"], state["epoch"]) == (0, 1)
    assert all(bool(v.isfinite().all()) for v in state["model"].values())


def test_a_stage_ends_early_where_nothing_improves(data: Data, tmp_path: Path) -> None:
    stages = (Stage(9, 1e-12, patience=2), Stage(1, 1e-12))
    history = _training(stages).run(data, tmp_path)
    assert [(e.stage, e.epoch) for e in history] == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_augmented_images_repeat_with_the_seed(data: Data) -> None:
    def noisy(images: Tensor, generator: torch.Generator) -> Tensor:
        return images + 0.1 * torch.rand(images.shape, generator=generator)

    one, same = (_training(STAGES[:1], augment=noisy) for _ in range(2))
    assert one.run(data) == same.run(data)
    plain = _training(STAGES[:1])
    plain.run(data)
    assert not torch.equal(_weights(one), _weights(plain))


def test_a_checkpoint_of_another_training_or_none_at_all_is_refused(data: Data, tmp_path: Path) -> None:
    _training(STAGES[:1]).run(data, tmp_path)
    with pytest.raises(TrainingError, match=r"is of another training \(different seed\)"):
        _training(STAGES[:1], seed=3).run(data, tmp_path)
    longer = (dataclasses.replace(STAGES[0], epochs=3),)
    with pytest.raises(TrainingError, match="different stages"):
        _training(longer).run(data, tmp_path)
    _training(STAGES[:1], settings={"model": "other", "data": "digits"}).run(data, tmp_path / "new")
    with pytest.raises(TrainingError, match=r"different model\)"):
        _training(STAGES[:1], settings={"model": "another", "data": "digits"}).run(data, tmp_path / "new")
    torch.manual_seed(1)
    model = Dropped()
    other = Training(model, torch.optim.Adam(model.parameters()), {"early": Decay()}, STAGES[:1])
    with pytest.raises(TrainingError, match=r"different optimizer\)"):
        other.run(data, tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="is no checkpoint of a training; remove it"):
        _training(STAGES[:1]).run(data, tmp_path)
    torch.save([1], tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match="is no checkpoint of a training, or of another version; remove it"):
        _training(STAGES[:1]).run(data, tmp_path)


def test_a_folder_that_cannot_be_written_is_told(data: Data, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        _training(STAGES[:1]).run(data, tmp_path / "file")


def test_a_disk_that_is_full_is_told(data: Data, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"checkpoint\.pt: cannot be written \(no space, or no right to write\)"):
            _training(STAGES[:1]).run(data, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_everything_wrong_with_stages_is_told_at_once() -> None:
    model = MLP()
    stages = (
        Stage(-1, 0.0, attach=("nobody",), lr_every=0, lr_factor=2.0, patience=0),
        Stage(
            1,
            float("nan"),
            attach=("one", "one"),
            finish=("two",),
            call=("one.nothing", "one._private", "one.finish", "three.map"),
        ),
    )
    with pytest.raises(TrainingError) as caught:
        Training(model, SGD(model.parameters(), 0.1), {"one": Decay(), "spare": Decay()}, stages, batch=0)
    told = "\n".join(caught.value.problems)
    for part in (
        "stage 1: epochs: must be 0 or more, got -1",
        "stage 1: lr: must be above 0, got 0.0",
        "stage 1: attach: must be one of the methods (one, spare), got 'nobody'",
        "stage 1: lr_every",
        "stage 1: lr_factor",
        "stage 1: patience",
        "stage 2: lr: must be above 0, got nan",
        "stage 2: attach: 'one' was attached before",
        "stage 2: finish: 'two' is not attached",
        "must be METHOD.STEP of an attached method (one.harden), got 'one.nothing'",
        "got 'one.finish'",
        "got 'one._private'",
        "got 'three.map'",
        "'spare' is never attached",
        "batch: must be at least 1, got 0",
    ):
        assert part in told
    with pytest.raises(TrainingError, match="at least one is needed"):
        Training(model, SGD(model.parameters(), 0.1), {}, ())


def test_the_share_of_zeros_counts_weights_only() -> None:
    model = nn.Sequential(nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.0, 1, 0, 1], [1, 1, 1, 1]]))
        model[0].bias.zero_()
    assert zero_share(model) == 0.25
    assert zero_share(nn.ReLU()) == 0
