"""What a method adds to a training step, as a ratio to the plain step measured in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import models
import pytest
import torch
from torch.nn import functional

from xbar.training.base import Method, Together
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.group_lasso import GroupLasso
from xbar.training.l1 import L1
from xbar.training.pruning import MagnitudePruning

BAR = 1.5
METHODS: dict[str, Callable[[], Method]] = {
    "bit-slice L1": lambda: BitSliceL1(0.5),
    "bit-slice L1, pruned": lambda: Together(MagnitudePruning(fraction=0.5), BitSliceL1(0.5)),
    "group lasso": lambda: GroupLasso(1e-3),
    "L1": lambda: L1(10.0),
    "magnitude pruning": lambda: MagnitudePruning(fraction=0.5),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads of many short operations wait for each other where other work has the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _step(method: Method | None) -> Callable[[], None]:
    """A training step of LeNet-5 on 64 images, SGD with momentum."""
    torch.manual_seed(0)
    model = models.LeNet5()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    x, y = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))
    if method is not None:
        method.attach(model, optimizer)

    def step() -> None:
        loss = functional.cross_entropy(model(x), y)
        if method is not None:
            loss = loss + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if method is not None:
            method.after_step()

    return step


def _overhead(name: str, n_rounds: int) -> float:
    """Median time of a step with the method over that without, run in turns after three that do not count."""
    steps = [_step(METHODS[name]()), _step(None)]
    times: list[list[float]] = [[], []]
    for round_ in range(n_rounds + 3):
        for step, took in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if round_ >= 3:
                took.append(time.perf_counter() - start)
    ratio = statistics.median(times[0]) / statistics.median(times[1])
    print(f"{name}: {ratio:.2f} times the plain training step")
    return ratio


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_step_takes_at_most_half_as_long_again(name: str) -> None:
    assert _overhead(name, 60) < BAR


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_lost_its_speed_is_noticed_on_a_busy_machine_too(name: str) -> None:
    assert _overhead(name, 15) < 2 * BAR
