"""NeuRRAM, Wan et al., Nature 608, 504 (2022): measured energies, throughput and efficiency.

One energy per pulse and part, for all points; a signed b-bit input of the paper is max(1, b - 1) pulses.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from close import approx
from small import counted, small_network

import mapping
from xbar.cost import estimate
from xbar.cost.cycles import cycles
from xbar.hardware import Chip, load_chip
from xbar.result import Report

# (output bits, input bits): fJ per operation of word line, neuron, input drivers
PARTS = {(3, 1): (9.0, 10.6, 3.4), (8, 6): (37.2, 52.5, 19.2), (10, 8): (50.5, 75.9, 27.5)}
# (output bits, input bits, phases): TOPS, TOPS/W
POINTS = {
    (3, 1, 1): (2.122, 43.08),
    (4, 2, 1): (1.793, 40.33),
    (5, 3, 1): (1.165, 23.09),
    (6, 4, 1): (0.744, 15.95),
    (7, 5, 1): (0.452, 11.33),
    (8, 6, 1): (0.261, 9.12),
    (7, 5, 2): (0.525, 11.03),
    (8, 6, 2): (0.418, 8.26),
    (9, 7, 2): (0.344, 7.75),
    (10, 8, 2): (0.264, 6.44),
}


def _chip(output_bits: int, input_bits: int) -> Chip:
    n_pulses = max(1, input_bits - 1)
    return load_chip("neurram_nature_2022", {"adc.bits": output_bits, "precision.input_bits": n_pulses})


def _energy_fJ(chip: Chip) -> dict[str, float]:
    """Energy per operation by part, for one full matrix-vector product of a core; two operations per weight."""
    rows, cols, n_pulses = chip.crossbar.rows, chip.crossbar.cols, chip.n_pulses
    counts = {"row_pulses": rows * n_pulses, "conversions": cols * n_pulses, "array_reads": n_pulses}
    n_ops = 2 * rows * cols / chip.n_planes
    return {
        row.part: sum(counts[event] * joules for event, joules in row.energies) / n_ops * 1e15 for row in chip.ledger()
    }


@pytest.mark.parametrize("point", PARTS)
def test_energy_by_part(point: tuple[int, int]) -> None:
    energy = _energy_fJ(_chip(*point))
    word_line, neuron, drivers = PARTS[point]
    assert energy["word line"] == approx(word_line, rel=0.15)
    assert energy["adc"] == approx(neuron, rel=0.15)
    assert energy["dac"] == approx(drivers, rel=0.15)
    assert sum(energy.values()) == approx(sum(PARTS[point]), rel=0.05)


@pytest.mark.parametrize("point", POINTS)
def test_efficiency_at_all_published_points(point: tuple[int, int, int]) -> None:
    energy_fJ = sum(_energy_fJ(_chip(*point[:2])).values())
    assert 1e3 / energy_fJ == approx(POINTS[point][1], rel=0.15)


def _time_s(input_bits: int, phases: int) -> float:
    """Time of a product: 1.18 us per phase, and 0.378 us for each of 2^m steps, m the magnitude bits of the phase."""
    magnitude_bits = input_bits - 1
    halves = [magnitude_bits] if phases == 1 else [magnitude_bits // 2, magnitude_bits - magnitude_bits // 2]
    return sum(1.18e-6 + 0.378e-6 * 2**m for m in halves)


@pytest.mark.parametrize("point", POINTS)
def test_one_law_of_time_holds_all_ten_throughputs(point: tuple[int, int, int]) -> None:
    """Two constants for ten points; operations of a core are its cells."""
    assert 48 * 256 * 256 / _time_s(*point[1:]) / 1e12 == approx(POINTS[point][0], rel=0.115)


@pytest.mark.parametrize("point", [point for point in POINTS if point[:2] not in ((7, 5), (8, 6)) or point[2] == 1])
def test_the_chip_keeps_that_law(point: tuple[int, int, int]) -> None:
    chip = _chip(*point[:2])
    assert chip.n_pulses * chip.pulse_time_s == approx(_time_s(*point[1:]), rel=1e-6)
    assert chip.peak_ops_per_s / 1e12 == approx(POINTS[point][0], rel=0.115)


@cache
def _report(point: tuple[int, int, int]) -> Report:
    """Four products of a layer of 256 x 6144 weights, which fills all cells of the 48 cores, at a published point.

    The file's time is that of one phase where a point was measured with both; with two, it is that of the same law.
    """
    chip = _chip(*point[:2])
    points = [dict(row) for row in chip.to_dict()["adc"]["points"]]
    for row in points:
        if row["bits"] == point[0]:
            row["time_s"] = _time_s(*point[1:]) / chip.n_pulses
    n_pulses = chip.n_pulses
    chip = load_chip(
        "neurram_nature_2022", {"adc.bits": point[0], "precision.input_bits": n_pulses, "adc.points": points}
    )
    program = mapping.compile(small_network([np.full((6144, 256), 7, np.int32)], input_bits=n_pulses), chip)
    assert [(b.core, b.n_rows, b.n_cols) for b in program.layers[0].blocks] == [(core, 256, 256) for core in range(48)]
    return estimate(program, counted(program), cycles(program, 4))


@pytest.mark.parametrize("point", POINTS)
def test_a_full_layer_through_program_and_cycles(point: tuple[int, int, int]) -> None:
    """Published throughput is that of full arrays in steady state, as here: a cell is an operation (half of a
    multiply-accumulate, since a weight is a pair of cells), and nothing outside of the arrays takes time."""
    metrics = _report(point).metrics()
    assert metrics["tops"] == approx(48 * 256 * 256 / _time_s(*point[1:]) / 1e12, rel=1e-6)
    assert metrics["tops"] == approx(POINTS[point][0], rel=0.115)
    assert metrics["tops_per_W"] == approx(POINTS[point][1], rel=0.115)


def test_mean_error_of_throughput_and_efficiency_over_all_points() -> None:
    """At most 15 % with one set of constants: an energy per pulse and part, and two constants of time."""
    found = [_report(point).metrics() for point in POINTS]
    tops, tops_per_W = np.array(list(POINTS.values())).T
    errors = {
        "TOPS": np.array([m["tops"] for m in found]) / tops - 1,
        "TOPS/W": np.array([m["tops_per_W"] for m in found]) / tops_per_W - 1,
    }
    for name, error in errors.items():
        print(f"{name}: mean error {np.abs(error).mean():.1%}, worst {np.abs(error).max():.1%}")
        assert np.abs(error).mean() <= 0.15
    assert np.abs(errors["TOPS"]).mean() == pytest.approx(0.061, abs=0.001)
    assert np.abs(errors["TOPS/W"]).mean() == pytest.approx(0.042, abs=0.001)


def test_shares_of_the_area_are_inputs_given_back() -> None:
    """The areas of neurons and drivers were computed from their shares; nothing but the cells' size sets the scale."""
    chip = load_chip("neurram_nature_2022")
    share = {row.part: row.count_per_chip * row.cost.area_m2 / chip.area_m2 for row in chip.ledger()}
    assert share["adc"] == pytest.approx(0.28, abs=0.005)
    assert share["dac"] + share["word line"] == pytest.approx(0.21, abs=0.005)
    assert share["array"] == pytest.approx(0.12, abs=0.005)


def test_area_follows_from_cells_of_16_f2() -> None:
    """No input: the sum of all parts, from the number of cells and their size alone."""
    cells_m2 = 48 * 256 * 256 * 16 * (130e-9) ** 2
    assert load_chip("neurram_nature_2022").area_m2 == approx(cells_m2 / 0.12, rel=1e-3)


def test_energy_is_the_same_whatever_the_adc_bits() -> None:
    """No input: what ten points of (output, input) bits share is one energy per pulse, so TOPS/W goes with pulses."""
    first, last = (sum(_energy_fJ(_chip(*point)).values()) for point in ((4, 2), (10, 8)))
    assert last == approx(7 * first)


def test_reports_say_what_is_not_modelled() -> None:
    adc = load_chip("neurram_nature_2022").adc
    assert (
        "every pulse is digitised here, while the chip integrates all pulses and converts once per output" in adc.source
    )
    assert "are too good" in adc.source


def test_what_the_chip_is() -> None:
    chip = load_chip("neurram_nature_2022")
    assert chip.tile.cores * chip.chip.tiles * chip.core.crossbars == 48
    assert (chip.crossbar.rows, chip.crossbar.cols, chip.technology_m) == (256, 256, 130e-9)
    assert chip.adc.mode == "range"
