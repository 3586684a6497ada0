"""From YAML to validated, frozen values: every problem at once, each with file, line, path and remedy.

One loader for the whole project: it reads `1e-6` as a number, refuses duplicate keys, and remembers every key's line.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from xbar.errors import ConfigError
from xbar.settings import ByKind, Settings

Place = tuple[str | int, ...]
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Document:
    """Plain data with its origin: `path` is shown in errors, `lines` holds the line of every place in the data.

    included: sections that come from documents of their own, by their place.
    """

    path: str
    data: dict[str, Any]
    lines: Mapping[Place, int]
    included: Mapping[Place, Document] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """SafeLoader that follows YAML 1.2 for numbers: 1e-6 needs neither a dot nor a sign."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_yaml(path: str | Path) -> Document:
    """Reads a YAML file whose top is a mapping; ConfigError with the line for broken syntax and for duplicate keys."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason}); check the path") from error
    found: list[str] = []
    lines: dict[Place, int] = {}
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        data = _plain(loader, node, (), lines, found, str(path)) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: is not valid YAML ({error.problem}); correct the line") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}:1: is not valid YAML ({error}); correct the file") from error
    finally:
        loader.dispose()
    if found:
        raise ConfigError(found)
    if not isinstance(data, dict):
        got = "nothing" if data is None else f"a {type(data).__name__}"
        raise ConfigError(f"{path}:1: must be a mapping, got {got}; write lines of `key: value`")
    return Document(str(path), data, lines)


def _plain(loader: _Loader, node: yaml.Node, place: Place, lines: dict[Place, int], found: list[str], path: str) -> Any:
    """The data of a node; notes the line of each place, and each key that comes twice."""
    lines.setdefault(place, node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
        raise yaml.MarkedYAMLError(problem=f"the tag {node.tag} means nothing here", problem_mark=node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, n, (*place, i), lines, found, path) for i, n in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node, deep=True)
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        inner, line = (*place, key), key_node.start_mark.line + 1
        if key in data:
            rule = f"appears twice, first in line {lines[inner]}; keep one of the two"
            found.append(f"{path}:{line}: {_dotted(inner)}: {rule}")
            continue
        lines[inner] = line
        data[key] = _plain(loader, value_node, inner, lines, found, path)
    return data


def from_data(data: Mapping[str, Any], origin: str) -> Document:
    """A document from data that is already in memory; `origin` stands where errors would name a file."""
    return Document(origin, dict(data), {})


def validate(cls: type[S], document: Document, overrides: Mapping[str, Any] | None = None) -> S:
    """The value that a document describes, after `overrides`; ConfigError with all problems.

    Overrides are what `--set` gives: {"adc.bits": "6"}. Texts are read as YAML, so `{kind: ideal}` replaces a section;
    `null` removes a setting. Errors in them are reported as `--set adc.bits: ...`.
    """
    data, placed, found = _apply(document, overrides or {})
    try:
        value = cls.model_validate(data)
    except ValidationError as error:
        for details in _without_echoes(error.errors(include_url=False)):
            found.append(_line(cls, document, data, placed, details))
    if found:
        raise ConfigError(dict.fromkeys(found))
    return value


def _without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without lists that are called too short only because an entry of theirs has an error of its own."""
    places = [details["loc"] for details in errors]

    def is_echo(details: ErrorDetails) -> bool:
        place = details["loc"]
        return details["type"] == "too_short" and any(p[: len(place)] == place != p for p in places)

    return [details for details in errors if not is_echo(details)]


def _apply(document: Document, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[Place, str], list[str]]:
    """Data with the overrides in it, the place of each override, and what is wrong with them."""
    data = copy.deepcopy(document.data)
    placed: dict[Place, str] = {}
    found = []
    for path, text in overrides.items():
        try:
            value = copy.deepcopy(_read(text) if isinstance(text, str) else text)
        except yaml.YAMLError:
            found.append(f"--set {path}: is not a YAML value, got {text!r}; quote it")
            continue
        problem, place = _put(data, path.split("."), value)
        placed[place] = path
        if problem:
            found.append(f"--set {path}: {problem}")
    return data, placed, found


@lru_cache(maxsize=1024)  # points of a sweep repeat the same few texts
def _read(text: str) -> Any:
    return yaml.load(text, _Loader)


def _put(data: Any, steps: list[str], value: Any) -> tuple[str | None, Place]:
    """Writes one override into the data; what is wrong with it, or None, and its place."""
    place: list[str | int] = []
    for depth, step in enumerate(steps):
        key: str | int = step
        if isinstance(data, list):
            if not (step.isdigit() and int(step) < len(data)):
                return f"has no entry {step}; the list '{'.'.join(steps[:depth])}' has {len(data)}", tuple(steps)
            key = int(step)
        elif not isinstance(data, dict):
            return f"has no setting below '{'.'.join(steps[:depth])}', which is {data!r}", tuple(steps)
        place.append(key)
        if depth < len(steps) - 1:
            data = data.setdefault(key, {}) if isinstance(data, dict) else data[int(key)]
        elif value is None and isinstance(data, dict):
            if key not in data:
                return "is not set, so that null cannot remove it", tuple(place)
            del data[key]
        else:
            data[key] = value
    return None, tuple(place)


def _dotted(place: Place) -> str:
    return ".".join(str(step) for step in place)


def _where(document: Document, placed: Mapping[Place, str], place: Place) -> str:
    """`--set path` if an override put this place there, else file and line of the nearest known place."""
    if any(place[:depth] in placed for depth in range(1, len(place) + 1)):
        return f"--set {_dotted(place)}"
    below = [path for put, path in placed.items() if put[: len(place)] == place]
    if below and not _is_written(document, place):
        return f"--set {below[0]}"
    beside = [path for put, path in placed.items() if place[:-1] and put[: len(place) - 1] == place[:-1]]
    if beside and not _is_written(document, place[:-1]):  # a section that is there because of an override
        return f"--set {beside[0]}: {_dotted(place)}"
    for depth in range(1, len(place) + 1):
        if place[:depth] in document.included:
            return _where(document.included[place[:depth]], {}, place[depth:])
    for depth in range(len(place), -1, -1):
        if place[:depth] in document.lines:
            return f"{document.path}:{document.lines[place[:depth]]}: {_dotted(place)}".removesuffix(": ")
    return f"{document.path}: {_dotted(place)}".removesuffix(": ")


def _is_written(document: Document, place: Place) -> bool:
    """Whether a file has a line for this place."""
    sections = {place[:depth] for depth in range(1, len(place) + 1)} & document.included.keys()
    return place in document.lines or any(place[len(s) :] in document.included[s].lines for s in sections)


def _line(
    cls: type[Settings], document: Document, data: Any, placed: Mapping[Place, str], details: ErrorDetails
) -> str:
    """One of pydantic's errors as `where: rule, got value; what to do`."""
    place = tuple(details["loc"])
    rule, remedy = _rule(cls, data, place, details)
    value = _value_at(data, place)
    sections = value is None or isinstance(value, dict) or (isinstance(value, list) and dict in map(type, value))
    got = "" if sections else f", got {_short(value)}"
    return f"{_where(document, placed, place)}: {rule}{got}" + (f"; {remedy}" if remedy else "")


def _short(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _value_at(data: Any, place: Place) -> Any:
    for step in place:
        is_entry = isinstance(data, (list, tuple)) and isinstance(step, int) and step < len(data)
        if not is_entry and not (isinstance(data, Mapping) and step in data):
            return None
        data = data[step]
    return data


_RULES = {
    "missing": ("is needed", "add it"),
    "greater_than": ("must be more than {gt}", ""),
    "greater_than_equal": ("must be {ge} or more", ""),
    "less_than": ("must be less than {lt}", ""),
    "less_than_equal": ("must be {le} or less", ""),
    "int_type": ("must be a whole number", "write it without quotes and decimals"),
    "int_parsing": ("must be a whole number", "write it without quotes and decimals"),
    "int_from_float": ("must be a whole number", "write it without decimals"),
    "float_type": ("must be a number", ""),
    "float_parsing": ("must be a number", ""),
    "finite_number": ("must be a finite number", ""),
    "bool_type": ("must be true or false", ""),
    "bool_parsing": ("must be true or false", ""),
    "string_type": ("must be a text", "put it in quotes"),
    "string_too_short": ("must not be empty", "write where the numbers come from"),
    "model_type": ("must be a section (lines of `key: value`)", ""),
    "model_attributes_type": ("must be a section (lines of `key: value`)", ""),
    "dict_type": ("must be a section (lines of `key: value`)", ""),
    "tuple_type": ("must be a list", ""),
    "too_short": ("must have {min_length} or more entries", ""),
    "none_required": ("has no effect here", "remove it"),
}


def _rule(cls: type[Settings], data: Any, place: Place, details: ErrorDetails) -> tuple[str, str]:
    """Rule and remedy in our words for one of pydantic's errors."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(_class_at(cls, data, place[:-1]), _value_at(data, place[:-1]), str(place[-1]))
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        close = difflib.get_close_matches(str(details["input"]), allowed, n=1)
        return f"must be one of {', '.join(allowed)}", f"did you mean {close[0]}?" if close else ""
    if kind == "rule":
        text = str(context["text"])
    elif kind == "value_error":
        text = str(context["error"])
    elif kind in _RULES:
        rule, remedy = _RULES[kind]
        return rule.format(**context), remedy
    else:
        text = details["msg"].replace("Input should", "must")
    rule, _, remedy = text.partition("; ")
    return rule, remedy


def _unknown(cls: type[Settings] | None, section: Any, key: str) -> tuple[str, str]:
    if cls is None:
        return "unknown setting", "remove it"
    known = sorted(name for name, field in cls.model_fields.items() if field.annotation is not type(None))
    close = difflib.get_close_matches(key, known, n=1)
    names_kind = "kind" in known and isinstance(section, Mapping) and "kind" in section
    chosen = f" with kind: {section['kind']}" if names_kind else ""
    if close:
        return f"unknown setting{chosen}", f"did you mean {close[0]}?"
    return f"unknown setting{chosen}", f"the settings here are {', '.join(known)}"


def _class_at(cls: type[Settings], data: Any, place: Place) -> type[Settings] | None:
    """The Settings class that the data at `place` is read with."""
    if not place:
        return cls
    field = cls.model_fields.get(str(place[0]))
    if field is None:
        return None
    section = _value_at(data, place[:1])
    annotation: Any = field.annotation
    metadata: tuple[Any, ...] = tuple(field.metadata)
    rest = place[1:]
    if get_origin(annotation) is UnionType:  # a section that may be left out
        annotation = next(a for a in get_args(annotation) if a is not type(None))
    if get_origin(annotation) in (dict, tuple) and rest:
        section = _value_at(section, rest[:1])
        inner = FieldInfo.from_annotation(get_args(annotation)[-1 if get_origin(annotation) is dict else 0])
        annotation, metadata, rest = inner.annotation, tuple(inner.metadata), rest[1:]
    for mark in metadata:
        if isinstance(mark, ByKind) and isinstance(section, Mapping):
            annotation = mark.choose(section)
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return _class_at(annotation, section, rest)
    return None
