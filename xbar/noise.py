"""`NoiseModel`: which noises a chip has, and when it is read. Describes, never computes.

`load_noise("reram_wan_2022")` reads one of the models that come with the package, `load_noise("mine.yaml")` yours.
"""

from __future__ import annotations

import copy
import difflib
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from xbar.config import Document, load_yaml, validate
from xbar.errors import ConfigError
from xbar.parts.base import STAGES, AdcNoise, CellNoise, DacNoise, Noise, ReadNoise, When
from xbar.parts.kinds import by_kind
from xbar.settings import Settings
from xbar.units import parse


def _not_before_programming(value: Any) -> float:
    time_s = parse(value, "s")
    if time_s < 0:
        raise ValueError("must not be before programming; 0 is right after it")
    return time_s


class NoiseModel(Settings):
    """Named effects (any names), each with a kind of xbar/parts/noise, and the moment at which the chip is read.

    time_s: after programming. temperature_K: since then. drift_compensation: each layer's outputs are scaled in digital
    by the ratio of its summed column currents right after programming to those now, all word lines driven (Joshi et
    al., Nat. Commun. 2020).
    """

    name: str = ""
    citation: str = ""
    time_s: Annotated[float, BeforeValidator(_not_before_programming)] = 0.0
    temperature_K: float = Field(300.0, gt=0)
    drift_compensation: Annotated[bool, Field(strict=True)] = False
    effects: dict[str, Annotated[Noise, by_kind(Noise)]] = Field(default_factory=dict)

    def at(self, time_s: float | str) -> NoiseModel:
        """The same devices, read at another time after programming. Raises ConfigError for a time before it."""
        try:
            return self.model_copy(update={"time_s": _not_before_programming(time_s)})
        except ValueError as error:
            raise ConfigError(f"time_s: {error}, got {time_s}") from error

    def only(self, *names: str) -> NoiseModel:
        """The model with no effects but those named. Raises ConfigError for a name that it does not have."""
        unknown = [name for name in names if name not in self.effects]
        if unknown:
            known = ", ".join(self.effects) or "none"
            raise ConfigError(f"effects: must be names of the noise model ({known}), got {', '.join(unknown)}")
        return self.model_copy(update={"effects": {n: e for n, e in self.effects.items() if n in names}})

    @property
    def when(self) -> When:
        """The moment of reading."""
        return When(self.time_s, self.temperature_K)

    @property
    def of_cells(self) -> dict[str, CellNoise]:
        """Effects on cells in the order in which they happen."""
        found = {n: e for n, e in self.effects.items() if isinstance(e, CellNoise)}
        return dict(sorted(found.items(), key=lambda item: STAGES.index(item[1].stage)))

    @property
    def of_reads(self) -> dict[str, ReadNoise]:
        """Read noises; their variances add up."""
        return {n: e for n, e in self.effects.items() if isinstance(e, ReadNoise)}

    @property
    def of_adcs(self) -> dict[str, AdcNoise]:
        """Errors of ADCs."""
        return {n: e for n, e in self.effects.items() if isinstance(e, AdcNoise)}

    @property
    def of_dacs(self) -> dict[str, DacNoise]:
        """Errors of word line drivers."""
        return {n: e for n, e in self.effects.items() if isinstance(e, DacNoise)}


def list_noises() -> tuple[str, ...]:
    """Names of the noise models that come with the package."""
    files = (importlib.resources.files("hw_configs") / "noise").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def noise_document(name_or_path: str | Path) -> Document:
    """The YAML of a noise model; ConfigError for an unknown name (with the nearest known) or a bad file."""
    name = str(name_or_path)
    if name == "none":
        return Document("none", {"name": "none"}, {})
    if isinstance(name_or_path, Path) or name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name:
        return with_paths(load_yaml(name_or_path))
    known = list_noises()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the models are none, {', '.join(known)}"
        raise ConfigError(f"noise: must be a known noise model or a .yaml file, got {name}; {hint}")
    with importlib.resources.as_file(importlib.resources.files("hw_configs") / "noise" / f"{name}.yaml") as path:
        document = with_paths(load_yaml(path))
    return Document(f"{name}.yaml", document.data, document.lines)


def with_paths(document: Document, place: tuple[str, ...] = ()) -> Document:
    """The document of a noise model, or of one with it at `place`: a `csv` beside the YAML file gets its full path."""
    data = copy.deepcopy(document.data)
    section: Any = data
    for step in (*place, "effects"):
        section = section.get(step) if isinstance(section, dict) else None
    for effect in section.values() if isinstance(section, dict) else ():
        if isinstance(effect, dict) and isinstance(effect.get("csv"), str):
            beside = Path(document.path).parent / effect["csv"]
            effect["csv"] = str(beside) if beside.is_file() else effect["csv"]
    return Document(document.path, data, document.lines)


def load_noise(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> NoiseModel:
    """A noise model by name (`list_noises()`; `none` has no effects) or by the path of its YAML file.

    overrides: settings to change, {"effects.read.sigma_rel": 0.02}. Raises ConfigError with every problem at once.
    """
    return validate(NoiseModel, noise_document(name_or_path), overrides)
