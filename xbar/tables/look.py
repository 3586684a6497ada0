"""How all tables look."""

from __future__ import annotations

from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

RIGHT: Literal["right"] = "right"


def narrow_table(**options: Any) -> Table:
    """Narrow enough that a report fits 80 columns."""
    return Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, **options)


def title(text: str) -> Text:
    """A line of its own: a table's title would wrap at the table's width."""
    return Text(f"\n{text}", style="italic")
