"""Many int64 arrays as one, for kernels whose tables are too many to pass: numba compiles in seconds instead of
minutes.

The first entries say where each array starts (and where the last one ends), so entry i of array N, a member of an
IntEnum, is `data[data[N] + i]`. Kernels write `get(data, N, i)`, `put(data, N, i, value)` and `add(data, N, i, value)`,
which numba compiles much faster than the same with brackets; nobody checks the bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numba
import numpy as np
from numba import int64, void
from numba.extending import intrinsic
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# for functions that only kernels call: Python cannot, and division by 0 raises nothing; faster to compile
_INNER: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
inner: Any = numba.njit(**_INNER)
_intrinsic: Any = intrinsic  # untyped, because numba passes the first argument itself


class Packed:
    """Arrays by the members of an IntEnum. data: int64, what kernels take; `packed[N]` is a view of array N in it."""

    def __init__(self, arrays: Mapping[Any, Any]) -> None:
        made = {name: np.asarray(value, np.int64) for name, value in arrays.items()}
        self._shapes = {name: value.shape for name, value in made.items()}
        names: list[IntEnum] = sorted(made)
        if [int(name) for name in names] != list(range(len(names))):
            raise ValueError("needs an array for every member of the enumeration")
        starts = np.cumsum([len(names) + 1, *(made[name].size for name in names)])
        self.data: Ints = np.concatenate([starts, *(made[name].ravel() for name in names)]).astype(np.int64)

    def __getitem__(self, name: IntEnum) -> Ints:
        return self.data[self.data[name] : self.data[name + 1]].reshape(self._shapes[name])

    def replaced(self, changes: Mapping[Any, Any]) -> Packed:
        """The same with other values for some arrays, each filled with a number or given as a whole."""
        arrays = {name: self[name] for name in self._shapes}
        return Packed(arrays | {name: np.broadcast_to(value, self._shapes[name]) for name, value in changes.items()})


@inner
def size(data, name):  # type: ignore[no-untyped-def]
    """Entries of one array."""
    return data[name + 1] - data[name]


@inner
def entries(data, name, i):  # type: ignore[no-untyped-def]
    """The entries that belong to i, of an array that says where the entries of each owner start."""
    return range(get(data, name, i), get(data, name, i + 1))


@_intrinsic
def get(types: Any, data: Any, name: Any, i: Any) -> Any:
    """Entry i of one array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_place(context, builder, signature, values))

    return int64(data, name, int64), generate


@_intrinsic
def put(types: Any, data: Any, name: Any, i: Any, value: Any) -> Any:
    """Entry i of one array is `value` now."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[3], _place(context, builder, signature, values))
        return context.get_dummy_value()

    return void(data, name, int64, int64), generate


@_intrinsic
def add(types: Any, data: Any, name: Any, i: Any, value: Any) -> Any:
    """Entry i of one array grows by `value`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature, values)
        builder.store(builder.add(builder.load(place), values[3]), place)
        return context.get_dummy_value()

    return void(data, name, int64, int64), generate


def _place(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Where data[data[name] + i] is."""
    model = context.data_model_manager[signature.args[0]]
    data = builder.extract_value(values[0], model.get_field_position("data"))
    name, i = (context.cast(builder, values[k], signature.args[k], int64) for k in (1, 2))
    return builder.gep(data, [builder.add(builder.load(builder.gep(data, [name])), i)])
