"""Each source of error against what is computed by hand, by the formula of its law, or by a whole simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import models
import numpy as np
import pytest
import torch
from close import approx
from numpy.testing import assert_allclose
from small import random_weights, small_chip, small_network
from torch import nn

import mapping
from xbar.config import from_data, validate
from xbar.errors import ConfigError, DataError
from xbar.frontends.torch_module import from_torch
from xbar.noise import NoiseModel
from xbar.program import AdcSetting, Program
from xbar.quantization import quantize
from xbar.sim import simulate
from xbar.sim.error_sources import TOTAL, ErrorSources, LayerErrors, error_sources

RESISTIVE = {"kind": "resistive", "cell_bits": 3, "g_min_S": 2e-6, "g_max_S": 1e-5}
WIRES = {
    "kind": "ir_drop", "rows": 8, "cols": 8, "read_time_s": 1e-7, "read_voltage_V": 0.2, "cell_area_m2": 1e-14,
    "word_line_Ohm": 20.0, "bit_line_Ohm": 20.0,
}  # fmt: skip
PROGRAMMING = {"kind": "gaussian", "sigma_rel": 0.01, "relative_to": "range"}
READ = {"kind": "white", "sigma_rel": 0.01, "relative_to": "g_max"}
IDEAL = {"kind": "ideal"}


def _noise(**effects: dict[str, Any]) -> NoiseModel:
    return validate(NoiseModel, from_data({"name": "made up", "effects": effects}, "test"))


def _linear(shape: tuple[int, int] = (4, 6), n: int = 5, **chip: Any) -> tuple[Program, torch.Tensor]:
    """One layer whose weights are whole numbers; inputs that are not, so that quantization has an error."""
    program = mapping.compile(small_network(random_weights([shape])), small_chip(**chip))
    x = 15 * torch.rand((n, 1, shape[1]), generator=torch.Generator().manual_seed(0))
    return program, x


def _mean_square(difference: torch.Tensor) -> np.ndarray:
    return (difference.double() ** 2).flatten(0, -2).mean(0).numpy()


def test_signal_quantization_and_adc_by_hand() -> None:
    chip = {"adc__bits": 4, "crossbar__rows": 6}
    program, x = _linear(**chip)
    found = error_sources(program, x)
    assert found.sources == ("quantization", "ADC")
    weight = program.network.layers[0].weight.astype(np.int64).T  # [row, col]
    q = np.rint(x[:, 0].numpy()).astype(np.int64)
    true, exact = x[:, 0].numpy().astype(np.float64) @ weight, q @ weight
    read = np.zeros_like(exact)
    for pulse in range(4):
        digits = (q >> pulse) & 1
        positive, negative = (np.minimum(digits @ np.maximum(s * weight, 0), 15) for s in (1, -1))
        read += (positive - negative) << pulse
    assert (read != exact).any()
    (layer,) = found.layers
    assert_allclose(layer.signal, (true**2).mean(0), rtol=1e-6)
    assert_allclose(layer.sources["quantization"], ((exact - true) ** 2).mean(0), rtol=1e-5)
    assert_allclose(layer.sources["ADC"], ((read - exact) ** 2).mean(0))
    assert_allclose(layer.total, ((read - true) ** 2).mean(0), rtol=1e-6)
    ratio = 10 * math.log10((true**2).mean() / ((read - exact) ** 2).mean())
    assert layer.snr_dB("ADC") == approx(ratio, rel=1e-6)


def test_without_any_error_ratios_are_exact_and_finite() -> None:
    program, x = _linear(adc=IDEAL)
    found = error_sources(program, x.round())
    assert found.sources == ("quantization",)
    assert [row["snr_dB"] for row in found.rows()] == [None, None]
    assert found.layers[0].sum_over_total is None
    assert "exact" in str(found)
    assert error_sources(program, torch.zeros_like(x)).layers[0].snr_dB() is None


def _gain(program: Program, x: torch.Tensor) -> tuple[np.ndarray, float]:
    """Sum over rows of squared inputs [vector], and of squared slice weights over cells of a weight, per step."""
    layer = program.layers[0]
    factor = sum(4.0 ** (layer.cell_bits * s) for s in layer.plane_slice)
    step = (1 - program.chip.device.low_rel) / (2**layer.cell_bits - 1)
    return (x.round().double() ** 2).sum((1, 2)).numpy(), factor / step**2


def test_programming_error_has_the_power_of_its_law() -> None:
    program, x = _linear((8, 6), device=RESISTIVE)
    found = error_sources(program, x, _noise(programming=PROGRAMMING), n_runs=60)
    assert found.sources == ("quantization", "conductance limits", "ADC", "programming")
    squares, factor = _gain(program, x)
    sigma = PROGRAMMING["sigma_rel"] * (1 - 0.2)
    wanted = squares.mean() * factor * sigma**2
    spread = 5 * math.sqrt(2 / (60 * 8))  # 5 standard errors; each run and channel is independent, inputs are not
    assert found.layers[0].power("programming") == approx(wanted, rel=spread)
    assert spread < 0.35  # a wrong factor of 2 fails


def test_read_noise_has_the_power_of_its_law() -> None:
    program, x = _linear((8, 6), n=60, device=RESISTIVE)
    found = error_sources(program, x, _noise(read=READ), n_runs=2)
    _, factor = _gain(program, x)
    q = x.round().to(torch.int64)
    digits = sum(4**pulse * ((q >> pulse) & 1).sum((1, 2)) for pulse in range(4))
    wanted = digits.double().mean().item() * factor * READ["sigma_rel"] ** 2
    spread = 5 * math.sqrt(2 / (60 * 8 * 2)) * 2  # weights of pulses make the sum over inputs twice as broad at most
    assert found.layers[0].power("read") == approx(wanted, rel=spread)
    assert spread < 0.5


def _alone(program: Program, x: torch.Tensor, noise: NoiseModel, adc: bool) -> torch.Tensor:
    """Outputs of the whole simulation."""
    ideal = tuple(replace(layer, adc=AdcSetting("ideal", None, None, None)) for layer in program.layers)
    return simulate(program if adc else replace(program, layers=ideal), x, noise=noise, seed=3).outputs


def test_effects_alone_and_together_are_those_of_a_whole_simulation() -> None:
    """One layer: its errors are those of the network, with the same random numbers."""
    program, x = _linear(adc__bits=4, device=RESISTIVE, encoding={"kind": "offset", "layout": "interleaved"})
    adc = {"kind": "adc_error", "offset_sigma_lsb": 0.7}
    dac = {"kind": "dac_error", "gain_sigma_rel": 0.05}
    noise = _noise(programming=PROGRAMMING, read=READ, converters=adc, drivers=dac)
    (layer,) = error_sources(program, x, noise, seed=3).layers
    base, digitised = (_alone(program, x, NoiseModel(), adc) for adc in (False, True))
    assert layer.power("ADC") > 0
    others = noise.only("programming", "read", "drivers")
    wanted = {"ADC": _alone(program, x, others, True) - _alone(program, x, others, False)}
    for name in ("programming", "read", "drivers"):
        wanted[name] = _alone(program, x, noise.only(name), False) - base
    wanted["converters"] = _alone(program, x, noise.only("converters"), True) - digitised
    for name, difference in wanted.items():
        assert_allclose(layer.sources[name], _mean_square(difference), rtol=1e-4, err_msg=name)
    floats = x @ torch.from_numpy(program.network.layers[0].weight).T
    assert_allclose(layer.total, _mean_square(_alone(program, x, noise, True) - floats), rtol=1e-4)
    assert list(layer.sources)[3:] == ["programming", "read", "drivers", "converters"]


def test_wires_and_levels() -> None:
    states = {**RESISTIVE, "n_states": 6, "spacing": "conductance"}
    program, x = _linear(crossbar=WIRES, device=states, adc=IDEAL)
    found = error_sources(program, x)
    assert found.sources == ("quantization", "conductance limits", "IR drop")
    bare = program.chip.model_copy(update={"crossbar": small_chip().crossbar})
    without = simulate(replace(program, chip=bare), x).outputs
    integers = torch.from_numpy(np.rint(x.numpy()) @ program.network.layers[0].weight.T)
    (layer,) = found.layers
    assert layer.power("conductance limits") > 0
    assert_allclose(layer.sources["conductance limits"], _mean_square(without - integers), rtol=1e-4)
    assert layer.power("IR drop") > 0
    assert_allclose(layer.sources["IR drop"], _mean_square(simulate(program, x).outputs - without), rtol=1e-3)
    floats = x @ torch.from_numpy(program.network.layers[0].weight).T
    assert_allclose(layer.total, _mean_square(simulate(program, x).outputs - floats), rtol=1e-4)


def test_drift_counts_with_its_compensation() -> None:
    drift = {"kind": "drift", "nu_mean": 0.1, "nu_sigma": 0.0, "t_0_s": 1.0}
    program, x = _linear(device=RESISTIVE)
    drifted = _noise(drift=drift).at(1e6)
    alone = error_sources(program, x, drifted).layers[0]
    compensated = error_sources(program, x, drifted.model_copy(update={"drift_compensation": True})).layers[0]
    lost = 1 - (1e6 + 1) ** -0.1
    exact = (x.round() @ torch.from_numpy(program.network.layers[0].weight).T).flatten(0, 1)
    assert_allclose(alone.sources["drift"], _mean_square(lost * exact), rtol=1e-3)
    assert compensated.power("drift") < 1e-6 * alone.power("drift")  # all cells lost the same share


def test_names_of_effects_and_sources_do_not_collide() -> None:
    program, x = _linear()
    found = error_sources(program, x, _noise(ADC=READ, total=PROGRAMMING))
    assert found.sources == ("quantization", "ADC", "total (noise)", "ADC (noise)")
    assert found.layers[0].power("ADC (noise)") > 0


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, groups=2), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)).reshape(4, 64))


def test_layers_get_the_activations_of_the_integer_network() -> None:
    """Convolutions with groups and a fixed batch size, several batches: each layer's float product of those."""
    torch.manual_seed(0)
    x = torch.rand(6, 2, 6, 6)
    chip = small_chip(device__cell_bits=2, precision={"weight_bits": 8, "input_bits": 8}, chip__tiles=1000)
    qnet = quantize(from_torch(FixedBatch().eval(), x[:4]), x[:4], chip)
    program = mapping.compile(qnet, chip)
    assert program.network.fixed_batch == 4
    told: list[tuple[int, int]] = []
    found = error_sources(program, x, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 6), (6, 6)]
    assert found.n_inputs == 6
    conv, linear = program.network.layers
    first = nn.functional.conv2d(x, torch.from_numpy(conv.weight), groups=2).double()
    assert_allclose(found.layers[0].signal, (first**2).mean((0, 2, 3)).numpy(), rtol=1e-5)
    q = qnet.layers[0]
    integers = torch.clamp(torch.round(x / q.input_scale), 0, 255).double()
    sums = nn.functional.conv2d(integers, torch.from_numpy(q.weight_q).double(), groups=2)
    scale = torch.from_numpy(q.weight_scale).reshape(1, -1, 1, 1) * q.input_scale
    assert_allclose(found.layers[0].sources["quantization"], ((sums * scale - first) ** 2).mean((0, 2, 3)), rtol=1e-4)
    activations = torch.relu((sums * scale).float() + torch.from_numpy(conv.bias).reshape(1, -1, 1, 1)).flatten(1)
    second = activations.double() @ torch.from_numpy(linear.weight).double().T
    assert_allclose(found.layers[1].signal, (second**2).mean(0).numpy(), rtol=1e-5)


def test_layers_by_name() -> None:
    program = mapping.compile(small_network(random_weights([(6, 8), (3, 6)])), small_chip())
    x = 15 * torch.rand((4, 1, 8), generator=torch.Generator().manual_seed(0))
    both = error_sources(program, x, _noise(read=READ), seed=1)
    assert [layer.name for layer in both.layers] == ["layer0", "layer1"]
    one = error_sources(program, x, _noise(read=READ), seed=1, layers=["layer1"])
    assert one.layers == both.layers[1:]
    with pytest.raises(DataError, match="got layer9; did you mean layer"):
        error_sources(program, x, layers=["layer0", "layer9"])
    with pytest.raises(DataError, match="at least one"):
        error_sources(program, x, layers=[])


def test_batches_and_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    program, x = _linear(n=9, device=RESISTIVE, adc__bits=4)
    noise = _noise(programming=PROGRAMMING, read=READ)
    whole = error_sources(program, x, noise)
    monkeypatch.setattr("xbar.sim.error_bench._batch_size", lambda program: 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cut = error_sources(program, x, noise)
    finally:
        torch.set_num_threads(threads)
    for name in (*whole.sources, TOTAL):
        assert cut.layers[0].power(name) == approx(whole.layers[0].power(name), rel=1e-12)
    other = error_sources(program, x, noise, seed=1).layers[0]
    assert other.power("read") != whole.layers[0].power("read")
    assert other.power("quantization") == whole.layers[0].power("quantization")


def test_runs_are_averaged() -> None:
    program, x = _linear()
    noise = _noise(programming=PROGRAMMING)
    many = error_sources(program, x, noise, n_runs=3, seed=5)
    assert many.n_runs == 3
    one = error_sources(program, x, noise, seed=5).layers[0]
    assert many.layers[0].power("programming") != one.power("programming")
    assert many.layers[0].power("quantization") == one.power("quantization")
    base = simulate(program, x, noise="none").outputs
    ideal = replace(
        program, layers=tuple(replace(p, adc=AdcSetting("ideal", None, None, None)) for p in program.layers)
    )
    runs = simulate(ideal, x, noise=noise, seed=5, n_runs=3).results
    wanted = np.mean([_mean_square(run.outputs - base) for run in runs], axis=0)
    assert_allclose(many.layers[0].sources["programming"], wanted, rtol=1e-4)
    assert error_sources(program, x, n_runs=3).n_runs == 1  # nothing is random


def test_wrong_input() -> None:
    program, x = _linear()
    with pytest.raises(DataError, match="n_runs: must be at least 1, got 0"):
        error_sources(program, x, n_runs=0)
    with pytest.raises(ConfigError, match="did you mean reram_wan_2022"):
        error_sources(program, x, "reram_wan_2021")
    with pytest.raises(DataError, match="expected shape"):
        error_sources(program, x[:, :, :3])
    with pytest.raises(DataError, match="empty batch"):
        error_sources(program, x[:0])


def test_how_it_reads() -> None:
    layer = LayerErrors(
        "fc", np.array([100.0, 300.0]), {"a": np.array([1.0, 3.0]), "b": np.zeros(2)}, np.array([8.0, 0])
    )
    assert layer.power("a") == 2
    assert layer.snr_dB("a") == approx(20)
    assert layer.snr_dB() == approx(10 * math.log10(200 / 4))
    assert layer.sum_over_total == 0.5
    found = ErrorSources("made up", 10, 1, 0, (layer,))
    assert found.rows()[0] == {"layer": "fc", "source": "a", "error_power": 2.0, "snr_dB": approx(20)}
    assert str(found).splitlines()[-1].split() == ["fc", "20.0", "exact", "17.0", "0.50"]
    assert found.to_dict()["sum_over_total"] == {"fc": 0.5}
    assert layer == replace(layer)
    assert layer != replace(layer, total=np.array([8.0, 1.0]))


def test_a_whole_network_under_a_published_noise() -> None:
    x = models.inputs(models.MLP, 8)
    chip = small_chip(device=RESISTIVE, chip__tiles=1000, precision={"weight_bits": 7, "input_bits": 6})
    qnet = quantize(models.traced(models.MLP), x, chip)
    program = mapping.compile(qnet, chip)
    found = error_sources(program, x, "reram_wan_2022")
    assert found.noise == "reram_wan_2022"
    assert len(found.layers) == 3
    for layer in found.layers:
        assert layer.snr_dB("programming") < layer.snr_dB("read") < layer.snr_dB("quantization")
        assert layer.snr_dB() < layer.snr_dB("programming") + 1
