"""`xbar estimate` as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from xbar.sweep.estimate_job import EstimateJob, run_estimate

DEMO_LAYERS = ("conv1", "conv2", "fc1", "fc2")


def test_the_demo_is_told_as_a_whole(xbar, tmp_path: Path) -> None:
    files = {name: tmp_path / f"out.{name}" for name in ("json", "png")}
    code, out, err = xbar(
        "estimate", "--tile-budget", 4, "--json", files["json"], "--plot", files["png"], "--trace", tmp_path / "t.json",
        "--trace-limit", 500,
    )  # fmt: skip
    assert code == 0, err
    for words in (
        "area", "dynamic", "leakage", "power", "of the first inference", "one every", "bottleneck", "energy x delay",
        "TOPS/W", "table 1", "tiles on one chip", "copies", "where the time of 4 inputs goes", "the busiest parts",
        "the fullest buffers", "the busiest links", "by part, by layer and by level", "takes for granted",
        "half of the input bits are set", "writing the weights, of which chip isaac_isca_2016 says nothing",
    ):  # fmt: skip
        assert words in out, words
    assert [name for name in DEMO_LAYERS if name in out] == list(DEMO_LAYERS)
    found = json.loads(files["json"].read_text())
    assert max(layer["copies"] for layer in found["layers"]) > 1
    assert found["cycles"]["latency_s"] == found["metrics"]["latency_s"]
    assert files["png"].stat().st_size > 50_000
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == 500
    assert "holds the first 500 of " in re.sub(r"\s+", " ", out)


def test_a_networks_weights_are_written_and_scaled(xbar, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)).eval()
    torch.export.save(torch.export.export(model, (torch.zeros(2, 1, 8, 8),)), tmp_path / "mine.pt2")
    code, out, err = xbar(
        "estimate", tmp_path / "mine.pt2", "--chip", "generic_1t1r", "--technology", "22 nm", "--no-cycles",
        "--set", "chip.tiles=1", "--set", "tile.cores=1", "--set", "core.crossbars=4", "--turns", 100,
        "--set", "tile.parts.router=null",
    )  # fmt: skip
    assert code == 0, err
    for words in (
        "mine on generic_1t1r at 22 nm", "of the crossbars alone", "writing the weights once", "cells", "verified",
        "endurance", "scaled from 32 nm to 22 nm by Stillmaker and Baas 2017", "100 in a turn", "worn out",
    ):  # fmt: skip
        assert words in re.sub(r"\s+", " ", out), words
    assert "where the time" not in out


def test_many_points_have_a_row_each(xbar, tmp_path: Path) -> None:
    files = {name: tmp_path / f"out.{name}" for name in ("json", "png")}
    code, out, err = xbar(
        "estimate", "--vary", "core.adcs=1,2,4", "--vary", "chip.tiles=1,168", "--chips", 1, "--workers", 1,
        "--json", files["json"], "--plot", files["png"],
    )  # fmt: skip
    assert code == 0, err
    for words in ("adcs", "tiles", "energy", "latency", "used area", "accuracy is not looked at", "no other point"):
        assert words in out, words
    rows = json.loads(files["json"].read_text())
    assert [(row["core.adcs"], row["chip.tiles"]) for row in rows] == [(a, t) for a in "124" for t in ("1", "168")]
    alone = run_estimate(EstimateJob(with_cycles=False, settings={"core.adcs": "4"})).report.metrics()
    assert {name: rows[-1][name] for name in alone} == alone
    assert files["png"].stat().st_size > 20_000


def test_the_options_explain_themselves(xbar) -> None:
    out = xbar("estimate", "--help")[1]
    for option in (
        "--chips",
        "--turns",
        "--no-cycles",
        "--technology",
        "--trace",
        "--trace-limit",
        "--plot",
        "--json",
        "--vary",
    ):
        assert option in out
    assert "estimate" in xbar("--help")[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("vgg61",), ("did you mean vgg16?",)),
        (("demo", "--no-cycles", "--trace", "t.json", "--inputs", 2), ("--trace: has no effect", "--inputs: has no")),
        (
            ("demo", "--vary", "adc.bits=3,4", "--trace", "t.json", "--turns", 5),
            ("--trace: is of one chip", "--turns: is of"),
        ),
        (("demo", "--vary", "adc.bits=3,4", "--inputs", 2), ("--inputs: has no effect", "--cycles")),
        (("demo", "--vary", "adc.bits=3,4", "--set", "adc.bits=4"), ("--set adc.bits: is varied too",)),
        (("demo", "--vary", "adc.bts=3,4"), ("adc.bts", "did you mean")),
        (("demo", "--workers", 2), ("--workers: has no effect without --vary",)),
        (("demo", "--trace-limit", 5), ("--trace-limit: has no effect without --trace",)),
        (("demo", "--trace", "t.txt", "--plot", "p.foo"), ("--trace: must end in .json", "--plot: must end in .png")),
        (("demo", "--trace", "/no/such/t.json"), ("cannot be written",)),
        (("demo", "--technology", "4 nm"), ("must be from 7 nm to 180 nm", "got 4 nm")),
        (("demo", "--technology", "4 nW"), ("technology_m", "4 nW")),
        (("demo", "--turns", 5), ("the network fits one chip",)),
        (("demo", "--chips", 1, "--set", "chip.tiles=1", "--set", "tile.cores=1"), ("tiles", "conv2")),
        (("demo", "--set", "adc.bts=6"), ("adc.bts", "did you mean")),
        (("demo", "--set", "adc.bits"), ("--set",)),
        (("demo", "--set", "tile.parts.router.flit_bits=0"), ("flit_bits", "got 0")),
        (("demo", "--digital", "conv9"), ("conv9", "did you mean")),
        (("demo", "--chip", "truenorth_science_2014"), ("spiking cores",)),
        (
            ("demo", "--set", "tile.parts.eDRAM buffer.capacity_bytes=8", "--set", "chip.tiles=1"),
            ("conv1", "capacity_bytes", "--no-cycles"),
        ),
    ],
    ids=lambda v: " ".join(map(str, v[1:3])) if isinstance(v, tuple) else None,
)
def test_wrong_input_is_told_in_a_line_each(
    xbar, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[object, ...], says: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = xbar("estimate", *arguments)
    assert code == 2
    assert "Traceback" not in err
    assert all(line.startswith("error: ") for line in err.splitlines())
    for words in says:
        assert words in err, err


def test_counts_below_one_are_refused(xbar) -> None:
    for option in ("--chips", "--turns", "--inputs", "--trace-limit", "--tile-budget"):
        code, _, err = xbar("estimate", option, 0)
        assert code == 2
        assert option in err
