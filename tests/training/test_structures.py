"""Structures cover a layer without overlap, as crossbars cut it, and the largest are the nearest projection."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD

from mapping.partition import partition, row_edges
from xbar.training.base import Treated, find_layers
from xbar.training.structures import STRUCTURES, largest_tiles, n_kept, n_tiles, tile_energies


def _layer(module: nn.Module) -> Treated:
    return find_layers("Test", module, SGD(module.parameters(), 0.1))[0]


def _zeroed(
    treated: Treated, structure: str, crossbar: tuple[int, int] | None, group: int, row: int, col: int
) -> Tensor:
    """The weights of the structure that contains the matrix' weight [group, row, col], bool laid out as the weights."""
    matrix = torch.zeros_like(treated.matrix())
    matrix[group, row, col] = 1.0
    tile = STRUCTURES[structure](treated, crossbar)
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


@pytest.mark.parametrize("module", [nn.Linear(7, 5), nn.Conv2d(4, 6, 3), nn.Conv1d(4, 6, 3, groups=2)])
@pytest.mark.parametrize("structure", ["filter", "channel", "crossbar_row", "crossbar_column", "unstructured"])
def test_structures_are_disjoint_and_cover_the_layer(module: nn.Module, structure: str) -> None:
    layer = _layer(module)
    matrix, tile = layer.matrix(), STRUCTURES[structure](layer, (4, 3))
    energies = tile_energies(matrix, tile)
    assert energies.numel() == n_tiles(tuple(matrix.shape), tile)
    assert energies.sum().item() == pytest.approx(matrix.double().square().sum().item())
    kept = [largest_tiles(matrix, tile, n) for n in range(energies.numel() + 1)]
    assert not kept[0].any()
    assert kept[-1].all()
    assert all((more & less).equal(less) and more.sum() > less.sum() for less, more in pairwise(kept))


@settings(max_examples=60, deadline=None)
@given(n_rows=st.integers(1, 40), n_cols=st.integers(1, 40), crossbar=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_blocks_are_those_of_the_mapping(n_rows: int, n_cols: int, crossbar: tuple[int, int]) -> None:
    """With one in every weight, the energy of a tile is the number of weights in the piece that mapping makes."""
    layer = _layer(nn.Linear(n_rows, n_cols))
    tile = STRUCTURES["crossbar_block"](layer, crossbar)
    counts = tile_energies(torch.ones(1, n_rows, n_cols), tile)[0]
    pieces = partition(1, 1, n_rows, n_cols, *crossbar, interleaved=True, shared_rows=False)
    got = {(p.row_block, p.cols[0] // crossbar[1]): p.n_rows * p.n_cols for p in pieces}
    assert got == {(r, c): int(counts[r, c]) for r in range(counts.shape[0]) for c in range(counts.shape[1])}
    assert counts.shape[0] == len(row_edges(n_rows, crossbar[0])) - 1


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)),
    tile=st.tuples(st.integers(1, 6), st.integers(1, 6)),
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


def test_a_keep_ratio_is_never_exceeded() -> None:
    assert [n_kept(keep, 100) for keep in (0.29, 0.295, 1.0, 0.009)] == [29, 29, 100, 0]
    assert n_kept(1 / 3, 3) == 1


@pytest.mark.parametrize("structure", ["shape_column", "crossbar_block"])
def test_a_structure_that_groups_do_not_have_is_an_error(structure: str) -> None:
    with pytest.raises(ValueError, match="2 groups"):
        STRUCTURES[structure](_layer(nn.Conv2d(4, 4, 3, groups=2)), (8, 8))


@pytest.mark.parametrize("structure", ["crossbar_row", "crossbar_column", "crossbar_block"])
def test_no_crossbar_size_known_is_an_error(structure: str) -> None:
    with pytest.raises(ValueError, match=r"size of a crossbar; set crossbar=\(rows, weights per row\)"):
        STRUCTURES[structure](_layer(nn.Linear(4, 4)), None)
