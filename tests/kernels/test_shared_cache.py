"""Processes that compile at the same time read and write the cache in turns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from xbar.kernels.shared_cache import LOCK

WAITS = """
import sys
from filelock import FileLock
from numba import njit
from xbar.kernels.shared_cache import take_turns

take_turns()
take_turns()
print("ready", flush=True)
sys.path.insert(0, sys.argv[1])
import doubled
print(doubled.double(21), flush=True)
"""
KERNEL = """
from numba import njit

@njit(cache=True)
def double(x):
    return 2 * x
"""


def test_a_process_waits_for_the_one_that_writes(tmp_path: Path) -> None:
    (tmp_path / "doubled.py").write_text(KERNEL)
    folder = tmp_path / "__pycache__"
    folder.mkdir()
    with FileLock(folder / LOCK):
        other = subprocess.Popen([sys.executable, "-c", WAITS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        try:
            other.wait(2)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise AssertionError("it did not wait for the cache")
    assert other.communicate(timeout=60)[0] == "42\n"
    assert sorted(file.suffix for file in folder.iterdir() if "double" in file.name and "nb" in file.suffix) == [
        ".nbc",
        ".nbi",
    ]
