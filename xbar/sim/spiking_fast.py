"""The spiking engine on kernels (being written)."""

from __future__ import annotations

from xbar.sim.spiking_plain import advance_plain
from xbar.sim.spiking_run import Run
from xbar.spiking.program import SpikingProgram


def advance_fast(program: SpikingProgram, run: Run, method: str) -> None:
    """All ticks of a run."""
    advance_plain(program, run)
