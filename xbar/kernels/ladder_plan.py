"""The order in which the rectangles of a crossbar are joined, and which terminals of each meet."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
CELLS, MERGE = 0, 1
LEFT, BOTTOM, RIGHT, TOP = range(4)
SIDE_OF_CELLS = 4  # a rectangle of at most so many rows and columns is solved as a whole
CELLS_OF_TASK = 1024  # a rectangle of so few cells is one thread's work
_SIDE = 1 << 20  # a terminal is side * _SIDE + position, counted from the left or bottom corner


class Plan(NamedTuple):
    """ops: int64 [op, 10]: (CELLS, 0, place of result, row, col, rows, cols) or (MERGE, wires between A and B, places
    of result, A and B, rows and cols of A's matrix and of B's, place in `places`).

    places: for each kind of merge the rows and cols of A that belong to the wires, those of B, the other rows and cols
    of A, those of B. stages: for each, the first op of every task and the end; tasks of one stage are independent.
    n_space: numbers that the matrices need; that of the whole is at place 0. word_lines, bit_lines: where each line's
    terminal is in its columns (driven far ends after near ends) and rows.
    """

    ops: Ints
    places: Ints
    stages: tuple[Ints, ...]
    n_space: int
    word_lines: Ints
    bit_lines: Ints


class _Block(NamedTuple):
    """A kind of rectangle: terminals with an input and with an output; its ops, and the numbers that they need."""

    inputs: Ints
    outputs: Ints
    ops: Ints
    need: int

    @property
    def size(self) -> int:
        return self.inputs.size * self.outputs.size


class _Edges(NamedTuple):
    """Which sides of a rectangle are sides of the whole crossbar."""

    left: bool
    bottom: bool
    right: bool
    top: bool


@lru_cache(maxsize=64)
def plan_of(n_rows: int, n_cols: int, two_sided: bool) -> Plan:
    """The plan for a crossbar of this shape."""
    return _Planner(two_sided).plan(n_rows, n_cols)


def _halves(n_rows: int, n_cols: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sizes of the near and the far half."""
    if n_cols >= n_rows:
        return (n_rows, n_cols // 2), (n_rows, n_cols - n_cols // 2)
    return (n_rows // 2, n_cols), (n_rows - n_rows // 2, n_cols)


def _inner_edges(edges: _Edges, by_column: bool) -> tuple[_Edges, _Edges]:
    if by_column:
        return edges._replace(right=False), edges._replace(left=False)
    return edges._replace(top=False), edges._replace(bottom=False)


def _shifted(ops: Ints, space: int, row: int, col: int) -> Ints:
    """The ops of a rectangle elsewhere in the crossbar and in the space of matrices."""
    merge = ops[:, :1] == MERGE
    shift = np.zeros((2, 10), np.int64)
    shift[MERGE, 2:5] = space
    shift[CELLS, 2:5] = space, row, col
    return ops + np.where(merge, shift[MERGE], shift[CELLS])


class _Planner:
    """Kinds of rectangles that occur, each planned once."""

    def __init__(self, two_sided: bool) -> None:
        self._two_sided = two_sided
        self._blocks: dict[tuple[int, int, _Edges], _Block] = {}
        self._index: list[Ints] = []
        self._n_index = 0

    def plan(self, n_rows: int, n_cols: int) -> Plan:
        stages: list[list[Ints]] = []
        whole, need, _ = self._place(n_rows, n_cols, _Edges(True, True, True, True), 0, 0, 0, stages)
        ops = [task for stage in stages for task in stage]
        ends = np.cumsum([0, *(len(task) for task in ops)])
        counts = np.cumsum([0, *(len(stage) for stage in stages)])
        firsts = tuple(ends[a : b + 1] for a, b in pairwise(counts))
        places = np.concatenate([*self._index, np.empty(0, np.int64)])
        return Plan(np.concatenate(ops), places, firsts, need, np.argsort(whole.inputs), np.argsort(whole.outputs))

    def _place(
        self, n_rows: int, n_cols: int, edges: _Edges, space: int, row: int, col: int, stages: list[list[Ints]]
    ) -> tuple[_Block, int, int]:
        """Append the tasks of a rectangle; returns its block without ops, the space that it needs, its stage."""
        if n_rows * n_cols <= CELLS_OF_TASK:
            block = self._block(n_rows, n_cols, edges)
            _append(stages, 0, _shifted(block.ops, space, row, col))
            return block, block.need, 0
        near, far = _halves(n_rows, n_cols)
        by_column = near[0] == n_rows
        edges_a, edges_b = _inner_edges(edges, by_column)
        probe = self._ports(n_rows, n_cols, edges)
        size = probe[0].size * probe[1].size
        a, need_a, stage_a = self._place(*near, edges_a, space + size, row, col, stages)
        row_b, col_b = (row, col + near[1]) if by_column else (row + near[0], col)
        b, need_b, stage_b = self._place(*far, edges_b, space + size + need_a, row_b, col_b, stages)
        block = self._joined(
            a, b, near, by_column, (space, space + size, space + size + need_a), size + need_a + need_b
        )
        stage = max(stage_a, stage_b) + 1
        _append(stages, stage, block.ops)
        return block, block.need, stage

    def _ports(self, n_rows: int, n_cols: int, edges: _Edges) -> tuple[Ints, Ints]:
        """Inputs and outputs of a rectangle, in the order of the matrix of a few cells."""
        left, bottom, right, top = (
            side * _SIDE + np.arange(n) for side, n in enumerate((n_rows, n_cols, n_rows, n_cols))
        )
        none = np.empty(0, np.int64)
        has_right = not edges.right or self._two_sided
        inputs = (left, none if edges.bottom else bottom, right if has_right else none, none if edges.top else top)
        outputs = (
            none if edges.left else left, bottom, none if edges.right else right, none if edges.top else top,
        )  # fmt: skip
        return np.concatenate(inputs), np.concatenate(outputs)

    def _block(self, n_rows: int, n_cols: int, edges: _Edges) -> _Block:
        """A rectangle that is one thread's work, its result at place 0 of its space, its halves behind that."""
        key = n_rows, n_cols, edges
        if key not in self._blocks:
            self._blocks[key] = self._new_block(n_rows, n_cols, edges)
        return self._blocks[key]

    def _new_block(self, n_rows: int, n_cols: int, edges: _Edges) -> _Block:
        inputs, outputs = self._ports(n_rows, n_cols, edges)
        size = inputs.size * outputs.size
        if max(n_rows, n_cols) <= SIDE_OF_CELLS:
            return _Block(inputs, outputs, np.array([[CELLS, 0, 0, 0, 0, n_rows, n_cols, 0, 0, 0]]), size)
        near, far = _halves(n_rows, n_cols)
        by_column = near[0] == n_rows
        edges_a, edges_b = _inner_edges(edges, by_column)
        a, b = self._block(*near, edges_a), self._block(*far, edges_b)
        need = size + max(a.need, a.size + b.need)
        joined = self._joined(a, b, near, by_column, (0, size, size + a.size), need)
        ops_a = _shifted(a.ops, size, 0, 0)
        ops_b = _shifted(b.ops, size + a.size, *((0, near[1]) if by_column else (near[0], 0)))
        return joined._replace(ops=np.concatenate([ops_a, ops_b, joined.ops]))

    def _joined(
        self, a: _Block, b: _Block, near: tuple[int, int], by_column: bool, places: tuple[int, int, int], need: int
    ) -> _Block:
        """The block of two, with the merge as its only op; index lists are kept."""
        out_side, in_side = (RIGHT, LEFT) if by_column else (TOP, BOTTOM)
        shift = np.zeros(4, np.int64)
        shift[[BOTTOM, TOP] if by_column else [LEFT, RIGHT]] = near[1] if by_column else near[0]
        u, rows_a = _split(a.outputs, out_side)
        inject, cols_a = _split(a.inputs, out_side)
        i, rows_b = _split(b.outputs, in_side)
        v, cols_b = _split(b.inputs, in_side)
        lists = [u, inject, i, v, rows_a, cols_a, rows_b, cols_b]
        op = [MERGE, u.size, *places, a.outputs.size, a.inputs.size, b.outputs.size, b.inputs.size, self._n_index]
        self._index += lists
        self._n_index += sum(part.size for part in lists)
        inputs_b, outputs_b = (ports + shift[ports // _SIDE] for ports in (b.inputs[cols_b], b.outputs[rows_b]))
        inputs = np.concatenate([a.inputs[cols_a], inputs_b])
        return _Block(inputs, np.concatenate([a.outputs[rows_a], outputs_b]), np.array([op]), need)


def _split(ports: Ints, side: int) -> tuple[Ints, Ints]:
    """Places of the terminals of a side, in the order of their positions, and of the others."""
    on_side = ports // _SIDE == side
    places = np.flatnonzero(on_side)
    return places[np.argsort(ports[places])], np.flatnonzero(~on_side)


def _append(stages: list[list[Ints]], stage: int, task: Ints) -> None:
    while len(stages) <= stage:
        stages.append([])
    stages[stage].append(task)
