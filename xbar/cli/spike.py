"""`xbar spike`: a spiking network on spiking cores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xbar.cli.options import out, stages, writable
from xbar.errors import XbarError
from xbar.units import parse


def spike(
    model: Annotated[
        str,
        typer.Argument(help="RANC's .json, a .nir graph, or a .pt2 of a Tea or an ordinary ReLU network."),
    ],
    chip: Annotated[
        str | None,
        typer.Option(
            "--chip",
            "-c",
            help="Name of a spiking chip (see 'xbar show'), or path of a YAML file. Default: truenorth_science_2014; "
            "for RANC, one with the sizes of the file.",
        ),
    ] = None,
    ticks: Annotated[
        int | None, typer.Option("--ticks", "-t", min=1, help="Ticks to simulate (default: as the inputs need).")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            help="Change the chip: path=value, as in its YAML: energy.voltage_V='0.75 V', board.cols=2. Repeatable.",
            metavar="PATH=VALUE",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes every random number.")] = 0,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            help="Images, whose pixels are chances to spike: digits, mnist:PATH, cifar10:PATH, or npz:FILE with images "
            "and labels.",
        ),
    ] = None,
    spikes: Annotated[
        str | None,
        typer.Option(
            help="An npz file with spikes, 0 or 1, ticks x inputs or ticks x batch x inputs, and perhaps labels.",
            metavar="FILE.npz",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Spikes at random: so many per tick on every input.")
    ] = None,
    inputs: Annotated[
        int | None,
        typer.Option("--inputs", "-n", min=1, help="The first N images or inputs of a file; with --rate, how many."),
    ] = None,
    copies: Annotated[
        int | None, typer.Option(min=1, help="Copies of a Tea network, each with synapses of its own (default: 1).")
    ] = None,
    spikes_per_frame: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Ticks for which an image is shown (default: --ticks, less those that an answer needs; 1 for a Tea "
            "network).",
        ),
    ] = None,
    calibration: Annotated[
        int | None,
        typer.Option(min=1, help="Training images that set the rates of an ordinary ReLU network (default: 512)."),
    ] = None,
    dt: Annotated[str | None, typer.Option(help="NIR: how long a tick is in the graph (default: 1 ms).")] = None,
    reset: Annotated[
        str | None,
        typer.Option(help="NIR: v_reset (default), or subtract, if the graph's tool subtracts the threshold."),
    ] = None,
    max_error: Annotated[
        float | None, typer.Option(min=0, max=1, help="NIR: rounding of weights that is taken (default: 0.01).")
    ] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="NIR: take a constant leak for LIF's exponential one.")
    ] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw spikes, energy, cores and links into this file (png, svg, pdf).")
    ] = None,
) -> None:
    """Run a spiking network on TrueNorth-style cores, tick by tick: spikes, rates, accuracy, energy, load of the cores.

    [bold]Examples[/bold]

    xbar spike net.json --ticks 100

    xbar spike net.nir --spikes mine.npz --set energy.voltage_V=0.75 --plot raster.png

    xbar spike runs/tea/model.pt2 --data mnist:PATH --copies 4 --spikes-per-frame 2
    """
    from xbar.sweep.grid import settings_of
    from xbar.tables.spikes import print_spikes

    problems: list[str] = []
    settings: dict[str, str] = {}
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        problems.append(f"--plot: must end in .png, .svg or .pdf, got {plot}")
    try:
        settings = settings_of(set_ or [])
    except XbarError as error:
        problems += error.problems
    try:
        dt_s = None if dt is None else parse(dt, "s")
    except ValueError as error:
        problems.append(f"--dt: {error}; write for example --dt '1 ms'")
        dt_s = None
    for file in (json_out, plot):
        try:
            writable(file)
        except XbarError as error:
            problems += error.problems
    with stages() as stage:
        from xbar.sweep.spike_job import SpikeJob, read_sources, run_spikes

        job = SpikeJob(
            model=model,
            chip=chip,
            settings=settings,
            n_ticks=ticks,
            seed=seed,
            data=data,
            spikes=spikes,
            rate=rate,
            n_inputs=inputs,
            n_copies=copies,
            spikes_per_frame=spikes_per_frame,
            n_calibration=calibration,
            dt_s=dt_s,
            reset=reset,
            max_error=max_error,
            approximate=approximate,
        )
        if problems:
            try:
                read_sources(job)
            except XbarError as error:
                problems += error.problems
            raise XbarError(problems)
        outcome = run_spikes(job, stage)
    print_spikes(outcome, out)
    if json_out is not None:
        json_out.write_text(json.dumps(outcome.to_dict(), indent=1) + "\n")
    if plot is not None:
        from xbar.plots import save_spikes

        save_spikes(outcome, plot)
