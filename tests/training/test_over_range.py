"""The excess of column sums over ADC ranges, and its gradient."""

from __future__ import annotations

from functools import cache
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from close import approx
from hypothesis import example, given, settings
from numpy.typing import NDArray
from small import reweighted, small_chip
from torch import Tensor, nn
from torch.export import ExportedProgram

import mapping
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip
from xbar.program import Program
from xbar.quantization import quantize
from xbar.training.over_range import adc_tops, over_range

TABLE = {
    "kind": "table",
    "source": "made up",
    "points": [{"bits": b, "energy_J": 1e-12, "area_m2": 1e-9, "time_s": 1e-9} for b in range(1, 9)],
}
PAIRS = {"kind": "differential"}


def _chip(**changes: Any) -> Chip:
    defaults: dict[str, Any] = {
        "crossbar__rows": 4,
        "crossbar__cols": 32,
        "chip__tiles": 64,
        "device": {"kind": "levels", "cell_bits": 2},
        "encoding": PAIRS,
        "adc": {**TABLE, "bits": 2},
        "precision": {"weight_bits": 5, "input_bits": 3, "granularity": "layer"},
    }
    return small_chip(**{**defaults, **changes})


def _program(model: nn.Module | ExportedProgram, x: Tensor, chip: Chip) -> Program:
    return mapping.compile(quantize(from_torch(model, x), x, chip), chip)


@cache
def _traced(n_out: int, n_in: int) -> ExportedProgram:
    return from_torch(nn.Linear(n_in, n_out, bias=False), torch.zeros(2, n_in)).exported


def _linear(weights: NDArray[np.int64]) -> ExportedProgram:
    """The integers as weights [out, in], the largest of which is 15, so that 5 bits have the step 1."""
    return reweighted(_traced(*weights.shape), [weights])


def _by_hand(w: NDArray[np.int64], x: NDArray[np.int64], rows: int, tops: NDArray[np.float64]) -> tuple[float, Any]:
    """Pairs of 2-bit cells, 3-bit inputs, one conversion after the other: mean excess and gradient [out, in]."""
    total, n, slope = 0.0, 0, np.zeros(w.shape)
    kept = np.flatnonzero(w.any(axis=0))  # no word line holds an input without a weight
    for vector in x:
        for bit in range(3):
            for first in range(0, len(kept), rows):
                here = kept[first : first + rows]
                for out in range(len(w)):
                    for sign in (1, -1):
                        for k in range(2):
                            cells = np.where(np.sign(w[out, here]) == sign, abs(w[out, here]) >> 2 * k & 3, 0)
                            driven = vector[here] >> bit & 1
                            y = int(cells @ driven)
                            n += 1
                            if y > tops[k]:
                                total += (y - tops[k]) / tops[k]
                                slope[out, here] += driven * (cells > 0) * sign / 4**k / tops[k]
    return total / n, slope / n


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
@example(571)  # no weight has the third input
def test_every_conversion_adds_what_exceeds_its_range(seed: int) -> None:
    generator = np.random.default_rng(seed)
    w, x = generator.integers(-15, 16, (3, 10)), generator.integers(0, 8, (5, 10))
    w[0, 0], x[0, 0] = 15, 7  # steps of one
    chip = _chip(adc={**TABLE, "bits": [2, 1]})
    mean, slope = over_range(_program(_linear(w), torch.from_numpy(x).float(), chip), torch.from_numpy(x).float())
    expected, by_weight = _by_hand(w, x, 4, np.array([3.0, 1.0]))
    assert mean == approx(expected)
    np.testing.assert_allclose(slope[0].T.numpy(), by_weight, atol=1e-6)


def test_the_bits_do_not_depend_on_the_order_of_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor on how they are cut, nor on threads, which add up in an order of their own."""
    monkeypatch.setattr("xbar.training.over_range._CHUNK", 4096)  # several chunks
    torch.manual_seed(0)
    module, x = nn.Linear(200, 16, bias=False), torch.rand(300, 200)
    program = _program(module, x, _chip(crossbar__rows=64, chip__tiles=512))
    mean, slope = over_range(program, x)
    again, turned = over_range(program, x.flip(0))
    assert mean == again > 0
    assert torch.equal(slope, turned)


@pytest.mark.parametrize(
    "encoding", [PAIRS, {"kind": "offset", "flipped": False}, {"kind": "offset", "flipped": True}], ids=str
)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_gradient_is_that_of_a_convex_function_of_the_weights(encoding: dict[str, Any], seed: int) -> None:
    """One slice, no empty cell before: f(w') >= f(w) + <gradient, w' - w>, whichever way a column is stored."""
    generator = np.random.default_rng(seed)
    signs = generator.choice([-1, 1], (2, 6))
    w = signs * generator.integers(1, 7, (2, 6))
    w[:, 0] = 7  # the largest weight of each column and block stays as it is, and with it the steps
    x = torch.from_numpy(generator.integers(0, 8, (4, 6))).float()
    x[0, 0] = 7
    chip = _chip(
        encoding=encoding,
        crossbar__rows=8,
        device={"kind": "levels", "cell_bits": 4},
        precision={"weight_bits": 4, "input_bits": 3, "granularity": "layer"},
        adc={**TABLE, "bits": 1},
    )
    program = _program(_linear(w), x, chip)
    here, slope = over_range(program, x)
    assert here > 0
    row, out = generator.integers(1, 6), generator.integers(0, 2)
    moved = w.copy()
    moved[out, row] = signs[out, row] * generator.integers(1, 7)
    other = _program(_linear(moved), x, chip)
    if not np.array_equal(other.layers[0].plane_sign, program.layers[0].plane_sign):
        return  # the column is stored the other way round now
    there, _ = over_range(other, x)
    assert there >= here + float(slope[0, row, out]) * (moved - w)[out, row] - 1e-5


def test_convolutions_and_pruned_rows_have_their_gradients_in_their_places() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, groups=2, bias=False)
    with torch.no_grad():
        conv.weight[:, :, 1] = 0  # three rows of nine
    x = torch.rand(3, 2, 6, 6)
    program = _program(conv, x, _chip(adc={**TABLE, "bits": 1}))
    assert program.layers[0].kept_rows is not None
    mean, slope = over_range(program, x)
    assert slope.shape == (2, 9, 2)
    assert mean > 0
    by_weight = slope.transpose(1, 2).reshape(conv.weight.shape)
    assert by_weight[:, :, 1].abs().max() == 0
    others = by_weight[conv.weight != 0]
    assert (others != 0).float().mean() > 0.5
    # smaller magnitudes exceed less: the gradient never points the other way
    assert bool((by_weight * conv.weight.sign() >= 0).all())


def test_ranges_of_all_kinds_of_adc() -> None:
    w, x = np.array([[15, 3, 9]]), torch.tensor([[7.0, 5.0, 2.0]])
    assert adc_tops(_program(_linear(w), x, _chip()).layers[0]).tolist() == [3, 3]
    full = _program(_linear(w), x, _chip(adc={**TABLE, "bits": 2, "mode": "range", "full_scale": "worst_case"}))
    assert over_range(full, x)[0] == 0  # no sum exceeds the largest
    ideal = _program(_linear(w), x, _chip(adc={"kind": "ideal"}))
    assert np.isinf(adc_tops(ideal.layers[0])).all()
    mean, slope = over_range(ideal, x)
    assert mean == 0
    assert not slope.any()
