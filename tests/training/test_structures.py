"""Structures cover a layer without overlap, as crossbars cut it; their norms; the largest are the best to keep."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD

from mapping.partition import partition, row_edges
from xbar.errors import TrainingError
from xbar.training.base import Treated, find_layers
from xbar.training.structures import (
    STRUCTURES,
    any_nonzero,
    cut,
    largest_tiles,
    misfits,
    n_in,
    n_tiles,
    norms,
    root_mean_squares,
    spread,
    structure_problems,
    sum_of_norms,
    tile_of,
)

SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6))
TILES = st.tuples(st.integers(1, 6), st.integers(1, 6))


def _layer(module: nn.Module) -> Treated:
    return find_layers("Test", module, SGD(module.parameters(), 0.1))[0]


def _zeroed(
    treated: Treated, structure: str, crossbar: tuple[int, int] | None, group: int, row: int, col: int
) -> Tensor:
    """The weights of the structure that contains the matrix' weight [group, row, col], bool laid out as the weights."""
    matrix = torch.zeros_like(treated.matrix())
    matrix[group, row, col] = 1.0
    tile = tile_of(structure, treated, crossbar)
    return treated.weights(largest_tiles(matrix, tile, 1))


def test_structures_of_a_convolution_by_hand() -> None:
    """4 filters of 3 channels, 2 x 2: rows (channel, kernel), 12 x 4; row 6 is channel 1, position (1, 0)."""
    conv = _layer(nn.Conv2d(3, 4, 2))
    want = torch.zeros(4, 3, 2, 2, dtype=torch.bool)

    def only(*index: int | slice) -> Tensor:
        mask = want.clone()
        mask[index] = True
        return mask

    every = slice(None)
    assert torch.equal(_zeroed(conv, "filter", None, 0, 6, 2), only(2))
    assert torch.equal(_zeroed(conv, "channel", None, 0, 6, 2), only(every, 1))
    assert torch.equal(_zeroed(conv, "shape_column", None, 0, 6, 2), only(every, 1, 1, 0))
    assert torch.equal(_zeroed(conv, "unstructured", None, 0, 6, 2), only(2, 1, 1, 0))
    # crossbars of 5 x 3: rows 5..9 are (1,0,1), channel 1 but its first position, and (2,0,0), (2,0,1)
    assert torch.equal(_zeroed(conv, "crossbar_row", (5, 3), 0, 6, 2), only(slice(0, 3), 1, 1, 0))
    block = _zeroed(conv, "crossbar_block", (5, 3), 0, 6, 2)
    assert torch.equal(conv.matrix(block)[0].nonzero().unique(), torch.tensor([0, 1, 2, 5, 6, 7, 8, 9]))
    assert int(block.sum()) == 15
    column = _zeroed(conv, "crossbar_column", (5, 3), 0, 6, 2)
    assert torch.equal(column, block & only(2))


def _brute_force(layer: nn.Conv2d, structure: str, crossbar: tuple[int, int]) -> list[Tensor]:
    """The weights of each structure, found one by one."""
    per_group = layer.out_channels // layer.groups
    found: dict[tuple[int, ...], list[float]] = {}
    for out, filter_ in enumerate(layer.weight.tolist()):
        g, f = divmod(out, per_group)
        for c, kernel in enumerate(filter_):
            positions = [v for line in kernel for v in line]
            for k, value in enumerate(positions):
                row = c * len(positions) + k
                key = {
                    "filter": (g, f),
                    "channel": (g, c),
                    "shape_column": (g, c, k),
                    "crossbar_row": (g, row, f // crossbar[1]),
                    "crossbar_column": (g, row // crossbar[0], f),
                    "crossbar_block": (g, row // crossbar[0], f // crossbar[1]),
                    "unstructured": (g, row, f),
                }[structure]
                found.setdefault(key, []).append(value)
    return [torch.tensor(found[key]) for key in sorted(found)]


@pytest.mark.parametrize("crossbar", [(7, 2), (12, 3), (99, 99)])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_are_what_their_names_say(structure: str, crossbar: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, (3, 2), groups=2)
    layer = _layer(conv)
    matrix, tile = layer.matrix(), tile_of(structure, layer, crossbar)
    expected = _brute_force(conv, structure, crossbar)
    assert len(expected) == n_tiles(tuple(matrix.shape), tile)
    torch.testing.assert_close(norms(matrix, tile).flatten(), torch.stack([w.norm() for w in expected]))
    rms = torch.stack([w.square().mean().sqrt() for w in expected])  # by the weights that a last tile really has
    torch.testing.assert_close(root_mean_squares(matrix, tile).flatten(), rms)


@pytest.mark.parametrize("module", [nn.Linear(7, 5), nn.Conv2d(4, 6, 3), nn.Conv1d(4, 6, 3, groups=2)])
@pytest.mark.parametrize("structure", [name for name in STRUCTURES if name != "crossbar_block"])
def test_structures_are_disjoint_and_cover_the_layer(module: nn.Module, structure: str) -> None:
    layer = _layer(module)
    matrix, tile = layer.matrix(), tile_of(structure, layer, (4, 3))
    kept = [largest_tiles(matrix, tile, n) for n in range(n_tiles(tuple(matrix.shape), tile) + 1)]
    assert not kept[0].any()
    assert kept[-1].all()
    assert all((more & less).equal(less) and more.sum() > less.sum() for less, more in pairwise(kept))


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, tile=TILES, seed=st.integers(0, 2**31))
def test_a_cut_matrix_is_filled_up_with_zeros_and_spread_puts_tiles_back(
    shape: tuple[int, int, int], tile: tuple[int, int], seed: int
) -> None:
    matrix = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) + 1
    pieces = cut(matrix, tile)
    assert int((pieces != 0).sum()) == matrix.numel()
    for g, r, c in torch.cartesian_prod(*(torch.arange(n) for n in shape)).reshape(-1, 3).tolist():
        assert pieces[g, r // tile[0], r % tile[0], c // tile[1], c % tile[1]] == matrix[g, r, c]
    whole = spread(norms(matrix, tile), tile, shape)
    assert whole.shape == matrix.shape
    torch.testing.assert_close(cut(whole, tile).amax((2, 4)), norms(matrix, tile))
    torch.testing.assert_close(whole, whole.new_tensor(_norms_around(matrix, tile)))


def _norms_around(matrix: Tensor, tile: tuple[int, int]) -> list[list[list[float]]]:
    """For each weight the norm of the tile that it lies in, by slices."""

    def norm(one: Tensor, r: int, c: int) -> float:
        r, c = r // tile[0] * tile[0], c // tile[1] * tile[1]
        return float(one[r : r + tile[0], c : c + tile[1]].norm())

    return [[[norm(one, r, c) for c in range(one.shape[1])] for r in range(one.shape[0])] for one in matrix]


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, tile=TILES, seed=st.integers(0, 2**31))
def test_the_gradient_of_norms_is_the_direction_and_0_at_0(
    shape: tuple[int, int, int], tile: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((shape[0] * shape[2], shape[1]), generator=generator).double()
    layer = _layer(nn.Conv1d(shape[1] * shape[0], shape[0] * shape[2], 1, groups=shape[0]).double())
    dead = torch.rand(norms(layer.matrix(), tile).shape, generator=generator) < 0.4
    zero = layer.weights(spread(dead, tile, shape))
    layer.parameter.data = weight.reshape(layer.parameter.shape).masked_fill(zero, 0)
    sum_of_norms(layer, [tile, (1, 1)]).backward()
    around = layer.weights(torch.tensor(_norms_around(layer.matrix().detach(), tile), dtype=torch.float64))
    value = layer.parameter.detach()
    wanted = torch.where(value == 0, 0.0, value / around + value.sign())  # single weights are the second structure
    torch.testing.assert_close(layer.parameter.grad, wanted)
    assert torch.equal(any_nonzero(layer.matrix(), tile), ~dead)


def test_a_weight_whose_square_is_0_is_not_0() -> None:
    matrix, tile = torch.tensor([[[1e-30, 0.0, 0.0, 0.0]]]), (1, 2)
    assert norms(matrix, tile).tolist() == [[[0.0, 0.0]]]
    assert any_nonzero(matrix, tile).tolist() == [[[True, False]]]


@settings(max_examples=60, deadline=None)
@given(n_rows=st.integers(1, 40), n_cols=st.integers(1, 40), crossbar=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_blocks_are_those_of_the_mapping(n_rows: int, n_cols: int, crossbar: tuple[int, int]) -> None:
    """With one in every weight, the squared norm of a tile is the number of weights in the piece that mapping makes."""
    layer = _layer(nn.Linear(n_rows, n_cols))
    tile = tile_of("crossbar_block", layer, crossbar)
    counts = norms(torch.ones(1, n_rows, n_cols), tile)[0].square().round()
    pieces = partition(1, 1, n_rows, n_cols, *crossbar, interleaved=True, shared_rows=False)
    got = {(p.row_block, p.cols[0] // crossbar[1]): p.n_rows * p.n_cols for p in pieces}
    assert got == {(r, c): int(counts[r, c]) for r in range(counts.shape[0]) for c in range(counts.shape[1])}
    assert counts.shape[0] == len(row_edges(n_rows, crossbar[0])) - 1


@settings(max_examples=100, deadline=None)
@given(
    shape=SHAPES,
    tile=TILES,
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_the_largest_structures_are_the_best_of_all_choices(
    shape: tuple[int, int, int], tile: tuple[int, int], share: float, seed: int
) -> None:
    count = n_tiles(shape, tile)
    n = round(share * count) if count <= 12 else count - 1 if share > 0.5 else 1
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
    distance = float((matrix - matrix * largest_tiles(matrix, tile, n)).square().sum())
    # every choice of n tiles, by slices: independent of how the code lays them out
    blocks = [
        matrix[g, r : r + tile[0], c : c + tile[1]].square().sum().item()
        for g in range(shape[0])
        for r in range(0, shape[1], tile[0])
        for c in range(0, shape[2], tile[1])
    ]
    total = sum(blocks)
    best = min(total - sum(blocks[i] for i in chosen) for chosen in combinations(range(count), n))
    assert distance == pytest.approx(best, abs=1e-9)


def test_a_share_is_never_exceeded() -> None:
    assert [n_in(share, 100) for share in (0.29, 0.295, 1.0, 0.009)] == [29, 29, 100, 0]
    assert n_in(1 / 3, 3) == 1


def test_a_tile_is_at_most_the_matrix() -> None:
    layer = _layer(nn.Linear(4, 3))
    assert [tile_of(name, layer, (64, 64)) for name in STRUCTURES[3:6]] == [(1, 3), (4, 1), (4, 3)]


def test_groups_that_may_share_a_crossbar_have_no_block() -> None:
    layers = [_layer(nn.Conv2d(4, 4, 3, groups=2)), _layer(nn.Conv2d(4, 4, 3))]
    (problem,) = misfits("Test", ["filter", "crossbar_block"], layers)
    assert problem.startswith("Test: layer : crossbar_block: must have crossbars for itself, got 2 groups")
    assert misfits("Test", [name for name in STRUCTURES if name != "crossbar_block"], layers) == []


def test_what_is_wrong_with_structures_comes_at_once() -> None:
    assert structure_problems("Test", STRUCTURES, (128, 16)) == []
    assert structure_problems("Test", STRUCTURES, [128, 16]) == []  # as YAML has it
    name, missing = structure_problems("Test", ["filters", "crossbar_row", "crossbar_block", "crossbar_row"], None)
    assert name.startswith("Test: structure: must be one of filter, channel, ")
    assert name.endswith("got 'filters'")
    assert missing == (
        "Test: crossbar_row, crossbar_block: needs a crossbar's size; set crossbar=(rows, weights per row)"
    )
    for crossbar in (64, (64,), (64, 0), (64.0, 64), (True, 64)):
        (problem,) = structure_problems("Test", ["filter"], crossbar)
        assert problem.startswith("Test: crossbar: must be (rows, weights per row), whole numbers from 1, got ")


@pytest.mark.parametrize("structure", ["crossbar_row", "crossbar_column", "crossbar_block"])
def test_no_crossbar_size_known_is_an_error(structure: str) -> None:
    with pytest.raises(TrainingError, match=r"needs a crossbar's size; set crossbar=\(rows, weights per row\)"):
        tile_of(structure, _layer(nn.Linear(4, 4)))
