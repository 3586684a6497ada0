"""Quantities in and out."""

from __future__ import annotations

import math

import pytest
from close import approx
from hypothesis import given
from hypothesis import strategies as st

from xbar.units import duration, parse, si, unit_of


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1.6 pJ", "J", 1.6e-12),
        ("1200 um2", "m2", 1.2e-9),
        ("1200 µm²", "m2", 1.2e-9),
        ("0.372 mm^2", "m2", 3.72e-7),
        ("1.28 GS/s", "Hz", 1.28e9),
        ("25 uS", "S", 2.5e-5),
        ("100ns", "s", 1e-7),
        ("2 m", "m", 2.0),
        ("2 mm", "m", 2e-3),
        ("6 kOhm", "Ohm", 6e3),
        ("2 min", "s", 120.0),
        ("1 h", "s", 3600.0),
        ("1.5 days", "s", 129600.0),
        ("1 day", "s", 86400.0),
        ("1 year", "s", 365 * 86400.0),
        ("1e-6", "W", 1e-6),
        (3, "W", 3.0),
    ],
)
def test_reads_numbers_with_units(text: str | float, unit: str, value: float) -> None:
    assert parse(text, unit) == approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("1 pW", "J", "'pW' is a power; write an energy in J"),
        ("1 mm", "m2", "'mm' is a length"),
        ("5 s", "S", "'s' is a time; write a conductance"),
        ("1 foo", "J", "unknown unit 'foo'"),
        ("1 fortnight", "s", "write a time in s, with a prefix from f to T, or in min, h, day or year"),
        ("1 kday", "s", "unknown unit 'kday'"),
        ("1 h", "J", "'h' is a time; write an energy in J"),
        ("many", "J", "a number and a unit"),
        (True, "J", "a number in J"),
        (None, "J", "a number in J"),
        (math.nan, "J", "finite"),
        ("1e999 J", "J", "finite"),
    ],
)
def test_refuses_what_is_no_quantity_of_that_kind(text: object, unit: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.56e-12, "J", "1.56 pJ"),
        (0.0, "J", "0 J"),
        (1e-18, "J", "0.001 fJ"),
        (65.8, "W", "65.8 W"),
        (2.408e-2, "W", "24.08 mW"),
        (1.2e-9, "m2", "1200 µm²"),
        (8.54e-5, "m2", "85.4 mm²"),
        (1e-7, "s", "100 ns"),
    ],
)
def test_writes_a_readable_text(value: float, unit: str, text: str) -> None:
    assert si(value, unit) == text


@given(st.floats(1e-15, 1e12), st.sampled_from(["J", "W", "s", "Hz", "S", "m2"]))
def test_what_is_written_reads_back(value: float, unit: str) -> None:
    assert parse(si(value, unit, digits=17), unit) == approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (2e-3, "2 ms"),
        (59.0, "59 s"),
        (90.0, "1.5 min"),
        (3600.0, "1 h"),
        (86400.0, "1 day"),
        (172800.0, "2 days"),
        (31536000.0, "1 year"),
    ],
)
def test_a_time_as_people_say_it(value: float, text: str) -> None:
    assert duration(value) == text
    assert parse(text, "s") == approx(value, rel=1e-12)


def test_the_unit_that_a_name_ends_in() -> None:
    assert unit_of("noise.time_s") == "s"
    assert unit_of("device.g_max_S") == "S"
    assert unit_of("adc.bits") is None
    assert unit_of("noise.effects.read.sigma_rel") is None
    assert unit_of("s") is None
