"""Pictures of spiking cores show what the counts say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from close import approx
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from spike_examples import counted, outcome, silent, three_cores, tiny_chip

from xbar import plots
from xbar.cost.spiking import estimate_spikes


def test_a_stroke_for_each_spike() -> None:
    spikes = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
    ax = plots.raster(spikes, Figure().add_subplot(), (("a", 1), ("b", 2)))
    strokes = [path for c in ax.collections if isinstance(c, LineCollection) for path in c.get_segments()]
    assert sorted((s[0][0], (s[0][1] + s[1][1]) / 2) for s in strokes) == [(0, 0), (1, 1), (1, 2)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a\n(1)", "b\n(2)"]
    assert ax.get_ylim() == (2.5, -0.5)  # the first neuron on top


def test_cores_show_synaptic_events_at_their_places() -> None:
    ax = plots.core_map(three_cores(), counted(), Figure().add_subplot())
    shown = ax.images[0].get_array()
    assert shown is not None
    assert shown.tolist() == [[14 / 20, 2 / 20, None, 14 / 20]]
    assert ax.images[0].get_extent() == [-0.5, 3.5, -0.5, 0.5]


def test_links_show_the_spikes_that_they_carry() -> None:
    ax = plots.link_map(three_cores(), counted(), Figure().add_subplot())
    (links,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert np.asarray(links.get_array()).tolist() == [10 / 20, 12 / 20, 12 / 20]
    assert [s.tolist() for s in links.get_segments()] == [[[x, 0], [x + 1, 0]] for x in range(3)]


def test_energy_shows_every_part_of_the_bill() -> None:
    report = estimate_spikes(three_cores(), counted())
    ax = plots.spiking_energy(report, Figure().add_subplot())
    assert np.asarray(ax.lines[0].get_xdata(), float).sum() == approx(report.energy_J * 1e9)
    names = {label.get_text() for label in ax.get_yticklabels()}
    assert names == {"synaptic events", "hops", "chip crossings", "edge", "used cores at rest", "idle cores"}


def test_a_small_part_of_a_large_mesh_is_shown_as_a_square() -> None:
    ax = plots.core_map(three_cores(tiny_chip(**{"mesh.rows": 9, "mesh.cols": 30})), counted(), Figure().add_subplot())
    assert ax.images[0].get_extent() == [-0.5, 5.5, -0.5, 5.5]


@pytest.mark.parametrize("activity", [counted(), silent()])
def test_the_whole_figure_is_written_even_where_nobody_spikes(activity, tmp_path: Path) -> None:
    plots.save_spikes(outcome(activity), tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000
