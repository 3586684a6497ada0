"""Writing figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from xbar.errors import OutputError


def save(figure: Figure, file: Path) -> None:
    """Write a figure; the same figure gives the same bytes. Raises OutputError."""
    try:
        with matplotlib.rc_context({"svg.hashsalt": "xbar"}):
            figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise OutputError(f"{file}: cannot be written ({error}); end its name in .png, .svg or .pdf") from error
