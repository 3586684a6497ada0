"""Real converters: the errors of the ADC behind every column and of the driver before every word line."""

from __future__ import annotations

import numpy as np

from xbar.hardware import Chip
from xbar.noise import NoiseModel
from xbar.parts.base import Floats
from xbar.program import LayerProgram
from xbar.rng import generator
from xbar.sim.cells import Draw, Strip

PERFECT = (0.0, 1.0, 0.0)


def adc_errors(
    layer: LayerProgram, chip: Chip, noise: NoiseModel, strips: tuple[Strip, ...], draw: Draw, bits: int
) -> list[tuple[Floats, Floats]]:
    """Coefficients of each strip's ADCs used at `bits`: code = c_0 + c_1 y + c_2 y^2.

    For each strip those of its planes' columns [plane, col, 3] and those of its unit column [3]. The ADCs of a core
    share its columns evenly, side by side.
    """
    cores = sorted({strip.core for strip in strips})
    coefficients = np.tile(PERFECT, (len(cores) * chip.core.adcs, 1))
    for name, effect in noise.of_adcs.items():
        rng = generator(draw.seed, *draw.names(True, layer.name), name, "adc")
        coefficients += effect.sample(float((1 << bits) - 1), len(coefficients), rng) - PERFECT
    found, next_col = [], dict.fromkeys({strip.block for strip in strips}, 0)
    n_extra = int(layer.unit_coef is not None)
    for strip in strips:
        n_cols, n_planes = strip.cols[1] - strip.cols[0], len(strip.planes)
        cols = next_col[strip.block] + np.arange(n_cols * n_planes + n_extra)
        next_col[strip.block] += len(cols)
        place = (strip.crossbar * (chip.crossbar.cols + n_extra) + cols) * chip.core.adcs
        adc = np.minimum(place // (chip.core.crossbars * (chip.crossbar.cols + n_extra)), chip.core.adcs - 1)
        own = coefficients[cores.index(strip.core) * chip.core.adcs + adc]
        found.append((own[: n_cols * n_planes].reshape(n_cols, n_planes, 3).swapaxes(0, 1), own[-1]))
    return found


def driver_gains(layer: LayerProgram, noise: NoiseModel, draw: Draw) -> Floats:
    """Gain of the driver of each word line, float64 [group, row]; the crossbars of a row block share its drivers."""
    gains = np.ones(layer.cells.shape[1:3])
    for name, effect in noise.of_dacs.items():
        rng = generator(draw.seed, *draw.names(True, layer.name), name, "dac")
        gains *= effect.sample(gains.size, rng).reshape(gains.shape)
    return gains


def total_sigma(sigmas: list[float]) -> float:
    """Standard deviation of a sum of independent errors."""
    return float(np.sqrt(np.sum(np.square(sigmas))))
