"""Chips: every one that comes with the package loads, closes its sums, and survives JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from close import approx
from small import small_chip

from xbar.errors import ConfigError
from xbar.hardware import LEVELS, Chip, list_chips, load_chip
from xbar.parts.wiring import BusWiring, MeshWiring, TreeWiring


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
            assert chip.total(level).area_m2 == approx(area_m2, rel=1e-12)
            assert chip.total(level).power_W == approx(power_W, rel=1e-12)
    assert chip.area_m2 == chip.total().area_m2 == approx(area_m2, rel=1e-12)
    assert chip.peak_power_W == approx(power_W, rel=1e-12)


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
    assert chip.ledger()[0].cost.area_m2 == approx(25e-12 * 64 * 32 / 128**2)


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
    assert chip.total("core").power_W == approx(24.08e-3 - 16e-3)


def test_fewer_adcs_make_longer_pulses() -> None:
    assert load_chip("isaac_isca_2016").pulse_time_s == approx(100e-9)
    slow = load_chip("isaac_isca_2016", {"core.adcs": 2})
    assert slow.pulse_time_s == approx(400e-9)
    assert slow.peak_ops_per_s == approx(load_chip("isaac_isca_2016").peak_ops_per_s / 4)


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


BUFFER = {"kind": "buffer", "capacity_bytes": 4096, "word_bits": 32, "area_m2": 0, "energy_J": 1e-15, "rate_Hz": 1e9}
ROUTER = {"kind": "mesh", "ports": 8, "flit_bits": 32, "clock_Hz": "1 GHz", "area_m2": "0.1 mm2", "power_W": "40 mW"}
TREE, BUS = {**ROUTER, "kind": "htree"}, {k: v for k, v in ROUTER.items() if k != "ports"} | {"kind": "bus"}


@pytest.mark.parametrize(
    ("name", "wiring"),
    [
        ("isaac_isca_2016", MeshWiring(168, 4)),
        ("puma_asplos_2019", MeshWiring(138, 4)),
        ("generic_1t1r", MeshWiring(64)),
        ("neurram_nature_2022", MeshWiring(1)),
    ],
)
def test_wiring_is_that_of_the_router(name: str, wiring: MeshWiring) -> None:
    chip = load_chip(name)
    assert chip.wiring == wiring
    assert (chip.router is None) == (name == "neurram_nature_2022")


def test_other_routers_in_the_place_of_the_mesh() -> None:
    free = {"tile.parts.router": "null", "chip.tiles": 16}
    tree = load_chip("generic_1t1r", {**free, "chip.parts.tree": {**TREE, "count": 5}})
    assert tree.wiring == TreeWiring(16)
    bus = load_chip("generic_1t1r", {**free, "chip.parts.bus": BUS})
    assert bus.wiring == BusWiring(16)
    assert bus.router is not None
    assert (bus.router.link_bits_per_s, bus.events_per_s("link_bits", "chip")) == (32e9, 32e9)
    assert load_chip("generic_1t1r", free).wiring == MeshWiring(16)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            {"chip.parts.bus": BUS},
            [
                "--set chip.parts.bus: is one of 2 routers (tile.parts.router, chip.parts.bus); keep one",
                "FILE:102: tile.parts.router: is one of 2 routers (tile.parts.router, chip.parts.bus); keep one",
            ],
        ),
        (
            {"tile.parts.router": "null", "core.parts.router": ROUTER},
            ["--set core.parts.router: joins tiles; move it to tile.parts or chip.parts"],
        ),
        (
            {"tile.parts.router.concentration": 4},
            [
                "FILE:102: tile.parts.router.count: must be 0.25 at tile level, since 4 tiles share a router "
                "(concentration: 4); write count: 0.25, or change the router"
            ],
        ),
        (
            {"tile.parts.router.count": 0.25},
            [
                "--set tile.parts.router.count: must be 1 at tile level, since every tile has a router of its own "
                "(concentration: 1), got 0.25; write count: 1, or change the router"
            ],
        ),
        (
            {"tile.parts.router": "null", "chip.parts.router": {**TREE, "count": 20}},
            [
                "--set chip.parts.router.count: must be 21 at chip level, since that many inner nodes join the tiles, "
                "got 20; write count: 21, or change the router"
            ],
        ),
        (
            {"tile.parts.router": "null", "tile.parts.bus": BUS},
            [
                "--set tile.parts.bus.count: must be 0.015625 at tile level, since one bus joins all tiles; "
                "write count: 0.015625, or change the router"
            ],
        ),
    ],
)
def test_routers_that_cannot_be(overrides: dict[str, object], says: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_chip("generic_1t1r", overrides)
    assert sorted(p.replace("generic_1t1r.yaml", "FILE") for p in caught.value.problems) == says


def test_the_count_of_shared_routers_may_be_a_fraction_or_whole() -> None:
    """138 tiles in fours: 34.5 routers, or 35 of which one serves two."""
    for count in (34.5, 35):
        load_chip("puma_asplos_2019", {"chip.parts.router.count": count})
    for count in (34, 36):
        with pytest.raises(ConfigError, match=r"must be 34\.5 at chip level, since 4 tiles share"):
            load_chip("puma_asplos_2019", {"chip.parts.router.count": count})


def test_rates_by_hand() -> None:
    """Two cores per tile with one adder each; the tile's buffer moves less than a core's two registers of 4 Gbit/s.

    4 tiles, whose adders do 8e9 additions per second together, share a unit of the chip that does 6e9.
    """
    adder = {"event": "tile_adds", "area_m2": 0, "energy_J": 1e-12, "rate_Hz": 1e9}
    register = {
        "event": ["buffer_read_bits", "row_pulses"],
        "area_m2": 0,
        "energy_J": 1e-15,
        "rate_Hz": 4e9,
        "count": 2,
    }
    link = {"event": "offchip_bits", "area_m2": 0, "energy_J": 1e-12, "rate_Hz": 1e9, "count": 3}
    chip = small_chip(
        core__parts={"adder": adder, "register": register},
        tile__parts={"buffer": {**BUFFER, "rate_Hz": 10e9}},
        chip__parts={"link": link, "unit": {**adder, "rate_Hz": 6e9}},
    )
    assert [chip.events_per_s("tile_adds", level) for level in ("core", "tile", "chip")] == [1e9, 2e9, 6e9]
    assert [chip.events_per_s("buffer_read_bits", level) for level in ("core", "tile", "chip")] == [8e9, 10e9, 40e9]
    assert chip.events_per_s("buffer_write_bits") == 10e9
    assert (chip.events_per_s("offchip_bits"), chip.events_per_s("offchip_bits", "chip")) == (None, 3e9)
    assert chip.events_per_s("digital_ops", "chip") is None


def test_rates_of_arrays_and_their_converters() -> None:
    """2 crossbars of 8 rows read every 100 ns, 4 ADCs of 50 ns each; an ideal ADC sets no limit."""
    chip = small_chip(core__parts={})
    assert chip.events_per_s("array_reads", "core") == approx(2e7)
    assert chip.events_per_s("row_pulses", "core") == approx(16e7)
    assert chip.events_per_s("conversions", "core") == approx(8e7)
    assert small_chip(core__parts={}, adc={"kind": "ideal"}).events_per_s("conversions") is None
    ohmic = load_chip("generic_1t1r")
    mean_rel = 0.55  # of 1 to 10 uS
    assert ohmic.events_per_s("cell_reads", "core") == approx(8 * 128 * 128 * mean_rel / 100e-9)


def test_the_buffer_of_a_tile_is_its_largest_memory_that_is_read() -> None:
    assert small_chip().tile_buffer is None  # priced, without a size
    small, written = {**BUFFER, "capacity_bytes": 512}, {**BUFFER, "event": "buffer_write_bits", "capacity_bytes": 8192}
    chip = small_chip(tile__parts={"small": small, "buffer": BUFFER, "written": written})
    assert chip.tile_buffer is chip.tile.parts["buffer"]
    isaac = load_chip("isaac_isca_2016").tile_buffer
    assert isaac is not None
    assert (isaac.capacity_bytes, isaac.word_bits, isaac.ports) == (65536, 256, 4)
    generic = load_chip("generic_1t1r").tile_buffer
    assert generic is not None
    assert (generic.kind, generic.capacity_bytes, generic.ports) == ("sram", 65536, 1)


def test_cycles_are_those_of_the_papers() -> None:
    assert load_chip("isaac_isca_2016").cycle_s == approx(100e-9)
    assert load_chip("puma_asplos_2019").cycle_s == approx(1e-9)
    assert load_chip("generic_1t1r").cycle_s is None
    with pytest.raises(ConfigError, match=r"--set cycle_s: must be more than 0"):
        load_chip("isaac_isca_2016", {"cycle_s": "0 ns"})
