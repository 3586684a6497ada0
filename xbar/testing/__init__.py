"""Assertions for your own test suite: that a network trained for the hardware really needs less of it.

    from xbar import testing

    def test_the_sparse_model_needs_small_adcs(dense, sparse):
        testing.assert_accuracy_drop(dense, sparse, data="digits", chip=my_chip, at_most=0.01)
        testing.assert_adc_bits(sparse, data="digits", chip=my_chip, at_most={-1: 1, 0: 3, 1: 3, 2: 3})

What is judged is a torch model together with `data` and `chip`, or what you have already: a Program, or an Outcome of
`xbar.evaluate` (with noise, several runs, calibration data of its own); these two have their own chip.
data: a specification as in `xbar.datasets` (its test images judge, its first 512 training images set the ranges of the
activations), or images and their labels, as tensors or arrays, in a tuple (they judge, the first 512 set the ranges).
chip: a name, a file, or a Chip.

Every share, accuracy and loss is a fraction: 0.01 is one percent, or one percentage point of accuracy. Slices count
from 0, the least significant; -1 is the most significant.
A claim that does not hold raises AssertionError with the figures, the limit and the layers; wrong use raises XbarError
with everything that is wrong, before any work.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import mapping
from xbar.errors import XbarError
from xbar.program import Program
from xbar.result import Activity
from xbar.sim import simulate
from xbar.sim.slices import nonzero_slices, nonzero_slices_by_layer
from xbar.sweep.outcome import Outcome
from xbar.testing.adc_bits import assert_adc_bits
from xbar.testing.subjects import (
    ROUNDING,
    AnyChip,
    Data,
    Setting,
    fraction_problems,
    n_slices,
    points,
    program_of,
    setting,
    slice_problems,
)

__all__ = ["assert_accuracy_drop", "assert_adc_bits", "assert_cells_saved", "assert_slice_sparsity"]


def assert_accuracy_drop(
    before: nn.Module | Program | Outcome | float,
    after: nn.Module | Program | Outcome | float,
    data: Data | None = None,
    chip: AnyChip | None = None,
    *,
    at_most: float,
) -> None:
    """accuracy(before) - accuracy(after) <= at_most.

    Each side is an accuracy (a fraction), an Outcome (its own on hardware, the mean over its runs), or is run on the
    images of `data`: a Program as `xbar.simulate` runs it, a model on the hardware of `chip`, or without a chip in
    float32 on the host.
    """
    sides: dict[str, Any] = {"before": before, "after": after}
    runs = any(isinstance(side, nn.Module | Program) for side in sides.values())
    on = setting(sides, data, chip, needs_data=runs, needs_chip=False, also={Real: "an accuracy"})
    numbers = {name: side for name, side in sides.items() if isinstance(side, Real)}
    problems = [*on.problems, *fraction_problems(at_most=at_most, **numbers)]
    if data is not None and not runs:
        problems.append("data: have no effect, as neither side is a model or a Program; leave them out")
    if problems:
        raise XbarError(problems)
    (was, why_was), (is_now, why_now) = (_accuracy(name, side, on) for name, side in sides.items())
    if was - is_now > at_most + ROUNDING:
        title = f"the accuracy fell by {points(was - is_now)}, {was:.2%} -> {is_now:.2%}; at most"
        raise AssertionError("\n".join([f"{title} {points(at_most)} allowed", *why_was, *why_now]))


def assert_cells_saved(
    before: nn.Module | Program | Outcome,
    after: nn.Module | Program | Outcome,
    data: Data | None = None,
    chip: AnyChip | None = None,
    *,
    at_least: float,
) -> None:
    """1 - cells(after) / cells(before) >= at_least.

    Cells are those of `mapping.routing`: word lines x bit lines that a layer uses in its crossbars, in one copy of it,
    without unit columns. A model needs `data` to be quantized, but they have no influence on its cells.
    """
    on = setting({"before": before, "after": after}, data, chip)
    problems = [*on.problems, *fraction_problems(at_least=at_least)]
    if problems:
        raise XbarError(problems)
    was, is_now = (_cells(program_of(n, s, on.images, on.chip)) for n, s in (("before", before), ("after", after)))
    n_was, n_now = sum(was.values()), sum(is_now.values())
    saved = 1 - n_now / n_was
    if saved < at_least - ROUNDING:
        lines = [f"{saved:.2%} of the cells are saved, at least {at_least:.2%} wanted: {n_was:,} -> {n_now:,}"]
        became: dict[str, list[str]] = {name: [] for name in was}
        for name in is_now:
            became.setdefault(_origin(name, was), []).append(name)
        for name, names in became.items():
            a, b = was.get(name, 0), sum(is_now[n] for n in names)
            now = "" if names in ([name], []) else f" (now {', '.join(names)})"
            share = f"{1 - b / a:.2%} saved" if a else "new"
            short = "" if a and 1 - b / a >= at_least - ROUNDING else "  <- less than wanted"
            lines.append(f"  {name}{now}: {a:,} -> {b:,}, {share}{short}")
        raise AssertionError("\n".join(lines))


def assert_slice_sparsity(
    subject: nn.Module | Program | Outcome,
    data: Data | None = None,
    chip: AnyChip | None = None,
    *,
    at_most: float,
    slice: int | None = None,  # noqa: A002  (the word of the design)
) -> None:
    """The share of weights whose bit slice is not zero is at most `at_most`: of one slice, or the mean of all (None).

    Of the cells that the crossbars hold (`xbar.sim.slices`): with differential encoding they show sparse weights,
    with offset encoding few of them are zero. A model needs `data` to be quantized, but they have no influence here.
    """
    on = setting({"subject": subject}, data, chip)
    places = () if slice is None else (slice,)
    problems = [*on.problems, *fraction_problems(at_most=at_most)]
    problems += slice_problems("slice", places, n_slices(subject, on.chip))
    if problems:
        raise XbarError(problems)
    program = program_of("subject", subject, on.images, on.chip)
    ratios = nonzero_slices(program)
    chosen = range(len(ratios)) if slice is None else [slice % len(ratios)]
    found = float(np.mean([ratios[s] for s in chosen]))
    if found > at_most + ROUNDING:
        where = "in the mean over all slices" if slice is None else f"in slice {chosen[0]} of 0 to {len(ratios) - 1}"
        lines = [f"{found:.2%} of the weights are not zero {where}, at most {at_most:.2%} allowed"]
        lines.append("by layer, slice 0 (the least significant) first:")
        for name, own in nonzero_slices_by_layer(program).items():
            over = "  <- more than allowed" if np.mean([own[s] for s in chosen]) > at_most + ROUNDING else ""
            lines.append(f"  {name}: {', '.join(f'{r:.2%}' for r in own)}{over}")
        if program.chip.encoding.kind == "offset":
            lines.append("with offset encoding a weight of 0 is no cell of 0; a chip with encoding.kind: differential")
            lines[-1] += " shows how sparse the weights are"
        raise AssertionError("\n".join(lines))


def _cells(program: Program) -> dict[str, int]:
    return {layer.name: layer.cells for layer in mapping.routing(program).layers}


def _origin(name: str, layers: Mapping[str, int]) -> str:
    """The layer that a layer was made from: `fc` of `fc.u`, as rank clipping names them; itself if there is none."""
    return name if name in layers else next((old for old in layers if name.startswith(f"{old}.")), name)


def _accuracy(name: str, subject: nn.Module | Program | Outcome | float, on: Setting) -> tuple[float, list[str]]:
    """The accuracy, and lines that help to explain it."""
    if isinstance(subject, Outcome):
        steps = [f"  {name}, {step}: {value:.2%}" for step, value in subject.chain()]
        return subject.accuracy_hardware, steps + _saturated(name, subject.activity)
    if isinstance(subject, Program) or (isinstance(subject, nn.Module) and on.chip is not None):
        result = simulate(program_of(name, subject, on.images, on.chip), on.judged.tensors[0])
        return on.judged.accuracy(result.outputs), _saturated(name, result.activity)
    if isinstance(subject, nn.Module):
        return on.judged.accuracy(_float_outputs(subject, on.judged.tensors[0])), []
    return float(subject), []


def _float_outputs(model: nn.Module, images: Tensor) -> Tensor:
    """In evaluation mode, on the model's device; its modules are left in the modes that they were in."""
    training = [(module, module.training) for module in model.modules()]
    device = next((p.device for p in model.parameters()), images.device)
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(x.to(device)).cpu() for x in images.split(500)])
    finally:
        for module, mode in training:
            module.training = mode


def _saturated(name: str, activity: Activity) -> list[str]:
    """The layers whose conversions saturate, if any do."""
    shares = {a.name: (sum(a.saturations) + a.unit_saturations) / a.count("conversions") for a in activity.layers}
    return [f"  {name}, {layer}: {s:.2%} of the ADC conversions saturate" for layer, s in shares.items() if s > 0]
