"""How cells are written, as YAML says it."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import pytest

from xbar.errors import ConfigError
from xbar.hardware import Chip, load_chip
from xbar.parts.write_pulses import WritePulses

WRITTEN = {"pulse_s": "50 ns", "voltage_V": "1.6 V", "parallel": "row"}


def test_the_generic_chip_says_how_its_cells_are_written():
    chip = load_chip("generic_1t1r")
    pulses = chip.device.programming
    assert isinstance(pulses, WritePulses)
    assert (pulses.pulse_s, pulses.voltage_V, pulses.pulses, pulses.endurance) == (50e-9, 1.6, 10, 1e6)
    assert pulses.verify
    assert "Wu et al., VLSI 2018" in pulses.source
    assert Chip.from_dict(chip.to_dict()) == chip


@pytest.mark.parametrize("name", ["isaac_isca_2016", "puma_asplos_2019", "neurram_nature_2022"])
def test_published_chips_that_print_nothing_say_nothing(name: str):
    assert load_chip(name).device.programming is None


def test_a_cell_without_physics_takes_an_energy():
    wrong = {"device.programming": WRITTEN}
    with pytest.raises(
        ConfigError, match=r"needs the cell's conductances, which this kind does not have, got 1\.6 V; give"
    ):
        load_chip("isaac_isca_2016", wrong)
    right = {"device.programming": {"pulse_s": "50 ns", "energy_J": "1 pJ", "parallel": "row"}}
    pulses = load_chip("isaac_isca_2016", right).device.programming
    assert pulses is not None
    assert (pulses.energy_J, pulses.pulses, pulses.verify, pulses.endurance) == (1e-12, 1, False, None)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "voltage_V: 1.6 V",
            "energy_J: 1 pJ\n    voltage_V: 1.6 V",
            "voltage_V: give either voltage_V (of a pulse) or",
        ),
        ("    voltage_V: 1.6 V", "    # none", "programming.voltage_V: give either"),
        ("pulse_s: 50 ns", "pulse_s: 0 ns", "pulse_s: must be more than 0, got 0 ns"),
        ("    pulse_s: 50 ns", "    # none", "programming.pulse_s: is needed; add it"),
        (
            "parallel: row",
            "parallel: rows",
            "parallel: must be one of cell, row, crossbar, got rows; did you mean row?",
        ),
        ("pulses: 10", "pulses: 0.5", "pulses: must be 1.0 or more, got 0.5"),
        ("verify: true", "verify: 1", "verify: must be true or false, got 1"),
        (
            "endurance: 1.0e+6",
            "endurance: 9",
            "endurance: must not be below pulses (10), which write a cell once, got 9",
        ),
        ("endurance: 1.0e+6", "endurance: .inf", "endurance: must be a finite number"),
        ("endurance: 1.0e+6", "endurence: 1e6", "endurence: unknown setting, got 1000000.0; did you mean endurance?"),
    ],
)
def test_mistakes_are_told_by_their_line(old: str, new: str, problem: str, tmp_path: Path):
    text = (importlib.resources.files("hw_configs") / "generic_1t1r.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_chip(file)
    (told,) = caught.value.problems
    assert problem in told
    where, _, _ = told.removeprefix(f"{file}:").partition(":")
    lines = file.read_text(encoding="utf-8").splitlines()
    section = next(n for n, line in enumerate(lines, 1) if line.startswith("  programming:"))
    named = problem.split(":")[0].rpartition(".")[2]
    written = [n for n, line in enumerate(lines, 1) if line.strip().startswith(f"{named}:")]
    assert int(where) == (written[0] if written else section)


def test_both_energies_are_one_too_many():
    settings: dict[str, Any] = {**WRITTEN, "energy_J": "1 pJ"}
    with pytest.raises(ConfigError, match=r"not both and not neither, got 1\.6 V"):
        load_chip("generic_1t1r", {"device.programming": settings})
