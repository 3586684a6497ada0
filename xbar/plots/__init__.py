"""Pictures. Every function takes axes and returns them; `save_...` writes a whole figure.

One design point: `area`, `energy`, `adc_bits`, `saturation`. Noise: `conductances` of a layer's devices,
`accuracy_band` over runs. Where errors come from: `error_shares`, `error_maps`. Sweeps: `pareto`, `sweep_bands`.
The cycle model: `gantt` of a trace, `time_shares` of layers, `traffic_map` of links, `tile_map` of power;
`save_estimate`.
Wires: `node_voltages`, `branch_currents`, `effective_conductances` of one crossbar.
Spiking cores: `raster` of spikes, `core_map` and `link_map` of a mesh, `spiking_energy`; `save_spikes`.
"""

from xbar.plots.circuit import branch_currents, effective_conductances, node_voltages
from xbar.plots.cycles import gantt, save_estimate, time_shares
from xbar.plots.devices import conductances
from xbar.plots.errors import error_maps, error_shares, saturation
from xbar.plots.floor import tile_map, traffic_map
from xbar.plots.report import adc_bits, area, energy, save_outcome
from xbar.plots.spikes import core_map, link_map, raster, save_spikes, spiking_energy
from xbar.plots.sweeps import accuracy_band, estimates, pareto, save_estimates, save_sweep, sweep_bands

__all__ = [
    "accuracy_band",
    "adc_bits",
    "area",
    "branch_currents",
    "conductances",
    "core_map",
    "effective_conductances",
    "energy",
    "error_maps",
    "error_shares",
    "estimates",
    "gantt",
    "link_map",
    "node_voltages",
    "pareto",
    "raster",
    "saturation",
    "save_estimate",
    "save_estimates",
    "save_outcome",
    "save_spikes",
    "save_sweep",
    "spiking_energy",
    "sweep_bands",
    "tile_map",
    "time_shares",
    "traffic_map",
]
