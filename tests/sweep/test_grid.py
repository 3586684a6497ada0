"""What `--set` and `--vary` mean."""

from __future__ import annotations

import pytest

from xbar.errors import ConfigError
from xbar.sweep.grid import grid_of, is_noise, settings_of


def test_the_last_path_changes_fastest() -> None:
    assert grid_of(["adc.bits=3..4", "crossbar.rows=64,128"]) == [
        {"adc.bits": "3", "crossbar.rows": "64"},
        {"adc.bits": "3", "crossbar.rows": "128"},
        {"adc.bits": "4", "crossbar.rows": "64"},
        {"adc.bits": "4", "crossbar.rows": "128"},
    ]


def test_a_list_in_brackets_is_one_value() -> None:
    assert grid_of(["adc.bits=[3,3,3,1],8"]) == [{"adc.bits": "[3,3,3,1]"}, {"adc.bits": "8"}]


def test_a_section_in_braces_is_one_value() -> None:
    assert grid_of(["adc={kind: ideal},{kind: sar, bits: 8}"]) == [
        {"adc": "{kind: ideal}"},
        {"adc": "{kind: sar, bits: 8}"},
    ]


def test_values_have_units() -> None:
    assert grid_of(["noise.time_s=1 s, 1 h,1 day,1 year"]) == [
        {"noise.time_s": text} for text in ("1 s", "1 h", "1 day", "1 year")
    ]


def test_what_is_about_noise() -> None:
    assert is_noise("noise")
    assert is_noise("noise.time_s")
    assert not is_noise("noisy.part")
    assert not is_noise("device.g_min_S")


def test_nothing_varied_is_one_point() -> None:
    assert grid_of([]) == [{}]


def test_all_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        grid_of(["adc.bits=8..3", "crossbar.rows=64,64"])
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError) as caught:
        settings_of(["adc.bits", "=3", "a=1", "a=2"])
    assert len(caught.value.problems) == 3
