"""Networks side by side: figures that can be counted by hand, and what may not be compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from close import approx
from small import small_chip
from torch import nn

import mapping
import xbar
from xbar.datasets import Labelled
from xbar.errors import DataError
from xbar.hardware import Chip
from xbar.sweep.comparison import Comparison, in_words
from xbar.sweep.outcome import Outcome

CHIP = small_chip(
    crossbar__rows=16, crossbar__cols=16, precision={"weight_bits": 5, "input_bits": 4, "granularity": "layer"}
)


def _model(n_dead_rows: int = 0) -> nn.Module:
    """A linear layer 32 -> 4 with weights of 1 and a single -15 (integers of 5 bits), its first rows dead."""
    model = nn.Sequential(nn.Linear(32, 4, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].weight[0, 31] = -15.0
        model[0].weight[:, :n_dead_rows] = 0
    return model


def _outcome(model: nn.Module, chip: Chip = CHIP, n_inputs: int = 8, max_loss: float | None = 0.0) -> Outcome:
    images = np.random.default_rng(0).random((n_inputs, 32)).astype(np.float32)
    data = Labelled("made up", images, np.zeros(n_inputs, np.int64))
    return xbar.evaluate(xbar.from_torch(model, torch.from_numpy(images[:2])), chip, data, data, max_loss=max_loss)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return Comparison({"dense": _outcome(_model()), "half": _outcome(_model(16))})


def test_cells_wires_and_slices_are_those_counted_by_hand(comparison: Comparison) -> None:
    """4 magnitude bits in slices of 2 on pairs: 128 weights, 4 cells each; of 32 rows in two blocks 16 are left."""
    dense, half = comparison.figures().values()
    assert (dense["weights"], half["weights"]) == (128, 64)
    assert (dense["cells"], half["cells"]) == (512, 256)
    assert (dense["wires"], half["wires"]) == (32 + 2 * 4, 16 + 4)
    assert half["routing_area_rel"] == 0.25
    assert dense["nonzero_slices_rel"] == [1.0, 1 / 128]
    assert half["nonzero_slices_rel"] == [0.5, 1 / 128]
    assert half["crossbars"] == dense["crossbars"] / 2


def test_bits_are_the_largest_of_all_layers_and_figures_those_of_the_outcome(comparison: Comparison) -> None:
    for name, figures in comparison.figures().items():
        outcome = comparison.outcomes[name]
        assert outcome.adc is not None
        for s in range(2):
            own = [x for x in outcome.adc.slices if x.slice == s]
            assert figures["adc_bits_lossless"][s] == max(x.lossless_bits for x in own)
            assert figures["adc_bits_smallest"][s] == max(x.smallest_bits for x in own)
        assert figures["accuracy"] == outcome.accuracy.mean
        by_layer = outcome.report.by("layer")
        layers = [by_layer[layer.name] for layer in outcome.program.layers]
        assert figures["layers_area_m2"] == approx(sum(x.area_m2 for x in layers))
        assert figures["layers_energy_J"] == approx(sum(x.energy_J for x in layers))
        assert 0 < figures["adc_energy_J"] < figures["layers_energy_J"]
        assert figures["routing_area_rel"] == mapping.routing(outcome.program).area_rel


def test_a_frame_has_a_column_for_each_and_slices_in_words(comparison: Comparison) -> None:
    frame = comparison.frame()
    assert list(frame) == ["dense", "half"]
    assert frame.loc["nonzero_slices_rel"].tolist() == ["100/0.781", "50/0.781"]
    assert in_words([3, 2, 1]) == "3/2/1"


def test_without_a_search_there_are_no_adc_bits() -> None:
    figures = Comparison({"a": _outcome(_model(), max_loss=None), "b": _outcome(_model(4), max_loss=None)}).figures()
    assert not [name for name in figures["a"] if name.startswith("adc_bits")]


def test_what_is_not_alike_is_told_all_at_once() -> None:
    first = _outcome(_model(), max_loss=None)
    other_chip = small_chip(
        crossbar__rows=8, crossbar__cols=16, precision={"weight_bits": 5, "input_bits": 4, "granularity": "layer"}
    )
    with pytest.raises(DataError) as caught:
        Comparison({"first": first, "other": _outcome(_model(), other_chip, n_inputs=4, max_loss=None)})
    assert [p.split("same ")[1] for p in caught.value.problems] == [
        "chip as first; evaluate both alike",
        "number of images as first; evaluate both alike",
    ]
    with pytest.raises(DataError, match="at least two outcomes"):
        Comparison({"first": first})
