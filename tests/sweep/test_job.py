"""From a network and a chip to an outcome: each accuracy against the simulation that it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small import small_chip
from torch import nn

from xbar.config import from_data, validate
from xbar.datasets import Labelled
from xbar.errors import ConfigError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip
from xbar.network import Network
from xbar.noise import NoiseModel
from xbar.sim import simulate
from xbar.sim.simulate import Simulator
from xbar.sweep.job import Job, evaluate, run

RESISTIVE = {"kind": "resistive", "cell_bits": 2, "g_min_S": 1e-6, "g_max_S": 1e-5}
NOISE = {"name": "mine", "effects": {"p": {"kind": "gaussian", "sigma_rel": 0.2, "relative_to": "range"}}}
PRECISION = {"weight_bits": 4, "input_bits": 3}
COARSE = {
    "kind": "table",
    "source": "made up",
    "bits": 3,
    "points": [{"bits": 3, "energy_J": 0, "area_m2": 0, "time_s": 1e-9}],
}


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 12, bias=False), nn.ReLU(), nn.Linear(12, 5, bias=False)).eval()
    return from_torch(model, torch.zeros(2, 8))


@pytest.fixture(scope="module")
def data(network: Network) -> Labelled:
    """The float network is always right."""
    images = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    labels = network.exported.module()(torch.from_numpy(images)).argmax(1).numpy()
    return Labelled("made up", images, labels)


def _chip(noise: dict[str, Any] | None = None, **changes: Any) -> Chip:
    chip = small_chip(precision=PRECISION, device=changes.pop("device", RESISTIVE), chip__tiles=100, **changes)
    model = None if noise is None else validate(NoiseModel, from_data(noise, "test"))
    return chip.model_copy(update={"noise": model})


def _accuracy(outputs: torch.Tensor, data: Labelled) -> float:
    return float((outputs.argmax(1).numpy() == data.labels).mean())


def test_each_step_is_a_simulation_of_its_own(network: Network, data: Labelled) -> None:
    told: list[str] = []
    chip = _chip(NOISE, adc=COARSE)
    outcome = evaluate(network, chip, data, data, stage=told.append, n_runs=4, seed=2, n_errors=10)
    inputs = torch.from_numpy(data.images)
    runs = simulate(outcome.program, inputs, seed=2, n_runs=4)
    assert outcome.accuracy == runs.accuracy(torch.from_numpy(data.labels))
    assert outcome.results == runs.results
    assert outcome.accuracy_ideal_cells == _accuracy(Simulator(outcome.program).run(inputs).outputs, data)
    assert outcome.accuracy_no_noise == _accuracy(simulate(outcome.program, inputs, noise="none").outputs, data)
    assert outcome.accuracy_float == 1.0
    chain = [value for _, value in outcome.chain()]
    assert len(set(chain)) == 5  # every step costs something here
    assert outcome.errors is not None
    assert outcome.errors.n_inputs == 10
    assert outcome.errors.seed == 2
    assert "simulating 240 of 240 inputs" in told


def test_the_same_chip_is_programmed_anew(network: Network, data: Labelled) -> None:
    device = {**NOISE, "effects": {"d": {**NOISE["effects"]["p"], "per": "device"}}}
    same = evaluate(network, _chip(device), data, data, n_runs=3, same_chip=True)
    assert same.results[0] == same.results[1] == same.results[2]
    others = evaluate(network, _chip(device), data, data, n_runs=3)
    assert others.results[0] == same.results[0]
    assert others.results[0] != others.results[1]


def test_without_effects_one_run_is_all(network: Network, data: Labelled) -> None:
    levels = {**RESISTIVE, "n_states": 2, "spacing": "resistance"}
    for noise in (None, {"name": "none"}):
        outcome = evaluate(network, _chip(noise, device=levels), data, data, n_runs=5)
        assert len(outcome.results) == 1
        assert outcome.accuracy_no_noise == outcome.accuracy.mean
        assert outcome.accuracy_no_noise < outcome.accuracy_ideal_cells  # two states for four levels
        assert outcome.noise_name is None


def test_ideal_cells_are_as_before(network: Network, data: Labelled) -> None:
    chip = _chip(device={"kind": "levels", "cell_bits": 2})
    outcome = evaluate(network, chip, data, data)
    assert outcome.accuracy_ideal_cells is None
    assert outcome.results == (Simulator(outcome.program).run(torch.from_numpy(data.images)),)
    with pytest.raises(ConfigError) as caught:
        evaluate(network, chip, data, data, n_runs=3, seed=-1)
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="n_runs: must be 1 or more, got 0"):
        evaluate(network, chip, data, data, n_runs=0)


def test_settings_of_noise_need_noise() -> None:
    with pytest.raises(ConfigError, match=r"--set noise.time_s: has no effect on ideal cells"):
        run(Job(settings={"noise.time_s": "1 h"}))
    whole = Job(settings={"noise": "pcm_joshi_2020", "noise.time_s": "1 h"}).load_chip()
    assert whole.noise is not None
    assert (whole.noise.name, whole.noise.time_s) == ("pcm_joshi_2020", 3600)
    with pytest.raises(ConfigError, match=r"--set noise: is given by --noise \(none\) too, got pcm_joshi_2020"):
        Job(noise="none", settings={"noise": "pcm_joshi_2020"}).load_chip()
    built = Job(settings={"noise": "{time_s: 1 h}", "noise.temperature_K": "350"}).load_chip()
    assert built.noise == NoiseModel(time_s=3600, temperature_K=350)
    chosen = Job(noise="none", settings={"noise.time_s": "1 h"}).load_chip()
    assert chosen.noise == NoiseModel(name="none", time_s=3600)
