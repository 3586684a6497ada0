"""Pictures of one design point show what its values say."""

from __future__ import annotations

import pytest
import small
from close import approx
from matplotlib.figure import Figure

import mapping
from xbar import plots
from xbar.cost import estimate
from xbar.result import Report
from xbar.sim import AdcResolution, SliceResolution


@pytest.fixture(scope="module")
def report() -> Report:
    weights = small.random_weights([(6, 8), (3, 6)])
    program = mapping.compile(small.small_network(weights), small.small_chip())
    return estimate(program, small.counted(program))


def test_bars_are_the_parts_of_the_report(report: Report) -> None:
    ax = plots.energy(report, Figure().add_subplot())
    shown = {label.get_text(): bar.get_width() for label, bar in zip(ax.get_yticklabels(), ax.patches, strict=True)}
    expected = {name: cost.energy_J * 1e9 for name, cost in report.by("part").items() if cost.energy_J > 0}
    assert shown == approx(expected)
    ax = plots.area(report, Figure().add_subplot())
    assert sum(bar.get_width() for bar in ax.patches) == approx(report.area_m2 * 1e6)


def test_adc_bits_has_four_bars_for_each_slice() -> None:
    slices = (
        SliceResolution("a", 0, 8, 7, 6, 5),
        SliceResolution("a", 1, 4, 3, 2, 1),
        SliceResolution("b", 0, 9, 9, 9, 9),
    )
    adc = AdcResolution(slices, 100, 0.01, 0.9, 0.895, 7, 0.9)
    ax = plots.adc_bits(adc, Figure().add_subplot())
    assert [bar.get_height() for bar in ax.patches] == [8, 4, 9, 7, 3, 9, 6, 2, 9, 5, 1, 9]
