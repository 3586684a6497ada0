"""One design point (`run`) and many (`sweep`): the six lines of the README from files to figures."""

from xbar.sweep.grid import grid_of
from xbar.sweep.job import Job, Outcome, evaluate, run
from xbar.sweep.pool import pareto_front, sweep

__all__ = ["Job", "Outcome", "evaluate", "grid_of", "pareto_front", "run", "sweep"]
