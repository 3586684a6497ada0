"""Work in several processes."""

from __future__ import annotations

import math
import os

import pytest

from xbar.errors import XbarError
from xbar.sweep.workers import in_processes


@pytest.mark.parametrize("n_workers", [1, 2])
def test_every_call_has_its_result(n_workers: int) -> None:
    assert sorted(in_processes(math.gcd, [(4, 6), (9, 6), (7, 6)], n_workers)) == [1, 2, 3]


def test_no_calls_have_none() -> None:
    assert list(in_processes(math.gcd, [], None)) == []


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(XbarError, match="a process died, perhaps for want of memory; run the same again with fewer"):
        list(in_processes(os._exit, [(3,), (3,)], 2))


def test_an_error_in_a_process_comes_out() -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(in_processes(math.sqrt, [(4.0,), (-1.0,)], 2))
