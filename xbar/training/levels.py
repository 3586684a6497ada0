"""The values that a weight may take: symmetric levels without zero, from the conductances of a device.

A weight is +-scale times one of the magnitudes, in [-cmax, -cmin] U [cmin, cmax]; zero is for weights that are pruned
and take no cell (Yuan et al., ISLPED 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.errors import TrainingError
from xbar.noise import NoiseModel
from xbar.parts.base import Cells, Device, Floats
from xbar.rng import generator

_BREAKPOINTS = 1 << 18  # above them, weights of nearly equal magnitude are fitted together


@final
@dataclass(frozen=True)
class Levels:
    """Magnitudes in rising order, all above 0, in any unit: every layer has a scale of its own.

    Raises TrainingError where they are not such.
    """

    magnitudes: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "magnitudes", tuple(float(m) for m in self.magnitudes))
        steps = np.diff((0.0, *self.magnitudes))
        if not len(steps) or not np.isfinite(self.magnitudes).all() or not (steps > 0).all():
            raise TrainingError(
                f"Levels: magnitudes: must be finite, above 0 and rise, got {list(self.magnitudes)}; "
                "signs are added, and zero is for pruned weights"
            )

    def project(self, values: Tensor, scale: float | None = None) -> Tensor:
        """The nearest sign(w) scale magnitude to each value; zeros stay. scale: by default that of `fit`."""
        scale = self.fit(values) if scale is None else scale
        levels = torch.tensor(self.magnitudes, dtype=torch.float64).to(values.device)
        middles = (levels[1:] + levels[:-1]) / 2
        nearest = levels[torch.bucketize(values.detach().abs().double() / scale, middles, right=True)]
        return (values.detach().sign() * (scale * nearest)).to(values.dtype)

    def fit(self, values: Tensor) -> float:
        """The scale with the least sum of (w - project(w))² over the non-zero values, so that the top level is used.

        Were it not used, a quantizer that takes max|w| for its largest integer would find other levels. With the scale
        falling, values move up a level one after the other: between two such moves the error is a parabola, whose
        minimum is known, and the best of all is the optimum. 1 where all values are zero.
        """
        weights = values.detach().abs().double().cpu().numpy().ravel()
        means, counts = _grouped(np.sort(weights[weights > 0]), _BREAKPOINTS // len(self.magnitudes))
        if not len(means):
            return 1.0
        levels = np.array(self.magnitudes)
        product, square = float(means @ counts) * levels[0], float(counts.sum()) * levels[0] ** 2
        if len(levels) == 1:
            return float(product / square)
        middles = (levels[1:] + levels[:-1]) / 2
        moves = (means[:, None] / middles).ravel()
        order = np.argsort(-moves, kind="stable")
        upper = moves[order]
        products = product + np.cumsum(np.outer(means * counts, np.diff(levels)).ravel()[order])
        squares = square + np.cumsum(np.outer(counts, np.diff(levels**2)).ravel()[order])
        scales = np.clip(products / squares, np.append(upper[1:], 0.0), upper)
        errors = squares * scales**2 - 2 * products * scales
        largest = means[-1] / middles[-1]
        errors[upper > largest] = np.inf
        return float(min(scales[np.argmin(errors)], largest * (1 - 1e-9)))


def device_levels(
    device: Device,
    weight_bits: int | None = None,
    *,
    baseline: Literal["removed", "kept"] = "removed",
    measured_S: Sequence[float | Sequence[float]] | None = None,
    noise: NoiseModel | None = None,
    n_drawn: int = 1000,
    seed: int = 0,
) -> Levels:
    """The magnitudes that cells of a device give weights of `weight_bits`, sign included, over its g_max.

    A magnitude of weight_bits - 1 bits (by default cell_bits, one cell) lies in slices of cell_bits: its value is the
    sum over slices of 2^(slice cell_bits) times the conductance of the cell's level.
    baseline: `removed` counts conductances from that of level 0, as all encodings of the simulator do: 2^(bits - 1) - 1
        magnitudes, which `xbar.quantize` with the same bits finds again. `kept` takes whole conductances, as the paper
        does: 2^(bits - 1) magnitudes, so that 5 bits are 32 levels, and cmax / cmin is the on/off ratio.
    Mismatch: the conductance of a level is the mean of its programmed states, either `measured_S` (for each level of a
        cell its mean, or the list of its states, in S) or of `n_drawn` cells drawn from the programming of `noise`.
    Raises TrainingError with all that is wrong: states outside the device's range, a count of levels that is not the
    device's, both sources of mismatch, noise without programming or that does not suit the device.
    """
    bits = device.cell_bits + 1 if weight_bits is None else weight_bits
    problems = _problems(device, bits, baseline, noise, n_drawn)
    if measured_S is not None and noise is not None:
        problems.append("device_levels: measured_S: has no place beside noise, got both; give one of the two")
    states = None if measured_S is None else [np.atleast_1d(np.asarray(s, np.float64)) for s in measured_S]
    if states is not None:
        problems += _range_problems(device, states)
    if problems:
        raise TrainingError(problems)
    if states is not None:
        conductance = np.array([s.mean() for s in states]) / _range(device)[1]
    else:
        conductance = device.levels_rel() if noise is None else _drawn(device, noise, n_drawn, seed)
    magnitudes = _sliced(conductance, bits, device.cell_bits, baseline)
    return Levels(tuple(np.unique(magnitudes[magnitudes > 0])))


def _sliced(conductance: Floats, bits: int, cell_bits: int, baseline: str) -> Floats:
    """Values of all magnitudes of bits - 1 bits from the conductances of a cell's levels."""
    codes = np.arange(1 << (bits - 1))
    value = conductance - conductance[0] if baseline == "removed" else conductance
    total = np.zeros(len(codes))
    for shift in range(0, bits - 1, cell_bits):
        total += float(1 << shift) * value[(codes >> shift) & ((1 << cell_bits) - 1)]
    return total


def _drawn(device: Device, noise: NoiseModel, n: int, seed: int) -> Floats:
    """Mean conductance over g_max of `n` programmed cells of each level."""
    levels = device.levels_rel()
    level = np.repeat(np.arange(len(levels), dtype=np.uint8)[:, None], n, axis=1)
    target = levels[level]
    cells, g_rel = Cells(level, target, device.low_rel, len(levels)), target
    for name, effect in noise.of_cells.items():
        if effect.stage == "program":
            g_rel = effect.sample(cells, g_rel, noise.when, generator(seed, "levels", name))
    mean: Floats = g_rel.mean(axis=1)
    return mean


def _problems(device: Device, bits: int, baseline: str, noise: NoiseModel | None, n_drawn: int) -> list[str]:
    who = "device_levels"
    found = []
    if not 2 <= bits <= 16:
        found.append(f"{who}: weight_bits: must be from 2 to 16, got {bits}; the sign is one of them")
    if baseline not in ("removed", "kept"):
        found.append(f"{who}: baseline: must be removed or kept, got {baseline}")
    if baseline == "kept" and device.low_rel == 0:
        found.append(f"{who}: baseline: kept needs a device whose g_min is above 0, got {device.kind}; use removed")
    if n_drawn < 1:
        found.append(f"{who}: n_drawn: must be 1 or more, got {n_drawn}")
    if noise is not None:
        programming = {n: e for n, e in noise.of_cells.items() if e.stage == "program"}
        if not programming:
            found.append(f"{who}: noise: must have an effect of programming, got {', '.join(noise.effects) or 'none'}")
        found += [f"{who}: noise: {n}: {rule}" for n, effect in programming.items() for rule in effect.misfits(device)]
    return found


def _range_problems(device: Device, states: list[NDArray[np.float64]]) -> list[str]:
    who = "device_levels: measured_S"
    if device.range_S is None:
        return [f"{who}: needs a device with conductances, got kind {device.kind}; use resistive or measured"]
    low, high = device.range_S
    found = []
    if len(states) != 1 << device.cell_bits:
        found.append(f"{who}: must have one entry for each of the {1 << device.cell_bits} levels, got {len(states)}")
    for level, values in enumerate(states):
        # a state that reads 1e-6 may be stored as 9.999999999999999e-07
        inside = (values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))
        if not len(values) or not inside.all():
            got = f"{values[~inside][0]:g} S" if len(values) else "no states"
            found.append(f"{who}: level {level}: must lie in the device's range, {low:g} to {high:g} S, got {got}")
    return found


def _range(device: Device) -> tuple[float, float]:
    if device.range_S is None:  # told by _range_problems
        raise TrainingError("device_levels: the device has no conductances")
    return device.range_S


def _grouped(rising: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and counts of neighbours in rising order, in at most `most` (256 or more) groups of nearly equal counts."""
    n = len(rising)
    groups = min(n, max(most, 256))
    if groups == n:
        return rising, np.ones(n)
    starts = np.arange(groups) * n // groups
    counts = np.diff(np.append(starts, n)).astype(np.float64)
    return np.add.reduceat(rising, starts) / counts, counts
