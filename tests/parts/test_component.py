"""DACs and priced components: energy per event, power at full activity."""

from __future__ import annotations

import pytest
from close import approx

from xbar.hardware import load_chip
from xbar.parts.dac.scaled import ScaledDac
from xbar.parts.digital.priced import PricedComponent
from xbar.parts.memory.buffer import BufferMemory
from xbar.parts.memory.sram import SramMemory
from xbar.parts.router.bus import BusRouter
from xbar.parts.router.htree import HTreeRouter
from xbar.parts.router.mesh import MeshRouter


def test_power_and_rate_give_energy() -> None:
    part = PricedComponent(area_m2=1e-12, event=("bus_bits",), power_W=3e-3, leakage_W=1e-3, rate_Hz=1e9)
    assert part.cost().energy_J == approx(2e-12)
    assert part.cost().power_W == 3e-3
    assert part.energies() == (("bus_bits", part.cost().energy_J),)


def test_energy_and_rate_give_power() -> None:
    part = PricedComponent.model_validate(
        {"area_m2": 0, "event": ["buffer_read_bits", "buffer_write_bits"], "energy_J": "2 pJ", "rate_Hz": 1e9}
        | {"leakage_W": "1 mW"}
    )
    assert part.cost().power_W == approx(3e-3)
    assert part.energies() == (("buffer_read_bits", 2e-12), ("buffer_write_bits", 2e-12))


def test_what_answers_no_event_only_leaks() -> None:
    part = PricedComponent(area_m2=1e-12, leakage_W=1e-3)
    assert part.energies() == ()
    assert part.cost().power_W == part.cost().leakage_W == 1e-3


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"power_W": 1.0}, "power_W|has no effect without event"),
        ({"event": "bus_bits", "rate_Hz": 1.0}, "give either power_W"),
        ({"event": "bus_bits", "rate_Hz": 1.0, "power_W": 1.0, "energy_J": 1.0}, "give either power_W"),
        ({"event": "bus_bits", "energy_J": 1.0}, "is needed with event"),
        ({"event": ["bus_bits", "bus_bits"], "energy_J": 1.0, "rate_Hz": 1.0}, "each event once"),
        ({"event": "bus_bits", "power_W": 1.0, "rate_Hz": 1.0, "leakage_W": 2.0}, "must not exceed power_W"),
    ],
)
def test_inconsistent_prices_are_refused(settings: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        PricedComponent.model_validate({"area_m2": 1e-12, **settings})


def test_a_dac_doubles_with_every_bit_however_it_is_priced() -> None:
    by_power = ScaledDac(bits=3, area_m2=1e-12, power_W=2e-6)
    by_energy = ScaledDac(bits=3, area_m2=1e-12, energy_J=2e-13)
    assert by_power.cost(1e-7).energy_J == approx(8e-13)
    assert by_energy.cost(1e-7).energy_J == approx(8e-13)
    assert by_energy.cost(1e-7).power_W == approx(8e-6)
    assert by_power.cost(1e-7).area_m2 == approx(4e-12)


def test_sram_prices_reads_and_writes_per_bit() -> None:
    sram = SramMemory(capacity_bytes=65536, word_bits=256, clock_Hz=1e9)
    energies = dict(sram.energies())
    assert energies["buffer_read_bits"] * 256 == approx(29.6e-12)
    assert energies["buffer_write_bits"] * 256 == approx(36.5e-12)
    assert sram.cost().power_W == approx(36.5e-3)
    assert sram.events_per_s("buffer_read_bits") == sram.events_per_s("buffer_write_bits") == 256e9
    assert sram.events_per_s("row_pulses") == 0
    with pytest.raises(ValueError, match="ports"):
        SramMemory(capacity_bytes=65536, word_bits=256, clock_Hz=1e9, ports=2)
    with pytest.raises(ValueError, match="is no published size; choose from 256 x 64"):
        SramMemory(capacity_bytes=1000, word_bits=64, clock_Hz=1e9)


def test_a_buffer_shares_its_rate_among_its_ports() -> None:
    """64 KB in 4 banks of 256 bits: 256 Gbit/s in all, so an access takes 4 ns."""
    buffer = BufferMemory(
        capacity_bytes=65536, word_bits=256, ports=4, area_m2=1e-7, power_W=21e-3, leakage_W=1e-3, rate_Hz=256e9
    )
    assert buffer.cost().latency_s == approx(4e-9)
    assert buffer.events_per_s("buffer_read_bits") == buffer.events_per_s("buffer_write_bits") == 256e9
    assert buffer.energies() == (
        ("buffer_read_bits", approx(20e-3 / 256e9)),
        ("buffer_write_bits", approx(20e-3 / 256e9)),
    )


def test_a_buffer_by_energy_and_of_one_event() -> None:
    buffer = BufferMemory.model_validate(
        {"capacity_bytes": 3072, "word_bits": 32, "area_m2": 0, "event": "buffer_write_bits", "energy_J": "1 pJ"}
        | {"rate_Hz": "32 GHz", "leakage_W": "1 mW"}
    )
    assert buffer.energies() == (("buffer_write_bits", 1e-12),)
    assert buffer.cost().power_W == approx(33e-3)
    assert buffer.events_per_s("buffer_read_bits") == 0


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({}, "give either power_W"),
        ({"power_W": 1.0, "energy_J": 1.0}, "give either power_W"),
        ({"power_W": 1.0, "leakage_W": 2.0}, "must not exceed power_W"),
        ({"power_W": 1.0, "event": ["buffer_read_bits", "buffer_read_bits"]}, "each event once"),
        ({"power_W": 1.0, "event": []}, "event"),
        ({"power_W": 1.0, "ports": 0}, "ports"),
    ],
)
def test_inconsistent_buffers_are_refused(settings: dict[str, object], rule: str) -> None:
    size = {"capacity_bytes": 1024, "word_bits": 32, "area_m2": 0, "rate_Hz": 1e9}
    with pytest.raises(ValueError, match=rule):
        BufferMemory.model_validate({**size, **settings})


def test_a_router_spreads_its_power_over_the_bits_of_all_ports() -> None:
    router = MeshRouter(ports=8, flit_bits=32, clock_Hz=1e9, area_m2=1e-7, power_W=42e-3, leakage_W=2e-3)
    assert dict(router.energies())["link_bits"] == approx(40e-3 / 256e9)
    assert (router.link_bits_per_s, router.hop_time_s) == (32e9, 1e-9)
    assert router.events_per_s("link_bits") == 8 * 32e9
    with pytest.raises(ValueError, match="must not exceed power_W"):
        MeshRouter(ports=8, flit_bits=32, clock_Hz=1e9, area_m2=1e-7, power_W=1e-3, leakage_W=2e-3)


def test_what_ports_mean_for_trees_and_buses() -> None:
    """A node of a tree passes a flit on each of its ports, a bus one flit for all tiles."""
    tree = HTreeRouter(ports=5, flit_bits=16, clock_Hz=1e9, area_m2=1e-7, power_W=80e-3)
    bus = BusRouter(flit_bits=16, clock_Hz=1e9, area_m2=1e-7, power_W=80e-3)
    assert dict(tree.energies())["link_bits"] == approx(1e-12)
    assert dict(bus.energies())["link_bits"] == approx(5e-12)
    assert tree.link_bits_per_s == bus.link_bits_per_s == 16e9
    assert [tree.needed(n)[0] for n in (1, 4, 5, 64)] == [1, 1, 3, 21]
    assert bus.needed(64)[0] == 1


def test_what_leaves_a_core_is_no_write_to_its_input_register() -> None:
    """bus_bits holds the sums on their way back too: the generic chip's input register pays for what arrives."""
    (row,) = [row for row in load_chip("generic_1t1r").ledger() if row.part == "input register"]
    assert [event for event, _ in row.energies] == ["row_pulses", "buffer_read_bits"]
