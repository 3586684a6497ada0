"""Sweeps: the order of the table, resuming after a kill, points that break a rule, and damaged files."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import hw_configs
from xbar.errors import DataError, OutputError
from xbar.sweep.grid import grid_of
from xbar.sweep.job import Job, run
from xbar.sweep.pool import sweep

SMALL = Job(n_inputs=10, n_calibration=20, settings={"precision.weight_bits": "8", "precision.input_bits": "8"})
GRID = grid_of(["adc.bits=3,4", "crossbar.rows=64,128"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return sweep(SMALL, GRID, tmp_path_factory.mktemp("sweep") / "whole.jsonl", n_workers=1)


def test_one_row_per_point_in_the_order_of_the_grid(undisturbed: pd.DataFrame) -> None:
    assert undisturbed[["adc.bits", "crossbar.rows"]].to_dict("records") == GRID
    assert (undisturbed.problem == "").all()
    assert undisturbed.energy_J.nunique() == 4


def test_a_torn_file_resumes_to_the_same_table(undisturbed: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "torn.jsonl"
    sweep(SMALL, GRID[:2], file, n_workers=1)
    whole = file.read_text()
    file.write_text(whole + whole[:37])  # killed in the middle of a line
    told: list[tuple[int, int]] = []
    frame = sweep(SMALL, GRID, file, n_workers=1, on_point=lambda n, total: told.append((n, total)))
    pd.testing.assert_frame_equal(frame, undisturbed)
    assert told == [(2, 4), (3, 4), (4, 4)]
    assert len(file.read_text().splitlines()) == 4


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_process_resumes_with_another_number_of_workers(undisturbed: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "killed.jsonl"
    options = ["--vary", "adc.bits=3,4", "--vary", "crossbar.rows=64,128", "-n", "10", "--calibration", "20"]
    settings = [f"--set={k}={v}" for k, v in SMALL.settings.items()]
    command = [sys.executable, "-m", "xbar.cli", "sweep", *options, *settings, "-o", str(file)]
    child = subprocess.Popen(
        [*command, "-w", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (file.exists() and file.read_text().count("\n") >= 1):
        time.sleep(0.02)
    workers = _children(child.pid)
    assert workers
    child.kill()  # only the parent: its workers must notice
    child.wait()
    _wait_until_gone(workers)
    n_done = file.read_text().count("\n")
    assert n_done >= 1
    pd.testing.assert_frame_equal(sweep(SMALL, GRID, file, n_workers=1), undisturbed)


@pytest.mark.parametrize("changed", ["model", "chip", "data"])
def test_a_point_is_run_again_when_a_file_changed(changed: str, tmp_path: Path) -> None:
    """The result of the second sweep is that of the new files, though the first one's line is there."""

    def write(seed: int) -> None:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10)).eval()
        exported = torch.export.export(model, (torch.zeros(2, 1, 4, 4),))
        images = torch.randn(200, 1, 4, 4).numpy()
        labels = np.arange(200) % 10
        if changed == "model" or seed == 0:
            torch.export.save(exported, tmp_path / "model.pt2")
        if changed == "data" or seed == 0:
            both = {"images": images, "labels": labels, "train_images": images, "train_labels": labels}
            np.savez(tmp_path / "data.npz", **both)
        if changed == "chip" or seed == 0:
            text = (Path(hw_configs.__file__).parent / "generic_1t1r.yaml").read_text()
            (tmp_path / "chip.yaml").write_text(text.replace("tiles: 64", f"tiles: {64 + seed}"))

    job = Job(str(tmp_path / "model.pt2"), str(tmp_path / "chip.yaml"), f"npz:{tmp_path / 'data.npz'}")
    tables = []
    for seed in (0, 1):
        write(seed)
        tables.append(sweep(job, [{}], tmp_path / "s.jsonl", n_workers=1))
    fresh = sweep(job, [{}], tmp_path / "fresh.jsonl", n_workers=1)
    pd.testing.assert_frame_equal(tables[1], fresh)
    assert not tables[0].equals(tables[1])


NOISY = replace(SMALL, chip="generic_1t1r", settings={}, noise="reram_wan_2022", n_runs=2, n_inputs=20)


def test_neither_processes_nor_threads_change_a_run(tmp_path: Path) -> None:
    grid = grid_of(["noise.time_s=1 s,1 day"])
    one = sweep(NOISY, grid, tmp_path / "one.jsonl", n_workers=1)
    two = sweep(NOISY, grid, tmp_path / "two.jsonl", n_workers=2)
    pd.testing.assert_frame_equal(one, two)
    assert one.accuracy_std.max() > 0  # the runs differ
    threads = torch.get_num_threads()
    outcomes = []
    for n in (1, 2):
        torch.set_num_threads(n)
        outcomes.append(run(NOISY))
    torch.set_num_threads(threads)
    assert outcomes[0].results == outcomes[1].results  # every bit of all outputs, and every count
    assert outcomes[0].accuracy == outcomes[1].accuracy
    assert run(replace(NOISY, seed=1)).results != outcomes[0].results


def test_a_noise_file_that_changed_is_run_again(tmp_path: Path) -> None:
    file = tmp_path / "noise.yaml"
    tables = []
    for sigma in (0.0, 0.3):
        file.write_text(f"effects:\n  p: {{kind: gaussian, sigma_rel: {sigma}, relative_to: range}}\n")
        job = replace(NOISY, noise=str(file), n_runs=1)
        tables.append(sweep(job, [{}], tmp_path / "s.jsonl", n_workers=1))
    assert tables[1].accuracy[0] < tables[0].accuracy[0] == tables[0].accuracy_no_noise[0]


def test_a_point_that_breaks_a_rule_is_a_row_with_its_problem(tmp_path: Path) -> None:
    frame = sweep(SMALL, grid_of(["adc.bits=0,4"]), tmp_path / "s.jsonl", n_workers=1)
    assert "adc.bits" in frame.problem[0]
    assert np.isnan(frame.energy_J[0])
    assert frame.problem[1] == ""


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text("my notes\n")
    with pytest.raises(DataError, match=r"notes.jsonl:1: is not a line of a sweep"):
        sweep(SMALL, GRID, file)
    assert file.read_text() == "my notes\n"
    with pytest.raises(OutputError, match="cannot be written"):
        sweep(SMALL, GRID, tmp_path / "no" / "folder.jsonl")
