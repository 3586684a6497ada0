"""Map torch networks onto simulated ReRAM crossbars: accuracy, area, power, latency, energy and ADC resolution.

The six lines:

    chip    = xbar.load_chip("isaac_isca_2016")                 # Chip: parts, counts, hierarchy
    net     = xbar.from_torch(model, example_input)             # Network: graph + matrix layers
    qnet    = xbar.quantize(net, calibration_batches, chip)     # integer weights and activations with scales
    program = mapping.compile(qnet, chip)                       # Program: bit slices placed on crossbars, tiles, cores
    result  = xbar.simulate(program, inputs, seed=0)            # outputs + event counts + saturation counts
    report  = xbar.estimate(program, result.activity)           # area, energy, power, latency by part, layer and level

On spiking cores:

    program = mapping.compile_spikes(network, xbar.load_spiking_chip("truenorth_science_2014"))
    result  = xbar.simulate_spikes(program, spikes)             # outputs [tick, batch, output] + exact counts
    report  = xbar.estimate_spikes(program, result.activity)

This file is a table of contents: a name is imported from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xbar.cost import estimate as estimate
    from xbar.cost.cycles import cycles as cycles
    from xbar.cost.programming import programming as programming
    from xbar.cost.spiking import estimate_spikes as estimate_spikes
    from xbar.errors import XbarError as XbarError
    from xbar.frontends.nir_graph import from_nir as from_nir
    from xbar.frontends.nir_write import to_nir as to_nir
    from xbar.frontends.ranc import load_ranc as load_ranc
    from xbar.frontends.ranc_write import save_ranc as save_ranc
    from xbar.frontends.rate_coded import rate_coded as rate_coded
    from xbar.frontends.tea_model import load_bernoulli as load_bernoulli
    from xbar.frontends.torch_module import from_torch as from_torch
    from xbar.hardware import Chip as Chip
    from xbar.hardware import list_chips as list_chips
    from xbar.hardware import list_spiking_chips as list_spiking_chips
    from xbar.hardware import load_chip as load_chip
    from xbar.network import Network as Network
    from xbar.network import Precision as Precision
    from xbar.network import QuantizedNetwork as QuantizedNetwork
    from xbar.noise import NoiseModel as NoiseModel
    from xbar.noise import list_noises as list_noises
    from xbar.noise import load_noise as load_noise
    from xbar.outline import Outline as Outline
    from xbar.program import Program as Program
    from xbar.program_io import load_program as load_program
    from xbar.program_io import load_spiking_program as load_spiking_program
    from xbar.program_io import load_state as load_state
    from xbar.program_io import save_program as save_program
    from xbar.program_io import save_state as save_state
    from xbar.quantization import quantize as quantize
    from xbar.result import Activity as Activity
    from xbar.result import Report as Report
    from xbar.result import Runs as Runs
    from xbar.result import SimResult as SimResult
    from xbar.scaling import scaled as scaled
    from xbar.sim import adc_resolution as adc_resolution
    from xbar.sim import calibrate_adc as calibrate_adc
    from xbar.sim import simulate as simulate
    from xbar.sim.error_sources import ErrorSources as ErrorSources
    from xbar.sim.error_sources import error_sources as error_sources
    from xbar.sim.spiking import Probe as Probe
    from xbar.sim.spiking import simulate_spikes as simulate_spikes
    from xbar.spiking.builder import SpikingBuilder as SpikingBuilder
    from xbar.spiking.chip import SpikingChip as SpikingChip
    from xbar.spiking.chip import load_spiking_chip as load_spiking_chip
    from xbar.spiking.network import SpikingNetwork as SpikingNetwork
    from xbar.spiking.program import SpikingProgram as SpikingProgram
    from xbar.spiking.report import SpikingReport as SpikingReport
    from xbar.spiking.result import SpikeActivity as SpikeActivity
    from xbar.spiking.result import SpikeResult as SpikeResult
    from xbar.spiking.result import SpikeState as SpikeState
    from xbar.spread import Spread as Spread
    from xbar.sweep.comparison import Comparison as Comparison
    from xbar.sweep.estimate_job import Estimate as Estimate
    from xbar.sweep.estimate_job import EstimateJob as EstimateJob
    from xbar.sweep.estimate_job import estimate_network as estimate_network
    from xbar.sweep.estimate_job import run_estimate as run_estimate
    from xbar.sweep.job import Job as Job
    from xbar.sweep.job import evaluate as evaluate
    from xbar.sweep.job import run as run
    from xbar.sweep.outcome import Outcome as Outcome
    from xbar.sweep.spike_job import SpikeJob as SpikeJob
    from xbar.sweep.spike_job import run_spikes as run_spikes
    from xbar.timing import Cycles as Cycles

_HOME = {
    "Activity": "xbar.result",
    "Chip": "xbar.hardware",
    "Comparison": "xbar.sweep.comparison",
    "Cycles": "xbar.timing",
    "ErrorSources": "xbar.sim.error_sources",
    "Estimate": "xbar.sweep.estimate_job",
    "EstimateJob": "xbar.sweep.estimate_job",
    "Job": "xbar.sweep.job",
    "Network": "xbar.network",
    "NoiseModel": "xbar.noise",
    "Outcome": "xbar.sweep.outcome",
    "Outline": "xbar.outline",
    "Precision": "xbar.network",
    "Probe": "xbar.sim.spiking",
    "Program": "xbar.program",
    "QuantizedNetwork": "xbar.network",
    "Report": "xbar.result",
    "Runs": "xbar.result",
    "SimResult": "xbar.result",
    "SpikeActivity": "xbar.spiking.result",
    "SpikeJob": "xbar.sweep.spike_job",
    "SpikeResult": "xbar.spiking.result",
    "SpikeState": "xbar.spiking.result",
    "SpikingBuilder": "xbar.spiking.builder",
    "SpikingChip": "xbar.spiking.chip",
    "SpikingNetwork": "xbar.spiking.network",
    "SpikingProgram": "xbar.spiking.program",
    "SpikingReport": "xbar.spiking.report",
    "Spread": "xbar.spread",
    "XbarError": "xbar.errors",
    "adc_resolution": "xbar.sim",
    "calibrate_adc": "xbar.sim",
    "cycles": "xbar.cost.cycles",
    "error_sources": "xbar.sim.error_sources",
    "estimate": "xbar.cost",
    "estimate_network": "xbar.sweep.estimate_job",
    "estimate_spikes": "xbar.cost.spiking",
    "evaluate": "xbar.sweep.job",
    "from_nir": "xbar.frontends.nir_graph",
    "from_torch": "xbar.frontends.torch_module",
    "list_chips": "xbar.hardware",
    "list_noises": "xbar.noise",
    "list_spiking_chips": "xbar.hardware",
    "load_bernoulli": "xbar.frontends.tea_model",
    "load_chip": "xbar.hardware",
    "load_noise": "xbar.noise",
    "load_program": "xbar.program_io",
    "load_ranc": "xbar.frontends.ranc",
    "load_spiking_chip": "xbar.spiking.chip",
    "load_spiking_program": "xbar.program_io",
    "load_state": "xbar.program_io",
    "programming": "xbar.cost.programming",
    "quantize": "xbar.quantization",
    "rate_coded": "xbar.frontends.rate_coded",
    "run": "xbar.sweep.job",
    "run_estimate": "xbar.sweep.estimate_job",
    "run_spikes": "xbar.sweep.spike_job",
    "save_program": "xbar.program_io",
    "save_ranc": "xbar.frontends.ranc_write",
    "save_state": "xbar.program_io",
    "scaled": "xbar.scaling",
    "simulate": "xbar.sim",
    "simulate_spikes": "xbar.sim.spiking",
    "to_nir": "xbar.frontends.nir_write",
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
