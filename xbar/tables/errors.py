"""Where errors come from, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from xbar.sim.error_sources import TOTAL, ErrorSources, LayerErrors, ratio_text, snr_text
from xbar.tables.look import RIGHT, narrow_table, title

_UNLIMITED = 10_000  # characters, wider than any table


class ErrorTable:
    """Signal-to-noise ratio by layer and source, the largest error of each layer in bold.

    A layer is a row where the console is wide enough for all sources, else a column of several tables.
    """

    def __init__(self, errors: ErrorSources) -> None:
        self._errors = errors

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield title("where errors come from: signal-to-noise ratio of each layer's outputs in dB, each source alone")
        unlimited = options.update(max_width=_UNLIMITED)
        table = self._by_layer()
        if Measurement.get(console, unlimited, table).maximum <= options.max_width:
            yield table
        else:
            layers, n = self._errors.layers, len(self._errors.layers)
            while (
                n > 1 and Measurement.get(console, unlimited, self._by_source(layers[:n])).maximum > options.max_width
            ):
                n -= 1
            for start in range(0, len(layers), n):
                yield self._by_source(layers[start : start + n])
        runs = f", {self._errors.n_runs} runs" if self._errors.n_runs > 1 else ""
        yield Text(
            f"{self._errors.n_inputs} inputs{runs}. Layers get the activations of the integer network, so that no "
            "error reaches the next. Errors interact: sum / total is the sum of the separate error powers over that of "
            "all together.",
            style="dim",
        )

    def _by_layer(self) -> Table:
        table = narrow_table()
        table.add_column("layer")
        for name in (*self._errors.sources, TOTAL, "sum / total"):
            table.add_column(escape(name), justify=RIGHT)
        for layer in self._errors.layers:
            table.add_row(escape(layer.name), *_figures(layer))
        return table

    def _by_source(self, layers: Sequence[LayerErrors]) -> Table:
        table = narrow_table()
        table.add_column("source")
        for layer in layers:
            table.add_column(escape(layer.name), justify=RIGHT)
        names = (*self._errors.sources, TOTAL, "sum / total")
        for name, *cells in zip(names, *map(_figures, layers), strict=True):
            table.add_row(escape(name), *cells)
        return table


def _figures(layer: LayerErrors) -> list[str]:
    """Each source, all together, and how far their sum is from that."""
    worst = max(layer.sources, key=layer.power)
    ratios = {source: snr_text(layer.snr_dB(source)) for source in layer.sources}
    ratios[worst] = f"[bold]{ratios[worst]}[/]"
    return [*ratios.values(), snr_text(layer.snr_dB()), ratio_text(layer.sum_over_total)]
