"""The bill: activity times the price of parts, and nothing else."""

from xbar.cost.estimate import estimate

__all__ = ["estimate"]
