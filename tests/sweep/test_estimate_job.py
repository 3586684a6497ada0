"""What a network costs without data: the job, its value, and the wrong inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from close import approx
from small import random_weights, small_chip, small_network
from torch import nn

import mapping
import xbar
from xbar.cost import estimate
from xbar.cost.cycles import cycles
from xbar.cost.programming import programming
from xbar.errors import CapacityError, ConfigError, ModelError
from xbar.hardware import Chip
from xbar.network import QuantizedNetwork
from xbar.sweep.estimate_job import BUILT_IN, EstimateJob, estimate_network, run_estimate

WRITES = {"pulse_s": 1e-7, "energy_J": 1e-12, "pulses": 2, "verify": False, "parallel": "row", "endurance": 1000}
DEVICE = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 8e-6, "programming": WRITES}


def network() -> QuantizedNetwork:
    """10 -> 6 -> 3 on vectors of four rows; no row or column is empty."""
    return small_network([np.where(w == 0, 1, w) for w in random_weights([(6, 10), (3, 6)])], vectors=4)


def chip(**changes: object) -> Chip:
    return small_chip(**{"device": dict(DEVICE), **changes})


def test_the_same_as_of_the_compiled_program() -> None:
    """Where nothing can be left out, shapes say all but how many bits are set: area, times and writing are the same."""
    qnet = network()
    program = mapping.compile(qnet, chip())
    found = estimate_network(qnet.network, chip())
    assert found.report.cycles is not None
    assert found.report.cycles.metrics() == cycles(program).metrics()
    own = estimate(program, cycles=cycles(program))
    assert found.report.area_m2 == approx(own.area_m2)
    assert found.report.latency_s == own.latency_s
    written = programming(program)
    assert found.programming is not None
    assert written is not None
    assert [layer.cells for layer in found.programming.layers] == [layer.cells for layer in written.layers]
    assert found.programming.energy_J == approx(written.energy_J)
    assert found.tiles.total_W == approx(found.report.power_W)
    assert "all levels" not in str(found)


def test_without_the_cycle_model() -> None:
    found = estimate_network(network().network, chip(), n_inputs=None)
    assert found.report.cycles is None
    assert found.report.latency_s == approx(sum(t.total_s for t in found.report.timing))


def test_more_chips_and_turns() -> None:
    """On chips of one tile the network needs two; in turns one is enough."""
    small = chip(chip__tiles=1)
    found = estimate_network(network().network, small, turn_inputs=10)
    assert found.outline.n_chips == 2
    assert found.turns is not None
    assert found.turns.batch == 10
    with pytest.raises(CapacityError):
        estimate_network(network().network, small, n_chips=1)
    with pytest.raises(CapacityError, match="fits one chip"):
        estimate_network(network().network, chip(), turn_inputs=10)


def test_a_trace_and_copies_on_request() -> None:
    found = estimate_network(network().network, chip(), tile_budget=3, n_inputs=2, max_trace=50)
    assert max(layer.n_replicas for layer in found.outline.layers) > 1
    assert found.report.cycles is not None
    assert found.report.cycles.trace is not None
    assert found.report.cycles.n_inputs == 2


def test_stages_are_told() -> None:
    told: list[str] = []
    estimate_network(network().network, chip(), stage=told.append)
    assert told == [
        "mapping",
        "looking at the weights: layer0",
        "looking at the weights: layer1",
        "simulating cycles",
        "estimating",
    ]


def test_everything_is_in_the_json_and_the_text() -> None:
    found = estimate_network(network().network, chip(chip__tiles=1), turn_inputs=3)
    read = json.loads(json.dumps(found.to_dict()))
    assert read["metrics"] == approx(found.report.metrics())
    assert [layer["copies"] for layer in read["layers"]] == [1, 1]
    assert [layer["rows"] for layer in read["layers"]] == [10, 6]
    assert sum(read["tiles"]["power_W"]) + read["tiles"]["beside_W"] == approx(read["metrics"]["power_W"])
    assert read["programming"]["energy_J"] > 0
    assert read["turns"]["batch"] == 3
    assert read["cycles"]["bottleneck"] == read["bottleneck"]
    assert read["n_chips"] == 2
    for words in ("small on small", "writing the weights", "of the first input", "turn"):
        assert words in str(found), words


def test_what_stays_unknown_is_told() -> None:
    """Cells without conductances and without pulses; a row and two columns of zeros."""
    weights = random_weights([(6, 10)])
    weights[0][weights[0] == 0] = 1
    weights[0][:, 4] = 0
    weights[0][2:4] = 0
    found = estimate_network(small_network(weights).network, small_chip())
    assert found.programming is None
    assert found.to_dict()["programming"] is None
    text = "\n".join(found.all_notes())
    assert "writing the weights, of which chip small says nothing" in text
    assert "1 rows and 2 columns of zeros" in text
    assert len(set(found.all_notes())) == len(found.all_notes())


def test_a_job_of_a_built_in_network() -> None:
    """VGG-8 for CIFAR-10; its weights are random, and the same each time."""
    job = EstimateJob("vgg8", "generic_1t1r", with_cycles=False)
    one = run_estimate(job)
    assert one.report.macs == sum(
        layer.vectors_per_input * layer.shape[0] * layer.shape[1] for layer in one.outline.layers
    )
    assert [layer.shape for layer in one.outline.layers][-1] == (1024, 10)
    assert "weights with which its training would start" in "\n".join(one.all_notes())
    assert all(0 < (layer.mean_rel or 0) < 1 for layer in one.outline.layers)
    assert set(BUILT_IN) == {"vgg8", "vgg16", "resnet18", "resnet50", "vit_b"}
    xbar.sweep.estimate_job._built_in.cache_clear()
    assert run_estimate(job).to_dict() == one.to_dict()


def test_a_saved_model_in_another_technology(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    torch.export.save(torch.export.export(model, (torch.zeros(2, 1, 8, 8),)), tmp_path / "m.pt2")
    own = run_estimate(EstimateJob(str(tmp_path / "m.pt2"), "isaac_isca_2016"))
    new = run_estimate(EstimateJob(str(tmp_path / "m.pt2"), "isaac_isca_2016", technology="22 nm"))
    assert new.report.chip == "isaac_isca_2016 at 22 nm"
    assert new.report.energy_J < own.report.energy_J
    assert new.outline.chip.technology_m == approx(22e-9)
    text = "\n".join(new.all_notes())
    assert (
        "digital parts, memories, routers and DACs are scaled from 32 nm to 22 nm by Stillmaker and Baas 2017" in text
    )
    assert "ADCs are scaled from 32 nm to 22 nm by the ADC survey law" in text
    assert "crossbars, cells and links off the chip are not scaled" in text
    assert "scaled" not in "\n".join(own.all_notes())


@pytest.mark.parametrize(
    ("job", "kind", "says"),
    [
        (EstimateJob("vgg61"), ModelError, "known network, got vgg61; did you mean vgg16?"),
        (EstimateJob("qqq"), ModelError, "the networks are demo, vgg16"),
        (EstimateJob("no/such.pt2"), ModelError, "no/such.pt2"),
        (EstimateJob(chip="isaac"), ConfigError, "must be a known chip"),
        (EstimateJob(technology="5 nm"), ConfigError, "must be from 7 nm to 180 nm"),
        (EstimateJob(technology="fast"), ConfigError, "for example 20 nm"),
        (
            EstimateJob(settings={"tile.cores": "1", "core.crossbars": "1"}, n_chips=1, tile_budget=3),
            CapacityError,
            "3",
        ),
        (EstimateJob(n_chips=1, tile_budget=999), CapacityError, "999"),
    ],
    ids=lambda v: "" if isinstance(v, EstimateJob) else None,
)
def test_wrong_jobs(job: EstimateJob, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        run_estimate(job)
    assert says in str(caught.value)


def test_a_buffer_that_is_too_small_names_the_layer_and_the_way_out() -> None:
    job = EstimateJob(
        chip="isaac_isca_2016", settings={"tile.parts.eDRAM buffer.capacity_bytes": "16", "chip.tiles": "2"}
    )
    with pytest.raises(CapacityError, match=r"conv1.*--no-cycles") as caught:
        run_estimate(job)
    assert "capacity_bytes" in str(caught.value)
