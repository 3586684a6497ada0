"""Chips: every one that comes with the package loads, closes its sums, and survives JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xbar.errors import ConfigError
from xbar.hardware import LEVELS, Chip, list_chips, load_chip


@pytest.fixture(params=list_chips())
def chip(request: pytest.FixtureRequest) -> Chip:
    return load_chip(request.param)


def test_the_promised_chips_are_there() -> None:
    promised = {"generic_1t1r", "isaac_isca_2016", "neurram_nature_2022", "puma_asplos_2019"}
    assert promised <= set(list_chips())


def test_name_of_the_file_is_the_name_of_the_chip(chip: Chip) -> None:
    assert chip.name in list_chips()


def test_json_gives_the_chip_back_equal(chip: Chip) -> None:
    assert Chip.from_dict(json.loads(json.dumps(chip.to_dict(), allow_nan=False))) == chip


def test_a_chip_with_bits_for_each_slice_round_trips_without_a_warning() -> None:
    chip = load_chip("isaac_isca_2016", {"adc.bits": [3, 3, 3, 3, 3, 3, 3, 1]})
    assert Chip.from_dict(json.loads(json.dumps(chip.to_dict(), allow_nan=False))) == chip


def test_sums_close_level_by_level(chip: Chip) -> None:
    def own(level: str) -> tuple[float, float]:
        rows = [row for row in chip.ledger() if row.level == level]
        return (
            sum(row.count_per_parent * row.cost.area_m2 for row in rows),
            sum(row.count_per_parent * row.cost.power_W for row in rows),
        )

    area_m2 = power_W = 0.0
    for level, n_below in (("crossbar", 1), ("core", 1), ("tile", chip.tile.cores), ("chip", chip.chip.tiles)):
        area_m2, power_W = n_below * area_m2 + own(level)[0], n_below * power_W + own(level)[1]
        if level != "crossbar":
            assert chip.total(level).area_m2 == pytest.approx(area_m2, rel=1e-12)
            assert chip.total(level).power_W == pytest.approx(power_W, rel=1e-12)
    assert chip.area_m2 == chip.total().area_m2 == pytest.approx(area_m2, rel=1e-12)
    assert chip.peak_power_W == pytest.approx(power_W, rel=1e-12)


def test_power_is_leakage_and_energy_at_some_rate(chip: Chip) -> None:
    for row in chip.ledger():
        assert row.cost.area_m2 >= 0
        assert row.count_per_chip > 0
        assert 0 <= row.cost.leakage_W <= row.cost.power_W or not row.energies
        dynamic = row.cost.power_W > row.cost.leakage_W
        assert dynamic == any(joules > 0 for _, joules in row.energies), row.part


def test_description_names_every_part_and_sum(chip: Chip) -> None:
    table = chip.describe()
    names = [row["part"] for row in table]
    assert all(row.part in names for row in chip.ledger())
    assert [row["level"] for row in table if row["part"].startswith("=")] == ["core", "tile", "chip"]
    assert len({tuple(row) for row in table}) == 1


def test_counts_follow_the_crossbar_and_the_slices() -> None:
    chip = load_chip("isaac_isca_2016", {"crossbar.rows": 64, "crossbar.cols": 32})
    counts = {row.part: row.count_per_parent for row in chip.ledger() if row.level in ("crossbar", "core")}
    assert counts["dac"] == 8 * 64
    assert counts["sample and hold"] == 8 * 32
    assert counts["array"] == 8
    assert chip.ledger()[0].cost.area_m2 == pytest.approx(25e-12 * 64 * 32 / 128**2)


@pytest.mark.parametrize(
    ("overrides", "n_slices", "n_planes"),
    [
        ({}, 8, 8),
        ({"precision.weight_bits": 7}, 4, 4),
        ({"encoding": {"kind": "differential"}}, 8, 16),
        ({"encoding": {"kind": "differential"}, "precision.weight_bits": 8}, 4, 8),
        ({"encoding": {"kind": "ternary"}, "precision.weight_bits": 2, "device.cell_bits": 1}, 1, 2),
    ],
)
def test_slices_by_encoding(overrides: dict[str, object], n_slices: int, n_planes: int) -> None:
    chip = load_chip("isaac_isca_2016", overrides)
    assert (chip.n_slices, chip.n_planes) == (n_slices, n_planes)
    assert chip.adc_bits == (8,) * n_slices


def test_adc_bits_per_slice_price_the_largest() -> None:
    chip = load_chip("isaac_isca_2016", {"adc.bits": [3, 4, 5, 6, 6, 5, 4, 3]})
    assert chip.adc_bits == (3, 4, 5, 6, 6, 5, 4, 3)
    (row,) = [row for row in chip.ledger() if row.part == "adc"]
    assert row.cost == chip.adc.cost(6)


def test_an_ideal_adc_is_free_and_unlimited() -> None:
    chip = load_chip("isaac_isca_2016", {"adc": "{kind: ideal}"})
    assert chip.adc_bits is None
    assert chip.total("core").power_W == pytest.approx(24.08e-3 - 16e-3)


def test_fewer_adcs_make_longer_pulses() -> None:
    assert load_chip("isaac_isca_2016").pulse_time_s == pytest.approx(100e-9)
    slow = load_chip("isaac_isca_2016", {"core.adcs": 2})
    assert slow.pulse_time_s == pytest.approx(400e-9)
    assert slow.peak_ops_per_s == pytest.approx(load_chip("isaac_isca_2016").peak_ops_per_s / 4)


def test_a_chip_of_ones_own(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "hw_configs" / "generic_1t1r.yaml"
    own = tmp_path / "mine.yaml"
    own.write_text(source.read_text().replace("bits: 9 #", "bits: 11 #"))
    with pytest.raises(ConfigError, match=r"mine\.yaml:\d+: adc\.bits: must be one of the published points \(4, 5"):
        load_chip(own)
    own.write_text(source.read_text())
    assert load_chip(str(own)) == load_chip("generic_1t1r")


def test_a_chip_prints_in_one_line() -> None:
    assert str(load_chip("isaac_isca_2016")) == (
        "isaac_isca_2016: 168 tiles x 12 cores x 8 crossbars of 128 x 128, 85.42 mm², 65.81 W at full activity "
        "(Shafiee et al., ISCA 2016, table 1)"
    )


def test_unknown_chips_get_a_hint() -> None:
    with pytest.raises(ConfigError, match="got isaac_isca_2061; did you mean isaac_isca_2016"):
        load_chip("isaac_isca_2061")
    with pytest.raises(ConfigError, match="the chips are generic_1t1r"):
        load_chip("zzz")


def test_a_chip_is_frozen() -> None:
    chip = load_chip("generic_1t1r")
    with pytest.raises(ValueError, match="frozen"):
        chip.name = "other"  # type: ignore[misc]
    assert chip != load_chip("generic_1t1r", {"adc.bits": 8})
    assert LEVELS[-1] == "chip"


def test_names_of_sections_are_no_names_of_parts() -> None:
    part = {"area_m2": 1e-9, "event": "conversions", "energy_J": 1e-12, "rate_Hz": 1e9}
    with pytest.raises(ConfigError, match=r"core.parts.adc: is the name of the section `adc:`; choose another name"):
        load_chip("isaac_isca_2016", {"core.parts.adc": part})


def test_what_is_wrong_in_a_noise_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\neffects:\n  read: {kind: white, relative_to: g_max,\n    sigma_rl: 0.1}\n")
    with pytest.raises(ConfigError) as caught:
        load_chip("generic_1t1r", {"adc.bits": 0}, noise=file)
    problems = sorted(caught.value.problems)
    assert problems[0].startswith("--set adc.bits: ")
    assert problems[1] == f"{file}:3: effects.read.sigma_rel: is needed; add it"
    rule = "unknown setting with kind: white, got 0.1; did you mean sigma_rel?"
    assert problems[2] == f"{file}:4: effects.read.sigma_rl: {rule}"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("noise.effects.read.sigma_rel", -1, "--set noise.effects.read.sigma_rel: must be 0.0 or more, got -1"),
        ("noise.tme_s", 1, "--set noise.tme_s: unknown setting, got 1; did you mean time_s?"),
        ("noise.time_s", "-1 s", "--set noise.time_s: must not be before programming, got -1 s"),
        ("noise.effects.rd.sigma_rel", 0.1, "--set noise.effects.rd.sigma_rel: noise.effects.rd.kind: is needed"),
    ],
)
def test_what_is_wrong_in_settings_of_noise(path: str, value: object, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_chip("generic_1t1r", {path: value}, noise="reram_wan_2022")
    assert caught.value.problems[0].startswith(says)
