"""`adc.bits=3..8` and `crossbar.rows=64,128,256`: what `--set` and `--vary` mean."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from xbar.errors import ConfigError

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")


def settings_of(texts: Sequence[str], option: str = "--set") -> dict[str, str]:
    """{"adc.bits": "6"} from ["adc.bits=6"]; ConfigError lists every text that is not path=value."""
    found: dict[str, str] = {}
    problems = []
    for text in texts:
        path, equals, value = text.partition("=")
        if not (equals and path.strip() and value.strip()):
            problems.append(f"{option} {text}: must be path=value, got {text!r}; write for example {option} adc.bits=6")
        elif path.strip() in found:
            problems.append(f"{option} {text}: each path once, got {path.strip()} twice; remove one")
        else:
            found[path.strip()] = value.strip()
    if problems:
        raise ConfigError(problems)
    return found


def grid_of(texts: Sequence[str]) -> list[dict[str, str]]:
    """Every combination of the varied settings, the last path changing fastest.

    A value list is `64,128,256`, or `3..8`: whole numbers with both ends. A list inside brackets is one value.
    """
    axes = settings_of(texts, "--vary")
    problems = []
    values: dict[str, list[str]] = {}
    for path, text in axes.items():
        values[path] = _values(text)
        if not values[path]:
            problems.append(f"--vary {path}: a range goes upward, got {text}; swap its ends")
        elif len(set(values[path])) < len(values[path]):
            problems.append(f"--vary {path}: every value once, got {text}; remove the repeated ones")
    if problems:
        raise ConfigError(problems)
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def is_noise(path: str) -> bool:
    """Whether a setting is about noise, which nobody chooses, and not about the design of the chip."""
    return path == "noise" or path.startswith("noise.")


def _values(text: str) -> list[str]:
    whole = _RANGE.fullmatch(text)
    if whole:
        return [str(v) for v in range(int(whole[1]), int(whole[2]) + 1)]
    return [part.strip() for part in re.split(r",(?![^\[]*\]|[^{]*\})", text) if part.strip()]
