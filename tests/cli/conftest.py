"""The command as a user types it."""

from __future__ import annotations

import sys

import pytest

from xbar import cli
from xbar.cli import options


@pytest.fixture
def xbar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs `xbar` with arguments: exit code, what it printed, what it complained about."""
    monkeypatch.setenv("COLUMNS", "150")
    for console in (options.out, options.err):  # made at import, with the width that COLUMNS had then
        monkeypatch.setattr(console, "width", 150)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["xbar", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        code = left.value.code
        captured = capsys.readouterr()
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return call
