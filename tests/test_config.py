"""The loader: lines, numbers, duplicates, and every problem at once in our own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from close import approx
from pydantic import Field

from xbar.config import from_data, load_yaml, validate
from xbar.errors import ConfigError
from xbar.hardware import Chip, chip_document, load_chip
from xbar.settings import Settings
from xbar.units import Joule


class Inner(Settings):
    energy_J: Joule
    n_rows: int = Field(4, ge=1)
    flag: bool = False


class Outer(Settings):
    inner: Inner
    several: tuple[Inner, ...] = ()
    named: dict[str, Inner] = Field(default_factory=dict)


def _write(folder: Path, text: str) -> Path:
    path = folder / "chip.yaml"
    path.write_text(text)
    return path


def _problems(path: Path, overrides: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, load_yaml(path), overrides)
    return [problem.replace(str(path), "chip.yaml") for problem in caught.value.problems]


def test_reads_plain_exponents_as_numbers_and_keeps_lines(tmp_path: Path) -> None:
    document = load_yaml(_write(tmp_path, "inner:\n  energy_J: 1e-6\n  n_rows: 3\nseveral:\n  - energy_J: 2 pJ\n"))
    assert document.data["inner"]["energy_J"] == 1e-6
    assert document.lines["inner", "n_rows"] == 3
    assert document.lines["several", 0, "energy_J"] == 5
    value = validate(Outer, document)
    assert value.inner == Inner(energy_J=1e-6, n_rows=3)
    assert value.several[0].energy_J == 2e-12


@pytest.mark.parametrize("text", ["1e-3 mJ", "1e-6", "1e-6 J", "1.0E-6J"])
def test_a_number_with_an_exponent_may_have_a_unit(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, f"inner:\n  energy_J: {text}\n  n_rows: 3\n")
    assert validate(Outer, load_yaml(path)).inner.energy_J == approx(1e-6, rel=1e-12)
    assert validate(Outer, load_yaml(path), {"inner.energy_J": text}).inner.energy_J == approx(1e-6, rel=1e-12)


def test_lists_every_problem_with_its_line(tmp_path: Path) -> None:
    path = _write(tmp_path, "inner:\n  enrgy_J: 1 pJ\n  n_rows: 0\nnamed:\n  a:\n    energy_J: 1 pW\n    flag: maybe\n")
    assert sorted(_problems(path)) == [
        "chip.yaml:1: inner.energy_J: is needed; add it",
        "chip.yaml:2: inner.enrgy_J: unknown setting, got 1 pJ; did you mean energy_J?",
        "chip.yaml:3: inner.n_rows: must be 1 or more, got 0",
        "chip.yaml:6: named.a.energy_J: 'pW' is a power, got 1 pW; write an energy in J",
        "chip.yaml:7: named.a.flag: must be true or false, got maybe",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("inner: 3\n", "chip.yaml:1: inner: must be a section (lines of `key: value`), got 3"),
        ("inner: {energy_J: .nan}\n", "chip.yaml:1: inner.energy_J: must be an energy that is finite, got nan"),
        ("inner: {energy_J: -1 pJ}\n", "chip.yaml:1: inner.energy_J: must be 0 or more, got -1 pJ"),
        ("inner: {energy_J: 1, n_rows: 2.5}\n", "must be a whole number, got 2.5; write it without decimals"),
        ("inner: {energy_J: 1}\nseveral: 3\n", "chip.yaml:2: several: must be a list, got 3"),
        (
            "inner: {energy_J: 1}\nseveral: [{energy_J: 1, rows: 2}]\n",
            "several.0.rows: unknown setting, got 2; did you",
        ),
    ],
)
def test_one_wrong_value_gives_one_clear_line(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = _problems(_write(tmp_path, text))
    assert problem in found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "chip.yaml:3: a: appears twice, first in line 1; keep one of the two"),
        ("a: [1, 2\n", "is not valid YAML"),
        ("a: !!python/object:os.system {}\n", "is not valid YAML"),
        ("- 1\n", "chip.yaml:1: must be a mapping"),
        ("", "chip.yaml:1: must be a mapping"),
    ],
)
def test_broken_files_are_refused_with_their_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_yaml(_write(tmp_path, text))
    assert problem in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path / "absent.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_yaml(binary)


def test_overrides_replace_add_and_remove(tmp_path: Path) -> None:
    document = load_yaml(_write(tmp_path, "inner: {energy_J: 1 pJ, n_rows: 3}\nseveral: [{energy_J: 1}]\n"))
    overrides = {
        "inner.n_rows": "null",
        "inner.flag": "true",
        "several.0.energy_J": "2e-6",
        "named.x": "{energy_J: 3 pJ}",
        "inner.energy_J": 5e-12,
    }
    value = validate(Outer, document, overrides)
    assert value.inner == Inner(energy_J=5e-12, n_rows=4, flag=True)
    assert value.several[0].energy_J == 2e-6
    assert value.named["x"].energy_J == 3e-12
    assert document.data["inner"]["n_rows"] == 3


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("inner.n_row", "3", "--set inner.n_row: unknown setting, got 3; did you mean n_rows?"),
        ("inner.n_rows", "0", "--set inner.n_rows: must be 1 or more, got 0"),
        ("iner.n_rows", "0", "--set iner.n_rows: unknown setting; did you mean inner?"),
        ("inner.n_rows.x", "0", "--set inner.n_rows.x: has no setting below 'inner.n_rows', which is 3"),
        ("several.7.n_rows", "0", "--set several.7.n_rows: has no entry 7; the list 'several' has 1"),
        ("inner.flag", "null", "--set inner.flag: is not set, so that null cannot remove it"),
        ("inner.flag", "[", "--set inner.flag: is not a YAML value, got '['; quote it"),
        ("inner", "{energy_J: 1, x: 1}", "--set inner.x: unknown setting, got 1"),
        ("inner.energy_J", "null", "--set inner.energy_J: is needed; add it"),
    ],
)
def test_wrong_overrides_are_named_as_such(tmp_path: Path, path: str, text: str, problem: str) -> None:
    file = _write(tmp_path, "inner: {energy_J: 1 pJ, n_rows: 3}\nseveral: [{energy_J: 1}]\n")
    (found,) = _problems(file, {path: text})
    assert found.startswith(problem)


def test_problems_of_data_in_memory_name_its_origin() -> None:
    with pytest.raises(ConfigError, match=r"^program\.json: inner: is needed; add it$"):
        validate(Outer, from_data({}, "program.json"))


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"adc.bits": "0"}, "--set adc.bits: must be a whole number from 1 to 16"),
        ({"adc.bits": "[8, 8]"}, "--set adc.bits: needs one entry per slice, 8 in all"),
        ({"adc.bits": "true"}, "--set adc.bits: must be a whole number from 1 to 16"),
        ({"adc": "{kind: ideal, bits: 8}"}, "--set adc.bits: unknown setting with kind: ideal"),
        ({"adc.full_scale": "max"}, "--set adc.full_scale: has no effect with mode: clip"),
        ({"adc.mode": "range"}, "adc.full_scale: is needed with mode: range"),
        ({"adc.percentile": "99"}, "--set adc.percentile: has no effect without full_scale: percentile"),
        ({"adc.kind": "sarr"}, "--set adc.kind: must be a kind of Adc, got sarr; did you mean sar?"),
        ({"adc.kind": "null"}, "adc.kind: is needed; the kinds are ideal, sar, survey, table"),
        ({"adc.kind": "table"}, "adc.points: is needed"),
        ({"adc.source": "''"}, "--set adc.source: must not be empty"),
        ({"encoding.kind": "differential"}, "encoding.flipped: has no effect with kind: differential"),
        ({"encoding.kind": "ternary", "encoding.flipped": "false"}, "precision.weight_bits: must be 2 with encoding"),
        ({"crossbar.cols": "4"}, "--set crossbar.cols: must hold all 8 cells of a weight"),
        ({"dac.bits": "8", "precision.input_bits": "4"}, "--set dac.bits: must not exceed precision.input_bits (4)"),
        ({"crossbar.rows": "true"}, "--set crossbar.rows: must be a whole number, got true"),
        ({"precision.weight_bits": "8.0"}, "--set precision.weight_bits: must be a whole number"),
        ({"tile.parts.sigmoid.per": "row"}, "--set tile.parts.sigmoid.per: has no meaning at tile level"),
        ({"tile.parts.sigmoid.event": "activations"}, "tile.parts.sigmoid.event.0: must be one of array_reads"),
        ({"tile.parts.sigmoid.area_m2": "-1 um2"}, "--set tile.parts.sigmoid.area_m2: must be 0 or more, got -1 um2"),
        (
            {"tile.parts.router.prts": "4"},
            "--set tile.parts.router.prts: unknown setting with kind: mesh, got 4; did you",
        ),
        (
            {"tile.parts.sigmoid.area": "4"},
            "--set tile.parts.sigmoid.area: unknown setting, got 4; did you mean area_m2?",
        ),
        ({"encoding.kinds": "offset"}, "--set encoding.kinds: unknown setting with kind: offset, got offset; did you"),
        ({"core.kind": "x"}, "--set core.kind: unknown setting, got x; the settings here are adcs, crossbars, parts"),
        ({"tile.parts.sigmoid.rate_Hz": "null"}, "tile.parts.sigmoid.rate_Hz: is needed with event"),
        ({"tile.parts.sigmoid.leakage_W": "1 W"}, "--set tile.parts.sigmoid.leakage_W: must not exceed power_W"),
        (
            {"device": "{kind: resistive, cell_bits: 2, g_min_S: 1 uS, g_max_S: 9 uS, sinh_V: 1 V}"},
            "--set device.sinh_V: has no effect",
        ),
        ({"dac.energy_J": "1 pJ"}, "dac.power_W: give either power_W"),
    ],
)
def test_wrong_chips_give_one_clear_error(overrides: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_chip("isaac_isca_2016", overrides)
    lines = [line for line in caught.value.problems if problem in line]
    assert len(lines) == 1, caught.value
    text = str(caught.value).lower()
    assert "pydantic" not in text
    assert "input should" not in text
    assert "http" not in text


def test_problems_of_a_chip_carry_the_line_of_its_file() -> None:
    document = chip_document("isaac_isca_2016")
    document.data["crossbar"]["rows"] = -1
    with pytest.raises(ConfigError) as caught:
        validate(Chip, document)
    line = document.lines["crossbar", "rows"]
    assert caught.value.problems == (f"isaac_isca_2016.yaml:{line}: crossbar.rows: must be 1 or more, got -1",)
