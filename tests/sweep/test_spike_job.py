"""A run on spiking cores from plain fields: inputs, copies, ticks, and every problem at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from close import approx
from spike_examples import three_cores
from torch import nn

from xbar.datasets import Labelled
from xbar.errors import DataError, XbarError
from xbar.frontends.ranc_write import save_ranc
from xbar.pt2 import save_exported
from xbar.rng import generator
from xbar.sim.spiking import simulate_spikes
from xbar.sweep import spike_job
from xbar.sweep.spike_inputs import image_spikes, read_spikes, uniform_spikes
from xbar.sweep.spike_job import SpikeJob, run_spikes
from xbar.training.tea import tea_structure
from xbar.training.tea_network import TeaLayer, TeaNetwork, balanced, merged, patches


@pytest.fixture(scope="module")
def ranc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a RANC network of three cores and its own spikes."""
    folder = tmp_path_factory.mktemp("ranc") / "net"
    save_ranc(three_cores(), np.random.default_rng(0).random((8, 1, 2)) < 0.5, folder)
    return folder


@pytest.fixture(scope="module")
def tea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of connection probabilities for 8 x 8 digits: 4 cores of 5 x 5 patches, stride 3, that vote."""
    torch.manual_seed(0)
    lines = patches((1, 8, 8), patch=5, stride=3)
    layer = TeaLayer(lines, *balanced(4, 25, 20, n_classes=10))
    model = TeaNetwork(64, [layer], merged(80, 10)).eval()
    return _saved(model, tmp_path_factory.mktemp("tea") / "votes.pt2", tea_structure(model))


@pytest.fixture(scope="module")
def relu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary network for 8 x 8 digits."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).eval()
    return _saved(model, tmp_path_factory.mktemp("relu") / "relu.pt2", None)


def _saved(model: nn.Module, file: Path, extra: dict[str, object] | None) -> Path:
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(model, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: batch},))
    save_exported(exported, file, extra=extra)
    return file


def test_a_ranc_file_runs_on_its_own_spikes_or_on_others(ranc: Path, tmp_path: Path) -> None:
    own = run_spikes(SpikeJob(str(ranc), n_ticks=12))
    assert (own.activity.n_batch, own.n_ticks, own.accuracy, own.pipelined) == (1, 12, None, None)
    assert own.outputs.sum() == own.activity.output_spikes > 0
    given = np.random.default_rng(1).random((6, 5, 3)) < 0.5
    np.savez(tmp_path / "spikes.npz", spikes=given)
    other = run_spikes(SpikeJob(str(ranc / "input.json"), n_ticks=9, spikes=f"npz:{tmp_path / 'spikes.npz'}"))
    expected = simulate_spikes(other.program, given, 9)
    assert other.activity == expected.activity
    np.testing.assert_array_equal(other.outputs, expected.outputs.sum(0))
    first = run_spikes(SpikeJob(str(ranc), spikes=str(tmp_path / "spikes.npz"), n_inputs=2))
    assert (first.activity.n_batch, first.n_ticks) == (2, 6)
    low = run_spikes(SpikeJob(str(ranc), n_ticks=12, settings={"energy.voltage_V": "0.7 V"}))
    assert low.report.energy_J == approx((0.7 / 0.775) ** 2 * own.report.energy_J)


def test_pieces_of_a_batch_are_the_batch(ranc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = SpikeJob(str(ranc), rate=0.3, n_inputs=7, n_ticks=20)
    whole = run_spikes(job)
    monkeypatch.setattr(spike_job, "_MOST_BATCH", 3)
    pieces = run_spikes(job)
    assert pieces.activity == whole.activity
    np.testing.assert_array_equal(pieces.outputs, whole.outputs)
    np.testing.assert_array_equal(pieces.raster.spikes, whole.raster.spikes)
    assert whole.source == "0.3 spikes per tick at random"


def test_the_raster_shows_inputs_neurons_and_outputs(ranc: Path) -> None:
    outcome = run_spikes(SpikeJob(str(ranc), n_ticks=12))
    assert outcome.raster.groups == (("inputs", 3), ("cores", 3), ("outputs", 2))
    by_group = np.split(outcome.raster.spikes.sum(0), [3, 6])
    assert by_group[1].sum() + by_group[2].sum() == outcome.activity.spikes.sum()
    assert by_group[0].sum() == outcome.activity.input_spikes


def test_images_run_on_copies_of_a_tea_network(tea: Path) -> None:
    one = run_spikes(SpikeJob(str(tea), data="digits", n_inputs=60))
    assert (one.n_ticks, one.report.n_cores_used) == (one.program.latency + 1, 1)
    assert one.pipelined is not None
    assert one.pipelined.ticks_per_input == 1
    assert one.outputs.shape == (60, 80)
    many = run_spikes(SpikeJob(str(tea), data="digits", n_inputs=60, n_copies=3, spikes_per_frame=2))
    assert (many.n_ticks, many.report.n_cores_used, many.outputs.shape) == (many.program.latency + 2, 3, (60, 240))
    assert many.accuracy is not None
    assert many.program.classes is not None
    votes = np.stack([many.outputs[:, many.program.classes == c].sum(1) for c in range(10)])
    np.testing.assert_array_equal(many.votes, votes.T)
    assert many.labels is not None
    assert many.accuracy == (votes.argmax(0) == many.labels).mean()
    again = run_spikes(SpikeJob(str(tea), data="digits", n_inputs=60, n_copies=3, spikes_per_frame=2))
    np.testing.assert_array_equal(again.outputs, many.outputs)


def test_images_run_on_an_ordinary_network_by_rates(relu: Path) -> None:
    outcome = run_spikes(SpikeJob(str(relu), data="digits", n_inputs=20, n_ticks=40, n_calibration=64))
    assert outcome.accuracy is not None
    assert outcome.pipelined is None
    assert outcome.report.ticks_per_input == 40
    assert outcome.notes


def _nir(folder: Path, node: str = "IF") -> Path:
    """10 inputs on 6 neurons that fire for two of their whole thresholds of 2.5."""
    nir = pytest.importorskip("nir")
    weight = np.random.default_rng(0).integers(-2, 3, (6, 10)).astype(float)
    ones = np.ones(6)
    neurons = {
        "IF": lambda: nir.IF(r=1000 * ones, v_threshold=2.5 * ones),
        "LIF": lambda: nir.LIF(tau=0.01 * ones, r=10 * ones, v_leak=0 * ones, v_threshold=2.5 * ones),
        "CubaLIF": lambda: nir.CubaLIF(0.01 * ones, 0.01 * ones, ones, 0 * ones, ones),
    }
    nodes = {"in": nir.Input(np.array([10])), "fc": nir.Linear(weight), "cells": neurons[node]()}
    nodes["out"] = nir.Output(np.array([6]))
    file = folder / f"{node}.nir"
    nir.write(file, nir.NIRGraph(nodes, [("in", "fc"), ("fc", "cells"), ("cells", "out")]))
    return file


def test_a_nir_graph_runs_and_its_options_reach_it(tmp_path: Path) -> None:
    spikes = np.random.default_rng(1).random((30, 2, 10)) < 0.4
    np.savez(tmp_path / "s.npz", spikes=spikes, labels=np.array([1, 2]))
    outcome = run_spikes(SpikeJob(str(_nir(tmp_path)), spikes=str(tmp_path / "s.npz")))
    weight, v, fired = np.random.default_rng(0).integers(-2, 3, (6, 10)), np.zeros((2, 6)), np.zeros((2, 6))
    for row in spikes:
        v = v + row @ weight.T
        fired += v > 2.5
        v = np.where(v > 2.5, 0, v)
    np.testing.assert_array_equal(outcome.outputs, fired)
    assert outcome.accuracy == (fired.argmax(1) == [1, 2]).mean()
    leaky = SpikeJob(str(_nir(tmp_path, "LIF")), spikes=str(tmp_path / "s.npz"))
    assert any("approximate=True" in p for p in problems(leaky))
    approximated = run_spikes(replace(leaky, approximate=True, dt_s=1e-3, reset="v_reset", max_error=0.5))
    assert any("LIF's exponential leak is a constant one" in note for note in approximated.notes)
    assert "reset: must be" in problems(replace(leaky, approximate=True, reset="never"))[0]
    assert "node 'cells' (CubaLIF)" in problems(replace(leaky, model=str(_nir(tmp_path, "CubaLIF"))))[0]


def test_pixels_are_chances_and_the_first_ticks_stay() -> None:
    images = Labelled("x", np.array([[0.0, 1.0, 0.25]] * 3, np.float32).reshape(3, 1, 1, 3), np.zeros(3, np.int64))
    spikes = image_spikes(images, 4000, seed=1).piece(0, 3)
    assert spikes.shape == (4000, 3, 3)
    assert not spikes[..., 0].any()
    assert spikes[..., 1].all()
    assert abs(spikes[..., 2].mean(0) - 0.25).max() < 4 * (0.25 * 0.75 / 4000) ** 0.5
    np.testing.assert_array_equal(image_spikes(images, 10, seed=1).piece(1, 3), spikes[:10, 1:3])
    drawn = generator(1, "input spikes", 2).random((4000, 3), dtype=np.float32)
    np.testing.assert_array_equal(spikes[:, 2], drawn < [0.0, 1.0, 0.25])
    assert uniform_spikes(0.5, 2, 3, 7, 0).piece(0, 2).shape == (7, 2, 3)
    bright = Labelled("x", images.images * 255, images.labels)
    with pytest.raises(DataError, match="pixels must be from 0 to 1, since"):
        image_spikes(bright, 1, 0)


WRONG_SPIKES = {
    "must hold an array `spikes`, got other": {"other": np.zeros(3)},
    "must be [tick, input] or [tick, batch, input], got [3]": {"spikes": np.zeros(3)},
    "must be 0 or 1, got 2": {"spikes": np.array([[0, 2]])},
    "must be 0 or 1, got <U1": {"spikes": np.array([["a"]])},
    "labels must be a class from 0 for each of its 1 inputs, got int64 [2]": {
        "spikes": np.zeros((2, 2)), "labels": np.zeros(2, np.int64),
    },
}  # fmt: skip


@pytest.mark.parametrize("said", WRONG_SPIKES)
def test_wrong_files_of_spikes(said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **WRONG_SPIKES[said])  # type: ignore[arg-type]
    with pytest.raises(DataError) as raised:
        read_spikes(str(tmp_path / "x.npz"))
    assert said in str(raised.value)


def test_files_that_hold_no_spikes(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 nothing")
    np.save(tmp_path / "y.npy", np.zeros(3))
    for name, said in (("x.npz", "no npz file"), ("y.npy", "none by name"), ("z.npz", "does not exist")):
        with pytest.raises(DataError, match=said):
            read_spikes(str(tmp_path / name))


def problems(job: SpikeJob) -> tuple[str, ...]:
    with pytest.raises(XbarError) as raised:
        run_spikes(job)
    return raised.value.problems


def test_what_does_not_go_together_is_told_at_once(ranc: Path, tea: Path, tmp_path: Path) -> None:
    found = problems(
        SpikeJob(
            str(ranc), chip="isaac_isca_2016", data="nothing", rate=1.5, n_copies=2, spikes_per_frame=3, n_inputs=0,
            n_ticks=2, seed=-1,
        )
    )  # fmt: skip
    for said in (
        "--data, --rate: input spikes come from one source",
        "--data: has no effect on a RANC file",
        "--copies: are of a .pt2",
        "--spikes-per-frame: must not exceed --ticks (2), got 3",
        "n_inputs: must be 1 or more, got 0",
        "seed: must be a whole number from 0 up",
        "--rate: must be from 0 to 1",
        "isaac_isca_2016 is a chip of crossbars",
        "data: unknown kind of data, got 'nothing'",
    ):
        assert any(said in problem for problem in found), said
    assert len(found) == 9
    assert any("brings no spikes" in p for p in problems(SpikeJob(str(tea))))
    assert any("--spikes-per-frame: is about images" in p for p in problems(SpikeJob(str(tea), spikes_per_frame=2)))
    assert any("--ticks: is needed with --rate" in p for p in problems(SpikeJob(str(tea), rate=0.5)))
    assert any("--dt, --approximate: about NIR" in p for p in problems(SpikeJob(str(ranc), dt_s=1, approximate=True)))
    assert any("has one run of spikes" in p for p in problems(SpikeJob(str(ranc), n_inputs=3)))
    unknown, absent = problems(SpikeJob("x.onnx")), problems(SpikeJob(str(tmp_path / "x.nir"), rate=0.1, n_ticks=3))
    assert "must end in .json, .nir, .pt2, got x.onnx" in unknown[0]
    assert "does not exist" in absent[0]


def test_inputs_that_do_not_fit_the_network(tea: Path, relu: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", spikes=np.zeros((3, 2, 5)), labels=np.array([0, 12]))
    found = problems(SpikeJob(str(tea), spikes=str(tmp_path / "s.npz")))
    assert "has 64 inputs, but s.npz has 5 values each" in found[0]
    assert "labels: go up to 12, but votes has 10 classes" in found[1]
    assert "--ticks: is needed for a network that counts spikes" in problems(SpikeJob(str(relu), data="digits"))[0]
    found = problems(SpikeJob(str(relu), rate=0.1, n_ticks=4, n_copies=2))
    assert [p.partition(":")[0] for p in found] == ["--copies", "--data"]
