"""How far column sums exceed the ranges of their ADCs, and which way the weights must go to exceed them less."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.host import Host
from xbar.kernels.pulses import digit_table
from xbar.program import LayerProgram, Program, formed
from xbar.sim.crossbar import Counts, Integers
from xbar.sim.simulate import walk

_CHUNK = 1 << 23  # column sums held at a time
_EXACT = 1 << 24  # whole numbers up to here are exact in float32


def over_range(program: Program, inputs: Tensor) -> tuple[float, Tensor]:
    """The mean excess of a program of one layer, and its gradient by the layer's integer weights [group, row, col].

        mean over conversions of max(0, y - top) / top

    y: the column sum of one pulse, one row block, one column and one plane, of ideal cells; top: the largest that its
    ADC tells. The unit column is left out. The gradient by a cell's level is exact, that of the level of slice k by the
    weight straight-through: its sign / 2^(cell_bits k), and 0 for an empty cell, as for bit-slice L1.
    """
    (layer,) = program.layers
    excess, nothing = _Excess(layer), Counts((0,) * layer.n_slices, 0)

    def look(index: int, x: Integers, first_vector: int) -> tuple[Tensor, Counts]:
        excess.add(x)
        return torch.zeros(*x.shape[:2], layer.cells.shape[3]), nothing  # nobody sees the output of the only layer

    walk(program, Host(program.network), inputs, look, batch_size=max(1, len(inputs)))
    return excess.mean()


def adc_tops(layer: LayerProgram) -> NDArray[np.float64]:
    """The largest column sum that the ADC of each slice tells, [slice]; infinity for ideal ones."""
    adc = layer.adc
    if adc.bits is None:
        return np.full(layer.n_slices, np.inf)
    if adc.full_scale is not None:
        return np.array(adc.full_scale, np.float64)
    return np.array([(1 << bits) - 1 for bits in adc.bits], np.float64)


class _Excess:
    """Adds up excess and gradient over vectors and row blocks."""

    def __init__(self, layer: LayerProgram) -> None:
        self._layer = layer
        self._tops = adc_tops(layer)
        self._formed = formed(layer)
        self._digits = digit_table(layer.input_bits, layer.input_signed, layer.dac_bits)
        self._total, self._n = 0.0, 0
        self._by_cell = torch.zeros(layer.cells.shape)

    def add(self, x: Integers) -> None:
        """Vectors of integers [vector, group, kept row]."""
        layer = self._layer
        plane_tops, n_pulses = self._tops[list(layer.plane_slice)], len(self._digits)
        for group in range(layer.groups):
            for block, (first, last) in enumerate(zip(layer.row_edges, layer.row_edges[1:], strict=False)):
                exist = self._formed[:, block, group] & np.isfinite(plane_tops)[:, None]  # [plane, col]
                self._n += int(exist.sum()) * len(x) * n_pulses
                most = layer.cells[:, group, first:last].sum(axis=1, dtype=np.int64) * layer.top_digit
                plane, col = np.nonzero(exist & (most > plane_tops[:, None]))  # the others never exceed theirs
                if not len(plane):
                    continue
                cells = torch.from_numpy(layer.cells[plane, group, first:last, col].astype(np.float32))  # [pair, row]
                tops = torch.from_numpy(plane_tops[plane].astype(np.float32))[:, None]
                less_tops = torch.cat([cells, -tops], dim=1)
                step = max(1, min(_CHUNK // len(plane), _EXACT // (n_pulses * layer.top_digit)))
                driven = torch.zeros(less_tops.shape, dtype=torch.float64)
                for start in range(0, len(x), step):
                    driven += self._driven(x[start : start + step, group, first:last], less_tops)
                self._total += float(((less_tops * driven).sum(1, keepdim=True) / tops).sum())
                self._by_cell[plane, group, first:last, col] += driven[:, :-1].float() / tops

    def _driven(self, x: Integers, less_tops: Tensor) -> Tensor:
        """The sum of the digits of each row over conversions that exceed the range, and their number, [pair, row + 1].

        x: vectors [vector, row]. less_tops: cells [pair, row], then minus the largest sum that the ADC tells, as in one
        row more that is always driven. Only whole numbers are added: the bits do not depend on their order.
        """
        part, driven = x.astype(np.int32), torch.zeros_like(less_tops)
        digits = np.ones((len(x), less_tops.shape[1]), np.float32)
        for bit, n_bits, _ in self._digits:
            digits[:, :-1] = (part >> bit) & ((1 << n_bits) - 1)
            at = torch.from_numpy(digits)
            driven += (at @ less_tops.T > 0).float().T @ at
        return driven

    def mean(self) -> tuple[float, Tensor]:
        """The mean excess, and its gradient by the integer weights [group, row, col], those without a cell included."""
        layer = self._layer
        rows, cols = layer.shape
        slope = torch.zeros(layer.groups, rows, cols)
        if self._n:
            shift = torch.tensor([2.0 ** -(layer.cell_bits * k) for k in layer.plane_slice])[:, None, None, None]
            sign = np.repeat(layer.plane_sign, np.diff(layer.row_edges), axis=1).swapaxes(1, 2)  # as the cells
            held = (self._by_cell * shift * torch.from_numpy(sign) * torch.from_numpy(layer.cells > 0)).sum(0)
            at_rows = torch.arange(rows) if layer.kept_rows is None else torch.from_numpy(layer.kept_rows)
            at_cols = torch.arange(cols) if layer.kept_cols is None else torch.from_numpy(layer.kept_cols)
            slope[:, at_rows[:, None], at_cols] = held / self._n
        return self._total / max(1, self._n), slope
