"""The Pareto front: what no other point beats."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from xbar.sweep.front import pareto_front

POINTS = st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=1, max_size=12)


@given(POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int, int, int]]) -> None:
    """Two figures to be small and one to be large, each point against the points of its own kind."""
    frame = pd.DataFrame(points, columns=["cost", "time", "gain", "kind"], dtype=float)
    front = pareto_front(frame, ["cost", "time"], ["gain"], within=["kind"])

    def beaten(a: tuple[int, int, int, int]) -> bool:
        return any(b[0] <= a[0] and b[1] <= a[1] and b[2] >= a[2] and b[3] == a[3] and b != a for b in points)

    assert list(front) == [not beaten(p) for p in points]


def test_points_without_figures_are_not_on_it() -> None:
    frame = pd.DataFrame({"cost": [np.nan, 2.0], "time": [0.0, 1.0]}, index=[7, 3])
    assert pareto_front(frame, ["cost", "time"]).to_dict() == {7: False, 3: True}
