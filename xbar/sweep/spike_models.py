"""Spiking programs from the files that users have: RANC's JSON, NIR, and `.pt2` networks, trained for spikes or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import mapping
from xbar.config import from_data, validate
from xbar.datasets import Labelled
from xbar.errors import ModelError
from xbar.spiking.check import check_program
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.copies import copies_of
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
    return _nir(job, chip) if kind == ".nir" else _pt2(job, chip, calibration, stage)


def _ranc(job: SpikeJob, chip: SpikingChip | None) -> Loaded:
    from xbar.frontends.ranc import load_ranc

    case = load_ranc(job.model, chip)
    program = case.program
    if chip is None and job.settings:
        program = replace(program, chip=validate(SpikingChip, from_data(program.chip.to_dict(), "chip"), job.settings))
        check_program(program)
    return Loaded(program, GivenSpikes("the file's own spikes", case.inputs))


def _nir(job: SpikeJob, chip: SpikingChip) -> Loaded:
    from xbar.frontends.nir_graph import from_nir

    given = {"dt_s": job.dt_s, "reset": job.reset, "max_error": job.max_error}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    network = from_nir(job.model, chip, approximate=job.approximate, **options)
    return Loaded(mapping.compile_spikes(network, chip, seed=job.seed), notes=network.notes)


def _pt2(job: SpikeJob, chip: SpikingChip, calibration: Labelled | None, stage: Stage) -> Loaded:
    """A network of connection probabilities as copies, any other one by rates."""
    from xbar.frontends.tea_model import load_bernoulli

    name = _name(job.model)
    trained = load_bernoulli(job.model)
    if trained is not None:
        if job.n_calibration is not None:
            rule = "has no effect on a network of connection probabilities"
            raise ModelError(f"--calibration: {rule}, got {job.n_calibration}; leave it out")
        n_copies = job.n_copies or 1
        stage(f"placing {n_copies} copies")
        program = mapping.compile_spikes(copies_of(trained, n_copies, seed=job.seed, name=name), chip, seed=job.seed)
        note = f"{n_copies} of the copies that the probabilities allow, drawn with seed {job.seed}"
        return Loaded(program, history_free=True, notes=(note,))
    problems = []
    if job.n_copies is not None:
        rule = "has no connection probabilities to draw copies from"
        problems.append(f"--copies: {job.model} {rule}, got {job.n_copies}; leave it out")
    if calibration is None:
        rule = "is an ordinary network, whose rates come from images"
        problems.append(f"--data: {job.model} {rule}, got none; add for example --data mnist:PATH")
    if problems or calibration is None:
        raise ModelError(problems)
    from xbar.frontends.rate_coded import rate_coded
    from xbar.frontends.torch_module import from_torch

    stage("converting activations to rates")
    network = rate_coded(from_torch(job.model), torch.from_numpy(calibration.images), chip)
    stage("placing")
    return Loaded(mapping.compile_spikes(network, chip, seed=job.seed, name=name), notes=network.notes)


def _name(model: str) -> str:
    """A file's name, or its folder's where all files are called alike."""
    path = Path(model)
    return path.absolute().parent.name if path.stem in ("model", "input") else path.stem
