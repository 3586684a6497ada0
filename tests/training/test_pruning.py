"""Magnitude pruning: what goes, what stays, and that a network trained around the zeros still works."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from close import approx
from digits_training import accuracy, cnn, mlp, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xbar.errors import TrainingError
from xbar.training.base import Together, Treated
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.pruning import MagnitudePruning
from xbar.training.structures import STRUCTURES, root_mean_squares, tile_of


def _attached(model: nn.Module, **arguments: Any) -> MagnitudePruning:
    method = MagnitudePruning(**arguments)
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9))
    return method


def test_weights_below_the_threshold_go_by_hand() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].weight.data = torch.tensor([[0.5, -0.009, 0.01], [0.0, -0.5, 0.0099]])
    method = _attached(model, threshold=0.01)
    assert torch.equal(model[0].weight, torch.tensor([[0.5, 0.0, 0.01], [0.0, -0.5, 0.0]]))
    assert method.masks[0].zero_rel == 0.5


def test_a_filter_goes_by_the_root_mean_square_of_its_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 2))
    model[0].weight.data = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.19, 0.0, 0.0, 0.0]])  # 0.1 and 0.095
    _attached(model, threshold=0.0999, structure="filter")
    assert (model[0].weight == 0).all(1).tolist() == [False, True]


def test_crossbar_rows_go_by_the_weights_that_they_have() -> None:
    """5 weights on crossbars of 4: two word lines, of 4 weights and of 1, and sizes 0.1 and 0.09."""
    model = nn.Sequential(nn.Linear(1, 5))
    model[0].weight.data = torch.tensor([[0.1], [0.1], [0.1], [0.1], [0.09]])
    choice = {"structure": "crossbar_row", "crossbar": (8, 4)}
    assert not _attached(model, threshold=0.085, **choice).masks[0].zero.any()
    _attached(model, threshold=0.095, **choice)
    assert model[0].weight.flatten().tolist() == approx([0.1, 0.1, 0.1, 0.1, 0.0])


@settings(max_examples=40, deadline=None)
@given(percent=st.integers(0, 99), structure=st.sampled_from(STRUCTURES), seed=st.integers(0, 1000))
def test_a_fraction_takes_the_smallest_structures_of_each_layer(percent: int, structure: str, seed: int) -> None:
    torch.manual_seed(seed)
    first = nn.Conv2d(4, 6, 2, groups=1 if structure == "crossbar_block" else 2)
    model = nn.Sequential(first, nn.Flatten(), nn.Linear(24, 5))

    def sizes(t: Treated) -> Tensor:
        return root_mean_squares(t.matrix(), tile_of(structure, t, (7, 4))).flatten()

    before = [sizes(t) for t in _attached(copy.deepcopy(model), fraction=0.0).treated]
    method = _attached(model, fraction=percent / 100, structure=structure, crossbar=(7, 4))
    for t, old in zip(method.treated, before, strict=True):
        dead = sizes(t) == 0
        assert int(dead.sum()) == percent * len(old) // 100
        if dead.any():
            assert old[dead].max() <= old[~dead].min()


def test_decimal_fractions_mean_what_they_say() -> None:
    model = nn.Sequential(nn.Linear(10, 10))
    assert _attached(model, fraction=0.29).masks[0].zero.sum() == 29


def test_equal_weights_go_in_order_and_no_more_than_asked() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].weight.data.fill_(0.5)
    _attached(model, fraction=0.4)
    assert model[0].weight.tolist() == [[0.0, 0.0, 0.5], [0.5, 0.5, 0.5]]


def test_pruning_again_keeps_what_is_zero_and_takes_more() -> None:
    model = nn.Sequential(nn.Linear(3, 1))
    model[0].weight.data = torch.tensor([[0.1, 0.3, 0.5]])
    method = _attached(model, threshold=0.2)
    method.prune()
    assert method.masks[0].zero.tolist() == [[True, False, False]]
    method.threshold = 0.4
    method.prune()
    model[0].weight.data.fill_(9.0)
    method.after_step()
    assert model[0].weight.tolist() == [[0.0, 0.0, 9.0]]


def test_a_threshold_above_a_whole_layer_is_an_error_and_changes_nothing() -> None:
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(
        TrainingError, match=r"structure unstructured: a threshold of 9\.0 leaves none, the largest"
    ) as caught:
        _attached(model, threshold=9.0)
    assert [p.split(":")[1] for p in caught.value.problems] == [" layer 1", " layer 3"]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_a_state_goes_on_where_it_was() -> None:
    model, other = mlp(), mlp(seed=1)
    method, again = _attached(model, fraction=0.5), _attached(other, fraction=0.1)
    other.load_state_dict(model.state_dict())
    again.load_state_dict(method.state_dict())
    for a, b in zip(method.masks, again.masks, strict=True):
        assert torch.equal(a.zero, b.zero)


@pytest.mark.parametrize(("structure", "fraction", "skip"), [("unstructured", 0.8, ()), ("filter", 0.5, ("6",))])
def test_a_network_trained_around_the_zeros_is_as_good(structure: str, fraction: float, skip: tuple[str, ...]) -> None:
    dense = trained(cnn(), None, epochs=12)
    cut, tuned = copy.deepcopy(dense), copy.deepcopy(dense)
    _attached(cut, fraction=fraction, structure=structure, skip=skip)
    method = MagnitudePruning(fraction=fraction, structure=structure, skip=skip)
    trained(tuned, method, epochs=12)
    for before, t in zip(method.masks, method.treated, strict=True):
        assert before.zero_rel == pytest.approx(fraction, abs=0.02)
        assert (t.parameter[before.zero] == 0).all()
        assert (t.parameter[~before.zero] != 0).all()
    assert accuracy(tuned) > accuracy(dense) - 0.02
    assert accuracy(tuned) > accuracy(cut) + 0.02


def test_it_composes_with_bit_slice_l1_in_either_order() -> None:
    for order in (1, -1):
        model = mlp(8)
        pruning = MagnitudePruning(fraction=0.6)
        trained(model, Together(*[pruning, BitSliceL1(0.1)][::order]), epochs=2)
        for mask, layer in zip(pruning.masks, (model[1], model[3]), strict=True):
            assert (layer.weight[mask.zero] == 0).all()
            assert (layer.weight[~mask.zero] != 0).any()
            assert mask.zero_rel == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, ["needs either fraction or threshold, got none"]),
        ({"fraction": 0.5, "threshold": 0.1}, ["got both"]),
        ({"fraction": 1.0, "structure": "cells"}, ["fraction: must be", "structure: must be one of filter, channel"]),
        ({"threshold": float("nan")}, ["threshold: must be a number"]),
        ({"fraction": 0.5, "structure": "crossbar_row"}, ["crossbar_row: needs a crossbar's size; set crossbar="]),
        ({"fraction": 0.5, "crossbar": (8, 0)}, ["crossbar: must be (rows, weights per row)"]),
    ],
)
def test_wrong_arguments_are_told_all_at_once(arguments: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(TrainingError) as caught:
        MagnitudePruning(**arguments)
    assert len(caught.value.problems) == len(told)
    for problem, part in zip(caught.value.problems, told, strict=True):
        assert part in problem


def test_blocks_of_a_layer_with_groups_are_an_error() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))
    with pytest.raises(TrainingError, match=r"MagnitudePruning: layer 0: crossbar_block: .* got 2 groups"):
        _attached(model, fraction=0.5, structure="crossbar_block", crossbar=(8, 8))


def test_nothing_works_before_attach() -> None:
    method = MagnitudePruning(fraction=0.5)
    for use in (method.prune, method.penalty, method.after_step, method.finish):
        with pytest.raises(TrainingError, match="call attach"):
            use()
