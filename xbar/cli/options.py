"""What the commands have in common: their options, the job that these describe, files, consoles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from xbar.errors import OutputError, XbarError

if TYPE_CHECKING:
    from xbar.sweep.job import Job

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
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        "-v",
        help="adc.bits=3..8, crossbar.rows=64,128,256 or noise.time_s='1 s,1 day,1 year'. Repeatable.",
        metavar="PATH=VALUES",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", "-w", min=1, help="Processes (default: one per core).")]
Noise = Annotated[
    str | None,
    typer.Option(
        help="Simulate real cells with this noise model: a name (see 'xbar show') or a YAML file; 'none': conductance "
        "limits alone. Default: the chip's own. --set noise.time_s='1 year' changes it.",
    ),
]
Runs = Annotated[int, typer.Option(min=1, help="Monte Carlo: mean, confidence interval and worst of so many runs.")]
Seed = Annotated[int, typer.Option(min=0, help="Fixes every random number; run k of a seed is always the same.")]
SameChip = Annotated[
    bool, typer.Option("--same-chip", help="All runs programme the same devices anew; else each run is another chip.")
]


def varied(vary: list[str] | None, set_: list[str] | None) -> list[dict[str, str]]:
    """The points of --vary. XbarError for what --set fixes as well."""
    from xbar.sweep.grid import grid_of, settings_of

    grid = grid_of(vary or [])
    doubled = sorted(set(settings_of(set_ or [])) & set(grid[0]))
    if doubled:
        raise XbarError([f"--set {path}: is varied too; give it to --set or to --vary" for path in doubled])
    return grid


out = Console()
err = Console(stderr=True)


def job_of(
    model: str, data: str | None, set_: list[str] | None, mean: str, std: str, digital: list[str] | None, **same: Any
) -> Job:
    """The job that options describe; `same` are fields of Job as they are. XbarError with every problem at once."""
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

    return Job(model=model, data=data, settings=settings, mean=means, std=stds, digital=tuple(digital or ()), **same)


def _numbers(option: str, text: str, problems: list[str]) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        problems.append(
            f"{option}: must be numbers with commas between, got {text!r}; write for example {option} 0.1307"
        )
        return ()


def writable(file: Path | None) -> None:
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
def stages() -> Iterator[Callable[[str], None]]:
    """A spinner that tells what is being done, on a terminal."""
    with err.status("starting") as status:
        yield lambda name: status.update(name)
