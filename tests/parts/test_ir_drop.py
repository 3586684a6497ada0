"""Crossbars with line resistance as a part: settings, circuits, calibration, maps of voltages and currents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from close import approx
from hypothesis import given, settings
from hypothesis import strategies as st

import xbar
from xbar.config import from_data, validate
from xbar.errors import ConfigError, ConvergenceError, DataError
from xbar.kernels.nodal import nodes_plain
from xbar.parts.array.ir_drop import IrDropArray, LineCircuit
from xbar.parts.array.ohmic import OhmicArray
from xbar.parts.base import Floats
from xbar.parts.device.levels import LevelsDevice
from xbar.parts.device.resistive import ResistiveDevice

SIZE: dict[str, Any] = {
    "rows": 64, "cols": 32, "read_time_s": "100 ns", "read_voltage_V": "0.2 V", "cell_area_m2": "0.02 um2"
}  # fmt: skip
CELL = ResistiveDevice(cell_bits=2, g_min_S=1e-6, g_max_S=1e-4)
CURVED = ResistiveDevice(cell_bits=2, g_min_S=1e-6, g_max_S=1e-4, sinh_V=0.1)


def _array(**changes: Any) -> IrDropArray:
    return validate(IrDropArray, from_data({**SIZE, "word_line_Ohm": 2, "bit_line_Ohm": "3 Ohm", **changes}, "array"))


def _circuit(device: ResistiveDevice = CELL, **changes: Any) -> LineCircuit:
    return _array(**changes).circuit(device)


def _conductances(*shape: int, seed: int = 0) -> Floats:
    return 10 ** np.random.default_rng(seed).uniform(-6, -4, shape)


def test_settings() -> None:
    array = _array(driver_Ohm="1 kOhm", drive="two_sided", gated=True, calibration="column")
    assert (array.word_line_Ohm, array.bit_line_Ohm, array.driver_Ohm, array.sense_Ohm) == (2.0, 3.0, 1000.0, 0.0)
    plain = _array().circuit(CELL)
    assert plain.is_linear
    assert plain.wires == (2.0, 3.0, 0.0, 0.0, False)
    assert not _circuit(gated=True).is_linear
    assert not _circuit(CURVED).is_linear
    assert _circuit(CURVED).curvature_rel == 0.1 / 0.2
    assert array.unused(CURVED) == ()


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"word_line_Ohm": 0}, "word_line_Ohm: must be more than 0"),
        ({"bit_line_Ohm": "-1 Ohm"}, "bit_line_Ohm: must be more than 0"),
        ({"driver_Ohm": -1}, "driver_Ohm: must be 0 or more"),
        ({"sense_Ohm": "3 V"}, "sense_Ohm: 'V' is a voltage"),
        ({"word_line_Ohm": None}, "word_line_Ohm: must be a resistance"),
        ({"drive": "both"}, "drive: must be one of one_sided, two_sided"),
        ({"gated": "yes"}, "gated: "),
        ({"calibration": "rows"}, "calibration: must be one of none, column, row_and_column"),
        ({"word_line": 1}, "word_line: "),
    ],
)
def test_each_wrong_setting_is_one_problem(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _array(**wrong)
    assert len(caught.value.problems) == 1
    assert rule in str(caught.value)


def test_both_resistances_are_needed() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(IrDropArray, from_data(SIZE, "array"))
    assert len(caught.value.problems) == 2


def test_a_device_without_conductances_is_a_problem_of_the_chip() -> None:
    with pytest.raises(ValueError, match="needs the cell's conductances"):
        _array().cost(LevelsDevice(cell_bits=2))
    crossbar = {**SIZE, "kind": "ir_drop", "word_line_Ohm": 1, "bit_line_Ohm": 1}
    with pytest.raises(ConfigError, match=r"crossbar\.kind: needs the cell's conductances"):
        xbar.load_chip("generic_1t1r", {"crossbar": crossbar, "device": {"kind": "levels", "cell_bits": 2}})
    chip = xbar.load_chip("generic_1t1r", {"crossbar": crossbar, "device.sinh_V": 0.5})
    assert chip.is_analog
    with pytest.raises(ConfigError, match=r"needs device\.sinh_V to be at least 0\.004 V"):
        xbar.load_chip("generic_1t1r", {"crossbar": crossbar, "device.sinh_V": 0.003})


def test_costs_what_the_cells_cost() -> None:
    ohmic = validate(OhmicArray, from_data(SIZE, "array"))
    assert _array(sense_Ohm=100).cost(CELL) == ohmic.cost(CELL)
    assert _array().event == ohmic.event


def test_currents_are_drives_times_the_operator_where_the_circuit_is_linear() -> None:
    g_S, drive = _conductances(20, 30), np.random.default_rng(1).random((5, 20))
    circuit = _circuit(drive="two_sided", driver_Ohm=50, sense_Ohm=20)
    np.testing.assert_allclose(circuit.currents_S(g_S, drive), drive @ circuit.effective_S(g_S), rtol=1e-13)
    several = _conductances(2, 3, 20, 30)
    assert np.array_equal(circuit.effective_S(several)[1, 2], circuit.effective_S(several[1, 2]))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("drive", ["one_sided", "two_sided"])
@pytest.mark.parametrize("device", [CELL, CURVED])
def test_word_lines_draw_what_the_drivers_deliver(device: ResistiveDevice, drive: str, gated: bool) -> None:
    """Voltage times current of the drivers at both ends: all of it where all word lines are driven alike, a lower
    estimate where not, since lines at 0 V draw from the others, or leave the bit lines to them."""
    g_S, rng = _conductances(20, 30), np.random.default_rng(3)
    circuit = _circuit(device, drive=drive, gated=gated, driver_Ohm=50, sense_Ohm=20)
    line_S = circuit.wired(g_S).line_S

    def delivered_S(drive_rel: np.ndarray) -> float:
        current_S = circuit.nodes(g_S, drive_rel).word_line_S
        return float(drive_rel @ (current_S[:, 0] - current_S[:, -1]))

    assert line_S.sum() == approx(delivered_S(np.ones(20)), rel=1e-8)
    for _ in range(5):
        half = (rng.random(20) < 0.5).astype(np.float64)
        assert 0.9 < half @ line_S / delivered_S(half) < 1
    assert line_S.sum() < 0.99 * circuit.read_gain * g_S.sum()


def test_gains_of_columns_take_no_power_and_factors_of_rows_do() -> None:
    g_S = _conductances(20, 30)
    plain, column, both = (_circuit(calibration=c).wired(g_S) for c in ("none", "column", "row_and_column"))
    assert not np.allclose(plain.effective_S, column.effective_S, rtol=1e-3, atol=0)
    np.testing.assert_array_equal(plain.line_S, column.line_S)
    gain = both.effective_S / plain.effective_S  # row factor (mean 1) times column gain
    drive = gain[:, 0] / gain[:, 0].mean()
    np.testing.assert_allclose(both.line_S, plain.line_S * drive**2, rtol=1e-12)


@pytest.mark.parametrize("device", [CELL, CURVED])
@pytest.mark.parametrize("calibration", ["none", "column", "row_and_column"])
def test_the_operator_of_other_circuits_is_that_of_all_word_lines_driven(
    device: ResistiveDevice, calibration: str
) -> None:
    g_S = _conductances(20, 30)
    circuit = _circuit(device, gated=True, sense_Ohm=20, calibration=calibration)
    found = circuit.currents_S(g_S, np.ones((1, 20)))[0]
    if device is CELL or calibration != "row_and_column":  # factors of rows change the voltages that curve
        np.testing.assert_allclose(found, circuit.effective_S(g_S).sum(axis=0), rtol=1e-9)
    straight = _circuit(CELL, sense_Ohm=20, calibration=calibration)
    same = np.allclose(circuit.effective_S(g_S), straight.effective_S(g_S), rtol=1e-12, atol=0)
    assert same == (device is CELL)


def test_gated_cells_leave_their_columns() -> None:
    """A word line at 0 V is a path for sneak currents; its cells switched off, the others carry more."""
    g_S, drive = _conductances(20, 30), (np.random.default_rng(1).random((4, 20)) < 0.5) * 1.0
    gated = _circuit(gated=True).currents_S(g_S, drive)
    for vector, found in zip(drive, gated, strict=True):
        rows = vector > 0
        word, bit = nodes_plain(g_S * rows[:, None], _circuit().wires, vector, None)
        np.testing.assert_allclose(found, (g_S * rows[:, None] * (word - bit)).sum(axis=0), rtol=1e-9)
    assert (gated > _circuit().currents_S(g_S, drive)).all()
    assert (gated < drive @ g_S).all()


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 20), cols=st.integers(1, 20), seed=st.integers(0, 99), gated=st.booleans(),
    curved=st.booleans(), drive=st.sampled_from(["one_sided", "two_sided"]),
)  # fmt: skip
def test_maps_obey_kirchhoff(rows: int, cols: int, seed: int, gated: bool, curved: bool, drive: str) -> None:
    g_S, rng = _conductances(rows, cols, seed=seed), np.random.default_rng(seed)
    drive_rel = rng.random(rows) * (rng.random(rows) < 0.7)
    circuit = _circuit(CURVED if curved else CELL, drive=drive, gated=gated, driver_Ohm=30, sense_Ohm=10)
    nodes, wires = circuit.nodes(g_S, drive_rel), circuit.wires
    tight = {"rtol": 1e-9, "atol": 1e-11 * max(nodes.cell_S.max(), 1e-12)}
    np.testing.assert_allclose(nodes.word_line_S[:, :-1] - nodes.word_line_S[:, 1:], nodes.cell_S, **tight)
    above = np.concatenate([np.zeros((1, cols)), nodes.bit_line_S[:-1]])
    np.testing.assert_allclose(nodes.bit_line_S - above, nodes.cell_S, **tight)
    np.testing.assert_allclose(nodes.bit_line_S[-1], circuit.currents_S(g_S, drive_rel[None])[0], **tight)
    assert drive == "two_sided" or (nodes.word_line_S[:, -1] == 0).all()
    # Ohm: over each segment, and over each cell that conducts
    volts = np.concatenate([drive_rel[:, None], nodes.word_rel, drive_rel[:, None]], axis=1)
    ohm = np.full(cols + 1, wires.word_Ohm)
    ohm[[0, -1]] += wires.driver_Ohm
    inner = slice(None) if drive == "two_sided" else slice(cols)
    np.testing.assert_allclose((-np.diff(volts) - ohm * nodes.word_line_S)[:, inner], 0, atol=1e-12)
    across = nodes.word_rel - nodes.bit_rel
    law = g_S * (circuit.curvature_rel * np.sinh(across / circuit.curvature_rel) if circuit.curvature_rel else across)
    np.testing.assert_allclose(nodes.cell_S, law * (drive_rel != 0)[:, None] if gated else law, rtol=1e-8, atol=1e-15)
    assert nodes == circuit.nodes(g_S, drive_rel)
    assert nodes != circuit.nodes(g_S, drive_rel + 1)


def test_column_gains_are_the_least_squares_ones() -> None:
    """The gain of a column minimises its squared error: slightly more or less is worse."""
    g_S = _conductances(40, 25)
    plain, calibrated = _circuit().effective_S(g_S), _circuit(calibration="column").effective_S(g_S)
    gain = calibrated[0] / plain[0]
    np.testing.assert_allclose(calibrated, plain * gain, rtol=1e-12)
    np.testing.assert_allclose((calibrated * (calibrated - g_S)).sum(axis=0), 0, atol=1e-12 * (g_S**2).sum())
    drive = np.random.default_rng(1).random((3, 40))
    currents = _circuit(calibration="column").currents_S(g_S, drive)
    np.testing.assert_allclose(currents, _circuit().currents_S(g_S, drive) * gain, rtol=1e-12)


@pytest.mark.parametrize("drive", ["one_sided", "two_sided"])
def test_calibration_takes_away_most_of_the_error(drive: str) -> None:
    g_S = np.random.default_rng(0).uniform(1e-5, 1e-4, (64, 64))
    errors = []
    for calibration in ("none", "column", "row_and_column"):
        effective = _circuit(drive=drive, calibration=calibration).effective_S(g_S)
        errors.append(np.sqrt(((effective - g_S) ** 2).mean()))
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.5 * errors[1]


@pytest.mark.parametrize("calibration", ["column", "row_and_column"])
def test_curved_cells_are_calibrated_to_their_conductances_at_the_read_voltage(calibration: str) -> None:
    g_S = np.random.default_rng(0).uniform(1e-6, 1e-5, (20, 20))
    circuit = _circuit(CURVED, calibration=calibration)
    assert circuit.read_gain == approx(np.sinh(2) / 2)
    np.testing.assert_allclose(circuit.effective_S(g_S), g_S * circuit.read_gain, rtol=0.02)
    np.testing.assert_allclose(
        circuit.currents_S(g_S, np.ones((1, 20)))[0], g_S.sum(axis=0) * np.sinh(2) / 2, rtol=0.01
    )


def test_row_factors_and_gains_cannot_be_bettered_alone() -> None:
    g_S = np.random.default_rng(0).uniform(1e-5, 1e-4, (30, 40))
    effective = _circuit(calibration="row_and_column").effective_S(g_S)
    for axis in (0, 1):
        best = (effective * g_S).sum(axis=axis) / (effective**2).sum(axis=axis)
        np.testing.assert_allclose(best, 1, atol=1e-9)
    factors = _circuit(calibration="row_and_column").nodes(g_S, np.ones(30))
    drive = factors.word_rel[:, 0] + 2.0 * factors.word_line_S[:, 0]
    assert drive.mean() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("device", [CELL, CURVED])
@pytest.mark.parametrize("calibration", ["none", "row_and_column"])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e-20])
def test_devices_that_are_off_give_finite_answers(
    scale: float, gated: bool, calibration: str, device: ResistiveDevice
) -> None:
    g_S, drive = scale * _conductances(6, 5), np.array([[1.0, 0, 1, 0, 1, 1], [0.0] * 6])
    circuit = _circuit(device, gated=gated, calibration=calibration)
    effective, currents, nodes = circuit.effective_S(g_S), circuit.currents_S(g_S, drive), circuit.nodes(g_S, drive[0])
    for found in (effective, currents, nodes.word_rel, nodes.bit_rel, nodes.cell_S):
        assert np.isfinite(found).all()
    assert (currents[1] == 0).all()
    assert (currents[0] > 0).all() == (scale > 0)
    if scale and device is CELL:
        np.testing.assert_allclose(currents, drive @ g_S, rtol=1e-6)


def test_columns_and_rows_that_are_off_keep_a_gain_of_one() -> None:
    g_S = _conductances(10, 8)
    g_S[:, 3], g_S[4] = 0, 0
    effective = _circuit(calibration="row_and_column").effective_S(g_S)
    assert np.isfinite(effective).all()
    assert (effective[:, 3] == 0).all()
    assert (effective[4] == 0).all()


@pytest.mark.parametrize("wrong", [-1e-6, np.nan, np.inf])
def test_impossible_conductances_are_named(wrong: float) -> None:
    g_S = _conductances(4, 4)
    g_S[1, 2] = wrong
    for circuit in (_circuit(), _circuit(gated=True)):
        for ask in (circuit.effective_S, lambda g: circuit.currents_S(g, np.ones((1, 4)))):  # noqa: B023
            with pytest.raises(DataError, match="g_S: conductances must be finite and not negative, got"):
                ask(g_S)


def test_currents_that_cannot_be_found_are_named() -> None:
    g_S = 1e7 * _conductances(40, 40)
    with pytest.raises(ConvergenceError, match="currents of 2 of 2 input vectors cannot be found within 1e-10"):
        _circuit(gated=True).currents_S(g_S, np.ones((2, 40)))
