"""From `kind: sar` to the class: the files of a family's folder, and outsiders' classes by `module:Class`."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from xbar.parts.base import Part
from xbar.settings import ByKind, problems

P = TypeVar("P", bound=Part)


@cache
def kinds(family: type[Part]) -> dict[str, str]:
    """Names of a family's models and the modules that hold them, in alphabetical order."""
    found = {}
    for folder in family.folders:
        package = importlib.import_module(f"xbar.parts.{folder}")
        for module in pkgutil.iter_modules(package.__path__):
            found[module.name] = f"xbar.parts.{folder}.{module.name}"
    return dict(sorted(found.items()))


def part_class(family: type[P], kind: object) -> type[P]:
    """The final class that `kind` names; ValueError with the known kinds, or with what is wrong with `module:Class`."""
    known = kinds(family)
    name = family.__name__
    if isinstance(kind, str) and ":" in kind:
        return _outsider(family, kind)
    if not isinstance(kind, str) or kind not in known:
        close = difflib.get_close_matches(str(kind), known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        listed = ", ".join(known)
        raise ValueError(f"must be a kind of {name}; {hint}the kinds are {listed}, or module:Class of your own")
    own: Any = _only_class(family, known[kind])
    return own


@cache
def _only_class(family: type[Part], module_name: str) -> type[Part]:
    module = importlib.import_module(module_name)
    (found,) = (c for c in vars(module).values() if _is_final(c, family) and c.__module__ == module_name)
    return found


def _is_final(candidate: object, family: type[Part]) -> bool:
    return inspect.isclass(candidate) and issubclass(candidate, family) and not inspect.isabstract(candidate)


def _outsider(family: type[P], kind: str) -> type[P]:
    module_name, _, class_name = kind.partition(":")
    if not module_name or not class_name:
        raise ValueError("must name a module and a class, as in my_package.my_file:MyAdc")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, SyntaxError, TypeError) as error:
        raise ValueError(f"cannot import {module_name} ({error}); install it, or put it on PYTHONPATH") from error
    found: Any = getattr(module, class_name, None)
    if not _is_final(found, family):
        wanted = f"{family.__module__}.{family.__name__}"
        raise ValueError(f"{module_name} has no class {class_name} that implements all of {wanted}")
    chosen: type[P] = found
    return chosen


def by_kind(family: type[P], default: str | None = None) -> ByKind:
    """Annotation for a field that holds a part of `family`; `default` is the kind of data that names none."""

    def choose(data: Mapping[str, Any]) -> type[P]:
        kind = data.get("kind", default)
        if kind is None:
            rule = f"is needed; the kinds are {', '.join(kinds(family))}, or module:Class of your own"
            raise problems(family.__name__, [(("kind",), rule, None)])
        try:
            return part_class(family, kind)
        except ValueError as error:
            raise problems(family.__name__, [(("kind",), str(error), kind)]) from error

    return ByKind(family, choose)
