"""Cores on the mesh."""

from __future__ import annotations

import numpy as np

from xbar.spiking.chip import SpikingChip
from xbar.spiking.program import Targets


def place_cores(targets: Targets, chip: SpikingChip, seed: int) -> np.ndarray:
    """Row by row, int32 [core, 2]."""
    n = targets.core.shape[0]
    return np.stack([np.arange(n) % chip.cols, np.arange(n) // chip.cols], 1).astype(np.int32)
