"""Equality of values that hold arrays: by content, and never with an array where a bool is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal; arrays with their type and shape, tuples and mappings item by item."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def same_fields(a: Any, b: object, without: tuple[str, ...] = ()) -> bool:
    """The `__eq__` of a frozen dataclass with arrays: same class, and `same` in every field but those `without`."""
    if a is b:
        return True
    names = [field.name for field in fields(a) if field.name not in without]
    return type(a) is type(b) and all(same(getattr(a, name), getattr(b, name)) for name in names)


def same_graph(a: ExportedProgram, b: ExportedProgram) -> bool:
    """Whether two exported programs run the same code on the same stored tensors (bit for bit, with their types)."""
    if a is b:
        return True
    x, y = ({**e.state_dict, **e.constants} for e in (a, b))
    return (
        a.graph_module.code == b.graph_module.code
        and x.keys() == y.keys()
        and all(x[name].dtype == y[name].dtype and x[name].equal(y[name]) for name in x)
    )
