"""Many design points in a pool of processes: one line of JSON per finished point, resumable after a kill."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xbar import datasets
from xbar.errors import DataError, OutputError, XbarError
from xbar.sweep.job import Job, run
from xbar.sweep.workers import in_processes

if TYPE_CHECKING:
    import pandas as pd


def sweep(
    job: Job,
    grid: Sequence[Mapping[str, str]],
    out: str | Path,
    n_workers: int | None = None,
    on_point: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Run `job` at every point of the grid and return one row per point, in the order of the grid.

    Each finished point is appended to `out` at once, so a killed sweep goes on where it stopped and ends with the same
    table. A point that breaks a rule (a chip that is too small, say) is a row with `problem` and no figures. Points
    are recognised by a hash of everything that shapes their result: the job, the content of model and chip, the data
    and the version of the package; other lines of the file stay untouched.
    on_point(done, total) is called after each point.
    """
    jobs = [replace(job, settings={**job.settings, **point}) for point in grid]
    data = _data_content(job.data)
    ids = [_identity(j, data) for j in jobs]
    file = Path(out)
    done = {line["id"]: line for line in _finished(file)}
    todo = [(i, j) for i, j in zip(ids, jobs, strict=True) if i not in done]
    tell = on_point or (lambda n, total: None)
    tell(len(jobs) - len(todo), len(jobs))
    if todo:
        for line in in_processes(_point, todo, n_workers):
            _append(file, line)
            done[line["id"]] = line
            tell(sum(i in done for i in ids), len(jobs))
    return _table(grid, [done[i] for i in ids])


def _identity(job: Job, data: object) -> str:
    """A hash of the job, of the chip as it is now, of the model's file, of the data, and of the package's version."""
    facts = {**job.to_dict(), "data_content": data, "version": version("xbar-sim")}
    try:
        facts["chip_content"] = job.load_chip().to_dict()
    except XbarError as error:
        facts["chip_content"] = error.problems
    if job.model != "demo":
        facts["model_content"] = _digest(Path(job.model))
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _digest(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _data_content(spec: str) -> object:
    """Content of a file of data; names, sizes and times of change of the files in a folder, which may be large."""
    try:
        place = datasets.place_of(spec)
    except DataError:  # every point will say what is wrong
        return None
    if place is None or not place.is_dir():
        return None if place is None else _digest(place)
    files = sorted(f for f in place.iterdir() if f.is_file())
    return [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def _finished(file: Path) -> list[dict[str, Any]]:
    """The lines of earlier runs. A last line without its end was being written at a kill: it is cut off."""
    if not file.exists():
        _append(file, None)
        return []
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a sweep ({error}); give another -o") from error
    whole, _, torn = text.rpartition("\n")
    lines = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            entry = json.loads(line)
            lines.append({"id": entry["id"], "metrics": entry["metrics"], "problems": entry["problems"]})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{file}:{number}: is not a line of a sweep; remove it or give another -o") from error
    if torn:
        with file.open("r+") as stream:
            stream.truncate(len((whole + "\n").encode()) if whole else 0)
    return lines


def _append(file: Path, line: dict[str, Any] | None) -> None:
    try:
        with file.open("a") as stream:
            if line is not None:
                stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); give another -o") from error


def _point(identity: str, job: Job) -> dict[str, Any]:
    line: dict[str, Any] = {"id": identity, "settings": dict(job.settings), "metrics": {}, "problems": []}
    try:
        line["metrics"] = run(job).metrics()
    except XbarError as error:
        line["problems"] = list(error.problems)
    return line


def _table(grid: Sequence[Mapping[str, str]], lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {**point, **line["metrics"], "problem": "; ".join(line["problems"])}
        for point, line in zip(grid, lines, strict=True)
    ]
    return pd.DataFrame(rows)
