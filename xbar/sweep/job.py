"""One design point: a model, a chip and data in; accuracy, ADC resolution and the bill out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import mapping
from xbar import datasets
from xbar.cost import estimate
from xbar.datasets import Labelled
from xbar.errors import DataError, ModelError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip, load_chip
from xbar.host import run as run_host
from xbar.network import Network
from xbar.program import Program
from xbar.quantization import integer_forward, quantize
from xbar.result import Report, SimResult
from xbar.sim import AdcResolution, adc_resolution, calibrate_adc, simulate

Stage = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """Everything that shapes a result, as plain text and numbers.

    model: `demo` or the path of a `.pt2` archive; data: see `xbar.datasets`; settings: chip paths and their values, as
    in `--set`. n_inputs: test images to simulate, None for all. n_calibration: training images that set the ranges of
    the activations. mean, std: per channel, where the model expects normalised images. max_loss: accuracy that the
    search for the smallest ADC may give away, None for no search; n_search: images that the search uses.
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

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "settings": dict(self.settings)}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one design point gives: three accuracies on the same images, the simulation, the bill, the ADC bits."""

    program: Program
    result: SimResult
    report: Report
    n_inputs: int
    accuracy_float: float
    accuracy_quantized: float
    accuracy_hardware: float
    adc: AdcResolution | None

    @property
    def _activations(self) -> int:
        """Activations that all simulated inputs gave the matrix layers."""
        return self.n_inputs * sum(layer.input_elements for layer in self.program.network.layers)

    def metrics(self) -> dict[str, float]:
        """The figures of a sweep, SI units in the names."""
        layers = self.result.activity.layers
        conversions = sum(layer.count("conversions") for layer in layers)
        saturations = sum(sum(layer.saturations) + layer.unit_saturations for layer in layers)
        return {
            "accuracy_float": self.accuracy_float,
            "accuracy_quantized": self.accuracy_quantized,
            "accuracy": self.accuracy_hardware,
            "saturated_rel": saturations / conversions if conversions else 0.0,
            "clipped_inputs_rel": sum(layer.clipped_inputs for layer in layers) / self._activations,
            **self.report.metrics(),
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: metrics, the report with all its tables, event counts by layer, ADC resolution."""
        return {
            "network": self.program.network.name,
            "chip": self.program.chip.to_dict(),
            "n_inputs": self.n_inputs,
            "metrics": self.metrics(),
            "report": self.report.to_dict(),
            "activity": {
                "n_inputs": self.result.activity.n_inputs,
                "layers": [asdict(layer) for layer in self.result.activity.layers],
                "host": dict(self.result.activity.host),
            },
            "digital": [asdict(node) for node in self.program.network.digital],
            "adc_resolution": None if self.adc is None else self.adc.rows(),
        }


def run(job: Job, stage: Stage = lambda name: None) -> Outcome:
    """The outcome of a job; `stage` hears what is being done. Raises XbarError for anything wrong in its inputs."""
    chip = load_chip(job.chip, dict(job.settings))
    stage("reading data")
    test = _normalised(datasets.load(job.data, "test"), job)
    test = test if job.n_inputs is None else test.first(job.n_inputs)
    train = _normalised(datasets.load(job.data, "train").first(job.n_calibration), job)
    stage("tracing the model")
    network = _network(job.model, _stamp(Path(job.model)), job.digital)
    return evaluate(network, chip, test, train, job.tile_budget, job.max_loss, job.n_search, stage)


def evaluate(
    network: Network,
    chip: Chip,
    test: Labelled,
    calibration: Labelled,
    tile_budget: int | None = None,
    max_loss: float | None = None,
    n_search: int = 256,
    stage: Stage = lambda name: None,
) -> Outcome:
    """The six lines on values: quantize, compile, simulate, estimate; with the accuracy before each step."""
    inputs, labels = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    examples = torch.from_numpy(calibration.images)
    stage("quantizing")
    qnet = quantize(network, [examples], chip)
    stage("mapping")
    program = mapping.compile(qnet, chip, tile_budget=tile_budget)
    if any(layer.adc.mode == "range" and layer.adc.full_scale is None for layer in program.layers):
        stage("calibrating the ADCs")
        program = calibrate_adc(program, examples)
    result = simulate(program, inputs, progress=_told(stage, "simulating", "inputs"))
    stage("checking against the float and the integer network")
    accuracy_float = _accuracy(lambda x: run_host(network, x), inputs, labels)
    accuracy_quantized = _accuracy(lambda x: integer_forward(qnet, x), inputs, labels)
    adc = None
    if max_loss is not None:
        told = _told(stage, "searching the smallest ADC:", "slices")
        adc = adc_resolution(program, inputs[:n_search], labels[:n_search], max_loss, told)
    return Outcome(
        program,
        result,
        estimate(program, result.activity),
        len(test),
        accuracy_float,
        accuracy_quantized,
        float((_scores(result.outputs, labels).argmax(1) == labels).double().mean()),
        adc,
    )


def _told(stage: Stage, doing: str, what: str) -> Callable[[int, int], None]:
    return lambda done, total: stage(f"{doing} {done:,} of {total:,} {what}")


def _stamp(file: Path) -> tuple[int, int] | None:
    return (file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else None


@lru_cache(maxsize=2)  # a sweep's worker traces its model once, as long as the file stays as it is
def _network(model: str, stamp: tuple[int, int] | None, digital: tuple[str, ...]) -> Network:
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


def _scores(outputs: Any, labels: torch.Tensor) -> torch.Tensor:
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2 or len(outputs) != len(labels):
        shape = list(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ModelError(
            f"model: must return scores [batch, class] to have an accuracy, got {shape}; use the Python API"
        )
    if outputs.shape[1] <= int(labels.max()):
        raise DataError(f"data: labels go up to {int(labels.max())}, but the model has {outputs.shape[1]} outputs")
    return outputs
