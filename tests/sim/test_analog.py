"""The analog engine against the exact one, a plain twin, and brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from analog_reference import analog_reference
from close import approx
from layer_programs import layer_program, random_case
from small import small_chip

from xbar.config import from_data, validate
from xbar.hardware import Chip
from xbar.noise import NoiseModel
from xbar.program import AdcSetting, LayerProgram
from xbar.sim.analog import Grid, multiply_analog
from xbar.sim.analog_prepare import prepare_analog
from xbar.sim.cells import Draw, realise, strips_of
from xbar.sim.crossbar import multiply
from xbar.sim.prepare import prepare

IDEAL = AdcSetting("ideal", None, None, None)


def _noise(**effects: dict[str, Any]) -> NoiseModel:
    return validate(NoiseModel, from_data({"effects": effects}, "test"))


def _chip(layer: LayerProgram, low_rel: float = 0.0, baseline: str | None = None, **changes: Any) -> Chip:
    device: dict[str, Any] = {"kind": "levels", "cell_bits": layer.cell_bits}
    if low_rel > 0:
        device = {"kind": "resistive", "cell_bits": layer.cell_bits, "g_min_S": low_rel * 1e-5, "g_max_S": 1e-5}
    encoding: dict[str, Any] = {"kind": layer.encoding, "layout": "separate"}
    if baseline is not None:
        encoding["baseline"] = baseline
    bits = 2 if layer.encoding == "ternary" else 8
    precision = {"weight_bits": bits, "input_bits": 8}
    return small_chip(device=device, encoding=encoding, precision=precision, **changes)


def _outputs(layer: LayerProgram, chip: Chip, noise: NoiseModel, x: np.ndarray, **draw: Any) -> np.ndarray:
    return multiply_analog(prepare_analog(layer, chip, noise, Draw(**draw)), x, 0)[0].numpy()


@pytest.mark.parametrize("seed", range(60))
def test_without_noise_it_is_the_exact_engine(seed: int) -> None:
    layer, x, _ = random_case(seed)
    layer = replace(layer, encoding=layer.encoding.removesuffix("_flipped"))
    got, counts = multiply_analog(prepare_analog(layer, _chip(layer), NoiseModel(), Draw()), x, 0)
    wanted, exact = multiply(prepare(layer), x)
    if layer.adc.mode == "range":  # float32 may put a sum that lies half-way between two codes on the other side
        scale = np.abs(wanted.numpy()).max() + 1
        assert np.abs(got.numpy() - wanted.numpy()).mean() < 1e-2 * scale
    else:
        assert got.equal(wanted.double())
        assert counts == exact


@pytest.mark.parametrize("baseline", [None, "reference", "digital"])
@pytest.mark.parametrize("encoding", ["differential", "offset", "ternary"])
def test_the_current_of_cells_in_hrs_is_removed(encoding: str, baseline: str | None) -> None:
    rng = np.random.default_rng(3)
    bits = 2 if encoding == "ternary" else 8
    weight = rng.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), (2, 50, 7))
    layer = layer_program(
        weight, encoding=encoding, cell_bits=1 if bits == 2 else 2, weight_bits=bits, rows=32, adc=IDEAL
    )
    x = rng.integers(0, 256, (9, 2, 50)).astype(np.uint8)
    got = _outputs(layer, _chip(layer, 0.1, baseline), NoiseModel(), x)
    wanted = np.einsum("vgr,grc->vgc", x.astype(np.int64), weight)
    assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("low_rel", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(12))
def test_real_cells_equal_the_plain_twin(seed: int, low_rel: float) -> None:
    layer, x, _ = random_case(seed)
    x = x[:6]
    layer = replace(layer, encoding=layer.encoding.removesuffix("_flipped"))
    noise = _noise(programming={"kind": "gaussian", "sigma_rel": 0.05, "relative_to": "range"})
    for removal in (None, "reference", "digital"):
        chip = _chip(layer, low_rel, removal)
        strips = strips_of(layer, chip)
        cells = realise(layer, chip, noise, strips, Draw(seed))
        wanted, saturations = analog_reference(layer, chip, cells, strips, x)
        got, counts = multiply_analog(prepare_analog(layer, chip, noise, Draw(seed)), x, 0)
        off = np.abs(got.numpy() - wanted) > 1e-4 * (np.abs(wanted).max() + 1)
        code = np.abs(prepare_analog(layer, chip, noise, Draw(seed)).blocks[0].adc.factor).max() * 2**layer.input_bits
        assert np.abs(got.numpy() - wanted).max() <= 2 * code + 1e-4 * np.abs(wanted).max()
        assert off.sum() <= max(2, 0.03 * off.size)  # the grid of the cells may put a sum on the other side of an edge
        assert np.abs(np.array([*counts.saturations, counts.unit_saturations]) - saturations).max() <= 2


def test_read_noise_of_a_column_is_that_of_its_cells_read_one_by_one() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-7, 8, (1, 40, 3))
    layer = layer_program(weight, weight_bits=4, cell_bits=3, input_bits=1, adc=IDEAL)
    chip, n = _chip(layer), 40_000
    x = np.repeat(rng.integers(0, 2, (1, 1, 40)), n, axis=0).astype(np.uint8)
    got = _outputs(layer, chip, _noise(read={"kind": "white", "sigma_rel": 0.1, "relative_to": "value"}), x)[:, 0]
    g = layer.cells[:, 0] / 7.0  # [plane, row, col]
    one_by_one = (g + 0.1 * g * rng.standard_normal((n, *g.shape))) * x[0, 0][:, None] * 7
    wanted = one_by_one[:, 0].sum(1) - one_by_one[:, 1].sum(1)
    for col in range(3):  # 5 standard errors of mean and variance over n draws
        spread = wanted[:, col].std()
        assert abs(got[:, col].mean() - wanted[:, col].mean()) < 5 * spread * np.sqrt(2 / n)
        assert abs(got[:, col].var() / wanted[:, col].var() - 1) < 5 * np.sqrt(4 / n)
    assert abs(np.corrcoef(got.T)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(n)


def test_the_reference_columns_noise_is_common_to_its_crossbar() -> None:
    weight = np.zeros((1, 40, 2), np.int64)
    layer = layer_program(weight, encoding="offset", weight_bits=4, cell_bits=4, input_bits=1, adc=IDEAL)
    layer = replace(layer, cells=np.zeros_like(layer.cells), unit_coef=np.zeros_like(layer.unit_coef))
    chip, n = _chip(layer, 0.2, "reference"), 20_000
    x = np.ones((n, 1, 40), np.uint8)
    got = _outputs(layer, chip, _noise(read={"kind": "white", "sigma_rel": 0.1, "relative_to": "g_max"}), x)[:, 0]
    sigma = 0.1 * 15 / 0.8 * np.sqrt(40)  # in cell steps, of the column and of the reference
    assert got.var(axis=0) == approx(2 * sigma**2, rel=5 * np.sqrt(2 / n))
    assert np.corrcoef(got.T)[0, 1] == pytest.approx(0.5, abs=5 / np.sqrt(n))


def test_neither_batches_nor_threads_change_a_bit() -> None:
    layer, _, _ = random_case(4)
    x = np.random.default_rng(0).integers(0, 2**layer.input_bits, (50, layer.groups, layer.cells.shape[2]))
    if layer.input_signed:
        x -= 2 ** (layer.input_bits - 1)
    x = x.astype(np.int32)
    noise = _noise(
        programming={"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "range"},
        read={"kind": "white", "sigma_rel": 0.05, "relative_to": "value"},
        driver={"kind": "dac_error", "noise_sigma_rel": 0.02, "gain_sigma_rel": 0.01},
        adc={"kind": "adc_error", "offset_sigma_lsb": 0.3, "noise_sigma_lsb": 0.2},
    )
    analog = prepare_analog(layer, _chip(layer, 0.1), noise, Draw(5))
    whole, counts = multiply_analog(analog, x, 0)
    parts = [multiply_analog(analog, x[a : a + 7], a) for a in range(0, 50, 7)]
    assert torch.cat([p[0] for p in parts]).equal(whole)
    assert np.sum([p[1].saturations for p in parts], axis=0).tolist() == list(counts.saturations)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert multiply_analog(analog, x, 0)[0].equal(whole)
    finally:
        torch.set_num_threads(threads)


def test_runs_draw_new_devices_and_programmings() -> None:
    layer, x, _ = random_case(0)
    chip = _chip(layer)
    cycle = _noise(programming={"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "range"})
    device = _noise(spread={"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "range", "per": "device"})
    for noise, same in ((cycle, False), (device, True)):
        first, second = (_outputs(layer, chip, noise, x, run=run, same_chip=True) for run in (0, 1))
        assert np.array_equal(first, second) == same
        first, second = (_outputs(layer, chip, noise, x, run=run) for run in (0, 1))
        assert not np.array_equal(first, second)
    assert np.array_equal(_outputs(layer, chip, cycle, x, seed=1), _outputs(layer, chip, cycle, x, seed=1))


def test_a_new_effect_leaves_the_draws_of_the_others_alone() -> None:
    layer, x, _ = random_case(0)
    chip = _chip(layer)
    one = {"programming": {"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "range"}}
    two = {**one, "faults": {"kind": "stuck", "hrs_rate": 0.0, "lrs_rate": 0.0}}
    assert np.array_equal(_outputs(layer, chip, _noise(**one), x), _outputs(layer, chip, _noise(**two), x))


@pytest.mark.parametrize("seed", range(5))
def test_grids_hold_all_partial_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(int(rng.integers(1, 300)), 5)) * 10.0 ** rng.integers(-8, 3)
    top = int(rng.integers(1, 16))
    grid = Grid.of(values, top)
    assert np.abs(grid.values).sum(axis=0).max() * top <= 2**24
    assert np.abs(grid.values * grid.step - values).max() <= grid.step / 2
    assert grid.step <= np.abs(values).sum(axis=0).max() * top / 2**22
    assert not Grid.of(np.zeros((3, 2)), 1).values.any()


def test_compensation_undoes_a_drift_that_all_cells_share() -> None:
    layer, x, _ = random_case(0)
    layer = replace(layer, adc=IDEAL)
    fade = {"kind": "drift", "t_0_s": 1.0, "nu_mean": 0.05, "nu_sigma": 0.0}
    noise = _noise(drift=fade).at(1e4)
    chip = _chip(layer)
    fresh, faded = (_outputs(layer, chip, n, x) for n in (noise.at(0), noise))
    compensated = _outputs(layer, chip, noise.model_copy(update={"drift_compensation": True}), x)
    decay = (1 + 1e4) ** -0.05
    grid = 1e-4 * np.abs(fresh).max()
    assert faded == pytest.approx(fresh * decay, abs=grid)
    assert compensated == pytest.approx(fresh, abs=grid)
    assert np.abs(faded - fresh).max() > 100 * grid


WIRES = {"word_line_Ohm": 2.0, "bit_line_Ohm": 3.0, "sense_Ohm": 10.0}


def _wired(layer: LayerProgram, baseline: str | None = None, low_rel: float = 0.1, **changes: Any) -> Chip:
    ohmic = {"rows": 64, "cols": 64, "read_time_s": 1e-7, "read_voltage_V": 0.2, "cell_area_m2": 1e-14}
    return _chip(layer, low_rel, baseline, crossbar={"kind": "ir_drop", **ohmic, **WIRES, **changes})


@pytest.mark.parametrize("baseline", [None, "reference", "digital"])
@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_wires_change_sums_as_the_circuit_of_the_whole_crossbar_says(encoding: str, baseline: str | None) -> None:
    """One crossbar: its columns by hand, in the order in which they lie, and their currents by the circuit."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-7, 8, (1, 20, 3))
    layer = layer_program(weight, encoding=encoding, weight_bits=4, cell_bits=2, input_bits=1, adc=IDEAL)
    chip = _wired(layer, baseline)
    x = rng.integers(0, 2, (5, 1, 20)).astype(np.uint8)
    step, removal = 0.9e-5 / 3, chip.encoding.baseline_removal
    g = 1e-6 + layer.cells[:, 0] * step  # [plane, row, col]
    columns = [g[plane, :, col] for col in range(3) for plane in range(len(g))]
    if encoding == "offset":
        columns.append(np.full(20, 1e-6 + step))
    if removal == "reference":
        columns.append(np.full(20, 1e-6))
    sums = chip.crossbar.circuit(chip.device).currents_S(np.stack(columns, 1), x[:, 0].astype(float)) / step
    if removal == "reference":
        sums -= sums[:, -1:]
    if removal == "digital":
        sums -= x[:, 0].sum(1)[:, None] * (1e-6 / step)
    wanted = np.zeros((5, 3))
    for col in range(3):
        for plane, s in enumerate(layer.plane_slice):
            wanted[:, col] += layer.plane_sign[plane, 0, 0, col] * 4.0**s * sums[:, col * len(g) + plane]
        if encoding == "offset":
            wanted[:, col] += layer.unit_coef[0, 0, col] * sums[:, 3 * len(g)]
    got = _outputs(layer, chip, NoiseModel(), x)[:, 0]
    assert got == pytest.approx(wanted, abs=1e-5 * np.abs(wanted).max())
    ideal = np.einsum("vr,rc->vc", x[:, 0].astype(np.int64), weight[0])
    assert np.abs(got - ideal).max() > 1e-3 * np.abs(ideal).max()


@pytest.mark.parametrize("baseline", [None, "reference"])
def test_gated_rows_are_solved_input_by_input(baseline: str | None) -> None:
    rng = np.random.default_rng(2)
    weight = rng.integers(-7, 8, (2, 20, 3))
    layer = layer_program(weight, weight_bits=4, cell_bits=2, input_bits=3, rows=12, dac_bits=2, adc=IDEAL)
    x = rng.integers(0, 8, (4, 2, 20)).astype(np.uint8)
    gated, always = (_outputs(layer, _wired(layer, baseline, gated=g), NoiseModel(), x) for g in (True, False))
    ideal = np.einsum("vgr,grc->vgc", x.astype(np.int64), weight)
    assert np.abs(gated - always).max() > 1e-6 * np.abs(ideal).max()
    assert np.abs(gated - ideal).max() < 0.1 * np.abs(ideal).max()
    weak = {"word_line_Ohm": 1e-6, "bit_line_Ohm": 1e-6, "sense_Ohm": 0.0}
    for chip in (_wired(layer, baseline, gated=True, **weak), _wired(layer, baseline, gated=False, **weak)):
        assert _outputs(layer, chip, NoiseModel(), x) == pytest.approx(ideal, abs=1e-4 * np.abs(ideal).max())


def test_curved_cells_have_their_conductance_at_the_read_voltage() -> None:
    rng = np.random.default_rng(2)
    weight = rng.integers(-7, 8, (1, 20, 3))
    layer = layer_program(weight, weight_bits=4, cell_bits=2, input_bits=1, adc=IDEAL)
    x = rng.integers(0, 2, (6, 1, 20)).astype(np.uint8)
    ideal = x[:, 0].astype(np.int64) @ weight[0]
    weak = _wired(layer, word_line_Ohm=1e-6, bit_line_Ohm=1e-6, sense_Ohm=0.0)
    curved = weak.model_copy(update={"device": weak.device.model_copy(update={"sinh_V": 0.1})})
    got = _outputs(layer, curved, NoiseModel(), x)[:, 0]
    assert got == pytest.approx(ideal, abs=1e-4 * np.abs(ideal).max())


@pytest.mark.parametrize(
    ("low_rel", "relative_to", "word_line_Ohm"),
    [(0.1, "value", 40.0), (0.1, "g_max", 40.0), (1e-7, "g_max", 40.0), (1e-7, "g_max", 200.0)],
)
def test_read_noise_behind_wires_is_close_to_that_of_cells_read_one_by_one(
    low_rel: float, relative_to: str, word_line_Ohm: float
) -> None:
    """Against the circuit's response to a change of each single cell. Off cells have noise as well: seen from outside
    their conductance is mostly that of ways around them, which their own noise does not take."""
    rng = np.random.default_rng(0)
    layer = layer_program(rng.integers(-7, 8, (1, 24, 2)), weight_bits=4, cell_bits=3, input_bits=1, adc=IDEAL)
    chip, n = _wired(layer, low_rel=low_rel, word_line_Ohm=word_line_Ohm, bit_line_Ohm=40.0), 4000
    circuit, x = chip.crossbar.circuit(chip.device), rng.integers(0, 2, 24)
    noise = _noise(read={"kind": "white", "sigma_rel": 0.01, "relative_to": relative_to})
    got = _outputs(layer, chip, noise, np.tile(x, (n, 1, 1)).astype(np.uint8))[:, 0]
    step = (1 - low_rel) * 1e-5 / 7
    g = (low_rel * 1e-5 + layer.cells[:, 0] * step).transpose(1, 2, 0).reshape(24, -1)  # columns as they lie
    change = 1e-9 * np.eye(g.size).reshape(g.size, *g.shape)
    response = (x @ circuit.effective_S(g + change) - x @ circuit.effective_S(g)) / 1e-9 / step  # [cell, bit line]
    sigma = 0.01 * (g if relative_to == "value" else np.full_like(g, 1e-5)).ravel()
    wanted = np.sqrt(((response[:, 0::2] - response[:, 1::2]) ** 2 * sigma[:, None] ** 2).sum(axis=0))
    ratio = got.std(axis=0) / wanted
    assert (ratio > 0.95).all()
    assert (ratio < 1.2).all()
