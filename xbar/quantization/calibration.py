"""Ranges of activations, observed while calibration batches run through the float network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.errors import DataError
from xbar.host import Host, float_product
from xbar.network import MatrixLayer, Network
from xbar.quantization.uniform import top_code

_BINS = 1 << 14


@dataclass
class Observed:
    """What one layer's activations looked like: extremes and, if wanted, a histogram of the non-zero magnitudes.

    The histogram spans [0, top) with `top` a power of two; where a larger value comes, neighbouring bins merge. So the
    memory is bounded, and the result does not depend on how the data were cut into batches.
    """

    with_histogram: bool
    low: float = float("inf")
    high: float = float("-inf")
    top: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))

    @property
    def signed(self) -> bool:
        return self.low < 0

    def add(self, x: Tensor) -> None:
        """Take in one batch; a batch with NaN or infinity leaves its mark in `low` or `high`."""
        low, high = (float(v) for v in torch.aminmax(x))
        # unlike min() and max(), these keep a NaN
        self.low, self.high = float(np.minimum(self.low, low)), float(np.maximum(self.high, high))
        if self.with_histogram and np.isfinite([low, high]).all():
            self._count(x, max(abs(low), abs(high)))

    def _count(self, x: Tensor, largest: float) -> None:
        if largest == 0:
            return
        # frexp: largest < 2^exponent
        wanted = float(np.ldexp(1.0, int(np.frexp(largest)[1])))
        if self.top == 0:
            self.top = wanted
        while self.top < wanted:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([merged, np.zeros_like(merged)])
            self.top *= 2
        magnitudes = x[x != 0].abs().double()
        bins = (magnitudes * (_BINS / self.top)).long()
        self.counts = self.counts + torch.bincount(bins.flatten(), minlength=_BINS).numpy()

    def percentile(self, percent: float) -> float:
        """The magnitude that `percent` of the non-zero values do not exceed, to a bin's upper edge; 0 if all are zero.

        Zeros have no say: they are exact whatever the range, and after ReLU they may be nearly all values. So at most
        100 - `percent` percent of what carries information is clipped, however sparse the activations are.
        """
        if self.largest == 0:
            return 0.0
        reached = np.cumsum(self.counts)
        index = int(np.searchsorted(reached, np.ceil(percent / 100 * reached[-1])))
        return min((index + 1) * self.top / _BINS, self.largest)

    def least_squares(self, bits: int, signed: bool) -> float:
        """The range whose quantization and clipping error, summed over all values, is smallest."""
        if self.largest == 0:
            return 0.0
        used = np.flatnonzero(self.counts)
        width = self.top / _BINS
        centres, counts = (used + 0.5) * width, self.counts[used].astype(np.float64)
        best, best_error = self.largest, np.inf
        for candidate in self.largest * np.exp2(-np.arange(160) / 16):  # down to a thousandth, in steps of 4 %
            step = candidate / top_code(bits, signed)
            inside = np.minimum(centres, candidate)
            # steps finer than the histogram: the mean error of a uniform spread within a step
            rounding = (inside - np.rint(inside / step) * step) ** 2 if step > 4 * width else step**2 / 12
            error = float((counts * (rounding + (centres - inside) ** 2)).sum())
            if error < best_error:
                best, best_error = float(candidate), error
        return best


def observe(
    network: Network, calibration: Tensor | Iterable[Tensor | tuple[Tensor, ...]], histogram: bool
) -> list[Observed]:
    """Run the calibration batches in float and return what each matrix layer received.

    Raises DataError where there is no batch, or where a layer received NaN or infinity (naming all such layers).
    """
    host = Host(network)
    seen = [Observed(histogram) for _ in network.layers]

    def compute(index: int, layer: MatrixLayer, x: Tensor) -> Tensor:
        seen[index].add(x)
        return float_product(index, layer, x)

    n_batches = 0
    for batch in [calibration] if isinstance(calibration, Tensor) else calibration:
        host.run(batch, compute)
        n_batches += 1
    if n_batches == 0:
        raise DataError("calibration: needs at least one batch of inputs, got none; give some of the training images")
    broken = [
        f"calibration: layer {layer.name}: received NaN or infinity; check the network's weights and the data"
        for layer, observed in zip(network.layers, seen, strict=True)
        if not np.isfinite([observed.low, observed.high]).all()
    ]
    if broken:
        raise DataError(broken)
    return seen
