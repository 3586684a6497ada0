"""`xbar estimate`: what a network costs on a chip, without data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xbar.cli.options import (
    ChipOption,
    Digital,
    Set,
    TileBudget,
    Vary,
    Workers,
    err,
    out,
    stages,
    varied,
    writable,
)
from xbar.errors import XbarError
from xbar.units import si

if TYPE_CHECKING:
    from xbar.sweep.estimate_job import EstimateJob

TRACE_LIMIT = 200_000  # intervals, about 30 MB
PLOT_LIMIT = 2_000_000  # of which a plot is drawn
N_INPUTS = 4


def estimate(
    model: Annotated[
        str,
        typer.Argument(
            help="A .pt2 archive of torch.export.save, 'demo', or a network that comes with xbar: vgg16, resnet18, "
            "resnet50, vit_b (ImageNet shape), vgg8 (CIFAR-10 shape)."
        ),
    ] = "demo",
    chip: ChipOption = "isaac_isca_2016",
    set_: Set = None,
    vary: Vary = None,
    digital: Digital = None,
    technology: Annotated[
        str | None,
        typer.Option(
            help="Bring digital parts, memories and ADCs to another node by published factors, such as '22 nm'; the "
            "report says what was scaled.",
            metavar="NODE",
        ),
    ] = None,
    tile_budget: TileBudget = None,
    chips: Annotated[
        int | None, typer.Option(min=1, help="Chips that the layers may be spread over (default: as many as needed).")
    ] = None,
    turns: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tell as well what a single chip would do whose crossbars are written anew for each part of the "
            "network, N inferences at a time.",
            metavar="N",
        ),
    ] = None,
    inputs: Annotated[
        int | None, typer.Option("--inputs", "-n", min=1, help=f"Inputs of the cycle model (default: {N_INPUTS}).")
    ] = None,
    cycles: Annotated[
        bool | None,
        typer.Option(
            help="Simulate the chip cycle by cycle; else times are those of the crossbars alone. Default: simulate, "
            "but not with --vary."
        ),
    ] = None,
    workers: Workers = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Write what was done when to this JSON file, for ui.perfetto.dev or chrome://tracing."),
    ] = None,
    trace_limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"Intervals that --trace keeps, the first ones (default: {TRACE_LIMIT:,})."),
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write every figure (of every point of --vary) to this file.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw where time and power go, or the points of --vary, into this file (png, svg, pdf)."),
    ] = None,
) -> None:
    """Tell what a network costs on a chip, from its shapes and weights alone: area, energy, power, latency, bottleneck.

    No data are needed: half of the bits of all inputs are taken to be set. Networks that are larger than a chip are
    spread over several.

    [bold]Examples[/bold]

    xbar estimate resnet50 --chip puma_asplos_2019 --plot resnet50.png

    xbar estimate model.pt2 --tile-budget 168 --set adc.bits=6 --trace trace.json

    xbar estimate vgg16 --chip generic_1t1r --technology '22 nm' --turns 1000

    xbar estimate vgg8 --vary crossbar.rows=64,128,256 --vary adc.bits=4..8 --vary core.adcs=1,2,4,8 --plot points.png
    """
    with_cycles = cycles if cycles is not None else not vary
    problems = list(_problems(with_cycles, inputs, trace, trace_limit, plot))
    problems += _vain_with_vary(trace, turns) if vary else _vain_without_vary(workers)
    if problems:
        raise XbarError(problems)
    grid = varied(vary, set_)
    for file in (trace, json_out, plot):
        writable(file)
    from xbar.sweep.estimate_job import EstimateJob, run_estimate
    from xbar.sweep.grid import settings_of

    kept = (trace_limit or TRACE_LIMIT) if trace is not None else 0
    drawn = PLOT_LIMIT if plot is not None else 0
    job = EstimateJob(
        model=model,
        chip=chip,
        settings=settings_of(set_ or []),
        digital=tuple(digital or ()),
        technology=technology,
        tile_budget=tile_budget,
        n_chips=chips,
        n_inputs=inputs or N_INPUTS,
        with_cycles=with_cycles,
        max_trace=max(kept, drawn) if with_cycles else 0,
        turn_inputs=turns,
    )
    if vary:
        _estimate_all(job, grid, workers, json_out, plot)
        return
    from xbar.tables.estimates import print_estimate

    with stages() as stage:
        estimated = run_estimate(job, stage)
    print_estimate(estimated, out)
    if json_out is not None:
        json_out.write_text(json.dumps(estimated.to_dict(), indent=1) + "\n")
    if trace is not None and (found := estimated.report.cycles) is not None and found.trace is not None:
        shown = found.trace.first(kept)
        shown.save(trace)
        if shown.n_lost:
            until, n = si(float(shown.end_s.max()), "s"), f"{len(shown):,} of {len(shown) + shown.n_lost:,}"
            told = f"--trace: {trace} holds the first {n} intervals, up to {until} of {si(found.run_s, 's')}"
            out.print(f"{told}; --trace-limit keeps more", highlight=False)
    if plot is not None:
        from xbar.plots import save_estimate

        save_estimate(estimated, plot)


def _estimate_all(
    job: EstimateJob, grid: list[dict[str, str]], workers: int | None, json_out: Path | None, plot: Path | None
) -> None:
    from xbar.sweep.estimate_grid import estimate_grid
    from xbar.tables.sweeps import print_estimates, sweep_progress

    with sweep_progress(err) as on_point:
        frame = estimate_grid(job, grid, workers, on_point)
    if (frame.problem != "").all():
        raise XbarError(dict.fromkeys(frame.problem))
    print_estimates(frame, list(grid[0]), job.with_cycles, out)
    if json_out is not None:
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")  # a point with a problem has null
        json_out.write_text(json.dumps(rows, indent=1) + "\n")
    if plot is not None:
        from xbar.plots import save_estimates

        save_estimates(frame, f"{job.model} on {job.chip}, {len(frame):,} points", plot)


def _vain_with_vary(trace: Path | None, turns: int | None) -> Iterator[str]:
    for name, value in (("--trace", trace), ("--turns", turns)):
        if value is not None:
            yield f"{name}: is of one chip, not of the points of --vary, got {value}; leave one of the two out"


def _vain_without_vary(workers: int | None) -> Iterator[str]:
    if workers is not None:
        yield f"--workers: has no effect without --vary, got {workers}; add for example --vary adc.bits=3..8"


def _problems(
    cycles: bool, inputs: int | None, trace: Path | None, trace_limit: int | None, plot: Path | None
) -> Iterator[str]:
    """Options that have no effect, or cannot have the one that is meant."""
    if not cycles:
        for name, value in (("--inputs", inputs), ("--trace", trace)):
            if value is not None:
                yield f"{name}: has no effect without the cycle model, got {value}; leave it out, or add --cycles"
    if trace is None and trace_limit is not None:
        yield f"--trace-limit: has no effect without --trace, got {trace_limit}; add for example --trace trace.json"
    if trace is not None and trace.suffix != ".json":
        yield f"--trace: must end in .json, got {trace}"
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        yield f"--plot: must end in .png, .svg or .pdf, got {plot}"
