"""Programming as it was measured, level by level."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

import numpy as np
from pydantic import Field, model_validator

from xbar.parts.base import CellNoise, Cells, Device, Floats, Stage, When
from xbar.parts.normal import rectified
from xbar.settings import Settings, problems
from xbar.units import Siemens, parse

COLUMNS = ("level", "mean_S", "sigma_S")


@final
class MeasuredLevel(Settings):
    """Mean and standard deviation of the conductances that cells of one level were found to have."""

    level: Annotated[int, Field(strict=True, ge=0, le=255)]
    mean_S: float = Field(ge=0)
    sigma_S: float = Field(ge=0)


@final
class TableNoise(CellNoise):
    """g' = max(0, g + mean[level] - target + sigma[level] xi), xi normal: a cell gets what was measured for its level.

    csv: a file with the columns level, mean_S, sigma_S (in S), one row per level from 0 up; its path is relative to the
    YAML file, or to where the command runs. Lines that start with # are comments. The values are kept in `measured`,
    so that a saved program needs no file. They belong to a device whose largest conductance is g_max_S and scale with
    the g_max of the chip. What happened before (a spread between devices) adds to them. Mean and variance are those of
    the rectified normal.
    """

    stage: ClassVar[Stage] = "program"

    g_max_S: Siemens
    measured: tuple[MeasuredLevel, ...] = Field(min_length=2)
    csv: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_csv(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("csv") is None:
            return data
        if "measured" in data:
            rule = "is not for a section that has `measured` as well; remove one of the two"
            raise problems("TableNoise", [(("csv",), rule, data["csv"])])
        return {**data, "csv": None, "measured": _read(data["csv"])}

    @model_validator(mode="after")
    def _sensible(self) -> TableNoise:
        levels = [m.level for m in self.measured]
        if levels != list(range(len(levels))):
            rule = "must list each level once, in the order 0, 1, 2 and so on"
            raise problems("TableNoise", [(("measured",), rule, levels)])
        largest = max(max(m.mean_S, m.sigma_S) for m in self.measured)
        if largest > 10 * self.g_max_S:
            rule = "must not have values above 10 g_max_S; are they in another unit than S?"
            raise problems("TableNoise", [(("measured",), rule, largest)])
        return self

    @property
    def per_device(self) -> bool:
        """Never: every programming has its own error."""
        return False

    def misfits(self, device: Device) -> tuple[str, ...]:
        """Whether the levels are those of the device."""
        known, needed = len(self.measured), 1 << device.cell_bits
        rule = f"must have as many levels as the cells, {needed}, not {known}; measure those, or set device.cell_bits"
        return () if known == needed else (rule,)

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """New conductances over g_max, of the shape of `g_rel`."""
        mean, sigma = self._mean_and_sigma(cells, g_rel)
        return np.maximum(mean + sigma * rng.standard_normal(g_rel.shape), 0.0)

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the rectified normal."""
        return rectified(*self._mean_and_sigma(cells, g_rel))

    def _mean_and_sigma(self, cells: Cells, g_rel: Floats) -> tuple[Floats, Floats]:
        mean = np.array([m.mean_S for m in self.measured]) / self.g_max_S
        sigma = np.array([m.sigma_S for m in self.measured]) / self.g_max_S
        return g_rel - cells.target_rel + mean[cells.level], sigma[cells.level]


def _read(path: Any) -> list[dict[str, float]]:
    """The rows of a CSV by level; raises `problems` with every bad line."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, TypeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path of a UTF-8 text"
        raise problems("TableNoise", [(("csv",), f"cannot be read ({reason}); check the path", path)]) from error
    kept = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    cells = [(n, [text.strip() for text in next(csv.reader([line]))]) for n, line in kept]
    header = cells[0][1] if cells else []
    if sorted(header) != sorted(COLUMNS):
        rule = f"must have the columns {', '.join(COLUMNS)} in its first line, not {', '.join(header) or 'nothing'}"
        raise problems("TableNoise", [(("csv",), rule, path)])
    found: list[str] = []
    rows = [row for n, values in cells[1:] if (row := _row(n, header, values, found))]
    levels = [int(row["level"]) for row in rows]
    found += [f"level {level} is there twice" for level in sorted({n for n in levels if levels.count(n) > 1})]
    if not found:
        found += [f"level {level} is missing" for level in range(max(levels, default=0)) if level not in levels]
    if found:
        raise problems("TableNoise", [(("csv",), rule, path) for rule in found])
    return sorted(rows, key=lambda row: row["level"])


def _row(line: int, header: list[str], values: list[str], found: list[str]) -> dict[str, float] | None:
    """One row of numbers; notes what is wrong with it and returns None."""
    if len(values) != len(header):
        found.append(f"line {line}: has {len(values)} values for {len(header)} columns")
        return None
    numbers: dict[str, float] = {}
    for name, text in zip(header, values, strict=True):
        try:
            numbers[name] = _level(text) if name == "level" else parse(text, "S")
            if numbers[name] < 0:
                raise ValueError("must be 0 or more")
        except ValueError as error:
            found.append(f"line {line}: {name} {error}, not {text}")
    return numbers if len(numbers) == len(header) else None


def _level(text: str) -> int:
    if not text.isdecimal() or int(text) > 255:
        raise ValueError("must be a whole number from 0 to 255")
    return int(text)
