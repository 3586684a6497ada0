"""`xbar run`: one network on one chip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xbar.cli.options import (
    Calibration,
    ChipOption,
    Data,
    Digital,
    Inputs,
    Mean,
    Model,
    Noise,
    Runs,
    SameChip,
    Seed,
    Set,
    Std,
    TileBudget,
    job_of,
    out,
    stages,
    writable,
)
from xbar.errors import OutputError, XbarError

N_ERRORS = 64  # images with which --errors looks for sources of error


def run(
    model: Model = "demo",
    chip: ChipOption = "isaac_isca_2016",
    data: Data = None,
    set_: Set = None,
    noise: Noise = None,
    runs: Runs = 1,
    seed: Seed = 0,
    same_chip: SameChip = False,
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
    search: Annotated[bool, typer.Option(help="Search the smallest ADC per layer and slice (of ideal cells).")] = True,
    errors: Annotated[
        bool,
        typer.Option(
            "--errors", help=f"Find where errors come from, layer by layer, with the first {N_ERRORS} test images."
        ),
    ] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw area, energy, ADC bits and errors into this file (png, svg, pdf).")
    ] = None,
) -> None:
    """Map a network onto a chip, simulate it, and print accuracy, ADC resolution, area, power, latency and energy.

    Without arguments: the embedded digits CNN on ISAAC.

    [bold]Examples[/bold]

    xbar run lenet5.pt2 --data mnist:PATH --set adc.bits=6 --set precision.weight_bits=8

    xbar run model.pt2 --chip my_chip.yaml --data npz:mine.npz --json report.json

    xbar run --noise reram_wan_2022 --runs 20 --errors --set noise.time_s='1 day'
    """
    from xbar.tables.outcomes import print_outcome

    if max_loss is not None and not search:
        raise XbarError(f"--max-loss: has no effect with --no-search, got {max_loss}; leave one of the two out")
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise OutputError(f"--plot: must end in .png, .svg or .pdf, got {plot}")
    for file in (json_out, plot):
        writable(file)
    job = job_of(
        model,
        data,
        set_,
        mean,
        std,
        digital,
        chip=chip,
        n_inputs=inputs,
        n_calibration=calibration,
        tile_budget=tile_budget,
        max_loss=(0.01 if max_loss is None else max_loss) if search else None,
        noise=noise,
        n_runs=runs,
        seed=seed,
        same_chip=same_chip,
        n_errors=N_ERRORS if errors else None,
    )
    with stages() as stage:
        from xbar.sweep.job import run as run_job

        outcome = run_job(job, stage)
    print_outcome(outcome, out)
    if json_out is not None:
        json_out.write_text(json.dumps(outcome.to_dict(), indent=1) + "\n")
    if plot is not None:
        from xbar.plots import save_outcome

        save_outcome(outcome, plot)
