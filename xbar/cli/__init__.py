"""The `xbar` command: run, estimate, sweep, compare, train, spike, show, check.

Wrong input gives one clear message and exit code 2.
"""

from __future__ import annotations

import sys

import typer

from xbar.cli import compare, estimate, run, show, spike, sweep, train
from xbar.errors import XbarError

app = typer.Typer(
    name="xbar",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="Map a trained torch network onto simulated ReRAM crossbars: accuracy (under the noise of real devices too), "
    "area, power, latency, ADC bits. Or run a spiking network on TrueNorth-style cores.",
    epilog="Start with [bold]xbar run[/bold]. A model is a .pt2 archive: "
    "torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2').",
)
commands = (run.run, estimate.estimate, sweep.sweep, compare.compare, train.train, spike.spike, show.show, show.check)
for command in commands:
    app.command()(command)


def main() -> None:
    """Entry point of the `xbar` command."""
    try:
        app()
    except XbarError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
