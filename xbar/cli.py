"""The `xbar` command: run, check, show, sweep. Wrong input gives one clear message and exit code 2."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from xbar.errors import OutputError, XbarError

if TYPE_CHECKING:
    from xbar.sweep.job import Job

app = typer.Typer(
    name="xbar",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="Map a trained torch network onto simulated ReRAM crossbars: accuracy, area, power, latency, ADC bits.",
    epilog="Start with [bold]xbar run[/bold]. A model is a .pt2 archive: "
    "torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2').",
)

Smaller = Literal["energy_J", "latency_s", "power_W", "used_area_m2", "area_m2"]
Model = Annotated[str, typer.Argument(help="A .pt2 archive of torch.export.save, or 'demo': the embedded digits CNN.")]
ChipOption = Annotated[
    str, typer.Option("--chip", "-c", help="Name of a chip (see 'xbar show'), or path of a YAML file.")
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        help="digits, mnist:PATH, cifar10:PATH, or npz:FILE with images and labels. PATH may be left out where "
        "XBAR_DATA names the folder that holds mnist/ and cifar10/. Default: digits for the demo.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="Change the chip: path=value, as in its YAML: adc.bits=6; adc='{kind: ideal}' for a whole part, "
        "encoding.flipped=null to remove. Repeatable.",
        metavar="PATH=VALUE",
    ),
]
Inputs = Annotated[
    int | None, typer.Option("--inputs", "-n", min=1, help="Simulate the first N test images (default: all).")
]
Calibration = Annotated[int, typer.Option(min=1, help="Training images that set the ranges of the activations.")]
Mean = Annotated[
    str, typer.Option(help="Mean per channel that the model expects to be taken off, e.g. 0.1307 or .49,.48,.45.")
]
Std = Annotated[str, typer.Option(help="Standard deviation per channel that the model expects to be divided by.")]
Digital = Annotated[list[str] | None, typer.Option(help="A layer that stays digital. Repeatable.", metavar="LAYER")]
TileBudget = Annotated[
    int | None,
    typer.Option(min=1, help="Duplicate the weights of slow layers within this number of tiles (default: none)."),
]


@app.command()
def run(
    model: Model = "demo",
    chip: ChipOption = "isaac_isca_2016",
    data: Data = None,
    set_: Set = None,
    inputs: Inputs = None,
    calibration: Calibration = 512,
    mean: Mean = "",
    std: Std = "",
    digital: Digital = None,
    tile_budget: TileBudget = None,
    max_loss: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Accuracy that the search for the smallest ADC may give away (default: 0.01)."),
    ] = None,
    search: Annotated[bool, typer.Option(help="Search the smallest ADC per layer and slice.")] = True,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw area, energy and ADC bits into this file (png, svg, pdf).")
    ] = None,
) -> None:
    """Map a network onto a chip, simulate it, and print accuracy, ADC resolution, area, power, latency and energy.

    Without arguments: the embedded digits CNN on ISAAC.

    [bold]Examples[/bold]

    xbar run lenet5.pt2 --data mnist:PATH --set adc.bits=6 --set precision.weight_bits=8

    xbar run model.pt2 --chip my_chip.yaml --data npz:mine.npz --json report.json
    """
    from xbar.tables import print_outcome

    if max_loss is not None and not search:
        raise XbarError(f"--max-loss: has no effect with --no-search, got {max_loss}; leave one of the two out")
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise OutputError(f"--plot: must end in .png, .svg or .pdf, got {plot}")
    for out in (json_out, plot):
        _writable(out)
    job = _job(model, chip, data, set_, inputs, calibration, mean, std, digital, tile_budget)
    with _stages() as stage:
        from dataclasses import replace

        from xbar.sweep.job import run as run_job

        outcome = run_job(replace(job, max_loss=(0.01 if max_loss is None else max_loss) if search else None), stage)
    print_outcome(outcome, _out)
    if json_out is not None:
        json_out.write_text(json.dumps(outcome.to_dict(), indent=1) + "\n")
    if plot is not None:
        from xbar.plots import save_outcome

        save_outcome(outcome, plot)


@app.command()
def check(chip: Annotated[str, typer.Argument(help="A chip's YAML file, or the name of a chip.")]) -> None:
    """Check a chip description: every broken rule at once, with file and line."""
    from xbar.hardware import load_chip
    from xbar.units import si

    found = load_chip(chip)
    _out.print(
        f"[green]{escape(found.name)}[/green] is a valid chip: "
        f"{si(found.area_m2, 'm2')}, {si(found.peak_power_W, 'W')} peak"
    )


@app.command()
def show(
    chip: Annotated[str | None, typer.Argument(help="Name or file of a chip; without it, the list of chips.")] = None,
    set_: Set = None,
) -> None:
    """Show a chip part by part with area, power, energy and sources; or list the chips."""
    from xbar.hardware import list_chips, load_chip
    from xbar.sweep.grid import settings_of
    from xbar.tables import print_chip, print_chips

    if chip is None:
        print_chips([load_chip(name) for name in list_chips()], _out)
    else:
        print_chip(load_chip(chip, settings_of(set_ or [])), _out)


@app.command()
def sweep(
    model: Model = "demo",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", "-v", help="adc.bits=3..8 or crossbar.rows=64,128,256. Repeatable.", metavar="PATH=VALUES"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="One line of JSON per point; run again to resume.")] = Path(
        "sweep.jsonl"
    ),
    chip: ChipOption = "isaac_isca_2016",
    data: Data = None,
    set_: Set = None,
    inputs: Inputs = None,
    calibration: Calibration = 512,
    mean: Mean = "",
    std: Std = "",
    digital: Digital = None,
    tile_budget: TileBudget = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Processes (default: one per core).")
    ] = None,
    x: Annotated[
        Smaller, typer.Option(help="Figure on the horizontal axis of the Pareto plot, the less the better.")
    ] = "energy_J",
) -> None:
    """Run a grid of design points in parallel; print a table, mark the Pareto front, and draw it beside the output.

    A killed sweep resumes: points that are in the output file are not run again.

    [bold]Example[/bold]

    xbar sweep lenet5.pt2 -d mnist:PATH --vary adc.bits=3..8 --vary crossbar.rows=64,128,256 -o sweep.jsonl
    """
    from xbar.sweep.grid import grid_of, settings_of

    grid = grid_of(vary or [])
    doubled = sorted(set(settings_of(set_ or [])) & set(grid[0]))
    if doubled:
        raise XbarError([f"--set {path}: is varied too; give it to --set or to --vary" for path in doubled])
    job = _job(model, chip, data, set_, inputs, calibration, mean, std, digital, tile_budget)
    from xbar.plots import save_pareto
    from xbar.sweep.pool import sweep as run_sweep
    from xbar.tables import print_sweep, sweep_progress

    if out.suffix == ".png":
        raise OutputError(
            f"--out: holds lines of JSON and the picture goes beside it as .png, got {out}; end it in .jsonl"
        )
    picture = out.with_suffix(".png")
    for file in (out, picture):
        _writable(file)
    with sweep_progress(_err) as on_point:
        frame = run_sweep(job, grid, out, workers, on_point)
    if (frame.problem != "").all():
        raise XbarError(dict.fromkeys(frame.problem))
    print_sweep(frame, list(grid[0]), x, _out)
    if x in frame and frame[x].notna().any():
        save_pareto(frame, x, picture)
        _out.print(f"points: {out}   picture: {picture}", highlight=False, markup=False)


_out = Console()
_err = Console(stderr=True)


def _job(
    model: str,
    chip: str,
    data: str | None,
    set_: list[str] | None,
    inputs: int | None,
    calibration: int,
    mean: str,
    std: str,
    digital: list[str] | None,
    tile_budget: int | None,
) -> Job:
    from xbar.sweep.grid import settings_of

    problems: list[str] = []
    if data is None:
        data = "digits"
        if model != "demo":
            problems.append(
                f"--data: {model} needs images and labels to run on, got none; add for example --data mnist:PATH"
            )
    settings: dict[str, str] = {}
    try:
        settings = settings_of(set_ or [])
    except XbarError as error:
        problems += error.problems
    means, stds = _numbers("--mean", mean, problems), _numbers("--std", std, problems)
    if bool(means) != bool(stds):
        problems.append("--mean, --std: the two go together, got one; add the other")
    if problems:
        raise XbarError(problems)
    from xbar.sweep.job import Job

    return Job(model, chip, data, settings, inputs, calibration, means, stds, tuple(digital or ()), tile_budget)


def _numbers(option: str, text: str, problems: list[str]) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        problems.append(
            f"{option}: must be numbers with commas between, got {text!r}; write for example {option} 0.1307"
        )
        return ()


def _writable(file: Path | None) -> None:
    """Find out before the work, not after it."""
    if file is None:
        return
    existed = file.exists()
    try:
        with file.open("a"):
            pass
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); choose another path") from error
    if not existed:
        file.unlink()


@contextmanager
def _stages() -> Iterator[Callable[[str], None]]:
    """A spinner that tells what is being done, on a terminal."""
    with _err.status("starting") as status:
        yield lambda name: status.update(name)


def main() -> None:
    """Entry point of the `xbar` command."""
    try:
        app()
    except XbarError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
