"""Noise models as tables: the list of them, and one effect by effect."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from xbar.noise import NoiseModel
from xbar.parts.base import AdcNoise, CellNoise, Cells, DacNoise, Noise, ReadNoise
from xbar.parts.device.levels import LevelsDevice
from xbar.tables.look import RIGHT, narrow_table, title
from xbar.units import duration, si, unit_of

_STAGES = {
    "program": "cells, at programming",
    "age": "cells, since programming",
    "state": "cells, as they are now",
    "fault": "cells, faults",
}
_STATES = np.linspace(0, 1, 5)  # of g / g_max


def print_noises(models: Sequence[NoiseModel], console: Console) -> None:
    """The list of noise models, and where each comes from."""
    table = narrow_table()
    for name in ("noise model", "effects"):
        table.add_column(name)
    for model in models:
        table.add_row(f"[bold]{escape(model.name)}", escape(", ".join(model.effects)))
    console.print(table)
    for model in models:
        console.print(f" {model.name}: {model.citation}", markup=False, highlight=False, style="dim")


def print_noise(model: NoiseModel, console: Console) -> None:
    """One noise model effect by effect: what it acts on, its law, its settings and its source; and how large it is."""
    console.print(f"[bold]{escape(model.name or 'noise model')}[/]: {escape(model.citation or 'no citation')}")
    compensated = "compensated" if model.drift_compensation else "not compensated"
    console.print(
        f"read {duration(model.time_s)} after programming at {model.temperature_K:g} K, drift {compensated}",
        style="dim",
    )
    if not model.effects:
        console.print("no effects: real cells with the conductance limits of their device, and nothing random")
        return
    for name, effect in model.effects.items():
        console.print(Text(f"\n{name}", style="bold"), f"(kind: {effect.kind}; {_acts_on(effect)})", markup=False)
        console.print(f"  {_law(effect)}", markup=False, highlight=False)
        for setting, value in effect.model_dump(mode="json", exclude_defaults=True).items():
            if setting not in ("kind", "source"):
                console.print(f"  {setting}: {_text(setting, value)}", markup=False, highlight=False, style="dim")
        if effect.source:
            console.print(f"  source: {effect.source}", markup=False, highlight=False, style="dim")
    _print_sizes(model, console)


def _acts_on(effect: Noise) -> str:
    if isinstance(effect, CellNoise):
        return f"{_STAGES[effect.stage]}; {'device to device' if effect.per_device else 'cycle to cycle'}"
    if isinstance(effect, ReadNoise):
        return "cells, at every read"
    if isinstance(effect, AdcNoise):
        return "ADCs"
    return "word line drivers" if isinstance(effect, DacNoise) else type(effect).__name__


def _law(effect: Noise) -> str:
    """The first paragraph of what the kind says about itself."""
    text = inspect.getdoc(type(effect)) or ""
    return " ".join(text.split("\n\n")[0].split())


def _text(setting: str, value: Any) -> str:
    """A setting's value, with its unit where its name has one."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_text(name, v)}" for name, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(setting, v) for v in value) + "]"
    if not isinstance(value, float):
        return str(value)
    unit = unit_of(setting)
    return duration(value) if unit == "s" else si(value, unit) if unit else f"{value:g}"


def _print_sizes(model: NoiseModel, console: Console) -> None:
    """Mean shift and standard deviation of each effect on cells, alone, over g_max, at the moment of reading."""
    rows = []
    for name, effect in model.effects.items():
        if isinstance(effect, CellNoise):
            if any(effect.misfits(LevelsDevice(cell_bits=bits)) for bits in (1, 2)):  # known for its own levels alone
                continue
            cells = Cells(np.arange(len(_STATES), dtype=np.uint8), _STATES, 0.0, len(_STATES))
            mean, variance = effect.moments(cells, _STATES, model.when)
            pairs = zip(mean - _STATES, np.sqrt(variance), strict=True)
            rows.append((name, [f"{100 * shift:+.2f}±{100 * sigma:.2f}" for shift, sigma in pairs]))
        elif isinstance(effect, ReadNoise):
            rows.append((name, [f"±{100 * sigma:.2f}" for sigma in np.sqrt(effect.variance(_STATES, model.when))]))
    if not rows:
        return
    console.print(title("shift ± standard deviation of a cell, % of g_max, each effect alone, by g / g_max"))
    table = narrow_table()
    table.add_column("effect")
    for state in _STATES:
        table.add_column(f"{state:g}", justify=RIGHT)
    for name, sizes in rows:
        table.add_row(escape(name), *sizes)
    console.print(table)
