"""Means and sigmas per level from a CSV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from close import approx
from noise_examples import cells_of, example

from xbar.errors import ConfigError
from xbar.hardware import Chip, load_chip
from xbar.noise import load_noise
from xbar.parts.base import When
from xbar.parts.noise.table import TableNoise
from xbar.rng import generator

GOOD = "# measured on Tuesday\nlevel,mean_S,sigma_S\n0,1e-6,1e-7\n1,4 uS,2e-7\n\n3,1e-5,4e-7\n2,7e-6,3e-7\n"
YAML = "effects:\n  programming: {kind: table, g_max_S: 10 uS, csv: levels.csv}\n"


def _folder(path: Path, text: str) -> Path:
    (path / "levels.csv").write_text(text, encoding="utf-8")
    (path / "mine.yaml").write_text(YAML, encoding="utf-8")
    return path / "mine.yaml"


def test_csv_is_read_beside_the_yaml_and_then_needed_no_more(tmp_path: Path) -> None:
    model = load_noise(_folder(tmp_path, GOOD))
    noise = model.effects["programming"]
    assert isinstance(noise, TableNoise)
    assert [m.level for m in noise.measured] == [0, 1, 2, 3]
    assert [m.mean_S for m in noise.measured] == approx([1e-6, 4e-6, 7e-6, 1e-5])
    (tmp_path / "levels.csv").unlink()
    assert type(model).model_validate(json.loads(model.model_dump_json())) == model


def test_csv_is_also_found_from_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "levels.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "there" / "mine.yaml").write_text(YAML, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")
    assert load_noise(tmp_path / "there" / "mine.yaml").effects["programming"].kind == "table"


def test_moments_are_the_measured_ones_and_scale_with_g_max(tmp_path: Path) -> None:
    noise = load_noise(_folder(tmp_path, GOOD)).of_cells["programming"]
    cells = cells_of()
    four = type(cells)(cells.level[:, :4], np.linspace(0.1, 1, 4)[None], 0.1, 4)
    mean, variance = noise.moments(four, four.target_rel, When())
    np.testing.assert_allclose(mean, [[0.1, 0.4, 0.7, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(variance), [[0.01, 0.02, 0.03, 0.04]], rtol=1e-3)


def test_what_happened_before_adds_to_the_table() -> None:
    noise, cells = example("table"), cells_of()
    plain, off = (noise.sample(cells, cells.target_rel + d, When(), generator(0)) for d in (0.0, 0.2))
    np.testing.assert_allclose((off - plain)[plain > 0], 0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("2,7e-6,3e-7\n", ""), "csv: level 2 is missing"),
        (GOOD + "2,7e-6,3e-7\n", "csv: level 2 is there twice"),
        (GOOD.replace("4e-7", "-4e-7"), "csv: line 6: sigma_S must be 0 or more, not -4e-7"),
        (GOOD.replace("4e-7", "few"), "csv: line 6: sigma_S must be a conductance, a number and a unit"),
        (GOOD.replace("4e-7", "nan"), "csv: line 6: sigma_S must be a conductance"),
        (GOOD.replace("4 uS", "4 uV"), "csv: line 4: mean_S 'uV' is a voltage"),
        (GOOD.replace("3,1e-5", "3.5,1e-5"), "csv: line 6: level must be a whole number from 0 to 255, not 3.5"),
        (GOOD.replace("3,1e-5", "-3,1e-5"), "csv: line 6: level must be a whole number"),
        (GOOD.replace(",4e-7", ""), "csv: line 6: has 2 values for 3 columns"),
        (GOOD.replace("4e-7", "4e-7,9"), "csv: line 6: has 4 values for 3 columns"),
        (
            GOOD.replace("1e-5", "10"),
            "measured: must not have values above 10 g_max_S; are they in another unit than S?",
        ),
        (GOOD.replace("sigma_S", "std"), "csv: must have the columns level, mean_S, sigma_S in its first line"),
        ("", "csv: must have the columns level, mean_S, sigma_S in its first line, not nothing"),
        ("level,mean_S,sigma_S\n", "measured: must have 2 or more entries"),
        ("level,mean_S,sigma_S\n0,0,1e-8\n", "measured: must have 2 or more entries"),
    ],
)
def test_each_mistake_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = _folder(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_noise(path)
    (problem,) = caught.value.problems
    assert f"effects.programming.{message}" in problem
    assert problem.startswith(f"{path}:2: ")


def test_all_bad_lines_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_noise(_folder(tmp_path, GOOD.replace("4e-7", "-4e-7").replace("4 uS", "four")))
    assert [p.split("csv: ")[1][:7] for p in caught.value.problems] == ["line 4:", "line 6:"]


@pytest.mark.parametrize("csv", ["nowhere.csv", ".", 3])
def test_files_that_cannot_be_read(csv: object) -> None:
    with pytest.raises(ConfigError, match=r"effects\.a\.csv: cannot be read"):
        load_noise("none", {"effects.a": {"kind": "table", "g_max_S": 1e-5, "csv": csv}})


def test_binary_files_are_no_csv(tmp_path: Path) -> None:
    (tmp_path / "levels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no path of a UTF-8 text"):
        load_noise("none", {"effects.a": {"kind": "table", "g_max_S": 1e-5, "csv": str(tmp_path / "levels.csv")}})


def test_csv_or_measured_but_not_both(tmp_path: Path) -> None:
    path = _folder(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="csv: is not for a section that has `measured` as well"):
        load_noise(path, {"effects.programming.measured": "[]"})
    with pytest.raises(ConfigError, match="measured: is needed"):
        load_noise("none", {"effects.a": {"kind": "table", "g_max_S": 1e-5}})
    level = {"level": 1, "mean_S": 0, "sigma_S": 0}
    with pytest.raises(ConfigError, match="must list each level once"):
        load_noise("none", {"effects.a": {"kind": "table", "g_max_S": 1e-5, "measured": [level, level]}})


def test_a_chip_wants_a_level_for_each_of_its_cells(tmp_path: Path) -> None:
    path = _folder(tmp_path, GOOD)
    chip = load_chip("generic_1t1r", noise=path)  # cells of 2 bits
    assert Chip.from_dict(json.loads(json.dumps(chip.to_dict()))) == chip
    with pytest.raises(ConfigError) as caught:
        load_chip("generic_1t1r", {"device.cell_bits": 3}, noise=path)
    assert "mine.yaml:2: effects.programming: must have as many levels as the cells, 8, not 4" in str(caught.value)


def test_csv_of_noise_within_a_chip_is_beside_the_chip(tmp_path: Path) -> None:
    import xbar.hardware

    _folder(tmp_path, GOOD)
    source = Path(xbar.hardware.__file__).parents[1] / "hw_configs" / "generic_1t1r.yaml"
    noise = "\nnoise:\n  " + YAML.replace("\n", "\n  ").rstrip() + "\n"
    (tmp_path / "chip.yaml").write_text(source.read_text(encoding="utf-8") + noise, encoding="utf-8")
    chip = load_chip(tmp_path / "chip.yaml")
    assert chip.noise is not None
    assert isinstance(chip.noise.effects["programming"], TableNoise)
