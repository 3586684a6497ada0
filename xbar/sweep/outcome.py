"""What one design point gives: accuracies step by step from float32 to hardware, the simulation, the bill, ADC bits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any

from xbar.program import Program
from xbar.result import Activity, Report, SimResult
from xbar.sim import AdcResolution
from xbar.sim.error_sources import ErrorSources
from xbar.spread import Spread


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one design point gives; every accuracy is on the same `n_inputs` images.

    results: by run, a single one where nothing is random; accuracy: on hardware, by run. The bill and the rates of
    saturated conversions and clipped activations are means over the runs.
    accuracy_float, accuracy_quantized: of torch in float32, of the exact integer network. accuracy_ideal_cells: of the
    chip's ADCs on ideal cells, so that the step from the integer network to it is what the ADCs cost.
    accuracy_no_noise: of its real cells without noise, so that this step is what conductance limits, levels and wires
    cost. Both None where cells are ideal.
    """

    program: Program
    seed: int
    results: tuple[SimResult, ...]
    report: Report
    n_inputs: int
    accuracy_float: float
    accuracy_quantized: float
    accuracy_ideal_cells: float | None
    accuracy_no_noise: float | None
    accuracy: Spread
    adc: AdcResolution | None
    errors: ErrorSources | None

    @property
    def result(self) -> SimResult:
        """Of run 0."""
        return self.results[0]

    @property
    def accuracy_hardware(self) -> float:
        """Mean over the runs."""
        return self.accuracy.mean

    @property
    def activity(self) -> Activity:
        """Events of all runs together; `n_inputs` counts an input once for each run."""
        return total_activity(self.results)

    @property
    def noise_name(self) -> str | None:
        """The noise model's; None where cells are ideal, or real without any noise."""
        noise = self.program.chip.noise
        return (noise.name or "of the chip") if noise is not None and noise.effects else None

    def chain(self) -> tuple[tuple[str, float], ...]:
        """From float32 to hardware, one step at a time: what is simulated, and its (mean) accuracy."""
        steps = [
            ("float32", self.accuracy_float),
            ("integer network", self.accuracy_quantized),
            ("ideal cells (what the ADCs cost)", self.accuracy_ideal_cells),
            ("real cells without noise (limits, levels, wires)", self.accuracy_no_noise),
            ("hardware", self.accuracy.mean),
        ]
        return tuple((name, value) for name, value in steps if value is not None)

    def metrics(self) -> dict[str, float]:
        """The figures of a sweep, SI units in the names. A single random run has no spread."""
        layers = self.activity.layers
        conversions = sum(layer.count("conversions") for layer in layers)
        saturations = sum(sum(layer.saturations) + layer.unit_saturations for layer in layers)
        activations = self.activity.n_inputs * sum(layer.input_elements for layer in self.program.network.layers)
        figures = {"accuracy_float": self.accuracy_float, "accuracy_quantized": self.accuracy_quantized}
        if self.accuracy_ideal_cells is not None and self.accuracy_no_noise is not None:
            figures["accuracy_ideal_cells"] = self.accuracy_ideal_cells
            figures["accuracy_no_noise"] = self.accuracy_no_noise
        figures["accuracy"] = self.accuracy.mean
        if self.accuracy_no_noise is not None and (len(self.accuracy.values) > 1 or self.noise_name is None):
            figures["accuracy_std"] = self.accuracy.std
            figures["accuracy_ci95"] = self.accuracy.ci95
            figures["accuracy_worst"] = self.accuracy.worst
        return {
            **figures,
            "saturated_rel": saturations / conversions if conversions else 0.0,
            "clipped_inputs_rel": sum(layer.clipped_inputs for layer in layers) / activations,
            **self.report.metrics(),
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: metrics, runs, the report with all its tables, event counts of all runs by layer, ADC
        resolution, and where errors come from."""
        activity = self.activity
        return {
            "network": self.program.network.name,
            "chip": self.program.chip.to_dict(),
            "n_inputs": self.n_inputs,
            "seed": self.seed,
            "accuracy_of_runs": list(self.accuracy.values),
            "worst_run": self.accuracy.worst_run,
            "metrics": self.metrics(),
            "report": self.report.to_dict(),
            "activity": {
                "n_inputs": activity.n_inputs,
                "layers": [layer.to_dict() for layer in activity.layers],
                "host": dict(activity.host),
            },
            "digital": [asdict(node) for node in self.program.network.digital],
            "adc_resolution": None if self.adc is None else self.adc.rows(),
            "error_sources": None if self.errors is None else self.errors.to_dict(),
        }


def total_activity(results: tuple[SimResult, ...]) -> Activity:
    """The events of all runs."""
    return reduce(add, (result.activity for result in results))
