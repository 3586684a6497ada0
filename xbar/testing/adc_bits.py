"""That a network needs no larger ADCs than claimed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from torch import nn

from xbar.errors import XbarError
from xbar.program import AdcSetting, LayerProgram, Program, largest_sums
from xbar.sim import AdcResolution, adc_resolution, column_sum_histograms
from xbar.sim.simulate import Simulator
from xbar.sweep.outcome import Outcome
from xbar.testing.subjects import (
    ROUNDING,
    AnyChip,
    Data,
    Images,
    Setting,
    fraction_problems,
    is_whole,
    n_slices,
    points,
    program_of,
    setting,
    slice_problems,
)

By = Literal["accuracy", "smallest", "p999", "seen", "lossless"]
_BY = {  # field of SliceResolution, and what it says
    "smallest": ("smallest_bits", "the fewest that the search for the allowed loss found"),
    "p999": ("p999_bits", "what holds 99.9 % of the column sums on these data"),
    "seen": ("max_bits", "what holds every column sum on these data"),
    "lossless": ("lossless_bits", "what holds the largest column sums that the weights allow"),
}


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

    by: what "needs" means.
        accuracy: with ADCs of exactly these bits, those of free slices lossless, the network on ideal cells loses at
        most `max_loss` of accuracy against lossless ADCs. Only this simulates the bits that you name.
        smallest: the bits that `xbar.adc_resolution` finds for `max_loss`, slice by slice.
        p999, seen: the bits that hold 99.9 % of the column sums on these data, or all of them.
        lossless: the bits that hold the largest column sums that the weights allow, whatever the data.
    An AdcResolution, and without `data` an Outcome that has one, is judged as it is, by all but `accuracy`.
    """
    given = subject.adc if isinstance(subject, Outcome) and data is None else subject
    found = given if isinstance(given, AdcResolution) and by != "accuracy" else None
    needs_data = found is None and by != "lossless"
    on = setting({"subject": subject}, data, chip, needs_data=needs_data, also={AdcResolution: "an AdcResolution"})
    problems = [*on.problems, *_by_problems(subject, by, data), *fraction_problems(max_loss=max_loss)]
    problems += _bits_problems(at_most, n_slices(subject, on.chip))
    if found is not None and by == "smallest" and not problems and found.max_loss > max_loss + ROUNDING:
        problems.append(
            f"max_loss: the ADC bits were searched for a loss of {found.max_loss}, which is more than {max_loss}; "
            "search again with the smaller one, or allow the larger"
        )
    if problems:
        raise XbarError(problems)
    if by == "accuracy":
        _assert_accuracy(program_of("subject", subject, on.images, on.chip), on.judged, at_most, max_loss)
        return
    needed = _needed(found or program_of("subject", subject, on.images, on.chip), on, by, max_loss)
    limits = _limits(at_most, max(map(len, needed.values())))
    broken = []
    for name, bits in needed.items():
        over = [f"slice {s} needs {bits[s]} bits, at most {b} allowed" for s, b in limits.items() if bits[s] > b]
        broken += [f"  {name}: {'; '.join(over)}"] if over else []
    if broken:
        table = [f"  {name}: {_listed(bits)}" for name, bits in needed.items()]
        title = f"the network needs larger ADCs than allowed (by {by}: {_BY[by][1]}):"
        order = "bits of all slices, slice 0 (the least significant) first:"
        raise AssertionError("\n".join([title, *broken, order, *table]))


def _assert_accuracy(program: Program, images: Images, at_most: int | Mapping[int, int], max_loss: float) -> None:
    """The accuracy with ADCs of these bits, and if it is too low, that of each layer alone with them."""
    limits = _limits(at_most, max(layer.n_slices for layer in program.layers))
    lossless = [_read_with(layer, {}) for layer in program.layers]
    limited = [_read_with(layer, limits) for layer in program.layers]
    simulator, (inputs, _) = Simulator(replace(program, layers=tuple(lossless))), images.tensors

    def accuracy(layers: Sequence[LayerProgram]) -> float:
        return images.accuracy(simulator.replaced(replace(program, layers=tuple(layers))).run(inputs).outputs)

    best, reached = accuracy(lossless), accuracy(limited)
    if best - reached <= max_loss + ROUNDING:
        return
    free = "" if len(limits) == program.layers[0].n_slices else "; the other slices lossless"
    lines = [
        f"with ADCs of these bits the accuracy falls by {points(best - reached)}, {best:.2%} -> {reached:.2%}; at most "
        f"{points(max_loss)} allowed",
        f"bits: {', '.join(f'slice {s}: {b}' for s, b in limits.items())}{free}",
        "each layer alone with them, the other layers lossless:",
    ]
    for i, layer in enumerate(lossless):
        alone = best - accuracy([*lossless[:i], limited[i], *lossless[i + 1 :]])
        over = "  <- more than allowed" if alone > max_loss + ROUNDING else ""
        bits = _listed(layer.adc.bits or ())
        lines.append(f"  {layer.name}: falls by {points(alone)} (lossless would be {bits} bits, slice 0 first){over}")
    raise AssertionError("\n".join(lines))


def _read_with(layer: LayerProgram, limits: Mapping[int, int]) -> LayerProgram:
    """The layer with ADCs of these bits by slice, those of the others lossless, whatever the inputs.

    The unit column is read by the largest of the layer's ADCs, as on a chip: lossless unless every slice has a limit.
    """
    sums = largest_sums(layer)
    if layer.adc.full_scale is not None:
        sums = np.maximum(sums, layer.adc.full_scale)
    bits = tuple(min(limits.get(s, b), b) for s, b in enumerate(map(_bits_for, sums)))
    unit_bits = None
    if layer.unit_coef is not None:
        unit_bits = _bits_for(int(np.diff(layer.row_edges).max()) * layer.top_digit)
        if len(limits) == layer.n_slices:
            unit_bits = min(unit_bits, max(limits.values()))
    mode: Literal["clip", "range"] = "range" if layer.adc.mode == "range" else "clip"
    return replace(layer, adc=AdcSetting(mode, bits, layer.adc.full_scale, unit_bits))


def _needed(found: AdcResolution | Program, on: Setting, by: By, max_loss: float) -> dict[str, tuple[int, ...]]:
    """ADC bits by layer, [slice]."""
    if isinstance(found, Program):
        if by == "lossless":
            return {layer.name: tuple(map(_bits_for, largest_sums(layer))) for layer in found.layers}
        inputs, labels = on.judged.tensors
        if by != "smallest":
            seen = column_sum_histograms(found, inputs)
            return {s.name: tuple(map(_bits_for, s.largest() if by == "seen" else s.percentile(99.9))) for s in seen}
        found = adc_resolution(found, inputs, labels, max_loss)
    needed: dict[str, tuple[int, ...]] = {}
    for row in found.slices:
        needed[row.layer] = (*needed.get(row.layer, ()), int(getattr(row, _BY[by][0])))
    return needed


def _bits_for(largest: int) -> int:
    return max(1, int(largest).bit_length())


def _listed(bits: Sequence[int]) -> str:
    return ", ".join(map(str, bits))


def _limits(at_most: int | Mapping[int, int], n: int) -> dict[int, int]:
    """Bits by slice, counted from 0."""
    if not isinstance(at_most, Mapping):
        return dict.fromkeys(range(n), at_most)
    return dict(sorted((s % n, b) for s, b in at_most.items()))


def _by_problems(subject: object, by: str, data: Data | None) -> list[str]:
    if by not in ("accuracy", *_BY):
        return [f"by: must be one of accuracy, {', '.join(_BY)}, got {by!r}"]
    if not isinstance(subject, AdcResolution):
        return []
    problems = []
    if by == "accuracy":
        problems.append("by: accuracy needs a network to simulate, got an AdcResolution; give by='smallest'")
    if data is not None:
        problems.append("data: have no effect on an AdcResolution, which is judged as it is; leave them out")
    return problems


def _bits_problems(at_most: object, n: int | None) -> list[str]:
    """n: how many slices there are, None where nobody knows."""
    if not isinstance(at_most, Mapping):
        return _whole_bits({"": at_most})
    if not at_most:
        return ["at_most: needs at least one slice, got none; give for example {-1: 1}, or one number for all slices"]
    problems = slice_problems("at_most", at_most, n) + _whole_bits({f" for slice {s}": b for s, b in at_most.items()})
    if n is not None and not problems:
        twice = [s for s, count in Counter(s % n for s in at_most).items() if count > 1]
        problems += [f"at_most: slice {s} is given twice, as {s} and as {s - n}; leave one out" for s in twice]
    return problems


def _whole_bits(bits: Mapping[str, object]) -> list[str]:
    return [
        f"at_most: bits must be a whole number from 1 up, got {b!r}{place}"
        for place, b in bits.items()
        if not is_whole(b) or b < 1
    ]
