"""Assertions for users' own tests: they hold where the claim does, say why where it does not, and refuse wrong use."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from digits_training import accuracy, chip, digits, mlp, trained
from small import small_chip, small_network
from torch import nn

import mapping
import xbar
from xbar import datasets, testing
from xbar.errors import XbarError
from xbar.hardware import Chip
from xbar.program import Program
from xbar.sim import AdcResolution, SliceResolution, adc_resolution, simulate
from xbar.sweep.outcome import Outcome
from xbar.training.base import Together
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.l1 import L1
from xbar.training.pruning import MagnitudePruning
from xbar.training.rank_clipping import RankClipping

CHIP = chip()
ON: dict[str, Any] = {"data": "digits", "chip": CHIP}


@dataclass(frozen=True)
class Trained:
    dense: nn.Module
    sparse: nn.Module  # L1, pruned, then bit-slice L1
    halved: nn.Module  # without half of its hidden neurons
    clipped: nn.Module  # of low rank


@pytest.fixture(scope="module")
def nets() -> Trained:
    dense = trained(mlp(), L1(1.0), 15)
    slices = Together(MagnitudePruning(threshold=0.02), BitSliceL1(0.3))
    return Trained(
        dense=dense,
        sparse=trained(copy.deepcopy(dense), slices, 12),
        halved=trained(copy.deepcopy(dense), MagnitudePruning(fraction=0.5, structure="filter", skip=["3"]), 5),
        clipped=trained(mlp(), RankClipping(eps=0.1, every=30, skip=["3"]), 15),
    )


@pytest.fixture(scope="module")
def dense(nets: Trained) -> Program:
    return _program(nets.dense)


@pytest.fixture(scope="module")
def outcome(nets: Trained) -> Outcome:
    """On noisy cells, three runs, with the search for the smallest ADC."""
    test, train = datasets.load("digits").first(120), datasets.load("digits", "train").first(100)
    network = xbar.from_torch(nets.dense, torch.from_numpy(test.images[:2]))
    noisy = xbar.load_chip("generic_1t1r", noise="reram_wan_2022")
    return xbar.evaluate(network, noisy, test, train, max_loss=0.02, n_search=60, n_runs=3)


def _program(model: nn.Module, on: Chip = CHIP) -> Program:
    """The six lines, with the images that a specification calibrates with."""
    images = digits("train")[0][:512]
    return mapping.compile(xbar.quantize(xbar.from_torch(model, images[:2]), [images], on), on)


def _refused(assertion: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assertion(*arguments, **more)
    return str(caught.value)


def _wrong(assertion: Any, *arguments: Any, **more: Any) -> list[str]:
    """The problems, which come without any work: models are not even traced."""
    with pytest.raises(XbarError) as caught:
        assertion(*arguments, **more)
    return list(caught.value.problems)


# accuracy


def test_accuracies_by_hand() -> None:
    testing.assert_accuracy_drop(0.97, 0.96, at_most=0.01)  # in floats, a little more than 0.01
    testing.assert_accuracy_drop(0.9, 0.95, at_most=0)
    assert _refused(testing.assert_accuracy_drop, 0.975, np.float32(0.96), at_most=0.0149) == (
        "the accuracy fell by 1.50 percentage points, 97.50% -> 96.00%; at most 1.49 percentage points allowed"
    )


def test_a_model_without_a_chip_runs_in_float32_and_stays_as_it_was(nets: Trained) -> None:
    model = nn.Sequential(nets.dense, nn.Dropout(0.9), nn.BatchNorm1d(10)).train()
    model[0].eval()
    found = accuracy(nets.dense)
    testing.assert_accuracy_drop(found, model, digits("test"), at_most=0)
    testing.assert_accuracy_drop(model, found, digits("test"), at_most=0)
    assert [m.training for m in model] == [False, True, True]
    assert model[2].num_batches_tracked == 0


def test_a_model_on_a_chip_is_its_program_simulated(nets: Trained) -> None:
    """Two-bit ADCs ruin it, and the layers in which they saturate are named; unit columns are converted as well."""
    poor = chip(adc__bits=2, encoding__kind="offset")
    images, labels = digits("test")
    program = _program(nets.dense, poor)
    found = float((simulate(program, images).outputs.argmax(1) == labels).double().mean())
    for subject, on in ((nets.dense, {"data": "digits", "chip": poor}), (program, {"data": "digits"})):
        testing.assert_accuracy_drop(found, subject, **on, at_most=0)
        testing.assert_accuracy_drop(subject, found, **on, at_most=0)
        text = _refused(testing.assert_accuracy_drop, 1.0, subject, **on, at_most=0.01)
        first, *layers = text.splitlines()
        assert f"the accuracy fell by {100 * (1 - found):.2f} percentage points, 100.00% -> {found:.2%}" in first
        counts = simulate(program, images).activity.layers
        assert layers == [
            f"  after, {a.name}: {(sum(a.saturations) + a.unit_saturations) / n:.2%} of the ADC conversions saturate"
            for a in counts
            for n in [sum(a.conversions) + a.unit_conversions]
        ]
    assert found < 0.8


def test_an_outcome_has_its_accuracy_and_the_steps_to_it(outcome: Outcome) -> None:
    found = outcome.accuracy_hardware
    testing.assert_accuracy_drop(found, outcome, at_most=0)
    text = _refused(testing.assert_accuracy_drop, 1.0, outcome, at_most=0.001)
    assert f"100.00% -> {found:.2%}; at most 0.10 percentage points allowed" in text
    assert f"  after, float32: {outcome.accuracy_float:.2%}\n" in text
    assert f"  after, hardware: {found:.2%}" in text
    assert "  before" not in text


# cells


def test_cells_by_hand() -> None:
    """10 rows of 2 weights in 2 cells each, of which 1 row goes: 1 - 9/10 is in floats a little less than 0.1."""
    whole = np.full((2, 10), 3)
    pruned = whole.copy()
    pruned[:, 4] = 0
    before, after = (mapping.compile(small_network([w]), small_chip()) for w in (whole, pruned))
    testing.assert_cells_saved(before, after, at_least=0.1)
    assert _refused(testing.assert_cells_saved, before, after, at_least=0.11).splitlines() == [
        "10.00% of the cells are saved, at least 11.00% wanted: 40 -> 36",
        "  layer0: 40 -> 36, 10.00% saved  <- less than wanted",
    ]


def test_a_layer_that_was_there_before_is_no_part_of_another() -> None:
    """A layer `fc` with a child `fc.u` of its own, in both networks."""
    program = mapping.compile(small_network([np.full((2, 4), 3), np.full((3, 2), 3)]), small_chip())
    first, second = program.layers
    renamed = replace(program, layers=(replace(first, name="fc"), replace(second, name="fc.u", sources=("fc",))))
    lines = _refused(testing.assert_cells_saved, renamed, renamed, at_least=0.5).splitlines()
    assert [line.split(" ->")[0] for line in lines[1:]] == ["  fc: 16", "  fc.u: 12"]


def test_pruned_filters_save_cells_and_the_message_counts_them(nets: Trained) -> None:
    """64 x 48 and 48 x 10 weights of 8 cells; half of the 48 columns go, the rows behind them stay."""
    testing.assert_cells_saved(nets.dense, nets.halved, **ON, at_least=64 * 24 / (64 * 48 + 480))
    assert _refused(testing.assert_cells_saved, nets.dense, nets.halved, **ON, at_least=0.5).splitlines() == [
        "43.24% of the cells are saved, at least 50.00% wanted: 28,416 -> 16,128",
        "  1: 24,576 -> 12,288, 50.00% saved",
        "  3: 3,840 -> 3,840, 0.00% saved  <- less than wanted",
    ]


def test_the_factors_of_a_clipped_layer_count_as_the_layer(nets: Trained) -> None:
    rank = nets.clipped.get_submodule("1.u").out_features  # type: ignore[operator]
    saved = 1 - (8 * rank * (64 + 48) + 3840) / 28_416
    testing.assert_cells_saved(nets.dense, nets.clipped, **ON, at_least=saved)
    text = _refused(testing.assert_cells_saved, nets.dense, nets.clipped, **ON, at_least=saved + 1e-4)
    assert f"  1 (now 1.u, 1.v): 24,576 -> {8 * rank * (64 + 48):,}, " in text
    text = _refused(testing.assert_cells_saved, nets.clipped, nets.dense, **ON, at_least=0)
    assert "  1: 0 -> 24,576, new  <- less than wanted" in text
    assert "  1.u: " in text


def test_programs_and_outcomes_have_cells_of_their_own(outcome: Outcome, dense: Program) -> None:
    cells = [sum(b.n_rows * b.n_cols for layer in p.layers for b in layer.blocks) for p in (dense, outcome.program)]
    testing.assert_cells_saved(dense, outcome, at_least=1 - cells[1] / cells[0])
    _refused(testing.assert_cells_saved, dense, outcome, at_least=1 - cells[1] / cells[0] + 1e-6)


# slices


def test_bit_slice_l1_empties_slices_and_the_message_tells_which(nets: Trained, dense: Program) -> None:
    testing.assert_slice_sparsity(nets.sparse, **ON, at_most=0.2)
    testing.assert_slice_sparsity(nets.sparse, **ON, slice=-1, at_most=0.1)
    program, text = dense, _refused(testing.assert_slice_sparsity, nets.dense, **ON, at_most=0.2)
    shares = [np.count_nonzero(layer.cells.reshape(2, 4, -1), axis=(0, 2)) for layer in program.layers]
    by_layer = [counts / n for counts, n in zip(shares, (64 * 48, 480), strict=True)]
    assert text.splitlines() == [
        f"{sum(shares).sum() / 4 / (64 * 48 + 480):.2%} of the weights are not zero in the mean over all slices, "
        "at most 20.00% allowed",
        "by layer, slice 0 (the least significant) first:",
        f"  1: {', '.join(f'{r:.2%}' for r in by_layer[0])}  <- more than allowed",
        f"  3: {', '.join(f'{r:.2%}' for r in by_layer[1])}  <- more than allowed",
    ]
    limit = (by_layer[0][3] + by_layer[1][3]) / 2  # above the share in all layers, as the first has more weights
    testing.assert_slice_sparsity(program, slice=3, at_most=limit)
    limit = float(by_layer[0][3])
    lines = _refused(testing.assert_slice_sparsity, program, slice=-1, at_most=limit).splitlines()
    assert "of the weights are not zero in slice 3 of 0 to 3, at most " in lines[0]
    assert [line.endswith("<- more than allowed") for line in lines[2:]] == [False, True]


def test_an_offset_encoding_is_named_as_the_reason() -> None:
    """9 bits: weights of 0 are levels of 2^8, so that in two rows and columns on crossbars the top slice is never 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    model[1].weight.data.zero_()[:2, :2] = torch.eye(2)
    offset = chip(encoding__kind="offset")
    lines = _refused(testing.assert_slice_sparsity, model, "digits", offset, slice=-1, at_most=0.004).splitlines()
    assert lines[0] == "0.62% of the weights are not zero in slice 4 of 0 to 4, at most 0.40% allowed"
    assert lines[-1].startswith("with offset encoding a weight of 0 is no cell of 0; a chip with encoding.kind: diff")
    testing.assert_slice_sparsity(model, **ON, slice=-1, at_most=0.004)


# ADC bits


def test_bit_slice_l1_needs_smaller_adcs(nets: Trained, dense: Program) -> None:
    small = {0: 3, 1: 4, 2: 5, 3: 3}
    testing.assert_adc_bits(nets.sparse, **ON, at_most=small, max_loss=0.02)
    text = _refused(testing.assert_adc_bits, nets.dense, **ON, at_most={-1: 1, 0: 3, 1: 3}, max_loss=0.02)
    first, bits, _, *layers = text.splitlines()
    assert first.startswith("with ADCs of these bits the accuracy falls by ")
    assert first.endswith("; at most 2.00 percentage points allowed")
    assert bits == "bits: slice 0: 3, slice 1: 3, slice 3: 1; the other slices lossless"
    images, labels = digits("test")
    for i, line in enumerate(layers):  # the chip's 8 bits lose nothing
        limited = replace(dense.layers[i], adc=replace(dense.layers[i].adc, bits=(3, 3, 8, 1)))
        program = replace(dense, layers=(*dense.layers[:i], limited, *dense.layers[i + 1 :]))
        right = [(simulate(p, images).outputs.argmax(1) == labels).double().mean() for p in (dense, program)]
        assert line.startswith(f"  {limited.name}: falls by {100 * (right[0] - right[1]):.2f} percentage points (loss")
        assert line.endswith(" bits, slice 0 first)" + "  <- more than allowed" * bool(right[0] - right[1] > 0.02))


@pytest.mark.parametrize("by", ["smallest", "p999", "seen", "lossless"])
def test_bits_are_those_of_the_resolution(dense: Program, by: testing.By, nets: Trained) -> None:
    """Of the model, of its program, and of what xbar.adc_resolution found for it."""
    found = adc_resolution(dense, *digits("test"), 0.02)
    field = {"smallest": "smallest_bits", "p999": "p999_bits", "seen": "max_bits", "lossless": "lossless_bits"}[by]
    bits = {s: max(getattr(row, field) for row in found.slices if row.slice == s) for s in range(4)}
    on: dict[str, Any] = {"by": by, "max_loss": 0.02}
    for subject, more in ((nets.dense, ON), (dense, {"data": "digits"}), (found, {})):
        testing.assert_adc_bits(subject, **more, at_most=bits, **on)
        text = _refused(testing.assert_adc_bits, subject, **more, at_most={**bits, 2: bits[2] - 1}, **on)
        assert text.startswith(f"the network needs larger ADCs than allowed (by {by}: ")
        assert f": slice 2 needs {bits[2]} bits, at most {bits[2] - 1} allowed" in text
        assert "slice 0 needs" not in text


def test_an_outcome_is_judged_as_it_is_or_on_other_data(outcome: Outcome) -> None:
    assert outcome.adc is not None
    bits = max(s.smallest_bits for s in outcome.adc.slices)
    testing.assert_adc_bits(outcome, at_most=bits, by="smallest", max_loss=0.02)
    _refused(testing.assert_adc_bits, outcome, at_most=bits - 1, by="smallest", max_loss=0.02)
    (problem,) = _wrong(testing.assert_adc_bits, replace(outcome, adc=None), at_most=bits, by="p999")
    assert problem.startswith("data: labelled images are needed, got none")
    other = replace(outcome, adc=replace(outcome.adc, slices=tuple(replace(s, max_bits=1) for s in outcome.adc.slices)))
    testing.assert_adc_bits(other, at_most=1, by="seen")
    bits = max(s.max_bits for s in adc_resolution(outcome.program, *digits("test")).slices)
    testing.assert_adc_bits(other, "digits", at_most=bits, by="seen")
    _refused(testing.assert_adc_bits, other, "digits", at_most=bits - 1, by="seen")


# wrong use

MODEL = mlp(4)
NO_DATA = "data: labelled images are needed, got none; give data='digits' or data=(images, labels)"
NO_CHIP = "chip: needed for the model given as subject, got none; give for example chip='isaac_isca_2016'"


def test_everything_wrong_is_told_at_once(dense: Program) -> None:
    wrong_bits = "at_most: bits must be a whole number from 1 up, got 0"
    assert _wrong(testing.assert_adc_bits, dense, at_most=0) == [NO_DATA, wrong_bits]
    assert _wrong(testing.assert_adc_bits, MODEL, at_most={}, by="wat", max_loss=3) == [
        NO_DATA,
        NO_CHIP,
        "by: must be one of accuracy, smallest, p999, seen, lossless, got 'wat'",
        "max_loss: must be a fraction from 0 to 1, got 3; 0.01 is one percent",
        "at_most: needs at least one slice, got none; give for example {-1: 1}, or one number for all slices",
    ]
    assert _wrong(testing.assert_adc_bits, MODEL, "digit", "isac", at_most={4: 0, "1": 2.5, -5: 1}) == [
        "data: unknown kind of data, got 'digit'; did you mean digits?",
        *_wrong(xbar.load_chip, "isac"),
        "at_most: a slice must be a whole number, got '1'; -1 is the most significant",
        "at_most: bits must be a whole number from 1 up, got 0 for slice 4",
        "at_most: bits must be a whole number from 1 up, got 2.5 for slice 1",
    ]
    assert _wrong(testing.assert_slice_sparsity, MODEL, chip=CHIP, slice=4, at_most=1.5) == [
        NO_DATA,
        "at_most: must be a fraction from 0 to 1, got 1.5; 0.01 is one percent",
        "slice: a slice must be from -4 to 3, as a weight has 4 slices, got 4",
    ]
    assert _wrong(testing.assert_cells_saved, MODEL, MODEL, at_least=-0.1) == [
        NO_DATA,
        "chip: needed for the models given as before and after, got none; give for example chip='isaac_isca_2016'",
        "at_least: must be a fraction from 0 to 1, got -0.1; 0.01 is one percent",
    ]
    assert _wrong(testing.assert_accuracy_drop, 97.5, "model.pt2", chip=CHIP, at_most=float("nan")) == [
        "after: must be a torch model, a Program, an Outcome or an accuracy, got str",
        "chip: only a model needs one (a Program or an Outcome has its own); leave it out",
        "at_most: must be a fraction from 0 to 1, got nan; 0.01 is one percent",
        "before: must be a fraction from 0 to 1, got 97.5; 0.01 is one percent",
    ]


@pytest.mark.parametrize("at_most", [True, "0.1", None, 1.01, -0.01, float("nan")])
def test_shares_are_fractions(at_most: Any) -> None:
    (problem,) = _wrong(testing.assert_slice_sparsity, MODEL, **ON, at_most=at_most)
    assert problem == f"at_most: must be a fraction from 0 to 1, got {at_most!r}; 0.01 is one percent"


@pytest.mark.parametrize(
    "assertion",
    [testing.assert_adc_bits, testing.assert_slice_sparsity, testing.assert_cells_saved, testing.assert_accuracy_drop],
)
@pytest.mark.parametrize("subject", ["model.pt2", None, True, [MODEL]])
def test_subjects_of_another_kind(assertion: Any, subject: Any, dense: Program) -> None:
    two = assertion in (testing.assert_cells_saved, testing.assert_accuracy_drop)
    claim = {"at_least": 0.5} if assertion is testing.assert_cells_saved else {"at_most": 1}
    problems = _wrong(assertion, *([dense] if two else []), subject, "digits", **claim)
    assert problems[0].startswith(f"{'after' if two else 'subject'}: must be a torch model, a Program")
    assert problems[0].endswith(f"got {type(subject).__name__}")


def test_what_has_no_effect_is_refused(dense: Program) -> None:
    found = AdcResolution((SliceResolution("fc", 0, 8, 7, 6, 5),), 10, 0.01, 1.0, 1.0, 5, 1.0)
    problems = _wrong(testing.assert_adc_bits, found, "digits", CHIP, at_most=8)
    assert [p.split(";")[0] for p in problems] == [
        "chip: only a model needs one (a Program or an Outcome has its own)",
        "by: accuracy needs a network to simulate, got an AdcResolution",
        "data: have no effect on an AdcResolution, which is judged as it is",
    ]
    (problem,) = _wrong(testing.assert_accuracy_drop, 0.5, 0.4, "digits", at_most=0.2)
    assert problem.startswith("data: have no effect, as neither side is a model or a Program")
    (problem,) = _wrong(testing.assert_slice_sparsity, dense, chip=CHIP, at_most=1)
    assert problem.startswith("chip: only a model needs one")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((torch.zeros(3, 64), torch.zeros(2)), "one label per image, got 3 images and 2 labels"),
        ((torch.zeros(3, 64), torch.zeros(3, 10)), r"must be images .* got \[3, 64\] and \[3, 10\]; a label is the"),
        ((torch.zeros(3, 64), [1, 2, 3]), r"must be \(images, labels\) as tensors or arrays, got \(Tensor, list\)"),
        ((torch.zeros(3, 64),), r"must be \(images, labels\) as tensors or arrays, got \(Tensor\)"),
        (torch.zeros(3, 64), r"must be a specification or \(images, labels\), got Tensor; give for example data='dig"),
        ((torch.full((3, 64), torch.nan), torch.zeros(3)), "images must be finite"),
        ((torch.zeros(0, 64), torch.zeros(0)), "at least one image is needed"),
    ],
)
def test_data_of_another_form(data: Any, text: str) -> None:
    with pytest.raises(XbarError, match=f"^data: {text}"):
        testing.assert_slice_sparsity(MODEL, data, CHIP, at_most=1)


def test_data_that_do_not_suit_the_model(dense: Program) -> None:
    images, labels = digits("test")
    with pytest.raises(XbarError, match="data: labels go up to 10, but the model has 10 outputs"):
        testing.assert_accuracy_drop(1, MODEL, (images, labels + 1), at_most=1)
    with pytest.raises(XbarError, match=r"model: must return scores \[image, class\] to have an accuracy, got \[5, 1"):
        testing.assert_accuracy_drop(1, nn.Identity(), (images[:5], labels[:5]), at_most=1)
    with pytest.raises(XbarError, match=r"^after: Sequential: torch\.export cannot trace it"):
        testing.assert_cells_saved(dense, MODEL, (torch.zeros(3, 65), torch.zeros(3)), CHIP, at_least=0)


def test_data_as_arrays_in_any_precision(nets: Trained) -> None:
    images, labels = (part.numpy() for part in digits("test"))
    found = accuracy(nets.dense)
    testing.assert_accuracy_drop(found, nets.dense, (images.astype(np.float64), labels.astype(np.int32)), at_most=0)
    testing.assert_accuracy_drop(found, nets.dense, datasets.load("digits"), at_most=0)


def test_tokens_stay_whole_numbers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 8), nn.Flatten(), nn.Linear(24, 3)).eval()
    tokens = torch.randint(0, 5, (20, 3))
    labels = model(tokens).argmax(1)
    testing.assert_accuracy_drop(1.0, model, (tokens, labels), at_most=0)
    testing.assert_accuracy_drop(1.0, model, (tokens, labels), CHIP, at_most=0.1)


def test_importing_it_brings_no_plots_and_no_tables() -> None:
    code = (
        "import sys; from xbar import testing;"
        "heavy = [m for m in ('matplotlib', 'pandas', 'sklearn', 'typer', 'rich') if m in sys.modules];"
        "assert not heavy, heavy;"
        "assert sorted(testing.__all__) == sorted(n for n in dir(testing) if n.startswith('assert_'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
