"""Assertions for your own test suite: that a network trained for the hardware really needs less of it.

    from xbar import testing

    def test_the_sparse_model_needs_small_adcs(dense, sparse):
        testing.assert_accuracy_drop(dense, sparse, data="digits", chip="isaac_isca_2016", at_most=0.01)
        testing.assert_adc_bits(sparse, data="digits", chip=my_chip, at_most={-1: 1, 0: 3, 1: 3, 2: 3})

What is asserted about is a torch model together with `data` and `chip`, or what you have already: an Outcome of
`xbar.evaluate` (with noise, several runs, calibration data of its own), or a Program. data: a specification as in
`xbar.datasets` (its training images set the ranges of the activations), or (images, labels) as tensors (whose first
512 images do). chip: a name, a file, or a Chip.

A claim that does not hold raises AssertionError with the figures, the limit and the layers that break it; wrong use
raises XbarError. Slices count from 0, the least significant; -1 is the most significant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

import mapping
from xbar import datasets
from xbar.datasets import Labelled
from xbar.errors import XbarError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip, load_chip
from xbar.network import QuantizedNetwork
from xbar.program import AdcSetting, LayerProgram, Program, largest_sums
from xbar.quantization import quantize
from xbar.sim import AdcResolution, adc_resolution, calibrate_adc
from xbar.sim.simulate import Simulator
from xbar.sweep.job import evaluate
from xbar.sweep.outcome import Outcome
from xbar.training.measure import nonzero_slices, nonzero_slices_by_layer

Data = str | Labelled | tuple[Tensor, Tensor]
AnyChip = str | Path | Chip
Bits = tuple[tuple[int, ...], ...]  # [layer][slice]
By = Literal["accuracy", "smallest", "p999", "seen", "lossless"]
_FIELDS = {"smallest": "smallest_bits", "p999": "p999_bits", "seen": "max_bits", "lossless": "lossless_bits"}
_N_CALIBRATION = 512


def assert_adc_bits(
    subject: nn.Module | Program | Outcome | AdcResolution,
    data: Data | None = None,
    chip: AnyChip | None = None,
    *,
    at_most: int | Mapping[int, int],
    by: By = "accuracy",
    max_loss: float = 0.01,
) -> None:
    """The network needs ADCs of no more than `at_most` bits: one number for all slices, or by slice (others are free).

    by: what "needs" means. accuracy: with ADCs of exactly these bits, all other slices lossless, the network on ideal
    cells loses at most `max_loss` (a fraction) of accuracy against lossless ADCs. smallest: what `xbar.adc_resolution`
    finds for `max_loss` slice by slice. p999, seen, lossless: the bits that hold 99.9 % of the sums on these data, all
    of them, and the largest that the weights allow. An AdcResolution, or an Outcome with one, is judged as it is.
    Raises AssertionError where it needs more, XbarError for wrong use.
    """
    _check({"max_loss": max_loss}, by)
    if by == "accuracy":
        _assert_accuracy_with(_program("subject", subject, data, chip), _labelled("data", data)[0], at_most, max_loss)
        return
    if by == "lossless" and isinstance(subject, nn.Module | Program):
        program = _program("subject", subject, data, chip)
        needed = {layer.name: _bits_for(largest_sums(layer)) for layer in program.layers}
    else:
        resolution = _resolution(subject, data, chip, max_loss)
        needed = {}
        for s in resolution.slices:
            needed[s.layer] = (*needed.get(s.layer, ()), int(getattr(s, _FIELDS[by])))
    limits = _limits(at_most, max(map(len, needed.values())))
    broken = [
        f"  {name}: slice {s} needs {bits[s]} bits, at most {limit} allowed"
        for name, bits in needed.items()
        for s, limit in limits.items()
        if s < len(bits) and bits[s] > limit
    ]
    if broken:
        table = [f"  {name}: {', '.join(map(str, bits))}" for name, bits in needed.items()]
        title = f"ADC bits ({by}) are larger than allowed:"
        raise AssertionError("\n".join([title, *broken, "bits by slice, the least significant first:", *table]))


def assert_accuracy_drop(
    before: nn.Module | Program | Outcome | float,
    after: nn.Module | Program | Outcome | float,
    data: Data | None = None,
    chip: AnyChip | None = None,
    *,
    at_most: float,
) -> None:
    """accuracy(before) - accuracy(after) <= at_most, in fractions: 0.01 is one percentage point.

    Each side is a number, an Outcome (its accuracy on hardware, the mean over runs), a Program (simulated on ideal
    cells) or a model: on the hardware of `chip`, or in float32 on the host without a chip.
    """
    _check({"at_most": at_most})
    was, is_now = (_accuracy(name, s, data, chip) for name, s in (("before", before), ("after", after)))
    if was - is_now > at_most + 1e-9:
        lines = [f"accuracy fell by {was - is_now:.2%}, at most {at_most:.2%} allowed: {was:.2%} -> {is_now:.2%}"]
        for name, subject in (("before", before), ("after", after)):
            if isinstance(subject, Outcome):
                lines += [f"  {name}, {step}: {value:.2%}" for step, value in subject.chain()]
                lines += _saturated(name, subject)
        raise AssertionError("\n".join(lines))


def assert_cells_saved(
    before: nn.Module | Program | Outcome,
    after: nn.Module | Program | Outcome,
    data: Data | None = None,
    chip: AnyChip | None = None,
    *,
    at_least: float,
) -> None:
    """1 - cells(after) / cells(before) >= at_least. Cells: word lines x bit lines that the crossbars' blocks take.

    Copies of a layer (replicas) and unit columns count once and not at all.
    """
    _check({"at_least": at_least})
    was, is_now = (cells_by_layer(_program(n, s, data, chip)) for n, s in (("before", before), ("after", after)))
    saved = 1 - sum(is_now.values()) / sum(was.values())
    if saved < at_least - 1e-9:
        total = f"{sum(was.values()):,} -> {sum(is_now.values()):,}"
        lines = [f"cells saved: {saved:.2%}, at least {at_least:.2%} wanted: {total}"]
        for name in dict.fromkeys([*was, *is_now]):
            a, b = was.get(name, 0), is_now.get(name, 0)
            own = f"{1 - b / a:.2%} saved" if a else "new"
            short = "" if a and 1 - b / a >= at_least else "  <- less than wanted"
            lines.append(f"  {name}: {a:,} -> {b:,}, {own}{short}")
        raise AssertionError("\n".join(lines))


def assert_slice_sparsity(
    subject: nn.Module | Program | Outcome | QuantizedNetwork,
    data: Data | None = None,
    chip: AnyChip | None = None,
    *,
    at_most: float,
    slice: int | None = None,  # noqa: A002  (the word of the design)
    cell_bits: int | None = None,
) -> None:
    """The share of weights whose bit slice is not zero is at most `at_most`: of one slice, or the mean of all (None).

    cell_bits: of a QuantizedNetwork, which does not know its cells; all others have them from their chip.
    """
    _check({"at_most": at_most})
    if isinstance(subject, QuantizedNetwork):
        if cell_bits not in range(1, 17):
            raise XbarError(
                f"cell_bits: a quantized network needs the bits of its cells, got {cell_bits}; for example 2"
            )
        network: QuantizedNetwork | Program = subject
    else:
        if cell_bits is not None:
            raise XbarError(f"cell_bits: is the chip's own, got {cell_bits}; leave it out")
        network = _program("subject", subject, data, chip)
    ratios = nonzero_slices(network, cell_bits)[::-1]  # the least significant first
    chosen = range(len(ratios)) if slice is None else (_place(slice, len(ratios)),)
    found = float(np.mean([ratios[s] for s in chosen]))
    if found > at_most + 1e-12:
        what = "on average over the slices" if slice is None else f"in slice {chosen[0]}"
        lines = [
            f"non-zero weights {what}: {found:.2%}, at most {at_most:.2%} allowed; the most significant slice first:"
        ]
        for name, own in nonzero_slices_by_layer(network, cell_bits).items():
            mean = float(np.mean([own[::-1][s] for s in chosen if s < len(own)] or [0.0]))
            over = "  <- more than allowed" if mean > at_most + 1e-12 else ""
            lines.append(f"  {name}: {', '.join(f'{r:.2%}' for r in own)}{over}")
        raise AssertionError("\n".join(lines))


def cells_by_layer(program: Program) -> dict[str, int]:
    """Word lines x bit lines that each layer's blocks take."""
    return {layer.name: sum(b.n_rows * b.n_cols for b in layer.blocks) for layer in program.layers}


def _assert_accuracy_with(program: Program, test: Labelled, at_most: int | Mapping[int, int], max_loss: float) -> None:
    """The accuracy with ADCs of these bits, and if it is too low, that of each layer alone with them."""
    limits = _limits(at_most, max(layer.n_slices for layer in program.layers))
    lossless = tuple(_lossless_bits(layer) for layer in program.layers)
    limited = tuple(tuple(min(limits.get(s, b), b) for s, b in enumerate(bits)) for bits in lossless)
    accuracy = _with_bits(program, test)
    best, found = accuracy(lossless), accuracy(limited)
    if best - found <= max_loss + 1e-9:
        return
    allowed = ", ".join(f"slice {s}: {b}" for s, b in limits.items())
    lines = [
        f"ADCs of these bits lose {best - found:.2%} of accuracy, at most {max_loss:.2%} allowed: "
        f"{best:.2%} -> {found:.2%} ({allowed})"
    ]
    for i, layer in enumerate(program.layers):
        alone = accuracy((*lossless[:i], limited[i], *lossless[i + 1 :]))
        over = "  <- more than allowed" if best - alone > max_loss + 1e-9 else ""
        bits = ", ".join(map(str, lossless[i]))
        lines.append(f"  {layer.name} alone: loses {best - alone:.2%}; lossless bits by slice: {bits}{over}")
    raise AssertionError("\n".join(lines))


def _with_bits(program: Program, test: Labelled) -> Callable[[Bits], float]:
    """Accuracy on ideal cells as a function of the ADCs' bits."""
    simulator, images = Simulator(program), torch.from_numpy(test.images)

    def accuracy(bits: Bits) -> float:
        nonlocal simulator
        layers = []
        for layer, own in zip(program.layers, bits, strict=True):
            unit_bits = max(own) if layer.unit_coef is not None else None
            mode: Literal["clip", "range"] = "range" if layer.adc.mode == "range" else "clip"
            layers.append(replace(layer, adc=AdcSetting(mode, own, layer.adc.full_scale, unit_bits)))
        simulator = simulator.replaced(replace(program, layers=tuple(layers)))
        return _share(simulator.run(images).outputs, test)

    return accuracy


def _lossless_bits(layer: LayerProgram) -> tuple[int, ...]:
    """Bits with which nothing is lost, whatever the inputs; the unit column's sum (all rows on) counts for the top."""
    largest = largest_sums(layer)
    if layer.adc.full_scale is not None:
        largest = np.maximum(largest, layer.adc.full_scale)
    bits = list(_bits_for(largest))
    if layer.unit_coef is not None:
        rows = max(b - a for a, b in zip(layer.row_edges[:-1], layer.row_edges[1:], strict=True))
        bits[-1] = max(bits[-1], (rows * layer.top_digit).bit_length())
    return tuple(bits)


def _bits_for(sums: Sequence[int] | np.ndarray) -> tuple[int, ...]:
    return tuple(max(1, int(y).bit_length()) for y in sums)


def _limits(at_most: int | Mapping[int, int], n_slices: int) -> dict[int, int]:
    """Bits by slice, counted from 0."""
    by_slice = dict.fromkeys(range(n_slices), at_most) if isinstance(at_most, int) else at_most
    if not by_slice:
        raise XbarError("at_most: needs at least one slice, got none; give for example {-1: 1}, or one number for all")
    wrong = [
        f"at_most: bits must be whole numbers from 1 up, got {b} for slice {s}" for s, b in by_slice.items() if b < 1
    ]
    if wrong:
        raise XbarError(wrong)
    return {_place(s, n_slices): b for s, b in by_slice.items()}


def _place(s: int, n_slices: int) -> int:
    if not -n_slices <= s < n_slices:
        raise XbarError(f"slice: must be from {-n_slices} to {n_slices - 1}, as there are {n_slices} slices, got {s}")
    return s % n_slices


def _check(fractions: Mapping[str, float], by: str = "accuracy") -> None:
    problems = [f"{name}: must be a fraction from 0 to 1, got {v}" for name, v in fractions.items() if not 0 <= v <= 1]
    if by not in ("accuracy", *_FIELDS):
        problems.append(f"by: must be one of accuracy, {', '.join(_FIELDS)}, got {by!r}")
    if problems:
        raise XbarError(problems)


def _labelled(name: str, data: Data | None) -> tuple[Labelled, Labelled]:
    """Data to judge by, and to calibrate with."""
    if isinstance(data, str):
        return datasets.load(data, "test"), datasets.load(data, "train").first(_N_CALIBRATION)
    if isinstance(data, tuple) and len(data) == 2:
        images, labels = (torch.as_tensor(part).detach().cpu() for part in data)
        data = Labelled("data", images.float().numpy(), labels.long().numpy())
    if not isinstance(data, Labelled):
        raise XbarError(
            f"{name}: needs labelled images, got {type(data).__name__}; give data='digits' or data=(images, labels)"
        )
    return data, data.first(_N_CALIBRATION)


def _program(
    name: str, subject: nn.Module | Program | Outcome | AdcResolution, data: Data | None, chip: AnyChip | None
) -> Program:
    """The program of an outcome, or of a model on a chip."""
    if isinstance(subject, Outcome):
        return subject.program
    if isinstance(subject, Program):
        return subject
    if not isinstance(subject, nn.Module):
        raise XbarError(f"{name}: needs a torch model, a Program or an Outcome here, got {type(subject).__name__}")
    images = torch.from_numpy(_labelled("data", data)[1].images)
    hardware = _chip(name, chip)
    program = mapping.compile(quantize(from_torch(subject, images[:2]), [images], hardware), hardware)
    waits = any(layer.adc.mode == "range" and layer.adc.full_scale is None for layer in program.layers)
    return calibrate_adc(program, images) if waits else program


def _chip(name: str, chip: AnyChip | None) -> Chip:
    if chip is None:
        raise XbarError(f"chip: {name} is a model and needs a chip to be on, got none; give chip='isaac_isca_2016'")
    return chip if isinstance(chip, Chip) else load_chip(chip)


def _resolution(
    subject: nn.Module | Program | Outcome | AdcResolution, data: Data | None, chip: AnyChip | None, max_loss: float
) -> AdcResolution:
    given = subject.adc if isinstance(subject, Outcome) else subject
    if isinstance(given, AdcResolution):
        if given.max_loss > max_loss + 1e-9:
            raise XbarError(
                f"max_loss: the ADC bits were searched for a loss of {given.max_loss}, which is more than {max_loss}; "
                "search again with the smaller one"
            )
        return given
    program = _program("subject", subject, data, chip)
    test, _ = _labelled("data", data)
    return adc_resolution(program, torch.from_numpy(test.images), torch.from_numpy(test.labels), max_loss)


def _accuracy(
    name: str, subject: nn.Module | Program | Outcome | float, data: Data | None, chip: AnyChip | None
) -> float:
    if isinstance(subject, Outcome):
        return subject.accuracy_hardware
    if isinstance(subject, int | float):
        _check({name: float(subject)})
        return float(subject)
    test, calibration = _labelled("data", data)
    if isinstance(subject, nn.Module) and chip is not None:
        network = from_torch(subject, torch.from_numpy(test.images[:2]))
        return evaluate(network, _chip(name, chip), test, calibration).accuracy_hardware
    images = torch.from_numpy(test.images)
    if isinstance(subject, Program):
        return _share(Simulator(subject).run(images).outputs, test)
    if not isinstance(subject, nn.Module):
        raise XbarError(f"{name}: needs a model, a Program, an Outcome or a number, got {type(subject).__name__}")
    was_training = subject.training
    subject.eval()
    try:
        with torch.no_grad():
            device = next((p.device for p in subject.parameters()), images.device)
            return _share(torch.cat([subject(x.to(device)).cpu() for x in images.split(500)]), test)
    finally:
        subject.train(was_training)


def _share(outputs: Tensor, test: Labelled) -> float:
    """Accuracy: outputs whose largest score is at their label."""
    return float((outputs.argmax(1) == torch.from_numpy(test.labels)).double().mean())


def _saturated(name: str, outcome: Outcome) -> list[str]:
    """The layers whose conversions saturate, if any does."""
    layers = [(a.name, sum(a.saturations) / max(1, sum(a.conversions))) for a in outcome.activity.layers]
    return [f"  {name}, {layer}: {share:.2%} of the conversions saturate" for layer, share in layers if share > 0]
