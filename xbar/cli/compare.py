"""`xbar compare`: networks side by side on one chip."""

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
    Noise,
    Runs,
    SameChip,
    Seed,
    Set,
    Std,
    job_of,
    out,
    stages,
    writable,
)
from xbar.errors import XbarError


def compare(
    models: Annotated[list[str], typer.Argument(help="Two .pt2 archives or more; the others are held to the first.")],
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
    max_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Accuracy that the search for the smallest ADC may give away.")
    ] = 0.005,
    search: Annotated[bool, typer.Option(help="Search the smallest ADC per layer and slice (of ideal cells).")] = True,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Compare networks on one chip: accuracy, ADC bits, cells, crossbars, wires, area, power, energy.

    For example one that was trained for the hardware with one that was not.

    [bold]Examples[/bold]

    xbar compare runs/plain/model.pt2 runs/slices/model.pt2 --data mnist:PATH --noise reram_wan_2022 --runs 5
    """
    from xbar.sweep.comparison import Comparison
    from xbar.sweep.job import run
    from xbar.tables.comparison import print_comparison

    if len(models) < 2:
        raise XbarError(f"compare: needs at least two models, got {len(models)}; for one there is 'xbar run'")
    names = _names(models)
    writable(json_out)
    outcomes = {}
    with stages() as stage:
        for name, model in zip(names, models, strict=True):
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
                max_loss=max_loss if search else None,
                noise=noise,
                n_runs=runs,
                seed=seed,
                same_chip=same_chip,
            )
            outcomes[name] = run(job, lambda doing, of=name: stage(f"{of}: {doing}"))  # type: ignore[misc]
    comparison = Comparison(outcomes)
    print_comparison(comparison, out)
    if json_out is not None:
        json_out.write_text(json.dumps(comparison.figures(), indent=1) + "\n")


def _names(models: list[str]) -> list[str]:
    """What tells the models apart: their files' names, else their folders', else the whole paths."""
    paths = [Path(model) for model in models]
    for names in ([p.stem for p in paths], [p.parent.name for p in paths], models):
        if len(set(names)) == len(names) and all(names):
            return names
    raise XbarError(f"compare: needs different models, got {', '.join(models)}; leave out what comes twice")
