"""Where errors come from, as a table."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from xbar.sim.error_sources import TOTAL, ErrorSources, ratio_text, snr_text
from xbar.tables.look import RIGHT, narrow_table, title


def error_table(errors: ErrorSources) -> Iterator[RenderableType]:
    """Signal-to-noise ratio by layer and source; the largest error of each layer in bold."""
    yield title("where errors come from: signal-to-noise ratio of each layer's outputs in dB, each source alone")
    table: Table = narrow_table()
    table.add_column("layer", overflow="fold")
    for name in (*errors.sources, TOTAL, "sum / total"):
        table.add_column(escape(name), justify=RIGHT)
    for layer in errors.layers:
        worst = max(errors.sources, key=layer.power)
        cells = [
            f"[bold]{snr_text(layer.snr_dB(s))}[/]" if s == worst else snr_text(layer.snr_dB(s)) for s in errors.sources
        ]
        table.add_row(escape(layer.name), *cells, snr_text(layer.snr_dB()), ratio_text(layer.sum_over_total))
    yield table
    runs = f", {errors.n_runs} runs" if errors.n_runs > 1 else ""
    yield Text(
        f"{errors.n_inputs} inputs{runs}. Layers get the activations of the integer network, so that no error reaches "
        "the next. Errors interact: sum / total is the sum of the separate error powers over that of all together.",
        style="dim",
    )
