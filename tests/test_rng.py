"""Named random streams."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbar.errors import XbarError
from xbar.rng import generator, key

_NAMES = st.lists(st.one_of(st.text(max_size=5), st.integers(-9, 9)), max_size=3).map(tuple)


def test_same_seed_and_names_give_the_same_bits() -> None:
    first, again = (generator(7, "cells", 3).standard_normal(100) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_bits_stay_what_they_were() -> None:
    """Published results name a seed: neither a new version nor another machine may change its numbers."""
    assert key(0) == 0x490A32D6978C23C8
    assert generator(1, "cells", "conv1", 0).integers(0, 1000, 4).tolist() == [887, 601, 38, 817]


@given(a=st.tuples(st.integers(0, 99), _NAMES), b=st.tuples(st.integers(0, 99), _NAMES))
def test_another_seed_or_name_is_another_stream(
    a: tuple[int, tuple[str | int, ...]], b: tuple[int, tuple[str | int, ...]]
) -> None:
    assert (key(a[0], *a[1]) == key(b[0], *b[1])) == (a == b)
    assert 0 <= key(a[0], *a[1]) < 2**64


def test_names_that_look_alike_joined_are_apart() -> None:
    names: list[tuple[str | int, ...]] = [
        ("a", "b"),
        ("ab",),
        ("a, b",),
        ("a', 'b",),
        (1,),
        ("1",),
        (),
        ("",),
        ("", ""),
    ]
    assert len({key(0, *name) for name in names}) == len(names)


def test_numpy_numbers_are_numbers() -> None:
    assert key(np.int64(3), np.int32(4)) == key(3, 4)


def test_streams_are_uncorrelated() -> None:
    """The correlation of n independent pairs is about 1 / sqrt(n); five times that in any of 45 pairs is no chance."""
    draws = [generator(0, "cells", i).standard_normal(10000) for i in range(10)]
    for a, b in itertools.combinations(draws, 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / 100


@pytest.mark.parametrize("seed", [-1, 1.0, "1", True, None])
def test_a_seed_is_a_whole_number_from_0_up(seed: object) -> None:
    with pytest.raises(XbarError, match="seed: must be a whole number from 0 up, got"):
        key(seed)  # type: ignore[arg-type]
