"""Traces as values and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbar.errors import OutputError
from xbar.timing import KINDS, Trace


def trace(**changes: Any) -> Trace:
    """Two reads and a fetch of layer `a` in tile 0, a message for `b` on a link; tile 1 does nothing."""
    known: dict[str, Any] = {
        "processes": ("tile 0", "tile 1", "links"),
        "threads": ("a: input", "a", "tile 0 -> 1"),
        "streams": ("a", "b"),
        "kind": np.array([KINDS.index(kind) for kind in ("fetch", "reads", "reads", "message")]),
        "process": np.array([0, 0, 0, 2]),
        "thread": np.array([0, 1, 1, 2]),
        "stream": np.array([0, 0, 0, 1]),
        "n_input": np.array([0, 0, 1, -1]),
        "row": np.array([3, 3, 0, -1]),
        "begin_s": np.array([0, 1e-7, 3e-7, 3.5e-7]),
        "duration_s": np.array([1e-7, 2e-7, 2e-7, 1e-12]),
        "n_lost": 5,
    }
    return Trace(**{**known, **changes})


def test_a_file_holds_every_interval_by_name(tmp_path: Path):
    trace().save(tmp_path / "t.json")
    found = json.loads((tmp_path / "t.json").read_text())
    names = {
        (event["pid"], event["tid"] if event["name"] == "thread_name" else None): event["args"]["name"]
        for event in found["traceEvents"]
        if event["name"] in ("process_name", "thread_name")
    }
    assert names == {
        (1, None): "tile 0", (3, None): "links", (1, 1): "a: input", (1, 2): "a", (3, 3): "tile 0 -> 1",
    }  # fmt: skip
    events = [event for event in found["traceEvents"] if event["ph"] == "X"]
    assert [(e["name"], e["cat"], e["tid"], e["ts"], e["dur"]) for e in events] == [
        ("a row 3", "fetch", 1, 0.0, 0.1),
        ("a row 3", "reads", 2, 0.1, 0.2),
        ("a row 0", "reads", 2, 0.3, 0.2),
        ("for b", "message", 3, 0.35, 1e-6),
    ]
    assert [event.get("args") for event in events] == [
        {"input": 0, "row": 3}, {"input": 0, "row": 3}, {"input": 1, "row": 0}, None,
    ]  # fmt: skip


def test_the_first_intervals():
    one = trace().first(1)
    assert (len(one), one.n_lost, one.row.tolist(), one.streams) == (1, 8, [3], ("a", "b"))
    assert trace().first(9) == trace()
    assert trace() != one
    np.testing.assert_allclose(trace().end_s, [1e-7, 3e-7, 5e-7, 3.5e-7 + 1e-12])


def test_a_file_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(OutputError, match=r"no/t\.json: cannot be written .*; choose another path"):
        trace().save(tmp_path / "no" / "t.json")
