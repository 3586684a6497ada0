"""The wheel holds all that `xbar run` needs: it works from the unpacked wheel, away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import xbar

ROOT = Path(xbar.__file__).parents[1]


def test_the_unpacked_wheel_runs_the_demo_and_finds_its_chips(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("xbar_sim-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = "import sys, xbar, xbar.cli; assert xbar.__file__.startswith(sys.argv.pop()), xbar.__file__; xbar.cli.main()"

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments, str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = run("show")
    for name in xbar.list_chips():
        assert name in listed
    assert "on hardware" in run("run", "--inputs", "5", "--no-search")
