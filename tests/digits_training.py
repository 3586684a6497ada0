"""Small networks trained on digits within the tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

import xbar
from xbar import datasets
from xbar.hardware import Chip
from xbar.training.base import Method

SETTINGS = {
    "precision.weight_bits": 9,
    "precision.input_bits": 8,
    "precision.weights": "dynamic_fixed_point",
    "precision.granularity": "layer",
    "encoding.kind": "differential",
    "encoding.flipped": False,
}


@lru_cache
def digits(split: str) -> tuple[Tensor, Tensor]:
    """Images and labels; do not change them."""
    data = datasets.load("digits", split)  # type: ignore[arg-type]
    return torch.from_numpy(data.images), torch.from_numpy(data.labels)


def mlp(hidden: int = 48, seed: int = 0) -> nn.Sequential:
    """64-hidden-10."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def cnn(seed: int = 0) -> nn.Sequential:
    """Two convolutions and a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 10),
        )


def trained(model: nn.Sequential, method: Method | None, epochs: int, lr: float = 0.1) -> nn.Sequential:
    """The model itself after SGD with momentum 0.5 and a falling learning rate, the method finished.

    In one thread: with more, so small products wait for each other where other work has the cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _trained(model, method, epochs, lr)
    finally:
        torch.set_num_threads(threads)


def _trained(model: nn.Sequential, method: Method | None, epochs: int, lr: float) -> nn.Sequential:
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, epochs)
    if method is not None:
        method.attach(model, optimizer)
    pass_over(model, optimizer, method, epochs, schedule.step)
    if method is not None:
        method.finish()
    return model


def pass_over(
    model: nn.Module,
    optimizer: Optimizer,
    method: Method | None,
    epochs: int,
    after_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Some passes over all training images in batches of 64, always in the same order."""
    images, labels = digits("train")
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(64):
            step(model, optimizer, method, images[chosen], labels[chosen])
        after_epoch()


def steps(
    model: nn.Module, optimizer: Optimizer, method: Method | None, n: int, seed: int = 0, batch: int = 64
) -> None:
    """Some steps with an optimizer and a method that go on afterwards; the same seed draws the same images."""
    images, labels = digits("train")
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n):
        chosen = torch.randint(len(images), (batch,), generator=generator)
        step(model, optimizer, method, images[chosen], labels[chosen])


def step(model: nn.Module, optimizer: Optimizer, method: Method | None, images: Tensor, labels: Tensor) -> None:
    """One step, as every user's loop has it."""
    loss = functional.cross_entropy(model(images), labels)
    if method is not None:
        loss = loss + method.penalty()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if method is not None:
        method.after_step()


def accuracy(model: nn.Module) -> float:
    """On the test images, in float32."""
    images, labels = digits("test")
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).double().mean())


def chip(**changes: object) -> Chip:
    """ISAAC with 9-bit dynamic fixed point weights in differential pairs of 2-bit cells; `crossbar__rows=32`."""
    return xbar.load_chip("isaac_isca_2016", {**SETTINGS, **{k.replace("__", "."): v for k, v in changes.items()}})
