"""A spiking network from a file, on a chip of spiking cores, with input spikes: `run_spikes(SpikeJob(...))`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from xbar import datasets
from xbar.cost.spiking import estimate_spikes, used_neurons
from xbar.errors import ConfigError, DataError, XbarError
from xbar.sim.spiking import Probe, simulate_spikes
from xbar.spiking.chip import SpikingChip
from xbar.spiking.program import OUTPUT, SpikingProgram
from xbar.sweep.spike_inputs import GivenSpikes, Stimulus, image_spikes, read_spikes, uniform_spikes
from xbar.sweep.spike_models import KINDS, Loaded, chip_of, kind_of, load_model
from xbar.sweep.spike_outcome import Raster, SpikeOutcome, votes_of

Stage = Callable[[str], None]
_BATCH_BYTES = 1 << 28  # potentials and spikes on their way of the inputs that run at a time
_MOST_BATCH = 256
N_CALIBRATION = 512
_ROWS = 60  # of a group in the raster


@dataclass(frozen=True)
class SpikeJob:
    """Everything that shapes a result, as plain text and numbers.

    model: a RANC `.json`, a `.nir` or a `.pt2` file. chip: name or file, None for TrueNorth, and for RANC one made for
    the file; settings: chip paths and their values, as in `--set`.
    Inputs come from one of: data (images, see `xbar.datasets`, each shown for spikes_per_frame ticks), spikes (an npz
    file), rate (spikes per tick and input at random); RANC files bring their own.
    n_ticks: of a run; None: as long as there are input spikes, and what the program needs to answer. n_inputs: the
    first of the batch, None for all (of `rate` one). n_copies: of a network of connection probabilities.
    n_calibration: training images that set the rates of an ordinary network, None for N_CALIBRATION.
    dt_s, reset, max_error, approximate: of a NIR graph, see `xbar.from_nir`; None: its defaults.
    """

    model: str
    chip: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    n_ticks: int | None = None
    seed: int = 0
    data: str | None = None
    spikes: str | None = None
    rate: float | None = None
    n_inputs: int | None = None
    n_copies: int | None = None
    spikes_per_frame: int | None = None
    n_calibration: int | None = None
    dt_s: float | None = None
    reset: str | None = None
    max_error: float | None = None
    approximate: bool = False

    def problems(self) -> Iterator[str]:
        """Rules that the fields break together."""
        kind = KINDS.get(Path(self.model).suffix)
        if kind is None and not Path(self.model).is_dir():
            yield f"model: must end in {', '.join(KINDS)}, got {self.model}; these are {'; '.join(KINDS.values())}"
        elif not Path(self.model).exists():
            yield f"model: {self.model} does not exist; give the path of a file"
        yield from self._source_problems(kind_of(self.model))
        for name in ("n_ticks", "n_inputs", "n_copies", "spikes_per_frame", "n_calibration"):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield f"{name}: must be 1 or more, got {value}"
        if self.seed < 0:
            yield f"seed: must be a whole number from 0 up, got {self.seed}"
        if self.rate is not None and not 0 <= self.rate <= 1:
            yield f"--rate: must be from 0 to 1 spikes per tick, got {self.rate:g}"

    def _source_problems(self, kind: str) -> Iterator[str]:
        given = [f"--{name}" for name in ("data", "spikes", "rate") if getattr(self, name) is not None]
        if len(given) > 1:
            yield f"{', '.join(given)}: input spikes come from one source, got {len(given)}; leave the others out"
        if not given and kind in (".nir", ".pt2"):
            yield f"inputs: {self.model} brings no spikes; add --data mnist:PATH, --spikes FILE.npz or --rate 0.1"
        if kind == ".json" and self.data is not None:
            yield "--data: has no effect on a RANC file, whose inputs are axons; use its own spikes, --spikes or --rate"
        if kind == ".json" and not given and self.n_inputs is not None:
            yield f"--inputs: a RANC file has one run of spikes, got {self.n_inputs}; leave it out"
        if kind != ".pt2" and self.n_copies is not None:
            yield f"--copies: are of a .pt2 network of connection probabilities, got {self.n_copies}; leave it out"
        if kind != ".pt2" and self.n_calibration is not None:
            yield f"--calibration: is of ordinary .pt2 networks, got {self.n_calibration}; leave it out"
        nir = {"--dt": self.dt_s, "--reset": self.reset, "--max-error": self.max_error}
        only_nir = [name for name, value in nir.items() if value is not None] + ["--approximate"] * self.approximate
        if kind != ".nir" and only_nir:
            yield f"{', '.join(only_nir)}: about NIR graphs, but the model is {self.model}; leave out"
        if self.spikes_per_frame is not None and self.data is None:
            yield f"--spikes-per-frame: is about images, got {self.spikes_per_frame}; add --data, or leave it out"
        if self.rate is not None and self.n_ticks is None:
            yield "--ticks: is needed with --rate, got none; add for example --ticks 100"
        if None not in (self.spikes_per_frame, self.n_ticks) and self.spikes_per_frame > self.n_ticks:  # type: ignore[operator]
            yield f"--spikes-per-frame: must not exceed --ticks ({self.n_ticks}), got {self.spikes_per_frame}"


def run_spikes(job: SpikeJob, stage: Stage = lambda name: None) -> SpikeOutcome:
    """Load, place, simulate, estimate; `stage` hears what is being done. Raises XbarError for anything wrong.

    Images, and votes: in each of its ticks a pixel spikes with its value as the chance; output spikes count from the
    tick on in which the first input can show (`program.latency`); the class with the most of them is the answer.
    """
    chip, given, images, calibration = read_sources(job)
    stage("reading the network")
    loaded = load_model(job, chip, calibration, stage)
    program = loaded.program
    stimulus = _stimulus(job, loaded, given, images)
    n_ticks = job.n_ticks if job.n_ticks is not None else stimulus.n_ticks + program.latency
    _check(program, stimulus, n_ticks)
    total = stimulus.n_batch
    n_at_once = max(1, min(_MOST_BATCH, total, _BATCH_BYTES // (program.n_cores * (4 * program.n_neurons + 512))))
    probed, groups = _probe(program)
    pieces, outputs, raster = [], [], None
    for start in range(0, total, n_at_once):
        stage(f"simulating {start:,} of {total:,} inputs")
        spikes = stimulus.piece(start, min(start + n_at_once, total))
        probe = Probe(spikes=probed) if start == 0 else None
        result = simulate_spikes(program, spikes, n_ticks, seed=job.seed, probe=probe, first=start)
        pieces.append(result.activity)
        outputs.append(result.outputs[program.latency :].sum(0))
        if raster is None:
            raster = _raster(spikes[:, 0], result.spikes[:, 0], groups, result.outputs[:, 0])
    assert raster is not None  # there is at least one input
    activity = reduce(add, pieces)
    counts = np.concatenate(outputs)
    piped = estimate_spikes(program, activity, stimulus.n_ticks) if loaded.history_free and images else None
    return SpikeOutcome(
        program=program,
        source=stimulus.source,
        seed=job.seed,
        n_ticks=n_ticks,
        read_from=program.latency,
        activity=activity,
        report=estimate_spikes(program, activity),
        pipelined=piped,
        outputs=counts,
        labels=stimulus.labels,
        accuracy=None if stimulus.labels is None else _accuracy(program, counts, stimulus.labels),
        raster=raster,
        notes=loaded.notes,
    )


def read_sources(
    job: SpikeJob,
) -> tuple[SpikingChip | None, GivenSpikes | None, datasets.Labelled | None, datasets.Labelled | None]:
    """Chip, spikes of a file, images to simulate, images for calibration: None for what a job has none of.

    Raises ConfigError with every problem at once, of the job's fields too.
    """
    problems = list(job.problems())
    chip = given = images = calibration = None
    try:
        chip = chip_of(job)
    except XbarError as error:
        problems += error.problems
    try:
        if job.spikes is not None:
            given = read_spikes(job.spikes)
        if job.data is not None:
            images = datasets.load(job.data, "test")
            calibration = datasets.load(job.data, "train").first(job.n_calibration or N_CALIBRATION)
    except XbarError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return chip, given, images, calibration


def _stimulus(job: SpikeJob, loaded: Loaded, given: GivenSpikes | None, images: datasets.Labelled | None) -> Stimulus:
    """What the inputs of the program get."""
    program = loaded.program
    if job.rate is not None and job.n_ticks is not None:
        return uniform_spikes(job.rate, job.n_inputs or 1, program.n_inputs, job.n_ticks, job.seed)
    if images is not None:
        shown = images if job.n_inputs is None else images.first(job.n_inputs)
        return image_spikes(shown, _ticks_of_frames(job, loaded), job.seed)
    given = given or loaded.spikes
    if given is None:
        raise DataError(f"inputs: {job.model} brings no spikes; add --data mnist:PATH, --spikes FILE.npz or --rate 0.1")
    if job.n_inputs is None:
        return given
    labels = None if given.labels is None else given.labels[: job.n_inputs]
    return replace(given, spikes=given.spikes[:, : job.n_inputs], labels=labels)


def _ticks_of_frames(job: SpikeJob, loaded: Loaded) -> int:
    """How long an image is shown."""
    latency = loaded.program.latency
    if job.spikes_per_frame is not None:
        return job.spikes_per_frame
    if job.n_ticks is not None:
        return max(1, job.n_ticks - latency)
    if loaded.history_free:
        return 1
    raise DataError("--ticks: is needed for a network that counts spikes, got none; add for example --ticks 64")


def _check(program: SpikingProgram, stimulus: Stimulus, n_ticks: int) -> None:
    problems = []
    if stimulus.n_inputs != program.n_inputs:
        problems.append(
            f"inputs: {program.name} has {program.n_inputs} inputs, but {stimulus.source} has {stimulus.n_inputs} "
            "values each; give those that it was made for"
        )
    if n_ticks <= program.latency:
        problems.append(
            f"--ticks: the first answer comes after {program.latency} ticks, got {n_ticks}; allow more ticks"
        )
    n_classes = program.n_outputs if program.classes is None else int(program.classes.max()) + 1
    if stimulus.labels is not None and stimulus.labels.max() >= n_classes:
        problems.append(
            f"labels: go up to {stimulus.labels.max()}, but {program.name} has {n_classes} classes; give its own data"
        )
    if problems:
        raise DataError(problems)


def _accuracy(program: SpikingProgram, counts: np.ndarray, labels: np.ndarray) -> float:
    """Share of inputs whose class with the most spikes, the first of equals, is their label."""
    return float((votes_of(program, counts).argmax(1) == labels).mean())


def _probe(program: SpikingProgram) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """Neurons for the raster, int [n, 2] of (core, neuron), and how many of each layer; outputs are seen anyway."""
    inner = used_neurons(program) & (program.targets.core != OUTPUT)
    layers = np.array(program.layer)
    chosen, groups = [np.zeros((0, 2), np.int64)], []
    for name in dict.fromkeys(program.layer):
        found = np.argwhere(inner & (layers == name)[:, None])
        if len(found):
            chosen.append(_some(found))
            groups.append((name, len(chosen[-1])))
    return np.concatenate(chosen), groups


def _raster(inputs: np.ndarray, probed: np.ndarray, groups: list[tuple[str, int]], outputs: np.ndarray) -> Raster:
    """Of one input: bool [tick, input], [tick, neuron], [tick, output]."""
    first, last = _some(inputs.T).T, _some(outputs.T).T
    first = np.pad(first[: len(last)], [(0, max(0, len(last) - len(first))), (0, 0)])
    names = (("inputs", first.shape[1]), *groups, ("outputs", last.shape[1]))
    return Raster(np.concatenate([first, probed, last], axis=1), names)


def _some(rows: np.ndarray) -> np.ndarray:
    """At most _ROWS of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(int))]
