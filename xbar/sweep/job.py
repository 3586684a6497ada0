"""One design point: a model, a chip and data in; accuracy, ADC resolution and the bill out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import mapping
from xbar import datasets
from xbar.cost import estimate
from xbar.cost.cycles import cycles
from xbar.datasets import Labelled
from xbar.errors import CapacityError, ConfigError, DataError, ModelError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip, chip_document, load_chip
from xbar.host import run as run_host
from xbar.network import Network
from xbar.noise import NoiseModel
from xbar.program import Program
from xbar.quantization import integer_forward, quantize
from xbar.result import Activity, Report, SimResult
from xbar.sim import adc_resolution, calibrate_adc, simulate
from xbar.sim.error_sources import error_sources
from xbar.sim.simulate import Simulator, physics_of
from xbar.spread import Spread
from xbar.sweep.outcome import Outcome, total_activity

Stage = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """Everything that shapes a result, as plain text and numbers.

    model: `demo` or the path of a `.pt2` archive; data: see `xbar.datasets`; settings: chip paths and their values, as
    in `--set`. n_inputs: test images to simulate, None for all. n_calibration: training images that set the ranges of
    the activations. mean, std: per channel, where the model expects normalised images. max_loss: accuracy that the
    search for the smallest ADC may give away, None for no search; n_search: images that the search uses.
    noise: name or file of a noise model, None for the chip's own; n_runs, seed, same_chip: see `xbar.simulate`.
    n_errors: test images with which to find where errors come from, None for not at all.
    """

    model: str = "demo"
    chip: str = "isaac_isca_2016"
    data: str = "digits"
    settings: Mapping[str, str] = field(default_factory=dict)
    n_inputs: int | None = None
    n_calibration: int = 512
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    digital: tuple[str, ...] = ()
    tile_budget: int | None = None
    max_loss: float | None = None
    n_search: int = 256
    noise: str | None = None
    n_runs: int = 1
    seed: int = 0
    same_chip: bool = False
    n_errors: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "settings": dict(self.settings)}

    def load_chip(self) -> Chip:
        """The chip with its settings and noise, which a setting `noise` may name as well. Raises ConfigError."""
        settings, noise = dict(self.settings), self.noise
        named = settings.get("noise", "{")
        if not named.startswith("{") and named != "null":
            if noise is not None:
                raise ConfigError(
                    f"--set noise: is given by --noise ({noise}) too, got {named}; leave one of the two out"
                )
            noise = settings.pop("noise")
        lost = [path for path in settings if path.startswith("noise.")]
        if lost and noise is None and "noise" not in {**chip_document(self.chip).data, **settings}:
            rule = "has no effect on ideal cells; choose a noise model (--noise), or `none` to begin with"
            raise ConfigError([f"--set {path}: {rule}" for path in lost])
        return load_chip(self.chip, settings, noise)


def run(job: Job, stage: Stage = lambda name: None) -> Outcome:
    """The outcome of a job; `stage` hears what is being done. Raises XbarError for anything wrong in its inputs."""
    chip = job.load_chip()
    _check_runs(chip, job.n_runs, job.seed, job.same_chip)
    stage("reading data")
    test = _normalised(datasets.load(job.data, "test"), job)
    test = test if job.n_inputs is None else test.first(job.n_inputs)
    train = _normalised(datasets.load(job.data, "train").first(job.n_calibration), job)
    stage("tracing the model")
    network = traced(job.model, job.digital)
    return evaluate(
        network,
        chip,
        test,
        train,
        job.tile_budget,
        job.max_loss,
        job.n_search,
        stage,
        n_runs=job.n_runs,
        seed=job.seed,
        same_chip=job.same_chip,
        n_errors=job.n_errors,
    )


def evaluate(
    network: Network,
    chip: Chip,
    test: Labelled,
    calibration: Labelled,
    tile_budget: int | None = None,
    max_loss: float | None = None,
    n_search: int = 256,
    stage: Stage = lambda name: None,
    *,
    n_runs: int = 1,
    seed: int = 0,
    same_chip: bool = False,
    n_errors: int | None = None,
) -> Outcome:
    """The six lines on values: quantize, compile, simulate, estimate; with the accuracy of each step on the way.

    n_runs, seed, same_chip: see `xbar.simulate`; a noise model without effects is run once, since all runs are equal.
    Raises ConfigError for several runs of ideal cells.
    """
    _check_runs(chip, n_runs, seed, same_chip)
    inputs, labels = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    examples = torch.from_numpy(calibration.images)
    stage("quantizing")
    qnet = quantize(network, [examples], chip)
    stage("mapping")
    program = mapping.compile(qnet, chip, tile_budget=tile_budget)
    if any(layer.adc.mode == "range" and layer.adc.full_scale is None for layer in program.layers):
        stage("calibrating the ADCs")
        program = calibrate_adc(program, examples)
    told = _told(stage, "simulating", "inputs")
    results = _runs(program, inputs, n_runs, seed, same_chip, told)
    accuracy = Spread(tuple(_hits(r.outputs, labels) for r in results))
    ideal_cells, no_noise = _steps(program, inputs, labels, stage, accuracy)
    stage("checking against the float and the integer network")
    accuracy_float = _accuracy(lambda x: run_host(network, x), inputs, labels)
    accuracy_quantized = _accuracy(lambda x: integer_forward(qnet, x), inputs, labels)
    adc, errors = None, None
    if max_loss is not None:
        told = _told(stage, "searching the smallest ADC:", "slices")
        adc = adc_resolution(program, inputs[:n_search], labels[:n_search], max_loss, told)
    if n_errors is not None:
        told = _told(stage, "finding where errors come from:", "inputs")
        errors = error_sources(program, inputs[:n_errors], seed=seed, progress=told)
    stage("simulating cycles")
    return Outcome(
        program=program,
        seed=seed,
        results=results,
        report=_report(program, total_activity(results)),
        n_inputs=len(test),
        accuracy_float=accuracy_float,
        accuracy_quantized=accuracy_quantized,
        accuracy_ideal_cells=ideal_cells,
        accuracy_no_noise=no_noise,
        accuracy=accuracy,
        adc=adc,
        errors=errors,
    )


def _report(program: Program, activity: Activity) -> Report:
    """The bill with the cycle model's times; with those of the crossbars alone, and the reason, where it cannot run."""
    try:
        return estimate(program, activity, cycles(program))
    except CapacityError as error:
        report = estimate(program, activity)
        return replace(report, notes=(*report.notes, *(f"no cycle model: {problem}" for problem in error.problems)))


def _check_runs(chip: Chip, n_runs: int, seed: int, same_chip: bool) -> None:
    """Find out before the work, not after it."""
    problems = []
    if n_runs < 1:
        problems.append(f"n_runs: must be 1 or more, got {n_runs}")
    if seed < 0:
        problems.append(f"seed: must be a whole number from 0 up, got {seed}")
    if n_runs > 1 and not chip.is_analog:
        remedy = "choose a noise, for example --noise reram_wan_2022"
        problems.append(f"--runs: has no effect with ideal cells, got {n_runs}; {remedy}")
    if n_runs == 1 and same_chip:
        problems.append("--same-chip: has no effect with a single run; add for example --runs 20")
    if problems:
        raise ConfigError(problems)


def _runs(
    program: Program,
    inputs: torch.Tensor,
    n_runs: int,
    seed: int,
    same_chip: bool,
    told: Callable[[int, int], None],
) -> tuple[SimResult, ...]:
    """The simulation on the chip as it is: as many runs as can differ."""
    physics = physics_of(program)
    if physics is None or not physics.effects:
        return (simulate(program, inputs, progress=told),)
    return simulate(program, inputs, progress=told, seed=seed, n_runs=n_runs, same_chip=same_chip).results


def _steps(
    program: Program, inputs: torch.Tensor, labels: torch.Tensor, stage: Stage, accuracy: Spread
) -> tuple[float | None, float | None]:
    """Accuracies with ideal cells and with real cells that have no noise; None for a chip with ideal cells."""
    physics = physics_of(program)
    if physics is None:
        return None, None
    told = _told(stage, "simulating ideal cells:", "inputs")
    ideal = _hits(Simulator(program).run(inputs, progress=told).outputs, labels)
    if not physics.effects:
        return ideal, accuracy.mean
    told = _told(stage, "simulating without noise:", "inputs")
    return ideal, _hits(simulate(program, inputs, progress=told, noise=NoiseModel()).outputs, labels)


def _told(stage: Stage, doing: str, what: str) -> Callable[[int, int], None]:
    return lambda done, total: stage(f"{doing} {done:,} of {total:,} {what}")


def traced(model: str, digital: tuple[str, ...] = ()) -> Network:
    """The network of a `.pt2` archive, or of the demo; traced once, as long as the file stays as it is."""
    return _traced(model, _stamp(Path(model)), digital)


def _stamp(file: Path) -> tuple[int, int] | None:
    return (file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else None


@lru_cache(maxsize=2)
def _traced(model: str, stamp: tuple[int, int] | None, digital: tuple[str, ...]) -> Network:
    if model == "demo":
        from xbar.demo.models import digits_cnn

        return from_torch(digits_cnn(), torch.zeros(2, 1, 8, 8), digital=digital, name="digits CNN (demo)")
    return from_torch(model, digital=digital)


def _normalised(images: Labelled, job: Job) -> Labelled:
    if not job.mean and not job.std:
        return images
    n_channels = images.images.shape[1]
    problems = [
        f"{name}: one number per channel, got {len(values)} for {n_channels} channels"
        for name, values in (("mean", job.mean), ("std", job.std))
        if len(values) != n_channels
    ]
    problems += [f"std: must be positive, got {s}" for s in job.std if s <= 0]
    if problems:
        raise DataError(problems)
    mean, std = (torch.tensor(v, dtype=torch.float32).reshape(1, -1, 1, 1).numpy() for v in (job.mean, job.std))
    return Labelled(images.name, (images.images - mean) / std, images.labels)


def _accuracy(forward: Callable[[torch.Tensor], Any], inputs: torch.Tensor, labels: torch.Tensor) -> float:
    parts = zip(inputs.split(500), labels.split(500), strict=True)
    hits = sum(int((_scores(forward(x), y).argmax(1) == y).sum()) for x, y in parts)
    return hits / len(labels)


def _hits(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of inputs whose largest output is at their label."""
    return float((_scores(outputs, labels).argmax(1) == labels).double().mean())


def _scores(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2 or len(outputs) != len(labels):
        shape = list(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ModelError(
            f"model: must return scores [batch, class] to have an accuracy, got {shape}; use the Python API"
        )
    if outputs.shape[1] <= int(labels.max()):
        raise DataError(f"data: labels go up to {int(labels.max())}, but the model has {outputs.shape[1]} outputs")
    return outputs
