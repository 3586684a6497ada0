"""The printed run of the cycle model says what the values say."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from cycle_examples import by_hand, spent
from rich.console import Console

from xbar.tables.cycles import cycle_tables
from xbar.timing import BufferUse, Cycles


def printed(cycles: Cycles, width: int = 80, styles: bool = False) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=styles)
    console.print(*cycle_tables(cycles))
    return console.export_text(styles=styles)


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the table below a heading, up to the first empty line behind them."""
    lines = [line.strip() for line in text[text.index(heading) :].splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("──"))
    return [line.split() for line in lines[start + 1 : lines.index("", start)]]


def test_time_by_layer_in_percent() -> None:
    """Ways that take no time at all have no column; the longest stall of a layer is bold."""
    text = printed(by_hand())
    assert "where the time of 4 inputs goes (40 µs)" in text
    found = rows(text, "where the time")
    assert found == [["first", "80.0", "10.0", "5.0", "5.0"], ["second", "10.0", "60.0", "25.0", "5.0"]]
    assert "output" not in text[: text.index("the busiest parts")]
    styled = printed(by_hand(), styles=True)
    assert "\x1b[1m60.0\x1b[0m" in styled
    assert "\x1b[1m25.0\x1b[0m" not in styled


def test_the_busiest_are_told() -> None:
    text = printed(by_hand())
    assert "10 µs from one input to the next" in text
    assert rows(text, "the busiest parts")[0] == ["crossbars", "of", "first", "9", "µs", "90.0%"]
    assert rows(text, "the fullest buffers") == [
        ["1", "32", "KiB", "64", "KiB", "50.0%"],
        ["0", "512", "B", "64", "KiB", "0.8%"],
    ]
    assert rows(text, "the busiest links") == [
        ["tile", "0", "->", "1", "1,024", "30.0%", "2", "µs"],
        ["tile", "1", "->", "0", "16", "10.0%", "0", "s"],
        ["link", "out", "of", "the", "chip", "32", "2.0%", "0", "s"],
    ]


def test_many_are_cut_short_and_none_are_left_out() -> None:
    many = tuple(BufferUse(tile, 100 - tile, None) for tile in range(9))
    text = printed(by_hand(buffers=many, links=()))
    assert rows(text, "the fullest buffers") == [[str(t), str(100 - t), "B", "no", "limit"] for t in range(5)]
    assert "links" not in text
    assert "buffers" not in printed(by_hand(buffers=()))


@pytest.mark.parametrize("width", [80, 120])
def test_no_column_is_lost_where_all_ways_take_time(width: int) -> None:
    """Long names are folded rather than cut."""
    ways = ("read", "ADC_busy", "input_not_ready", "buffer_full", "output_busy", "bus_busy", "fetch")
    name = "encoder.layers.encoder_layer_11.self_attention.out_proj"
    layer = spent(name, **dict.fromkeys(ways, 0.125))
    text = printed(replace(by_hand(), layers=(layer,)), width)
    found = rows(text, "where the time")
    assert found[0][1:] == ["12.5"] * 8
    assert "".join(part for row in found for part in row if part != "12.5") == name
    assert "…" not in text
