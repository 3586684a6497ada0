"""Where the power of a chip goes: tiles add up to the report, and get what happens in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from close import approx
from small import CHIP, random_weights, small_chip, small_network

import mapping
import xbar
from xbar.cost import estimate
from xbar.cost.cycles import cycles
from xbar.cost.tiles import tile_power
from xbar.demo.models import LeNet5
from xbar.errors import DataError
from xbar.outline import Outline

SIGMOID = {"event": "activation_ops", "area_m2": 0, "energy_J": 2e-12, "rate_Hz": 1e9}


def sketch(**changes: object) -> Outline:
    """10 -> 6 -> 3 on 4 tiles of two cores: layer 0 fills tile 0, layer 1 takes one core of tile 1."""
    network = small_network(random_weights([(6, 10), (3, 6)])).network
    return mapping.outline(network, small_chip(**changes))


def test_two_layers_by_hand():
    """Every buffer leaks 1 mW; the rest is what events of the layers cost, and of the link, which is in no tile."""
    outline = sketch()
    report = estimate(outline)
    found = tile_power(report, outline)
    spent = {name: cost.dynamic_J * report.throughput_per_s for name, cost in report.by("layer").items()}
    link_W = report.by("level")["chip"].energy_J * report.throughput_per_s
    assert spent["layer0"] > spent["layer1"] > 0
    assert found.power_W == approx([1e-3 + spent["layer0"], 1e-3 + spent["layer1"], 1e-3, 1e-3])
    assert found.used_rel.tolist() == [1, 0.5, 0, 0]
    assert found.beside_W == approx(link_W)
    assert found.total_W == approx(report.power_W)
    np.testing.assert_allclose(found.density_W_per_m2 * outline.chip.total("tile").area_m2, found.power_W)
    assert found == tile_power(report, outline)
    assert found.to_dict()["power_W"][3] == approx(1e-3)


def test_activations_are_where_the_rows_are_made():
    """6 ReLUs of layer 0 in tile 0, 2 pJ each, and nothing in tile 1."""
    parts = {**CHIP["tile"]["parts"], "sigmoid": SIGMOID}
    plain, outline = sketch(), sketch(tile__parts=parts)
    report = estimate(outline)
    more_W = tile_power(report, outline).power_W - tile_power(estimate(plain), plain).power_W
    assert more_W == pytest.approx([6 * 2e-12 * report.throughput_per_s, 0, 0, 0], abs=1e-12)


def test_clocks_of_free_cores_are_in_their_tiles():
    """The shift-and-add of a core draws 1e9 * 0.1 pJ at full activity, and half of it where it does nothing."""
    outline = sketch(idle_clock_rel=0.5)
    report = estimate(outline)
    found = tile_power(report, outline)
    assert found.total_W == approx(report.power_W)
    assert found.power_W[2] == approx(found.power_W[3])
    busy_W = CHIP["tile"]["parts"]["buffer"]["rate_Hz"] * 1e-14
    idle_W = 0.5 * (2 * 1e9 * 1e-13 + busy_W)
    assert found.power_W[3] == approx(1e-3 + idle_W, rel=0.02)


@pytest.mark.parametrize("name", xbar.list_chips())
@pytest.mark.parametrize("tile_budget", [None, 6])
def test_tiles_add_up_on_every_chip(name: str, tile_budget: int | None):
    network = xbar.from_torch(LeNet5().eval(), torch.zeros(2, 1, 28, 28))
    outline = mapping.outline(network, xbar.load_chip(name), tile_budget, n_chips=None)
    report = estimate(outline, cycles=cycles(outline, 2))
    found = tile_power(report, outline)
    assert found.total_W == approx(report.power_W, rel=1e-9)
    assert (found.power_W >= 0).all()
    assert len(found.power_W) == outline.n_chips * outline.chip.chip.tiles
    assert np.count_nonzero(found.used_rel) == outline.n_tiles_used


def test_another_networks_report_is_refused():
    other = mapping.outline(small_network(random_weights([(6, 10), (3, 6), (2, 3)])).network, small_chip())
    with pytest.raises(DataError, match="report: must be of small, got one with layers layer2"):
        tile_power(estimate(other), sketch())
