"""The table of error sources holds every ratio, whatever the width of the console."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
from rich.console import Console

from xbar.sim.error_sources import ErrorSources, LayerErrors
from xbar.tables.errors import ErrorTable

SOURCES = ("quantization", "conductance limits", "ADC", "programming")


def _errors(n_layers: int) -> ErrorSources:
    """Ratios of 10, 11, 12, ... dB, layer by layer and source by source; the second source is exact."""
    layers = []
    for i in range(n_layers):
        ratios = [10 + 4 * i + k for k in range(4)]
        powers = {s: np.array([10.0 ** (-r / 10)]) for s, r in zip(SOURCES, ratios, strict=True)}
        powers["conductance limits"] = np.zeros(1)
        layers.append(LayerErrors(f"layer{i}", np.ones(1), powers, np.array([0.5])))
    return ErrorSources("mine", 7, 2, 0, tuple(layers))


def _printed(errors: ErrorSources, width: int) -> list[list[str]]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(ErrorTable(errors))
    text = console.export_text()
    assert "…" not in text
    assert "7 inputs, 2 runs" in text
    return [line.split() for line in text.splitlines()]


def test_a_layer_is_a_row_where_there_is_room() -> None:
    lines = _printed(_errors(3), 120)
    assert ["layer1", "14.0", "exact", "16.0", "17.0", "3.0", f"{(10**-1.4 + 10**-1.6 + 10**-1.7) / 0.5:.2f}"] in lines


@pytest.mark.parametrize(("n_layers", "width"), list(product((2, 9), (40, 60))))
def test_else_a_column(n_layers: int, width: int) -> None:
    lines = _printed(_errors(n_layers), width)
    found = [line[1:] for line in lines if line[:1] == ["programming"]]
    assert [float(x) for line in found for x in line] == [13.0 + 4 * i for i in range(n_layers)]
    exact = [line[2:] for line in lines if line[:2] == ["conductance", "limits"]]
    assert sum(map(len, exact)) == n_layers
    assert [line for line in lines if line[:1] == ["source"]] == [
        ["source", *(f"layer{i}" for i in range(start, min(start + len(found[0]), n_layers)))]
        for start in range(0, n_layers, len(found[0]))
    ]


def test_the_largest_error_is_bold() -> None:
    console = Console(width=120, file=io.StringIO(), record=True, force_terminal=True)
    console.print(ErrorTable(_errors(1)))
    assert "\x1b[1m10.0\x1b[0m" in console.export_text(styles=True)
