"""Noise models on the console: every effect with its law, settings with units, source and size."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from xbar.config import from_data, validate
from xbar.noise import NoiseModel, list_noises, load_noise
from xbar.tables.noises import print_noise, print_noises


def _printed(model: NoiseModel) -> str:
    console = Console(width=150, record=True, file=io.StringIO())
    print_noise(model, console)
    return console.export_text()


def _model(**data: object) -> NoiseModel:
    return validate(NoiseModel, from_data(data, "test"))


@pytest.mark.parametrize("name", list_noises())
def test_every_effect_has_its_source_and_law(name: str) -> None:
    model = load_noise(name)
    text = _printed(model)
    assert model.citation in text
    for effect, part in model.effects.items():
        assert f"{effect} (kind: {part.kind}; " in text
        assert f"source: {part.source}" in text


def test_sizes_are_those_of_the_law() -> None:
    text = _printed(
        _model(
            effects={
                "p": {"kind": "gaussian", "sigma_rel": 0.05, "relative_to": "value"},
                "r": {"kind": "white", "sigma_rel": 0.02, "relative_to": "g_max"},
                "d": {"kind": "drift", "nu_mean": 0.1, "nu_sigma": 0, "t_0_s": "1 s"},
            },
            time_s="1 h",
            temperature_K=350,
            drift_compensation=True,
        )
    )
    rows = {
        line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()[:1] in (["p"], ["r"], ["d"])
    }
    assert rows["p"] == ["+0.00±0.00", "+0.00±1.25", "+0.00±2.50", "+0.00±3.75", "+0.00±5.00"]
    assert rows["r"] == ["±2.00"] * 5
    lost = 100 * (1 - 3601**-0.1)
    assert rows["d"][-1] == f"-{lost:.2f}±0.00"
    assert "read 1 h after programming at 350 K, drift compensated" in text
    assert "cells, since programming; device to device" in text
    assert "cells, at programming; cycle to cycle" in text


def test_what_is_measured_level_by_level_has_no_general_size() -> None:
    measured = [{"level": i, "mean_S": i * 1e-6, "sigma_S": 1e-7} for i in range(4)]
    text = _printed(_model(effects={"t": {"kind": "table", "g_max_S": "3 uS", "measured": measured}}))
    assert "mean_S: 3 µS" in text
    assert "by g / g_max" not in text


def test_converters_and_nothing() -> None:
    text = _printed(
        _model(
            effects={
                "a": {"kind": "adc_error", "noise_sigma_lsb": 1},
                "d": {"kind": "dac_error", "gain_sigma_rel": 0.1},
            }
        )
    )
    assert "a (kind: adc_error; ADCs)" in text
    assert "d (kind: dac_error; word line drivers)" in text
    assert "nothing random" in _printed(load_noise("none"))


def test_the_list() -> None:
    console = Console(width=150, record=True, file=io.StringIO())
    print_noises([load_noise(name) for name in list_noises()], console)
    text = console.export_text()
    for name in list_noises():
        assert load_noise(name).citation in text
        assert ", ".join(load_noise(name).effects) in text
