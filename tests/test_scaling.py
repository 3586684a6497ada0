"""Chips in other technologies."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from close import approx
from hypothesis import given, settings
from hypothesis import strategies as st
from small import small_chip

from xbar.errors import ConfigError
from xbar.hardware import Chip, LedgerRow, list_chips, load_chip
from xbar.parts.adc.survey import SurveyAdc
from xbar.scaling import NODES, adc_scale, cmos_scale, scaled, scaling_notes

# Stillmaker and Baas 2017: area factors from the row's node to the column's, as printed
AREA = """
        180  130   90   65    45    32    20    16     14     10      7
180       1 0.34 0.15 0.08 0.053 0.025 0.011  0.01 0.0093 0.0055 0.0032
130     2.9    1 0.44 0.23  0.16 0.072 0.033  0.03  0.027  0.016 0.0092
90      6.6  2.3    1 0.53  0.35  0.16 0.075 0.067  0.061  0.036  0.021
65       12  4.3  1.9    1  0.66  0.31  0.14  0.13   0.12  0.068  0.039
45       19  6.4  2.8  1.5     1  0.46  0.21  0.19   0.17    0.1  0.059
32       40   14  6.1  3.3   2.2     1  0.46  0.41   0.38   0.22   0.13
20       88   30   13  7.1   4.7   2.2     1  0.89   0.82   0.48   0.28
16       99   34   15  7.9   5.3   2.4   1.1     1   0.91   0.54   0.31
14      110   37   16  8.7   5.8   2.7   1.2   1.1      1   0.59   0.34
10      180   63   28   15   9.8   4.5   2.1   1.9    1.7      1   0.58
7       320  110   48   25    17   7.8   3.6   3.2    2.9    1.7      1
"""
# the same paper's power of the same circuits, coefficients of the supply voltage
POWER = {
    130: (27020, -15450, 5630), 90: (17320, -11230, 4328), 65: (12890, -10510, 4362), 45: (5462, -1760, 522.4),
    32: (4001, -1733, 533.6), 20: (2922, -1286, 299.9), 16: (2133, -882.6, 197.7), 14: (1675, -711, 159),
    10: (1456, -621.6, 143.8), 7: (1179, -515.7, 123.4),
}  # fmt: skip
CHIPS = {name: load_chip(name) for name in list_chips()}
nodes_nm = st.sampled_from([*NODES, 150, 40, 28, 22, 12])


def _digits(value: float) -> float:
    """Rounded to two digits, half upwards, as the paper prints."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.floor(value / unit + 0.5) * unit


def test_areas_are_the_published_factors():
    header, *rows = [line.split() for line in AREA.strip().splitlines()]
    assert [float(n) for n in header] == list(NODES) == [float(row[0]) for row in rows]
    for row in rows:
        for column, printed in zip(header, row[1:], strict=True):
            factor = cmos_scale(float(row[0]) * 1e-9, float(column) * 1e-9).area_rel
            assert _digits(factor) == approx(float(printed)), (row[0], column)


def test_the_papers_worked_example():
    """65 nm at 1.3 V to 32 nm at 0.9 V, as its erratum has it: 0.4571 / 2.604 = 0.1755."""
    new, old = NODES[32].energy(0.9), NODES[65].energy(1.3)
    assert round(new, 4) == 0.4571
    assert round(old, 3) == 2.604
    assert round(round(new, 4) / round(old, 3), 4) == 0.1755


def test_energies_agree_with_the_powers_of_the_same_paper():
    """Power over energy is one rate for all planar nodes, and one for all with fins: no coefficient is mistyped."""
    rate = {}
    for nm, (a, b, c) in POWER.items():
        v = NODES[nm].supply_V
        rate[nm] = (a * v * v + b * v + c) / NODES[nm].energy(v)
    planar = [rate[nm] for nm in (130, 90, 65, 45, 32)]
    fins = [rate[nm] for nm in (20, 16, 14, 10, 7)]
    assert max(planar) / min(planar) < 1.04
    assert max(fins) / min(fins) < 1.1


def test_figures_fall_from_node_to_node():
    for old, new in pairwise(NODES.values()):
        assert new.area < old.area
        assert 0 < new.energy(new.supply_V) < old.energy(old.supply_V)
        assert new.delay(new.supply_V) > 0
    slower = [nm for nm, after in pairwise(NODES) if cmos_scale(nm * 1e-9, after * 1e-9).time_rel > 1]
    assert slower == [32]  # as published: the model of 20 nm is a new one, with fins


def test_a_part_by_hand():
    """ISAAC's shift-and-add, 32 to 16 nm: 60 um2 x 0.41057; 0.138499 / 0.457113 of the energy; rate x 8.357 / 6.396."""
    energy_rel = (0.2958 * 0.85**2 - 0.1241 * 0.85 + 0.03024) / (0.8367 * 0.9**2 - 0.4341 * 0.9 + 0.1701)
    time_rel = (24.8 * 0.85**2 - 47.52 * 0.85 + 28.87) / (-1047 * 0.9**3 + 2982 * 0.9**2 - 2797 * 0.9 + 873.5)
    chip = CHIPS["isaac_isca_2016"]
    old, new = (c.core.parts["shift and add"].cost() for c in (chip, scaled(chip, 16e-9)))
    assert new.area_m2 == approx(60e-12 * 0.41057)
    assert new.energy_J == approx(0.05e-3 / 2.56e9 * energy_rel)
    assert new.latency_s == approx(time_rel / 2.56e9)
    assert new.power_W == approx(old.power_W * energy_rel / time_rel)


def test_between_two_nodes_figures_lie_on_a_line_of_logarithms():
    middle_m = math.sqrt(32 * 20) * 1e-9
    here, to = cmos_scale(32e-9, middle_m), cmos_scale(32e-9, 20e-9)
    for name in ("area_rel", "energy_rel", "time_rel", "leakage_rel"):
        assert getattr(here, name) == approx(math.sqrt(getattr(to, name)), rel=1e-6)
    assert cmos_scale(32e-9, 22e-9).note.endswith("by Stillmaker and Baas 2017 (22 nm interpolated)")
    assert cmos_scale(28e-9, 22e-9).note.endswith("(28 nm and 22 nm interpolated)")
    assert "interpolated" not in to.note


@pytest.mark.parametrize("bits", [4, 6, 8, 12])
@pytest.mark.parametrize("rate_Hz", [1e6, 1.28e9])
def test_converters_follow_the_survey_law_at_their_bits_and_rate(bits: int, rate_Hz: float):
    old, new = (SurveyAdc(bits=bits, rate_Hz=rate_Hz, technology_m=m).cost(bits) for m in (32e-9, 7e-9))
    by = adc_scale(32e-9, 7e-9)
    assert by.energy_rel == approx(new.energy_J / old.energy_J)
    assert by.area_rel == approx(new.area_m2 / old.area_m2)
    assert by.time_rel == 1


def test_a_survey_converter_gets_the_node():
    chip = load_chip(
        "isaac_isca_2016", {"adc": {"kind": "survey", "bits": 8, "rate_Hz": 1.28e9, "technology_m": "32 nm"}}
    )
    adc = scaled(chip, "14 nm").adc
    assert isinstance(adc, SurveyAdc)
    assert adc.cost(8) == SurveyAdc(bits=8, rate_Hz=1.28e9, technology_m=14e-9).cost(8)
    assert adc.source.endswith("scaled from 32 nm to 14 nm by the ADC survey law, Andrulis et al., arXiv 2404.06553, "
                               "conversion time kept")  # fmt: skip
    other = load_chip(
        "isaac_isca_2016", {"adc": {"kind": "survey", "bits": 8, "rate_Hz": 1e9, "technology_m": "65 nm"}}
    )
    assert scaled(other, 16e-9).adc.technology_m == approx(32.5e-9)
    with pytest.raises(ValueError, match="must begin with 'ADC survey law"):
        SurveyAdc(bits=8, rate_Hz=1e9, technology_m=32e-9, source="mine")


def test_an_ideal_converter_stays_free():
    chip = small_chip(adc={"kind": "ideal"}, technology_m=32e-9)
    assert scaled(chip, 7e-9).adc == chip.adc


def _figures(row: LedgerRow) -> list[float]:
    cost = row.cost
    energies = [joules for _, joules in row.energies]
    return [row.count_per_chip, cost.area_m2, cost.power_W, cost.energy_J, cost.latency_s, cost.leakage_W, *energies]


@pytest.mark.parametrize("name", CHIPS)
def test_every_part_says_what_was_done_to_it(name: str):
    chip = CHIPS[name]
    new = scaled(chip, "22 nm")
    for old, row in zip(chip.ledger(), new.ledger(), strict=True):
        note = row.source.removeprefix(old.source).removeprefix("; ")
        events = {event for event, _ in row.energies}
        if row.part == "array" or events == {"offchip_bits"}:
            assert note.startswith("not scaled with the technology: ")
            assert _figures(row) == _figures(old)
        elif row.part == "adc":
            assert "to 22 nm by the ADC survey law" in note
            assert row.cost.latency_s == old.cost.latency_s
        else:
            assert "to 22 nm by Stillmaker and Baas 2017 (22 nm interpolated)" in note
            assert note.endswith("leakage as power (assumed)") == (row.cost.leakage_W > 0)
            assert row.cost.area_m2 < old.cost.area_m2 or old.cost.area_m2 == 0
    assert "cells do not follow CMOS" in new.device.source
    assert new.device.levels_rel().tolist() == chip.device.levels_rel().tolist()
    assert new.technology_m == 22e-9
    assert str(new).startswith(f"{name} at 22 nm: ")
    slower = max(1.0, cmos_scale(chip.technology_m, 22e-9).time_rel)  # of what takes the codes
    assert chip.pulse_time_s <= new.pulse_time_s <= chip.pulse_time_s * slower * (1 + 1e-9)
    assert new.scaled_from_m == chip.technology_m
    assert "to 22 nm by Stillmaker and Baas 2017 (22 nm interpolated)" in scaling_notes(new)[0]
    assert scaling_notes(chip) == scaling_notes(scaled(new, chip.technology_m)) == ()
    assert Chip.from_dict(new.to_dict()) == new


@pytest.mark.parametrize("name", CHIPS)
def test_the_own_node_changes_nothing(name: str):
    assert scaled(CHIPS[name], CHIPS[name].technology_m) == CHIPS[name]


@settings(deadline=None)
@given(st.sampled_from(sorted(CHIPS)), nodes_nm, nodes_nm)
def test_there_and_back(name: str, first: float, second: float):
    """By any way, the figures are those of the node alone."""
    chip = CHIPS[name]
    home = scaled(scaled(scaled(chip, first * 1e-9), second * 1e-9), chip.technology_m)
    for old, new in zip(chip.ledger(), home.ledger(), strict=True):
        assert _figures(new) == approx(_figures(old), rel=1e-9)
    assert home.name in (chip.name, f"{chip.name} at {chip.technology_m * 1e9:g} nm")
    direct, detour = scaled(chip, second * 1e-9), scaled(scaled(chip, first * 1e-9), second * 1e-9)
    assert detour.area_m2 == approx(direct.area_m2, rel=1e-9)
    assert detour.peak_power_W == approx(direct.peak_power_W, rel=1e-9)


@pytest.mark.parametrize(
    ("technology", "message"),
    [
        (5e-9, "must be from 7 nm to 180 nm to be scaled: Stillmaker and Baas 2017 give 180, 130, 90, 65, 45, 32, 20"),
        ("0.25 um", "got 250 nm; choose a node in between"),
        (-1.0, "must be from 7 nm to 180 nm"),
        ("20 pJ", "technology_m: 'pJ' is an energy; write a length in m, got 20 pJ; for example 20 nm"),
        (math.nan, "must be a length that is finite"),
        ("small", "technology_m: must be a length"),
    ],
)
def test_nodes_that_nothing_was_published_for(technology: float | str, message: str):
    with pytest.raises(ConfigError) as caught:
        scaled(CHIPS["isaac_isca_2016"], technology)
    assert len(caught.value.problems) == 1
    assert message in caught.value.problems[0]


def test_a_chip_of_a_node_that_nothing_was_published_for():
    with pytest.raises(ConfigError, match="got 3 nm"):
        scaled(small_chip(technology_m="3 nm"), "20 nm")
