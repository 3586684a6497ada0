"""What mapping emits and the engines run: integer weights as cell levels, cut into blocks and placed on crossbars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xbar.hardware import Chip
from xbar.network import ConvShape, Network
from xbar.same import same_fields


@dataclass(frozen=True)
class AdcSetting:
    """How the column sums of one layer become codes; all tuples are [slice].

    `clip`: code = min(y, 2^bits - 1), the LSB is one cell step.
    `range`: LSB = max(1, full_scale / (2^bits - 1)) cell steps; code = min(floor(y / LSB + 1/2), 2^bits - 1), computed
    in integers; full_scale None means that it must be calibrated first.
    `ideal`: code = y; bits and full_scale are None.
    The unit column of offset encodings is read with `unit_bits` in clip mode, in every crossbar: each has its own, and
    none waits for another's.
    """

    mode: Literal["clip", "range", "ideal"]
    bits: tuple[int, ...] | None
    full_scale: tuple[int, ...] | None
    unit_bits: int | None


@dataclass(frozen=True)
class Block:
    """One crossbar's worth of a layer: which part of which planes it holds, and where it sits (replica 0).

    A crossbar holds columns `cols` (within a group) of the planes `planes` for the row block `row_block` of each of
    `groups`; groups lie on the diagonal, so several small groups share a crossbar. Rows and columns are those that the
    layer keeps.
    """

    planes: tuple[int, ...]
    groups: tuple[int, int]  # first, last + 1
    row_block: int
    cols: tuple[int, int]  # first, last + 1
    n_rows: int  # word lines used
    n_cols: int  # bit lines used, without the unit column
    tile: int
    core: int  # within the tile
    crossbar: int  # within the core


@dataclass(frozen=True)
class VectorEvents:
    """Events that one input vector (MVM) always causes in a layer, whatever its values. `conversions` is [slice]."""

    array_reads: int
    row_pulses: int
    conversions: tuple[int, ...]
    unit_conversions: int
    tile_adds: int
    buffer_read_bits: int
    buffer_write_bits: int
    bus_bits: int


@dataclass(frozen=True, eq=False, repr=False)
class LayerProgram:
    """One matrix layer on crossbars.

    cells: uint8 [plane, group, row, col], the level of every cell; a plane is one slice of one polarity.
    plane_slice: [plane] the slice (0 = least significant) that the plane belongs to.
    plane_sign: int8 [plane, row_block, group, col], +1 or -1 (the negative polarity, and ISAAC's flipped columns).
    unit_coef: int64 [row_block, group, col] or None: what to multiply the unit column's sum with. The layer computes
        out = sum_plane 2^(cell_bits * slice) * sum_block sign * code(x_block . cells)
              + sum_block unit_coef * code(sum x_block)
    row_edges: row blocks within a group are row_edges[b] .. row_edges[b+1].
    kept_rows, kept_cols: rows and columns of the layer's matrix that are on crossbars, int64 [kept], rising, the same
    in every group; None: all. The others hold no weight: their inputs are left out, their outputs are 0 before the
    bias. full_shape: rows and columns with them; None: nothing is left out. All else here counts kept ones only.
    blocks: the crossbars, at least one, or () of a layer that is not placed. A piece of the matrix without a weight
    has none; cells and unit_coef are 0 there. A layer of zeros keeps one row, one column and one crossbar.
    replica_tiles: for each replica beyond the first, the tiles that it occupies.
    """

    name: str
    node: str
    conv: ConvShape | None
    groups: int
    sources: tuple[str, ...]
    vectors_per_input: int
    weight_bits: int
    weight_scale: np.ndarray
    bias: np.ndarray | None
    input_bits: int
    input_signed: bool
    input_scale: float
    cell_bits: int
    dac_bits: int
    encoding: str
    cells: np.ndarray
    plane_slice: tuple[int, ...]
    plane_sign: np.ndarray
    unit_coef: np.ndarray | None
    row_edges: tuple[int, ...]
    adc: AdcSetting
    blocks: tuple[Block, ...]
    n_replicas: int
    replica_tiles: tuple[tuple[int, ...], ...]
    per_vector: VectorEvents
    link_bits_per_input: int  # bits times links crossed
    kept_rows: np.ndarray | None = None
    kept_cols: np.ndarray | None = None
    full_shape: tuple[int, int] | None = None

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    @property
    def n_slices(self) -> int:
        return max(self.plane_slice) + 1

    @property
    def n_pulses(self) -> int:
        """Pulses of one input vector; the sign bit of signed inputs has a pulse of its own."""
        magnitude_bits = self.input_bits - self.input_signed
        return -(-magnitude_bits // self.dac_bits) + self.input_signed

    @property
    def top_digit(self) -> int:
        """The largest digit that a pulse carries: the DAC's, or the input's where it has fewer magnitude bits."""
        return (1 << max(1, min(self.dac_bits, self.input_bits - self.input_signed))) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the layer's matrix (of a group), those without a weight included."""
        return self.full_shape or (self.cells.shape[2], self.cells.shape[3])

    @property
    def matrix(self) -> str:
        """Its size in words: rows x columns, by group, and how many of them are on crossbars."""
        rows, cols = self.shape
        size = f"{rows} x {cols}" if self.groups == 1 else f"{self.groups} of {rows} x {cols}"
        kept = [(self.kept_rows, "row"), (self.kept_cols, "column")]
        words = [f"{len(k)} {name}{'s' if len(k) > 1 else ''}" for k, name in kept if k is not None]
        return f"{size}, {' and '.join(words)} kept," if words else size

    @property
    def tiles(self) -> tuple[int, ...]:
        """The tiles that its copies occupy, in rising order."""
        return tuple(sorted({b.tile for b in self.blocks}.union(*self.replica_tiles)))

    def __str__(self) -> str:
        copies = f"{self.n_replicas} x " if self.n_replicas > 1 else ""
        crossbars = f"{copies}{len(self.blocks)} crossbar{'s' if len(self.blocks) > 1 else ''}"
        return f"{self.name}: {self.matrix} in {crossbars}, {_tiles(self.tiles)}"

    def __repr__(self) -> str:
        return f"<LayerProgram {self}>"


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """A network compiled for a chip: what the crossbars hold, and the graph that runs the rest."""

    network: Network
    layers: tuple[LayerProgram, ...]
    chip: Chip
    n_tiles_used: int
    host_ops: dict[str, int]  # per input: activation_ops, pooling_ops, digital_ops, offchip_bits
    n_chips: int = 1  # tiles are counted over all of them

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        return "\n".join([self._headline(), *(f"  {layer}" for layer in self.layers)])

    def __repr__(self) -> str:
        return f"<Program {self._headline()}>"

    def _headline(self) -> str:
        n_crossbars = sum(len(layer.blocks) * layer.n_replicas for layer in self.layers)
        return (
            f"{self.network.name} on {self.chip.name}: {len(self.layers)} matrix layers in {n_crossbars:,} crossbars, "
            f"{self.n_tiles_used} of {self.chip.chip.tiles} tiles"
        )


def _tiles(tiles: tuple[int, ...]) -> str:
    """Neighbours as a range: layers and their copies follow each other."""
    return f"tile {tiles[0]}" if len(tiles) == 1 else f"tiles {tiles[0]} to {tiles[-1]}"


def largest_sums(layer: LayerProgram) -> NDArray[np.int64]:
    """The largest column sum that the actual cells allow, every input at its top digit, int64 [slice]."""
    sums = np.add.reduceat(layer.cells, layer.row_edges[:-1], axis=2, dtype=np.int64).max(axis=(1, 2, 3))  # [plane]
    by_slice = np.zeros(layer.n_slices, np.int64)
    np.maximum.at(by_slice, np.array(layer.plane_slice), sums)
    return by_slice * layer.top_digit


def formed(layer: LayerProgram) -> NDArray[np.bool_]:
    """Whether a crossbar holds the column, [plane, row_block, group, col]; all of a layer that is not placed."""
    found = np.full(layer.plane_sign.shape, not layer.blocks)
    for b in layer.blocks:
        found[list(b.planes), b.row_block, slice(*b.groups), slice(*b.cols)] = True
    return found


def crossbars_by_rows(layer: LayerProgram) -> NDArray[np.int64]:
    """How many crossbars see the word lines of a row block, int64 [row_block, group]; 1 where a layer is not placed.

    All column blocks that hold a weight, times the planes that do where planes have crossbars of their own.
    """
    found = np.full(layer.plane_sign.shape[1:3], not layer.blocks, np.int64)
    for b in layer.blocks:
        found[b.row_block, slice(*b.groups)] += 1
    return found


def partial_sum_bits(weight_bits: int, input_bits: int, n_rows: int) -> int:
    """Width of an exact accumulator of n_rows products."""
    return weight_bits + input_bits + (n_rows - 1).bit_length()
