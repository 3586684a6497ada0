"""Which design points of a sweep nobody has a reason to pass over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def pareto_front(
    frame: pd.DataFrame, smaller: Sequence[str], larger: Sequence[str] = (), within: Sequence[str] = ()
) -> pd.Series:
    """Which rows no other row beats: none is as good in every figure and better in one.

    smaller, larger: figures of which less, and more, is better. Rows that lack a figure are not on the front. within:
    columns; rows compete with those of the same values only.
    """
    import pandas as pd

    if within and len(frame):
        groups = frame.groupby(list(within), dropna=False)
        return pd.concat([pareto_front(group, smaller, larger) for _, group in groups])[frame.index]
    values = np.column_stack([frame[name] for name in smaller] + [-frame[name] for name in larger]).astype(float)
    front: list[int] = []
    for i in np.lexsort(values.T[::-1]).tolist():  # whoever beats a row comes before it
        alike_or_better = values[front][(values[front] <= values[i]).all(axis=1)]
        if not np.isnan(values[i]).any() and (alike_or_better == values[i]).all():
            front.append(i)
    return pd.Series(np.isin(np.arange(len(frame)), front), index=frame.index)
