"""The stages of a training: what happens when, and what can be wrong with that."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xbar.training.base import Method


@dataclass(frozen=True)
class Stage:
    """Some epochs at one learning rate.

    Before the first epoch the methods named in `finish` are finished, those in `attach` attached, and the steps in
    `call` taken ("admm.map": the step `map` of the method `admm`), in this order. lr_factor: what the learning rate is
    multiplied with after every `lr_every` epochs. patience: end the stage after so many epochs without a better
    accuracy.
    """

    epochs: int
    lr: float
    attach: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    call: tuple[str, ...] = ()
    lr_every: int | None = None
    lr_factor: float = 0.5
    patience: int | None = None


def _steps(method: Method | None) -> tuple[str, ...]:
    """What can be called between stages: functions of a method's own, beyond its life cycle, without arguments."""
    own = {n: f for n, f in inspect.getmembers(type(method), inspect.isfunction) if not n.startswith("_")}
    return tuple(
        n for n, f in own.items() if not hasattr(Method, n) and list(inspect.signature(f).parameters) == ["self"]
    )


def stage_problems(methods: Mapping[str, Method], stages: Sequence[Stage]) -> list[str]:
    """Every rule that the stages break, each with its stage."""
    problems = [] if stages else ["stages: at least one is needed, got none"]
    attached: set[str] = set()
    finished: set[str] = set()
    for i, stage in enumerate(stages, start=1):
        where = f"stage {i}"
        if stage.epochs < 0:
            problems.append(f"{where}: epochs: must be 0 or more, got {stage.epochs}")
        if not (math.isfinite(stage.lr) and stage.lr > 0):
            problems.append(f"{where}: lr: must be above 0, got {stage.lr}")
        if stage.lr_every is not None and stage.lr_every < 1:
            problems.append(f"{where}: lr_every: must be at least 1, got {stage.lr_every}")
        if not 0 < stage.lr_factor <= 1:
            problems.append(f"{where}: lr_factor: must be above 0 and at most 1, got {stage.lr_factor}")
        if stage.patience is not None and stage.patience < 1:
            problems.append(f"{where}: patience: must be at least 1, got {stage.patience}")
        for name in stage.finish:
            if name not in attached - finished:
                problems.append(
                    f"{where}: finish: '{name}' is not attached at that moment; attach it in a stage before"
                )
            finished.add(name)
        for name in stage.attach:
            if name not in methods:
                known = ", ".join(methods) or "none"
                problems.append(f"{where}: attach: must be one of the methods ({known}), got '{name}'")
            elif name in attached:
                problems.append(f"{where}: attach: '{name}' was attached before; a method acts once")
            attached.add(name)
        for step in stage.call:
            name, _, action = step.partition(".")
            if name not in attached - finished or action not in _steps(methods.get(name)):
                known = ", ".join(f"{n}.{s}" for n in methods if n in attached - finished for s in _steps(methods[n]))
                problems.append(
                    f"{where}: call: must be METHOD.STEP of an attached method ({known or 'none has steps'}), got "
                    f"'{step}'"
                )
    problems += [
        f"methods: '{name}' is never attached; name it in a stage or leave it out"
        for name in methods
        if name not in attached
    ]
    return problems
