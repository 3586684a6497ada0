"""Estimates of many chips: the same as one by one, problems as rows, and the front."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from xbar.errors import ConfigError, ModelError
from xbar.sweep import estimate_grid as module
from xbar.sweep.estimate_grid import estimate_front, estimate_grid
from xbar.sweep.estimate_job import EstimateJob, run_estimate
from xbar.sweep.grid import grid_of

JOB = EstimateJob(with_cycles=False, settings={"precision.weight_bits": "8"})
GRID = grid_of(["precision.input_bits=4,8", "crossbar.rows=64,128", "adc.bits=6,8"])


@pytest.mark.parametrize("chip", ["isaac_isca_2016", "generic_1t1r"])
def test_the_same_as_one_by_one(chip: str) -> None:
    """With and without conductances, of which the weights say how large they are."""
    job = replace(JOB, chip=chip, tile_budget=3)
    frame = estimate_grid(job, GRID, 1)
    assert frame[["precision.input_bits", "crossbar.rows", "adc.bits"]].to_dict("records") == GRID
    for point, row in zip(GRID, frame.to_dict("records"), strict=True):
        alone = run_estimate(replace(job, settings={**job.settings, **point}))
        assert {name: row[name] for name in alone.report.metrics()} == alone.report.metrics()
        assert (row["n_chips"], row["bottleneck"], row["problem"]) == (1, alone.report.bottleneck, "")


def test_the_cycle_model_at_every_point() -> None:
    job = replace(JOB, with_cycles=True, n_inputs=2)
    frame = estimate_grid(job, GRID[:2], 1)
    alone = run_estimate(replace(job, settings={**job.settings, **GRID[1]}))
    assert alone.report.cycles is not None
    assert frame.latency_s[1] == alone.report.latency_s == alone.report.cycles.latency_s
    assert frame.bottleneck[1] == alone.report.bottleneck


def test_processes_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = estimate_grid(JOB, GRID, 1)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    told: list[tuple[int, int]] = []
    pd.testing.assert_frame_equal(estimate_grid(JOB, GRID, 2, lambda *n: told.append(n)), whole)
    assert (told[0], told[-1], len(told)) == ((0, 8), (8, 8), 4)


def test_a_point_that_breaks_a_rule_is_a_row() -> None:
    frame = estimate_grid(replace(JOB, n_chips=1, settings={"tile.cores": "1"}), grid_of(["chip.tiles=0,1,168"]), 1)
    assert "chip.tiles" in frame.problem[0]
    assert "tiles" in frame.problem[1]
    assert frame.problem[2] == ""
    assert frame.energy_J.notna().tolist() == [False, False, True]


def test_what_is_wrong_with_all_points_is_told_at_once() -> None:
    with pytest.raises(ModelError, match="did you mean vgg8"):
        estimate_grid(replace(JOB, model="vgg9"), GRID, 1)
    with pytest.raises(ConfigError, match="did you mean isaac"):
        estimate_grid(replace(JOB, chip="isac_isca_2016"), GRID, 1)


def test_points_of_another_precision_do_not_compete() -> None:
    """Fewer bits take less of everything; which are enough is not asked here. Fewer ADCs take less area and more time,
    idle tiles nothing of what is used."""
    frame = estimate_grid(JOB, grid_of(["dac.bits=1,2", "adc.bits=6,8", "core.adcs=1,8", "chip.tiles=100,200"]), 1)
    front, same = estimate_front(frame)
    assert same == ["dac.bits", "adc.bits"]
    kept = frame[front]
    assert len(kept.groupby(same)) == 4
    assert set(kept["core.adcs"]) == {"1", "8"}
    for _, group in frame.groupby(same):
        least = group.loc[group.energy_J.idxmin()]
        assert front[least.name]
