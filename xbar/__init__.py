"""Map torch networks onto simulated ReRAM crossbars: accuracy, area, power, latency, energy and ADC resolution.

The six lines:

    chip    = xbar.load_chip("isaac_isca_2016")                 # Chip: parts, counts, hierarchy
    net     = xbar.from_torch(model, example_input)             # Network: graph + matrix layers
    qnet    = xbar.quantize(net, calibration_batches, chip)     # integer weights and activations with scales
    program = mapping.compile(qnet, chip)                       # Program: bit slices placed on crossbars, tiles, cores
    result  = xbar.simulate(program, inputs, seed=0)            # outputs + event counts + saturation counts
    report  = xbar.estimate(program, result.activity)           # area, energy, power, latency by part, layer and level

This file is a table of contents: a name is imported from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xbar.cost import estimate as estimate
    from xbar.errors import XbarError as XbarError
    from xbar.frontends.torch_module import from_torch as from_torch
    from xbar.hardware import Chip as Chip
    from xbar.hardware import list_chips as list_chips
    from xbar.hardware import load_chip as load_chip
    from xbar.network import Network as Network
    from xbar.network import Precision as Precision
    from xbar.network import QuantizedNetwork as QuantizedNetwork
    from xbar.noise import NoiseModel as NoiseModel
    from xbar.noise import list_noises as list_noises
    from xbar.noise import load_noise as load_noise
    from xbar.program import Program as Program
    from xbar.program_io import load_program as load_program
    from xbar.program_io import save_program as save_program
    from xbar.quantization import quantize as quantize
    from xbar.result import Activity as Activity
    from xbar.result import Report as Report
    from xbar.result import Runs as Runs
    from xbar.result import SimResult as SimResult
    from xbar.sim import adc_resolution as adc_resolution
    from xbar.sim import calibrate_adc as calibrate_adc
    from xbar.sim import simulate as simulate
    from xbar.sim.error_sources import ErrorSources as ErrorSources
    from xbar.sim.error_sources import error_sources as error_sources
    from xbar.spread import Spread as Spread
    from xbar.sweep.comparison import Comparison as Comparison
    from xbar.sweep.job import Job as Job
    from xbar.sweep.job import evaluate as evaluate
    from xbar.sweep.job import run as run
    from xbar.sweep.outcome import Outcome as Outcome

_HOME = {
    "Activity": "xbar.result",
    "Chip": "xbar.hardware",
    "Comparison": "xbar.sweep.comparison",
    "ErrorSources": "xbar.sim.error_sources",
    "Job": "xbar.sweep.job",
    "Network": "xbar.network",
    "NoiseModel": "xbar.noise",
    "Outcome": "xbar.sweep.outcome",
    "Precision": "xbar.network",
    "Program": "xbar.program",
    "QuantizedNetwork": "xbar.network",
    "Report": "xbar.result",
    "Runs": "xbar.result",
    "SimResult": "xbar.result",
    "Spread": "xbar.spread",
    "XbarError": "xbar.errors",
    "adc_resolution": "xbar.sim",
    "calibrate_adc": "xbar.sim",
    "error_sources": "xbar.sim.error_sources",
    "estimate": "xbar.cost",
    "evaluate": "xbar.sweep.job",
    "from_torch": "xbar.frontends.torch_module",
    "list_chips": "xbar.hardware",
    "list_noises": "xbar.noise",
    "load_chip": "xbar.hardware",
    "load_noise": "xbar.noise",
    "load_program": "xbar.program_io",
    "quantize": "xbar.quantization",
    "run": "xbar.sweep.job",
    "save_program": "xbar.program_io",
    "simulate": "xbar.sim",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'xbar' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
