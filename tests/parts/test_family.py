"""Every model of every parts folder, examined before it has a test of its own."""

from __future__ import annotations

import inspect
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from close import approx
from noise_examples import NOISES

import xbar.parts
from xbar.config import from_data, validate
from xbar.errors import ConfigError
from xbar.events import Event
from xbar.parts.base import Adc, Array, Component, Cost, Dac, Device, FiniteAdc, Noise, Part, Router
from xbar.parts.kinds import kinds, part_class
from xbar.parts.neurons import Neurons
from xbar.parts.scale import Scale
from xbar.parts.spiking import Neuron

FAMILIES = (Device, Array, Dac, Adc, Component, Noise, Neuron)
# One valid description of each model; a new file needs one here (a noise in noise_examples) to be examined.
EXAMPLES: dict[str, dict[str, Any]] = {
    "levels": {"cell_bits": 2},
    "resistive": {"cell_bits": 2, "g_min_S": "1 uS", "g_max_S": "40 uS"},
    "measured": {"cell_bits": 2, "states_S": ["1 uS", "9 uS", "22 uS", "31 uS", "40 uS"]},
    "per_cell": {
        "rows": 64,
        "cols": 32,
        "read_time_s": "100 ns",
        "reference": {"rows": 128, "cols": 128, "area_m2": "25 um2", "power_W": "0.3 mW"},
    },
    "ohmic": {
        "rows": 64,
        "cols": 32,
        "read_time_s": "100 ns",
        "read_voltage_V": "0.2 V",
        "cell_area_m2": "0.02 um2",
    },
    "ir_drop": {
        "rows": 64,
        "cols": 32,
        "read_time_s": "100 ns",
        "read_voltage_V": "0.2 V",
        "cell_area_m2": "0.02 um2",
        "word_line_Ohm": "1 Ohm",
        "bit_line_Ohm": "1 Ohm",
    },
    "scaled": {"bits": 1, "area_m2": "0.166 um2", "power_W": "3.9 uW"},
    "ideal": {},
    "table": {
        "bits": 4,
        "source": "an example",
        "points": [{"bits": n, "energy_J": n * 1e-13, "area_m2": n * 1e-10, "time_s": n * 1e-10} for n in (4, 6, 8)],
    },
    "sar": {
        "bits": 4,
        "source": "an example",
        "reference": {"bits": 8, "power_W": "2 mW", "area_m2": "1200 um2", "rate_Hz": "1.28 GS/s"},
    },
    "survey": {"bits": 4, "rate_Hz": "1.28 GS/s", "technology_m": "32 nm"},
    "priced": {"area_m2": "60 um2", "event": "shift_adds", "power_W": "0.05 mW", "rate_Hz": "1 GHz"},
    "mesh": {"ports": 4, "flit_bits": 32, "clock_Hz": "1 GHz", "area_m2": "0.047 mm2", "power_W": "16.5 mW"},
    "htree": {"ports": 5, "flit_bits": 32, "clock_Hz": "1 GHz", "area_m2": "0.06 mm2", "power_W": "20 mW"},
    "bus": {"flit_bits": 32, "clock_Hz": "1 GHz", "area_m2": "0.3 mm2", "power_W": "9 mW", "leakage_W": "1 mW"},
    "buffer": {
        "capacity_bytes": 65536,
        "word_bits": 256,
        "area_m2": "0.08 mm2",
        "power_W": "20 mW",
        "rate_Hz": "256 GHz",
    },
    "truenorth": {},
    "sram": {"capacity_bytes": 2048, "word_bits": 256, "clock_Hz": "1 GHz"},
}
MODELS = [(family, kind) for family in FAMILIES for kind in kinds(family)]


def _example(family: type[Part], kind: str) -> Part:
    return validate(part_class(family, kind), from_data(_data(family, kind), kind))


def _data(family: type[Part], kind: str) -> dict[str, Any]:
    return NOISES[kind] if family is Noise else EXAMPLES[kind]


def _cost(part: Part, bits: int | None = None) -> Cost:
    match part:
        case Adc():
            return part.cost(bits)
        case Dac():
            return part.model_copy(update={"bits": bits or part.bits}).cost(1e-7)
        case Array():
            return part.cost(_example(Device, "resistive"))
        case Component():
            return part.cost()
    raise AssertionError(part)


def test_every_file_has_an_example_and_every_folder_a_family() -> None:
    assert {kind for family, kind in MODELS if family is not Noise} == set(EXAMPLES)
    assert set(kinds(Noise)) == set(NOISES)
    folders = {p.name for p in Path(xbar.parts.__file__).parent.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == {folder for family in FAMILIES for folder in family.folders}


@pytest.mark.parametrize(("family", "kind"), MODELS)
def test_class_is_final_documented_and_has_its_file(family: type[Part], kind: str) -> None:
    found = part_class(family, kind)
    assert found.__final__  # type: ignore[attr-defined]
    assert not inspect.isabstract(found)
    assert len(found.__doc__ or "") > 60
    assert found.__subclasses__() == []


@pytest.mark.parametrize(("family", "kind"), MODELS)
def test_yaml_gives_the_part_back_equal(family: type[Part], kind: str) -> None:
    part = _example(family, kind)
    assert part.kind == kind
    data = yaml.safe_load(yaml.safe_dump(json.loads(part.model_dump_json())))
    assert validate(type(part), from_data(data, "again")) == part
    with pytest.raises(ConfigError, match="is kind"):
        validate(type(part), from_data({**data, "kind": "other"}, "again"))


@pytest.mark.parametrize(
    ("family", "kind"), [m for m in MODELS if m[0] not in (Device, Noise, Neuron) and m[1] != "ideal"]
)
def test_cost_is_positive_and_finite(family: type[Part], kind: str) -> None:
    part = _example(family, kind)
    cost = _cost(part, 4)
    for value in (cost.area_m2, cost.power_W, cost.energy_J, cost.latency_s):
        assert 0 < value < math.inf or (value == 0 and isinstance(part, Dac) and value is cost.latency_s)
    if isinstance(part, Component):
        assert part.energies()[0][1] == cost.energy_J
        assert all(joules > 0 for _, joules in part.energies())


@pytest.mark.parametrize("kind", list(kinds(Component)))
def test_full_activity_is_events_per_second_of_the_dearest_event(kind: str) -> None:
    part = _example(Component, kind)
    assert isinstance(part, Component)
    powers = [joules * part.events_per_s(event) for event, joules in part.energies()]
    assert all(power > 0 for power in powers)
    assert part.cost().power_W == approx(max(powers) + part.cost().leakage_W, rel=1e-12)
    answered = {event for event, _ in part.energies()}
    assert all(part.events_per_s(event) == 0 for event in set(get_args(Event)) - answered)


@pytest.mark.parametrize("kind", [kind for kind in kinds(Component) if issubclass(part_class(Component, kind), Router)])
@pytest.mark.parametrize("n_tiles", [1, 2, 9, 168])
def test_routers_join_all_tiles_and_say_how_many_they_are(kind: str, n_tiles: int) -> None:
    router = _example(Component, kind)
    assert isinstance(router, Router)
    assert router.wiring(n_tiles).n_tiles == n_tiles
    assert (router.wiring(n_tiles).hops(0, n_tiles - 1) > 0) == (n_tiles > 1)
    assert 0 < router.needed(n_tiles)[0] <= n_tiles
    assert router.needed(n_tiles)[1]
    assert router.link_bits_per_s * router.hop_time_s == approx(router.flit_bits)


@pytest.mark.parametrize(("family", "kind"), [m for m in MODELS if m[0] in (Dac, Adc) and m[1] != "ideal"])
def test_more_bits_never_cost_less(family: type[Part], kind: str) -> None:
    part = _example(family, kind)
    widths = (1, 2, 4) if family is Dac else (4, 6, 8)
    for few, many in pairwise(_cost(part, bits) for bits in widths):
        assert many.area_m2 >= few.area_m2
        assert many.energy_J > few.energy_J
        assert many.latency_s >= few.latency_s


SCALED = [m for m in MODELS if m[0] in (Dac, Adc, Component) and m[1] not in ("ideal", "survey")]


@pytest.mark.parametrize(("family", "kind"), SCALED)
def test_all_of_a_scaled_parts_cost_follows_its_factors(family: type[Part], kind: str) -> None:
    """Area x 2, energy x 3, time x 5, leakage x 7; a DAC's pulses last as long as the array's reads."""
    extra = {"leakage_W": "10 uW"} if "leakage_W" in part_class(family, kind).model_fields else {}
    part = validate(part_class(family, kind), from_data({**_data(family, kind), **extra}, kind))
    assert isinstance(part, Dac | Adc | Component)
    after = part.scaled(Scale(32e-9, 20e-9, 2.0, 3.0, 5.0, 7.0, "moved by a test"))
    old, new = _cost(part, 4), _cost(after, 4)
    assert new.area_m2 == approx(2 * old.area_m2)
    assert new.energy_J == approx(3 * old.energy_J)
    assert new.latency_s == approx(5 * old.latency_s)
    assert new.leakage_W == approx(7 * old.leakage_W)
    if family is not Dac:
        assert new.power_W - new.leakage_W == approx(3 / 5 * (old.power_W - old.leakage_W))
    if isinstance(part, Component) and isinstance(after, Component):
        assert dict(after.energies()) == approx({event: 3 * joules for event, joules in part.energies()})
    assert after.source == f"{part.source}; moved by a test".removeprefix("; ")
    data = yaml.safe_load(yaml.safe_dump(json.loads(after.model_dump_json())))
    assert validate(type(after), from_data(data, "again")) == after


@pytest.mark.parametrize("kind", list(kinds(Array)))
def test_larger_arrays_cost_more(kind: str) -> None:
    small = _example(Array, kind)
    large = validate(type(small), from_data({**EXAMPLES[kind], "rows": 128}, kind))
    assert _cost(large).area_m2 == approx(2 * _cost(small).area_m2)
    assert _cost(large).power_W == approx(2 * _cost(small).power_W)


@pytest.mark.parametrize("kind", [kind for kind in kinds(Adc) if kind != "ideal"])
def test_every_real_adc_names_its_source_and_refuses_inert_settings(kind: str) -> None:
    adc = _example(Adc, kind)
    assert isinstance(adc, FiniteAdc)
    assert adc.source
    assert adc.bits_of_slices(3) == (4, 4, 4)
    for wrong, rule in [
        ({"full_scale": "max"}, "full_scale: has no effect"),
        ({"mode": "range"}, "full_scale: is needed"),
        ({"mode": "range", "full_scale": "percentile"}, "percentile: is needed"),
        ({"mode": "range", "full_scale": "max", "percentile": 99.0}, "percentile: has no effect"),
        ({"mode": "ideal"}, "mode: must be one of clip, range"),
        ({"bits": 0}, "bits: must be a whole number from 1 to 16"),
        ({"bits": []}, "bits: must be a whole number from 1 to 16"),
        ({"bits": [4, 17]}, "bits: must be a whole number from 1 to 16"),
    ]:
        with pytest.raises(ConfigError) as caught:
            validate(type(adc), from_data({**EXAMPLES[kind], **wrong}, kind))
        assert rule in str(caught.value)
    several = validate(type(adc), from_data({**EXAMPLES[kind], "bits": [4, 8]}, kind))
    assert several.bits_of_slices(2) == (4, 8)
    with pytest.raises(ValueError, match="one entry per slice, 3 in all"):
        several.bits_of_slices(3)


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_kinds_get_a_hint(family: type[Part]) -> None:
    known = next(iter(kinds(family)))
    with pytest.raises(ValueError, match=f"did you mean {known}"):
        part_class(family, known + "x")
    with pytest.raises(ValueError, match="the kinds are"):
        part_class(family, 3)


@pytest.mark.parametrize("kind", list(kinds(Neuron)))
def test_neurons_rest_without_input_and_stay_in_range(kind: str) -> None:
    neuron = _example(Neuron, kind)
    assert isinstance(neuron, Neuron)
    low, high = neuron.potential_range
    assert low < 0 < high
    rules = list(neuron.rules())
    assert {rule.name for rule in rules} <= {name for name, _ in Neurons.of(1).items()}
    assert all(rule.low <= 0 <= rule.high and rule.broken(np.array([rule.high + 1])).all() for rule in rules)
    still = np.zeros(3, np.int32)
    potential, spikes = neuron.update(Neurons.of(3, threshold=[1, 9, 200]), still, still, still, still)
    assert not potential.any()
    assert not spikes.any()
    far = np.array([high, low, high], np.int32)
    potential, _ = neuron.update(Neurons.of(3, threshold=1, reset_mode=2), far, far, still, still)
    assert (low <= potential).all()
    assert (potential <= high).all()


@pytest.mark.parametrize("kind", list(kinds(Device)))
def test_levels_rise_from_hrs_to_lrs(kind: str) -> None:
    device = _example(Device, kind)
    assert isinstance(device, Device)
    levels = device.levels_rel()
    assert len(levels) == 1 << device.cell_bits
    assert (levels[0], levels[-1]) == (device.low_rel, 1)
    assert all(a < b for a, b in pairwise(levels))
    if device.range_S is not None:
        assert device.mean_conductance_S == approx(levels.mean() * device.range_S[1])
