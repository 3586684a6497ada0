"""How a figure spreads over runs: mean, standard deviation, confidence interval, and the worst run."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """One figure of several runs, in their order; larger is better.

    ci95: half of the interval that holds the true mean with 95 % confidence, t std / sqrt(n) with Student's t of n - 1
    degrees of freedom; 0 for a single run, of which nothing is known.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def std(self) -> float:
        """Of the population that the runs are drawn from (n - 1)."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def ci95(self) -> float:
        if len(self.values) < 2:
            return 0.0
        from scipy.stats import t

        return float(t.ppf(0.975, len(self.values) - 1)) * self.std / math.sqrt(len(self.values))

    @property
    def worst_run(self) -> int:
        """The first run with the smallest value."""
        return self.values.index(min(self.values))

    @property
    def worst(self) -> float:
        return min(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.mean:.2%} (one run)"
        return (
            f"{self.mean:.2%} ± {self.ci95:.2%} (95 % confidence, {len(self.values)} runs, standard deviation "
            f"{self.std:.2%}, worst {self.worst:.2%} in run {self.worst_run})"
        )
