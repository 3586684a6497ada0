"""What limits a chip: the time that it keeps, the words for it, and what its removal would bring."""

from __future__ import annotations

import pytest
import torch
from close import approx

import mapping
import xbar
from xbar.cost.cycles import cycles
from xbar.demo.models import digits_cnn
from xbar.errors import DataError
from xbar.outline import Outline
from xbar.timing import Cycles, period_s

EIGHT_BITS = {"precision.weight_bits": 8, "precision.input_bits": 8}


def demo(chip: str = "isaac_isca_2016", **settings: object) -> Outline:
    """The digits CNN; 80 vectors of conv1, 16 of conv2; times of parts as in their YAML."""
    network = xbar.from_torch(digits_cnn(), torch.zeros(2, 1, 8, 8), name="digits")
    return mapping.outline(network, xbar.load_chip(chip, {**EIGHT_BITS, **settings}))


def measured_s(result: Cycles) -> float:
    return period_s(result.end_s, result.begin_s)


def gain(result: Cycles) -> float:
    return float(result.bottleneck.partition("without that limit: ")[2].split()[0])


@pytest.mark.parametrize("part", ["sigmoid", "max pool"])
def test_who_waits_for_a_digital_unit_is_not_let_through(part: str) -> None:
    """The unit is busy all the time, however many inputs there are, and the first one does not wait for all others."""
    slow = demo(**{f"tile.parts.{part}.rate_Hz": "1 MHz"})
    short, long = cycles(slow, 4), cycles(slow, 40)
    busiest = long.uses[0]
    assert busiest.name.startswith({"sigmoid": "activation units", "max pool": "pooling units"}[part])
    assert measured_s(long) == approx(busiest.busy_s, rel=0.02)
    assert long.period_s == approx(busiest.busy_s, rel=1e-9)
    assert short.period_s == approx(long.period_s, rel=0.02)
    assert long.latency_s == approx(short.latency_s, rel=0.02)
    stalled = sum(spent.seconds["output busy"] for spent in long.layers)
    assert stalled > 0.5 * long.run_s


def test_only_the_unit_that_is_named_is_taken_away() -> None:
    """Pooling at 0.9 MHz next to activation at 1 MHz: without the one there is still the other."""
    slow = {"tile.parts.sigmoid.rate_Hz": "1 MHz", "tile.parts.max pool.rate_Hz": "0.9 MHz"}
    result, free = cycles(demo(**slow), 4), cycles(demo(**{**slow, "tile.parts.max pool.rate_Hz": "1 THz"}), 4)
    assert result.bottleneck.startswith("pooling units of tile 0")
    assert gain(result) == approx(result.period_s / free.period_s, rel=0.02)


def test_a_bus_between_tiles_is_not_that_of_a_tile() -> None:
    router = {"kind": "bus", "flit_bits": 32, "clock_Hz": "1 MHz", "area_m2": 0, "power_W": 0}
    joined = {"tile.parts.router": None, "chip.parts.router": router}
    result = cycles(demo("generic_1t1r", **{"tile.cores": 1, "chip.tiles": 8, **joined}), 4)
    assert result.bottleneck.startswith("bus, taken 100% of the time; wider flits, or a faster network, help")
    assert gain(result) > 2


def test_a_link_off_the_chip_has_a_remedy_of_its_own() -> None:
    result = cycles(demo(**{"chip.parts.HyperTransport link.rate_Hz": "1 MHz"}), 4)
    assert result.bottleneck.startswith("link into the chip, taken 100% of the time; faster links off the chip help")


def test_what_is_left_without_the_crossbars_is_told() -> None:
    """With arrays that need no time, what limits the demo is the max pool."""
    result = cycles(demo(), 4)
    assert result.bottleneck.startswith("crossbars of conv1")
    assert 1 < gain(result) < 100


@pytest.mark.parametrize(
    ("part", "per_second"),
    [("shift and add", 4), ("output register", 1), ("sample and hold", 8 * 128)],
)
def test_what_takes_the_codes_of_a_core_limits_its_reads(part: str, per_second: int) -> None:
    """Every column of conv1's crossbar, and its unit column, make a code in each of 8 pulses."""
    result = cycles(demo(**{f"core.parts.{part}.rate_Hz": "1 MHz" if per_second < 9 else "1 kHz"}), 4)
    rate = per_second * (1e6 if per_second < 9 else 1e3)
    sketch = demo()
    codes = int(sketch.layers[0].placed().columns.sum()) + 1
    least_s = sketch.layers[0].vectors_per_input * sketch.layers[0].n_pulses * codes / rate
    assert result.period_s == approx(least_s, rel=0.05)
    assert result.bottleneck.startswith("crossbars of conv1")


def test_what_drives_the_word_lines_limits_the_reads() -> None:
    slow, sketch = demo(**{"core.parts.input register.rate_Hz": "1 MHz"}), demo()
    lines = max(int(layer.placed().word_lines.max()) * layer.vectors_per_input for layer in sketch.layers)
    assert cycles(slow, 4).period_s == approx(8 * lines / 1e6, rel=0.05)


def test_a_run_that_would_take_hours_is_refused() -> None:
    with pytest.raises(DataError, match="n_inputs: must be so few that the crossbars work for at most 1000 s, got 64"):
        cycles(demo(**{"crossbar.read_time_s": "1 s"}), 64)


def test_a_part_that_does_several_kinds_of_work_does_one_at_a_time() -> None:
    """PUMA's ALU adds, pools and does all else. Cores of one crossbar, so that sums of several cores are added."""
    slow = {"core.crossbars": 1, "tile.cores": 32, "core.parts.ALU.rate_Hz": "10 kHz"}
    sketch, rate = demo("puma_asplos_2019", **slow), 32 * 1e4
    result = cycles(sketch, 8)
    ops = [n for s in sketch.flow.streams for event, n in s.ops.items() if event in ("pooling_ops", "digital_ops")]
    adds = [layer.vectors_per_input * layer.per_vector.tile_adds for layer in sketch.layers]
    assert sketch.n_tiles_used == 1
    assert min(sum(ops), sum(adds)) > 0
    assert result.period_s == approx((sum(ops) + sum(adds)) / rate, rel=1e-3)
    assert result.bottleneck.startswith("adders, pooling units, digital units of tile 0, taken 100%")
