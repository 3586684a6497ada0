"""`xbar sweep`: one network on many chips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    Vary,
    Workers,
    err,
    job_of,
    out,
    varied,
    writable,
)
from xbar.errors import OutputError, XbarError

Smaller = Literal["energy_J", "latency_s", "power_W", "used_area_m2", "area_m2"]


def sweep(
    model: Model = "demo",
    vary: Vary = None,
    out_file: Annotated[
        Path, typer.Option("--out", "-o", help="One line of JSON per point; run again to resume.")
    ] = Path("sweep.jsonl"),
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
    workers: Workers = None,
    x: Annotated[
        Smaller, typer.Option(help="Figure on the horizontal axis of the Pareto plot, the less the better.")
    ] = "energy_J",
) -> None:
    """Run a grid of design points in parallel; print a table, mark the Pareto front, and draw it beside the output.

    With noise and several runs the picture also shows the accuracy over the first varied number, with its band. A
    killed sweep resumes: points that are in the output file are not run again.

    [bold]Examples[/bold]

    xbar sweep lenet5.pt2 -d mnist:PATH --vary adc.bits=3..8 --vary crossbar.rows=64,128,256 -o sweep.jsonl

    xbar sweep --noise pcm_joshi_2020 --runs 5 --vary noise.time_s='1 s,1 h,1 day,1 year'
    """
    grid = varied(vary, set_)
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
        noise=noise,
        n_runs=runs,
        seed=seed,
        same_chip=same_chip,
    )
    from xbar.plots import save_sweep
    from xbar.sweep.pool import sweep as run_sweep
    from xbar.tables.sweeps import print_sweep, sweep_progress

    if out_file.suffix == ".png":
        raise OutputError(
            f"--out: holds lines of JSON and the picture goes beside it as .png, got {out_file}; end it in .jsonl"
        )
    picture = out_file.with_suffix(".png")
    for file in (out_file, picture):
        writable(file)
    with sweep_progress(err) as on_point:
        frame = run_sweep(job, grid, out_file, workers, on_point)
    if (frame.problem != "").all():
        raise XbarError(dict.fromkeys(frame.problem))
    print_sweep(frame, list(grid[0]), x, out)
    if x in frame and frame[x].notna().any():
        save_sweep(frame, x, picture)
        out.print(f"points: {out_file}   picture: {picture}", highlight=False, markup=False)
