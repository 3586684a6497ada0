"""Histograms of conductances against the cells that the engine programmes, and their law."""

from __future__ import annotations

import numpy as np
import pytest
from close import approx
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from small import random_weights, small_chip, small_network

import mapping
from xbar import plots
from xbar.config import from_data, validate
from xbar.errors import DataError
from xbar.noise import NoiseModel
from xbar.program import Program

SIGMA = 0.02
GAUSSIAN = {"kind": "gaussian", "sigma_rel": SIGMA, "relative_to": "range"}


def _noise(**effects: object) -> NoiseModel:
    return validate(NoiseModel, from_data({"name": "mine", "effects": effects}, "test"))


@pytest.fixture(scope="module")
def program() -> Program:
    device = {"kind": "resistive", "cell_bits": 3, "g_min_S": 2e-6, "g_max_S": 1e-5}
    return mapping.compile(
        small_network(random_weights([(40, 60), (4, 40)])), small_chip(device=device, chip__tiles=200)
    )


def test_each_level_is_around_its_target_as_its_law_says(program: Program) -> None:
    ax = plots.conductances(program, Figure().add_subplot(), "layer0", _noise(p=GAUSSIAN))
    assert len(ax.patches) == 8
    targets = program.chip.device.levels_rel()
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    for level, (stairs, line) in enumerate(zip(ax.patches, lines, strict=True)):
        density, edges, _ = stairs.get_data()
        middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        mean = (density * width * middle).sum()
        n = int((program.layers[0].cells == level).sum())
        sigma = SIGMA * (1 - 0.2)
        assert (density * width).sum() == approx(1)
        assert mean == pytest.approx(targets[level], abs=5 * sigma / np.sqrt(n) + width[0])
        x, y = line.get_data()
        assert (y * width).sum() == approx(1 if 0 < level < 7 else y.sum() * width[0], rel=1e-3)
        assert x[y.argmax()] == pytest.approx(targets[level], abs=width[0])
        assert y.max() == approx(1 / (sigma * np.sqrt(2 * np.pi)), rel=0.1)
    assert ax.get_title() == "layer0: mine, 0 s after programming"


def test_the_seed_is_that_of_the_simulation(program: Program) -> None:
    def heights(seed: int) -> np.ndarray:
        ax = plots.conductances(program, Figure().add_subplot(), noise=_noise(p=GAUSSIAN), seed=seed)
        return np.concatenate([patch.get_data()[0] for patch in ax.patches])

    assert_allclose(heights(1), heights(1))
    assert not np.array_equal(heights(1), heights(2))


def test_no_law_is_drawn_for_several_effects_or_none(program: Program) -> None:
    faults = {"kind": "stuck", "hrs_rate": 0.1, "lrs_rate": 0.1}
    for noise in (_noise(), _noise(p=GAUSSIAN, faults=faults)):
        ax = plots.conductances(program, Figure().add_subplot(), noise=noise)
        assert [line.get_linestyle() for line in ax.lines] == [":"] * 8


def test_an_unknown_layer(program: Program) -> None:
    with pytest.raises(DataError, match="got fc; the layers are layer0, layer1"):
        plots.conductances(program, Figure().add_subplot(), "fc")
