"""Statistics of runs against tables, other formulas and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from close import approx
from hypothesis import given
from hypothesis import strategies as st

from xbar.spread import Spread

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


def test_by_hand() -> None:
    spread = Spread((0.5, 0.9, 0.7))
    assert spread.mean == approx(0.7)
    assert spread.std == approx(0.2)
    assert spread.ci95 == approx(4.302652729911275 * 0.2 / 3**0.5)  # Student's t, 2 degrees of freedom
    assert (spread.worst, spread.worst_run) == (0.5, 0)


def test_a_single_run_has_no_spread() -> None:
    spread = Spread((0.25,))
    assert (spread.mean, spread.std, spread.ci95, spread.worst, spread.worst_run) == (0.25, 0.0, 0.0, 0.25, 0)
    assert str(spread) == "25.00% (one run)"


def test_the_first_of_equally_bad_runs_is_the_worst() -> None:
    assert Spread((0.5, 0.1, 0.1)).worst_run == 1


@given(VALUES)
def test_against_numpy_and_scipy(values: list[float]) -> None:
    from scipy import stats

    spread = Spread(tuple(values))
    assert spread.mean == approx(np.mean(values))
    assert spread.std == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    if spread.std > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (spread.mean - spread.ci95, spread.mean + spread.ci95) == approx((low, high))
    assert spread.worst == values[spread.worst_run] == min(values)


def test_the_interval_holds_the_true_mean_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(0)
    n, size = 2000, 4
    hits = sum(abs(s.mean - 0.5) <= s.ci95 for s in (Spread(tuple(rng.normal(0.5, 0.1, size))) for _ in range(n)))
    assert abs(hits / n - 0.95) < 4 * (0.95 * 0.05 / n) ** 0.5  # 4 standard errors; 1.96 for t would give 0.86


def test_how_it_reads() -> None:
    text = str(Spread((0.5, 0.9, 0.7)))
    assert text.startswith("70.00% ± 49.68% (95 % confidence, 3 runs")
    assert "worst 50.00% in run 0" in text
