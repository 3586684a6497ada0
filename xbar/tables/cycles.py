"""A run of the cycle model as tables: how crossbars spend their time, and the busiest parts, buffers and links."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from xbar.tables.look import RIGHT, narrow_table, title
from xbar.timing import WAYS, Cycles
from xbar.units import si

_MOST = 5  # of a kind that are listed
_KILO = 1024


def cycle_tables(cycles: Cycles) -> Iterator[RenderableType]:
    """How the time goes by layer, then whatever is busiest or fullest."""
    inputs = f"{cycles.n_inputs} inputs" if cycles.n_inputs > 1 else "one input"
    yield title(f"where the time of {inputs} goes ({si(cycles.run_s, 's')}): share of it, by layer, in percent")
    yield _ways(cycles)
    yield title(f"the busiest parts: time for each input, of {si(cycles.period_s, 's')} from one input to the next")
    yield _parts(cycles)
    if cycles.buffers:
        yield title("the fullest buffers")
        yield _buffers(cycles)
    if cycles.links:
        yield title("the busiest links")
        yield _links(cycles)


def _ways(cycles: Cycles) -> Table:
    """Ways in which no layer spends any time are left out; the longest stall of each layer is bold."""
    shown = [way for way in WAYS if way == "read" or any(layer.seconds[way] > 0 for layer in cycles.layers)]
    table = narrow_table()
    table.add_column("layer", overflow="fold")
    for way in shown:
        table.add_column(way.replace(" ", "\n", 1), justify=RIGHT)  # narrow, so that names need not be folded
    for layer in cycles.layers:
        shares = {way: layer.seconds[way] / cycles.run_s for way in shown}
        worst = max((way for way in shown if way not in ("read", "idle")), key=shares.__getitem__, default=None)
        cells = (f"[bold]{_percent(x)}[/]" if way == worst else _percent(x) for way, x in shares.items())
        table.add_row(escape(layer.name), *cells)
    return table


def _percent(share: float) -> str:
    """Without the sign; nothing for nothing."""
    return "" if share <= 0 else f"{100 * share:.1f}"


def _parts(cycles: Cycles) -> Table:
    table = narrow_table()
    table.add_column("part")
    for name in ("time", "share"):
        table.add_column(name, justify=RIGHT)
    for use in cycles.uses[: 2 * _MOST]:
        table.add_row(escape(use.name), si(use.busy_s, "s", 3), f"{use.share:.1%}")
    return table


def _buffers(cycles: Cycles) -> Table:
    table = narrow_table()
    table.add_column("tile")
    for name in ("holds at most", "of", ""):
        table.add_column(name, justify=RIGHT)
    for buffer in sorted(cycles.buffers, key=lambda b: (-b.high_bytes, b.tile))[:_MOST]:
        size = buffer.capacity_bytes
        of, share = ("no limit", "") if size is None else (_bytes(size), f"{buffer.high_bytes / size:.1%}")
        table.add_row(str(buffer.tile), _bytes(buffer.high_bytes), of, share)
    return table


def _bytes(n: int) -> str:
    return f"{n:,} B" if n < _KILO else f"{n / _KILO:,.4g} KiB"


def _links(cycles: Cycles) -> Table:
    table = narrow_table()
    table.add_column("link")
    for name in ("bits per input", "taken", "messages wait"):
        table.add_column(name, justify=RIGHT)
    for link in sorted(cycles.links, key=lambda x: (-x.busy_s, -x.bits, x.label))[:_MOST]:
        table.add_row(
            escape(link.label),
            f"{link.bits / cycles.n_inputs:,.0f}",
            f"{link.busy_s / cycles.run_s:.1%}",
            si(link.waited_s / cycles.n_inputs, "s", 3),
        )
    return table
