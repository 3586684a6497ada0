"""Pictures of the cycle model show what its values say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from close import approx
from cycle_examples import by_hand, traced
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from small import random_weights, small_chip, small_network

import mapping
from xbar import plots
from xbar.cost.tiles import TilePower, tile_power
from xbar.outline import outline
from xbar.sweep.estimate_job import estimate_network
from xbar.timing import WAYS, Cycles, LinkLoad

READS, FETCH, ARRIVE = "#1565c0", "#ff8f00", "#689f38"


def axes() -> Axes:
    return Figure().add_subplot()


def drawn(ax: Axes, row: int, color: str, shade: float = 1.0) -> list[tuple[float, float]]:
    """Spans in us of a colour in a row of a Gantt chart, to a 700th of the picture."""
    wanted = 1 - shade * (1 - np.array(to_rgb(color)))
    spans = []
    for image in ax.images:
        left, right, bottom, top = image.get_extent()
        if round((bottom + top) / 2) != row:
            continue
        pixels = np.asarray(image.get_array())[0]
        if not np.allclose(pixels[0, :3], wanted):
            continue
        on = np.flatnonzero(pixels[:, 3] > 0)
        edges = np.flatnonzero(np.diff(on) > 1)
        step = 1e6 * (right - left) / len(pixels)
        starts, ends = on[np.concatenate([[0], edges + 1])], on[np.concatenate([edges, [len(on) - 1]])] + 1
        spans += [(1e6 * left + step * a, 1e6 * left + step * b) for a, b in zip(starts, ends, strict=True)]
    return spans


def test_a_gantt_chart_by_layer() -> None:
    trace = traced().trace
    assert trace is not None
    ax = plots.gantt(trace, axes())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    assert drawn(ax, 0, READS) == [pytest.approx((1, 5), abs=0.03), pytest.approx((6, 10), abs=0.03)]
    assert drawn(ax, 0, FETCH) == [pytest.approx((0, 1), abs=0.03)]
    assert drawn(ax, 1, ARRIVE) == [pytest.approx((5, 6), abs=0.03)]
    assert drawn(ax, 1, READS) == [pytest.approx((7, 9), abs=0.03)]
    assert not drawn(ax, 1, FETCH)
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["reads", "fetches inputs", "rows arrive"]


def test_one_input_with_its_rows() -> None:
    """Row 0 dark, row 1 light; nothing of input 1, and nothing after 9 us."""
    trace = traced().trace
    assert trace is not None
    ax = plots.gantt(trace, axes(), n_input=0)
    assert drawn(ax, 0, READS) == [pytest.approx((1, 3), abs=0.03)]
    assert drawn(ax, 0, READS, 0.5) == [pytest.approx((3, 5), abs=0.03)]
    assert drawn(ax, 1, READS) == [pytest.approx((7, 9), abs=0.03)]
    assert not drawn(ax, 1, ARRIVE)
    assert ax.get_xlim() == approx((0, 9e-6))
    assert "input 0" in ax.get_title()


def test_a_part_of_the_time_by_tile() -> None:
    trace = replace(traced().trace, n_lost=7)  # type: ignore[type-var]
    ax = plots.gantt(trace, axes(), by="tile", span_s=(2e-6, 6e-6))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["tile 0"]  # tile 1 has only begun to receive
    assert drawn(ax, 0, READS) == [pytest.approx((2, 5), abs=0.03)]
    assert "7 later intervals were not kept" in ax.get_title()


def test_colours_are_as_strong_as_a_moment_is_busy() -> None:
    """1000 reads of 1 ns, one each 10 ns: a tenth of the time."""
    trace = traced().trace
    assert trace is not None
    n, zeros = 1000, np.zeros(1000, np.int64)
    begin_s, short = np.arange(n) * 10e-9, np.full(n, 1e-9)
    columns = dict.fromkeys(("kind", "process", "thread", "stream", "n_input", "row"), zeros)
    many = replace(trace, **columns, begin_s=begin_s, duration_s=short)
    (band,) = plots.gantt(many, axes()).images
    opacity = np.asarray(band.get_array())[0, :, 3]
    assert opacity.min() > 0.3
    assert opacity.mean() == pytest.approx(0.35 + 0.65 * 0.1, abs=0.01)


def test_an_empty_trace_is_an_empty_chart() -> None:
    trace = traced().trace
    assert trace is not None
    ax = plots.gantt(trace.first(0), axes())
    assert not ax.images
    assert not ax.get_yticklabels()


def test_shares_of_time_are_stacked_to_the_whole() -> None:
    ax = plots.time_shares(by_hand(), axes())
    ends: dict[float, float] = {}
    for bar in ax.patches:
        middle = bar.get_y() + bar.get_height() / 2  # type: ignore[attr-defined]
        assert bar.get_x() == approx(ends.get(middle, 0.0))  # type: ignore[attr-defined]
        ends[middle] = bar.get_x() + bar.get_width()  # type: ignore[attr-defined]
    assert ends == approx({0.0: 1.0, 1.0: 1.0})
    legend = ax.get_legend()
    assert legend is not None
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [way for way in WAYS if way not in ("output busy", "bus busy")]


def lines(ax: Axes) -> tuple[list[np.ndarray], np.ndarray]:
    (found,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    return [np.asarray(s) for s in found.get_segments()], np.asarray(found.get_array())


def test_links_show_how_busy_they_are() -> None:
    """Both directions beside each other, the busier one last; what leads outside is told below."""
    ax = plots.traffic_map(by_hand(), small_chip(), axes())
    segments, shares = lines(ax)
    assert shares == approx([0.1, 0.3])
    assert [segment[:, 0].tolist() for segment in segments] == [[1, 0], [0, 1]]
    assert segments[0][0, 1] == approx(-segments[1][0, 1])
    assert segments[0][0, 1] != 0
    assert ax.get_xlabel() == "link out of the chip: 2.0%"


def test_several_chips_stand_beside_each_other() -> None:
    more = tuple(replace(link, chip=chip) for chip in range(4) for link in by_hand().links)
    ax = plots.traffic_map(by_hand(links=more), small_chip(), axes())
    segments, _ = lines(ax)
    corners = {tuple(segment.min(axis=0).round(2)) for segment in segments}
    assert len({x for x, _ in corners}) == 3
    assert {text.get_text() for text in ax.texts} == {f"chip {k}" for k in range(4)}


def test_no_traffic_is_said() -> None:
    quiet: Cycles = by_hand(links=(LinkLoad("link into the chip", 0, None, 4, 0.0, 0.0),))
    ax = plots.traffic_map(quiet, small_chip(), axes())
    assert [text.get_text() for text in ax.texts] == ["no link between tiles is taken"]


@pytest.mark.parametrize(("values", "largest"), [("density", 0.4), ("power", 2e-3), ("used", 1.0)])
def test_tiles_are_as_dark_as_their_power(values: str, largest: float) -> None:
    """Four tiles of 0.5 mm2: 2 mW are 0.4 W/cm2. The last one draws nothing."""
    power = TilePower(np.array([1e-3, 2e-3, 5e-4, 0.0]), np.array([1.0, 1.0, 0.5, 0.0]), 0.5e-6, 0.0)
    ax = plots.tile_map(power, small_chip(), axes(), values)  # type: ignore[arg-type]
    (squares,) = [c for c in ax.collections if isinstance(c, PatchCollection)]
    brightness = np.asarray(squares.get_facecolor())[:, :3].sum(axis=1)
    assert len(brightness) == 4
    assert np.argmin(brightness) in (0, 1)
    assert brightness[3] == approx(3 * 0.95)
    bar = ax.get_figure(root=True).axes[-1]  # type: ignore[union-attr]
    assert bar.get_ylim() == approx((0, largest))


def test_the_page_has_four_pictures(tmp_path: Path) -> None:
    network = small_network(random_weights([(6, 10), (3, 6)]), vectors=4).network
    for name, options in (("traced", {"max_trace": 1000}), ("plain", {}), ("analytic", {"n_inputs": None})):
        estimated = estimate_network(network, small_chip(), **options)  # type: ignore[arg-type]
        for suffix in ("png", "svg", "pdf"):
            plots.save_estimate(estimated, tmp_path / f"{name}.{suffix}")
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000


def test_the_power_of_a_program_is_drawn() -> None:
    program = mapping.compile(small_network(random_weights([(6, 10), (3, 6)])), small_chip())
    sketch = outline(program)
    from xbar.cost import estimate

    ax = plots.tile_map(tile_power(estimate(program), sketch), program.chip, axes())
    assert "in all" in ax.get_xlabel()
