"""Spiking programs from the files that users have: RANC's JSON, NIR, and `.pt2` networks, trained for spikes or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xbar.config import from_data, validate
from xbar.datasets import Labelled
from xbar.spiking.check import check_program
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.program import SpikingProgram
from xbar.sweep.spike_inputs import GivenSpikes

if TYPE_CHECKING:
    from xbar.sweep.spike_job import SpikeJob

Stage = Callable[[str], None]
CHIP = "truenorth_science_2014"
KINDS = {".json": "a network of RANC", ".nir": "a NIR graph", ".pt2": "a torch.export archive"}


@dataclass(frozen=True, eq=False)
class Loaded:
    """A program; the spikes that its file brings, if any; whether it forgets everything from tick to tick; notes."""

    program: SpikingProgram
    spikes: GivenSpikes | None = None
    history_free: bool = False
    notes: tuple[str, ...] = ()


def kind_of(model: str) -> str:
    """The suffix that tells how to read it; a folder is one of RANC."""
    return ".json" if Path(model).is_dir() else Path(model).suffix


def chip_of(job: SpikeJob) -> SpikingChip | None:
    """The chip with its settings; None for a RANC file that brings its own. Raises ConfigError."""
    if job.chip is None and kind_of(job.model) == ".json":
        return None
    return load_spiking_chip(job.chip or CHIP, job.settings)


def load_model(job: SpikeJob, chip: SpikingChip | None, calibration: Labelled | None, stage: Stage) -> Loaded:
    """The program of a job's model on the chip. Raises XbarError where it cannot be read or does not fit."""
    kind = kind_of(job.model)
    if kind == ".json":
        return _ranc(job, chip)
    chip = chip or load_spiking_chip(CHIP, job.settings)
    raise NotImplementedError


def _ranc(job: SpikeJob, chip: SpikingChip | None) -> Loaded:
    from xbar.frontends.ranc import load_ranc

    case = load_ranc(job.model, chip)
    program = case.program
    if chip is None and job.settings:
        program = replace(program, chip=validate(SpikingChip, from_data(program.chip.to_dict(), "chip"), job.settings))
        check_program(program)
    return Loaded(program, GivenSpikes("the file's own spikes", case.inputs))
