"""Many arrays as one, in Python and in a kernel."""

from __future__ import annotations

from enum import IntEnum

import numba
import numpy as np
import pytest

from xbar.kernels.packed import Packed, add, entries, get, put, size


class A(IntEnum):
    ptr = 0
    table = 1
    nothing = 2
    one = 3


def packed() -> Packed:
    return Packed({A.one: [7], A.ptr: [0, 2, 2, 5], A.nothing: [], A.table: np.arange(6).reshape(2, 3)})


@numba.njit
def change(data):  # type: ignore[no-untyped-def]
    """Negates the table, adds something for each entry of each owner to `one`, returns the sizes."""
    for i in range(size(data, A.table)):
        put(data, A.table, i, -get(data, A.table, i))
    for owner in range(3):
        for place in entries(data, A.ptr, owner):
            add(data, A.one, 0, 10 ** (owner + 1) + place)
    return size(data, A.ptr), size(data, A.table), size(data, A.nothing), size(data, A.one)


def test_arrays_come_back_as_they_were() -> None:
    arrays = packed()
    assert arrays[A.ptr].tolist() == [0, 2, 2, 5]
    assert arrays[A.table].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays[A.nothing].shape == (0,)
    assert arrays[A.one].tolist() == [7]
    assert arrays.data.dtype == np.int64


def test_a_kernel_reads_and_writes_them() -> None:
    arrays = packed()
    assert change(arrays.data) == (4, 6, 0, 1)
    assert arrays[A.table].tolist() == [[0, -1, -2], [-3, -4, -5]]
    assert arrays[A.one].tolist() == [7 + 2 * 10 + (0 + 1) + 3 * 1000 + (2 + 3 + 4)]
    assert arrays[A.ptr].tolist() == [0, 2, 2, 5]


def test_replaced_arrays_are_others_the_rest_is_the_same() -> None:
    arrays = packed()
    other = arrays.replaced({A.table: 9, A.one: np.array([8])})
    assert other[A.table].tolist() == [[9] * 3] * 2
    assert other[A.one].tolist() == [8]
    assert other[A.ptr].tolist() == arrays[A.ptr].tolist()
    assert arrays[A.table].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="broadcast"):
        arrays.replaced({A.table: [1, 2]})


def test_every_member_needs_an_array() -> None:
    with pytest.raises(ValueError, match="every member"):
        Packed({A.ptr: [1], A.nothing: []})
    with pytest.raises(ValueError, match="every member"):
        Packed({A.table: [1], A.nothing: [], A.one: [1]})
