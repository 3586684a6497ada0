"""Quantities with units: SI in memory, `1.6 pJ` in YAML, and back to readable text.

`parse("1.6 pJ", "J")` gives 1.6e-12 and refuses `1.6 pW`; the annotated types (`Joule`, `SquareMetre`, ...) do this for
the fields of Settings. Times may be in min, h, day and year (of 365 days) as well.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_PREFIX = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
}
_SPELLING = {"m²": "m2", "m^2": "m2", "S/s": "Hz", "Ω": "Ohm", "ohm": "Ohm"}
_QUANTITY = {
    "J": "an energy",
    "m2": "an area",
    "W": "a power",
    "s": "a time",
    "Hz": "a rate",
    "S": "a conductance",
    "V": "a voltage",
    "m": "a length",
    "Ohm": "a resistance",
}
_DURATION = {"min": 60.0, "h": 3600.0, "day": 86400.0, "days": 86400.0, "year": 31536000.0, "years": 31536000.0}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


@lru_cache(maxsize=256)
def _split_unit(text: str) -> tuple[float, str] | None:
    """Factor to SI and the SI unit of a unit with prefix; None if it is none that we know."""
    if text in _DURATION:
        return _DURATION[text], "s"
    for spelling in (*_SPELLING, *sorted(_QUANTITY, key=len, reverse=True)):
        prefix = text.removesuffix(spelling)
        if prefix != text and prefix in _PREFIX:
            unit = _SPELLING.get(spelling, spelling)
            return (_PREFIX[prefix] ** 2 if unit == "m2" else _PREFIX[prefix]), unit
    return None


def parse(value: Any, unit: str) -> float:
    """A number in SI from a number (already SI) or a text with a unit: `parse("1200 um2", "m2")` is 1.2e-9.

    `S/s` counts as Hz. Raises ValueError for a wrong dimension, an unknown unit, or what is not a finite number.
    """
    quantity = _QUANTITY[unit]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"must be {quantity}, a number in {unit} or a text with its unit")
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is None:
            raise ValueError(f"must be {quantity}, a number and a unit such as '1.6 {unit}'")
        factor, written = 1.0, match[2]
        if written:
            known = _split_unit(written)
            if known is None:
                others = ", or in min, h, day or year" if unit == "s" else ""
                raise ValueError(
                    f"unknown unit '{written}'; write {quantity} in {unit}, with a prefix from f to T{others}"
                )
            if known[1] != unit:
                raise ValueError(f"'{written}' is {_QUANTITY[known[1]]}; write {quantity} in {unit}")
            factor = known[0]
        # dividing by a whole power of ten rounds once: 24.08 mW is the float nearest to 0.02408
        number = float(match[1])
        number = number / round(1 / factor) if factor < 1 else number * factor
    else:
        number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"must be {quantity} that is finite")
    return number


def si(value: float, unit: str, digits: int = 4) -> str:
    """Readable text with a prefix: `si(1.56e-12, "J")` is "1.56 pJ"; areas in mm² or µm²."""
    if unit == "m2":
        scaled, name = (value * 1e6, "mm²") if abs(value) >= 1e-8 else (value * 1e12, "µm²")
        return f"{scaled:.{digits}g} {name}"
    if value == 0:
        return f"0 {unit}"
    prefixes = [(factor, prefix) for prefix, factor in _PREFIX.items() if prefix not in ("u", "μ")]
    fitting = [pair for pair in prefixes if abs(value) >= pair[0] * (1 - 1e-12)]
    factor, prefix = max(fitting) if fitting else prefixes[0]
    return f"{value / factor:.{digits}g} {prefix}{unit}"


def duration(value_s: float) -> str:
    """A time as people say it: `duration(86400)` is "1 day"; below a minute as `si` writes it."""
    fitting = [name for name in ("year", "day", "h", "min") if value_s >= _DURATION[name]]
    if not fitting:
        return si(value_s, "s")
    amount = f"{value_s / _DURATION[fitting[0]]:.3g}"
    return f"{amount} {fitting[0]}" + ("s" if amount != "1" and fitting[0] in ("day", "year") else "")


def unit_of(name: str) -> str | None:
    """The unit that a setting's name ends in: "s" of `noise.time_s`; None where it names none."""
    unit = name.rpartition("_")[2]
    return unit if unit in _QUANTITY and "_" in name else None


def _reader(unit: str) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value, unit))


Joule = Annotated[float, _reader("J"), Field(ge=0)]
SquareMetre = Annotated[float, _reader("m2"), Field(ge=0)]
Watt = Annotated[float, _reader("W"), Field(ge=0)]
Second = Annotated[float, _reader("s"), Field(gt=0)]
Hertz = Annotated[float, _reader("Hz"), Field(gt=0)]
Siemens = Annotated[float, _reader("S"), Field(gt=0)]
Volt = Annotated[float, _reader("V"), Field(gt=0)]
Ohm = Annotated[float, _reader("Ohm"), Field(gt=0)]
OhmOrZero = Annotated[float, _reader("Ohm"), Field(ge=0)]
Metre = Annotated[float, _reader("m"), Field(gt=0)]

Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
BitWidth = Annotated[int, Field(strict=True, ge=1, le=16)]
