"""JSON that others wrote, read strictly: every problem is told with its place in the file, and all of them at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from xbar.errors import DataError

MOST = 50  # problems that an error lists
SHOWN = 60  # characters of a wrong value


def read_json(path: Path) -> Any:
    """The content of a JSON file; DataError for one that cannot be read, with the line where it breaks off.

    NaN, infinities and keys that come twice are no JSON here.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not a text file in UTF-8; is it JSON?") from None

    def no_number(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a number of JSON")

    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)!r} comes twice in one object")
        return made

    try:
        return json.loads(text, parse_constant=no_number, object_pairs_hook=no_twins)
    except json.JSONDecodeError as e:
        end = "; the file ends too early, is it truncated?" if not text[e.pos :].strip() else ""
        raise DataError(f"{path}:{e.lineno}: must be JSON: {e.msg} (column {e.colno}){end}") from None
    except RecursionError:
        raise DataError(f"{path}: is nested too deeply to be read") from None
    except ValueError as e:  # of the two hooks, or a number of thousands of digits
        raise DataError(f"{path}: must be JSON: {str(e).splitlines()[0]}") from None


class Places:
    """Takes values out of read JSON and collects what is wrong with them: `file: place: rule, got value`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[str] = []

    def tell(self, place: str, rule: str, got: Any = None, *, silent: bool = False) -> None:
        """One problem; silent: `rule` says all, and no value is shown."""
        shown = json.dumps(got, default=str)
        shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
        where = f"{self.file}: {place}" if place else self.file
        self.problems.append(f"{where}: {rule}" + ("" if silent else f", got {shown}"))

    def object(self, value: Any, place: str, needed: Sequence[str], allowed: Sequence[str] = ()) -> dict[str, Any]:
        """Value as an object with these keys and no other; {} where it is none."""
        if not isinstance(value, dict):
            self.tell(place, "must be an object", value)
            return {}
        for key in needed:
            if key not in value:
                self.tell(place, f"needs {key!r}", silent=True)
        known = (*needed, *allowed)
        for key in value:
            if key not in known:
                self.tell(place, f"has an unknown key {key!r}; the keys are {', '.join(known)}", silent=True)
        return value

    def array(self, value: Any, place: str, most: int | None = None) -> list[Any]:
        """Value as a list, cut to `most` items; [] where it is none."""
        if not isinstance(value, list):
            self.tell(place, "must be a list", value)
            return []
        if most is not None and len(value) > most:
            self.tell(place, f"must have at most {most} items, got {len(value)}", silent=True)
        return value[:most]

    def whole(self, value: Any, place: str, low: int, high: int, otherwise: int = 0, hint: str = "") -> int:
        """Value as a whole number from low to high; `otherwise` where it is none."""
        if type(value) is int and low <= value <= high:
            return value
        kind = "must be" if type(value) is int else "must be a whole number"
        span = f" {low}" if low == high else f" {low} or {high}" if low + 1 == high else f" from {low} to {high}"
        self.tell(place, f"{kind}{span}{hint}", value)
        return otherwise

    def wholes(self, value: Any, place: str, low: int, high: int, most: int) -> list[int]:
        """Value as a list of at most `most` whole numbers from low to high."""
        return [self.whole(item, f"{place}[{i}]", low, high) for i, item in enumerate(self.array(value, place, most))]

    def pair(self, value: Any, place: str, low: int, high: int) -> tuple[int, int] | None:
        """Value as two whole numbers from low to high; None where it is not."""
        before = len(self.problems)
        if not isinstance(value, list) or len(value) != 2:
            self.tell(place, "must be two whole numbers [x, y]", value)
            return None
        x, y = self.wholes(value, place, low, high, 2)
        return (x, y) if len(self.problems) == before else None

    def fail(self, error: Callable[[list[str]], Exception] = DataError) -> None:
        """Raises what was found, if anything, the first MOST of it."""
        if self.problems:
            rest = len(self.problems) - MOST
            last = [f"{self.file}: and {rest} more problems"] if rest > 0 else []
            raise error(self.problems[:MOST] + last)
