"""Noise models: those that come with the package, the user's, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xbar.errors import ConfigError
from xbar.hardware import load_chip
from xbar.noise import NoiseModel, list_noises, load_noise
from xbar.parts.base import When

MODELS = (
    "pcm_joshi_2020",
    "pcm_legallo_2023",
    "reram_falcone_2025",
    "reram_typical",
    "reram_wan_2022",
    "state_independent",
)


def test_the_promised_models_are_there() -> None:
    assert set(MODELS) <= set(list_noises())


@pytest.mark.parametrize("name", list_noises())
def test_models_say_where_they_come_from_and_survive_json(name: str) -> None:
    model = load_noise(name)
    assert model.name == name
    assert model.citation
    assert model.effects
    assert all(effect.source for effect in model.effects.values())
    assert NoiseModel.model_validate(json.loads(model.model_dump_json())) == model


def test_none_has_no_effects() -> None:
    model = load_noise("none")
    assert model == NoiseModel(name="none")
    assert (model.of_cells, model.of_reads, model.of_adcs, model.of_dacs) == ({}, {}, {}, {})


ALL: dict[str, Any] = {
    "broken": {"kind": "stuck", "hrs_rate": 0.1, "lrs_rate": 0.1},
    "read": {"kind": "white", "sigma_rel": 0.01, "relative_to": "g_max"},
    "trap": {"kind": "telegraph", "amplitude_rel": 0.1, "probability": 0.1},
    "hold": {"kind": "drift", "nu_mean": 0.05, "nu_sigma": 0.01, "t_0_s": 1},
    "adc": {"kind": "adc_error", "offset_sigma_lsb": 0.5},
    "dac": {"kind": "dac_error", "gain_sigma_rel": 0.01},
    "write": {"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "value"},
    "spread": {"kind": "lognormal", "sigma_ln": 0.1},
}


def _model(**changes: Any) -> NoiseModel:
    return load_noise("none", {"effects": ALL, **changes})


def test_effects_follow_their_stages_and_within_one_their_order() -> None:
    assert list(_model().of_cells) == ["write", "spread", "hold", "trap", "broken"]
    assert list(_model().of_reads) == ["read"]
    assert list(_model().of_adcs) == ["adc"]
    assert list(_model().of_dacs) == ["dac"]


def test_only_some_effects() -> None:
    model = _model(time_s="1 h")
    assert list(model.only("read", "write").effects) == ["read", "write"]
    assert model.only().effects == {}
    assert model.only("read").time_s == 3600
    with pytest.raises(ConfigError, match=r"effects: must be names of the noise model \(broken, .*\), got rea, tra"):
        model.only("rea", "read", "tra")


def test_the_moment_of_reading() -> None:
    assert load_noise("pcm_joshi_2020").when == When(0.0, 300.0)
    model = load_noise("pcm_joshi_2020", {"time_s": "2 h", "temperature_K": 350})
    assert model.when == When(7200.0, 350.0)
    assert model.at(10).when == When(10.0, 350.0)
    assert model.at("1 day").time_s == 86400
    assert model.time_s == 7200
    with pytest.raises(ConfigError) as caught:
        model.at(-1)
    assert str(caught.value) == "time_s: must not be before programming; 0 is right after it, got -1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_s": -1}, "--set time_s: must not be before programming, got -1; 0 is right after it"),
        ({"time_s": "-2 h"}, "--set time_s: must not be before programming, got -2 h"),
        ({"time_s": "3 V"}, "--set time_s: 'V' is a voltage"),
        ({"time_s": ".inf"}, "--set time_s: must be a time that is finite"),
        ({"temperature_K": 0}, "--set temperature_K: must be more than 0"),
        ({"temperature_K": "hot"}, "--set temperature_K: must be a number"),
        ({"drift_compensation": "maybe"}, "--set drift_compensation: must be true or false"),
        ({"noises": 1}, "--set noises: unknown setting"),
        ({"effect": "{}"}, "--set effect: unknown setting; did you mean effects?"),
        ({"effects.write.sigma_rel": -0.1}, "--set effects.write.sigma_rel: must be 0.0 or more, got -0.1"),
        ({"effects.write.sigma": 0.1}, "unknown setting with kind: gaussian, got 0.1; did you mean sigma_rel?"),
        ({"effects.write.kind": "gausian"}, "--set effects.write.kind: must be a kind of Noise, got gausian; did you"),
        ({"effects.write": "{sigma_rel: 1}"}, "--set effects.write.kind: is needed; the kinds are adc_error, "),
        ({"effects.write": 3}, "--set effects.write: must be a section with a `kind`"),
        ({"effects.write.relative_to": "g"}, "relative_to: must be one of range, value, got g"),
        (
            {"effects.broken.hrs_rate": 0.95},
            "must not exceed 1 together with lrs_rate (0.1), got 0.95; the sum is 1.05",
        ),
        ({"effects.broken.lrs_rate": 1.5}, "--set effects.broken.lrs_rate: must be 1.0 or less, got 1.5"),
        ({"effects.trap.probability": -1}, "effects.trap.probability: must be 0.0 or more"),
        ({"effects.hold.t_0_s": 0}, "effects.hold.t_0_s: must be more than 0"),
        ({"effects.hold.nu_sigma": -0.1}, "effects.hold.nu_sigma: must be between 0 and 10 for all r from 0 to 1"),
        ({"effects.adc.inl_sigma_lsb": -1}, "effects.adc.inl_sigma_lsb: must be 0.0 or more"),
        ({"effects.dac.noise_sigma_rel": -1}, "effects.dac.noise_sigma_rel: must be 0.0 or more"),
        ({"effects.read.sigma_rel": ".nan"}, "effects.read.sigma_rel: must be a finite number"),
    ],
)
def test_one_clear_error_for_each_mistake(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _model(**changes)
    (problem,) = caught.value.problems
    assert message in problem


def test_all_mistakes_of_a_file_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "time_s: -3 s\n"
        "effects:\n"
        "  read: {kind: white, sigma_rel: -1, relative_to: g_max}\n"
        "  faults:\n"
        "    kind: stuck\n"
        "    hrs_rate: 0.8\n"
        "    lrs_rate: 0.8\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_noise(path)
    assert [problem.removeprefix(f"{path}:")[:2] for problem in caught.value.problems] == ["1:", "3:", "6:"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reram_wan_2023", "did you mean reram_wan_2022?"),
        ("snow", "noise: must be a known noise model or a .yaml file, got snow; the models are none, pcm_joshi_2020, "),
        ("nowhere/mine.yaml", "nowhere/mine.yaml: cannot be read"),
    ],
)
def test_unknown_models(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_noise(name)
    (problem,) = caught.value.problems
    assert message in problem


def test_a_list_is_not_too_short_because_of_a_bad_entry() -> None:
    with pytest.raises(ConfigError) as caught:
        load_noise("state_independent", {"effects.programming.measured.0.coefficients_S.0": "0.2 uV"})
    (problem,) = caught.value.problems
    assert "coefficients_S.0: 'uV' is a voltage" in problem


@pytest.mark.parametrize("name", ["none", *MODELS])
def test_chips_take_them_with_settings_changed(name: str) -> None:
    chip = load_chip("generic_1t1r", {"noise.time_s": "1 h", "noise.temperature_K": 320}, noise=name)
    assert chip.noise is not None
    assert chip.noise.when == When(3600.0, 320.0)
    assert chip.noise.name == name
    assert chip.is_analog
    assert type(chip).from_dict(json.loads(json.dumps(chip.to_dict(), allow_nan=False))) == chip


def test_overrides_are_the_users_own_and_stay_as_they_are() -> None:
    before = json.dumps(ALL)
    _model(**{"effects.write.sigma_rel": 0.3})
    assert json.dumps(ALL) == before
