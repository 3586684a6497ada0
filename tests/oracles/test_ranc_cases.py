"""RANC, an independent simulator and FPGA of such a chip: its networks, its input spikes, and the spikes it found.

`ranc_small` is our own; its expected spikes were worked out by tests/ranc_reference.py, which the shared cases check.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ranc_reference import ranc_outputs

import xbar
from xbar.frontends.ranc import RancCase, load_ranc
from xbar.frontends.ranc_write import save_ranc
from xbar.sim.spiking import simulate_spikes

SMALL = Path(__file__).parent / "ranc_small"
CASES = Path(os.environ.get("XBAR_CASES") or Path(xbar.__file__).parents[2] / "shared" / "cases")
SHARED = [CASES / "ranc" / name for name in ("mnist_tea_256x256", "vmm_linear_reset", "synthetic_random_rt0")]


def _expected(folder: Path) -> np.ndarray:
    """Spikes by our tick, bool [tick, output]: RANC's row 0 is before its neurons' first tick."""
    rows = np.loadtxt(folder / "expected_output.txt", dtype=int, ndmin=2) != 0
    assert not rows[0].any()
    return rows[1:]


def _here(folder: Path) -> Path:
    if not folder.exists():
        pytest.skip(f"{folder} is not here; ranc_small is checked anyway")
    return folder


def _outputs(case: RancCase, n_ticks: int, method: str = "auto") -> np.ndarray:
    return simulate_spikes(case.program, case.inputs, n_ticks, method=method).outputs[:, 0]  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", [SMALL, *SHARED], ids=lambda f: f.name)
@pytest.mark.parametrize("method", ["auto", "rows", "popcount", "plain"])
def test_the_same_spikes(folder: Path, method: str) -> None:
    expected = _expected(_here(folder))
    outputs = _outputs(load_ranc(folder), len(expected), method)
    np.testing.assert_array_equal(outputs, expected)
    assert outputs.any()


@pytest.mark.parametrize("folder", [SMALL, SHARED[0], SHARED[2]], ids=lambda f: f.name)
def test_written_and_read_again(folder: Path, tmp_path: Path) -> None:
    case = load_ranc(_here(folder))
    save_ranc(case.program, case.inputs, tmp_path, case.output_place)
    again = load_ranc(tmp_path, name=case.program.name)
    assert again.program.targets == case.program.targets
    assert again.program.neurons == case.program.neurons
    np.testing.assert_array_equal(again.inputs, case.inputs)
    expected = _expected(folder)
    np.testing.assert_array_equal(_outputs(again, len(expected)), expected)


def test_the_reference_of_other_tests_is_ranc() -> None:
    for folder in (SMALL, _here(SHARED[2])):
        document, config = (json.loads((folder / f"{name}.json").read_text()) for name in ("input", "config"))
        expected = _expected(folder)[:40]
        np.testing.assert_array_equal(ranc_outputs(document, config, len(expected) + 1)[1:], expected)


def test_ten_digits() -> None:
    """Image k's votes stand in RANC's row k + 2, our tick k + 1; nine of ten labels are right."""
    case = load_ranc(_here(SHARED[0]))
    outputs = _outputs(case, 12)
    votes = np.stack([outputs[k + 1].reshape(25, 10).sum(0) for k in range(10)])
    labels = np.array([7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    assert (votes.argmax(1) == labels).sum() == 9
