"""Bit-serial inputs through real crossbars against the plain twin, and against a case by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.kernels.bit_serial import CHUNK, Columns, bit_serial, bit_serial_plain, columns
from xbar.kernels.convert import Converters, converters
from xbar.kernels.digitise import BY_ROW, BY_SUM, SILENT

Call = tuple[np.ndarray, np.ndarray, int, bool, Columns, Converters, int]


def _random(seed: int) -> tuple[Call, int]:
    """Arguments up to the outputs, and the number of output columns."""
    rng = np.random.default_rng(seed)
    n_bits, n_lines, n_out = int(rng.integers(1, 12)), int(rng.integers(1, 150)), int(rng.integers(1, 40))
    n_planes, n_strips = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    cut = int(rng.integers(0, n_out))
    runs = []
    for plane in range(n_planes):
        halves = [(0, cut), (cut, n_out)] if cut else [(0, n_out)]
        runs += [(plane * n_out + a, plane * n_out + b, plane % 2, a, int(rng.integers(n_strips))) for a, b in halves]
    n_cols = n_planes * n_out
    x = rng.integers(0, 2**n_bits, (int(rng.integers(0, 40)), n_lines)) * (rng.random(n_lines) < rng.random())
    cells = rng.integers(-500, 500, (n_lines, n_cols)).astype(np.float32)
    width = {0: None, 1: 1, 2: n_cols}[int(rng.integers(3))]
    variance = None if width is None else rng.integers(0, 900, (n_lines, width)).astype(np.float32)
    common = rng.integers(0, 50, (n_lines, n_strips)).astype(np.float32) if rng.random() < 0.5 else None
    adc = converters(
        runs=runs,
        factor=rng.choice([-4.0, 1.0, 0.3], n_cols) if rng.random() < 0.5 else rng.choice([-4.0, 1.0], n_cols),
        max_code=None if rng.random() < 0.2 else rng.integers(1, 500, n_cols),
        errors=rng.normal(size=(n_cols, 3)) * (0.5, 0.02, 1e-4) + (0, 1, 0),
        lsb=rng.choice([1.0, 2.5], n_cols),
        sum_scale=2.0**-5,
        variance_scale=2.0**-9,
        sigma_lsb=float(rng.choice([0.0, 0.4])),
    )
    weight = 2.0 ** np.arange(n_bits)
    weight[-1] *= rng.choice([-1, 1])
    table = columns(cells, variance, common, 2.0**-3)
    return (x.astype(np.int32), weight, int(rng.integers(1000)), bool(rng.integers(2)), table, adc, seed), n_out


def _run(function: Any, call: Call, n_out: int) -> tuple[np.ndarray, np.ndarray]:
    out, saturations = np.ones((len(call[0]), n_out)), np.zeros(2, np.int64)
    function(*call, out, saturations)
    return out, saturations


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_the_same_bits_as_the_plain_twin(seed: int) -> None:
    call, n_out = _random(seed)
    (out, over), (plain, plain_over) = _run(bit_serial, call, n_out), _run(bit_serial_plain, call, n_out)
    assert np.array_equal(out, plain)
    assert over.tolist() == plain_over.tolist()


def test_a_case_by_hand() -> None:
    cells = np.array([[1, 10], [2, 20], [4, 40]], np.float32)
    x = np.array([[1, 0, 3], [0, 0, 0], [2, 2, 0]], np.uint8)
    adc = converters(runs=[(0, 1, 0, 0, 0), (1, 2, 1, 0, 0)], factor=[1.0, -1.0], max_code=[7, 45])
    out, saturations = np.zeros((3, 1)), np.zeros(2, np.int64)
    bit_serial(x, np.array([1.0, 2.0]), 0, False, columns(cells), adc, 0, out, saturations)
    # vector 0: lines 0 and 2, then 2: 5 - min(50, 45), twice 4 - 40; vector 2: twice lines 0 and 1: 3 - 30
    assert out.tolist() == [[5 - 45 + 2 * (4 - 40)], [0], [2 * (3 - 30)]]
    assert saturations.tolist() == [0, 1]


def test_where_the_variance_comes_from() -> None:
    cells = np.ones((3, 70), np.float32)
    assert columns(cells).mode == SILENT
    by_row = columns(cells, np.ones((3, 1), np.float32), np.ones((3, 2), np.float32))
    assert (by_row.mode, by_row.variance_at, by_row.common_at, by_row.chunks.shape) == (BY_ROW, 70, 71, (2, 3, CHUNK))
    by_sum = columns(cells, cells, np.ones((3, 2), np.float32))
    assert (by_sum.mode, by_sum.variance_at, by_sum.common_at, by_sum.chunks.shape) == (BY_SUM, 128, 198, (4, 3, CHUNK))


def test_threads_and_batches_do_not_change_a_bit() -> None:
    call, n_out = next(c for c in map(_random, range(100)) if len(c[0][0]) > 30 and c[0][4].mode == BY_SUM)
    x, weight, first_id, *rest = call
    whole = _run(bit_serial, call, n_out)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        alone = _run(bit_serial, call, n_out)
    finally:
        torch.set_num_threads(before)
    parts = [
        _run(bit_serial, (x[a : a + 7], weight, first_id + a * len(weight), *rest), n_out) for a in range(0, len(x), 7)
    ]
    assert np.array_equal(whole[0], alone[0])
    assert np.array_equal(whole[0], np.concatenate([p[0] for p in parts]))
    assert whole[1].tolist() == sum(p[1] for p in parts).tolist()
