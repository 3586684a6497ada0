"""The bill: activity times the price of parts, and nothing else."""

from xbar.cost.estimate import estimate
from xbar.cost.spiking import estimate_spikes, operating_point

__all__ = ["estimate", "estimate_spikes", "operating_point"]
