"""The unrolling kernel copies what numpy's windows show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.kernels.unroll import Unrolling, unroll, unroll_plain

TYPES = (np.uint8, np.int16, np.float32, np.float64)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_kernel_equals_its_plain_twin(data: st.DataObject) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    kernel, stride, dilation, extra = pair(1, 11), pair(1, 3), pair(1, 2), pair(0, 6)
    space = [d * (k - 1) + 1 + e for k, d, e in zip(kernel, dilation, extra, strict=True)]
    out = tuple(e // s + 1 for e, s in zip(extra, stride, strict=True))
    images, channels = pair(1, 3)
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = generator.integers(0, 250, (images, channels, *space)).astype(data.draw(st.sampled_from(TYPES)))
    if data.draw(st.booleans()):
        x = x.transpose(1, 0, 2, 3).copy().transpose(1, 0, 2, 3)
    sizes = Unrolling((out[0], out[1]), kernel, stride, dilation)
    result = unroll(x, sizes)
    assert result.dtype == x.dtype
    assert np.array_equal(result, unroll_plain(x, sizes))


@pytest.mark.parametrize("kernel", [1, 2])
def test_by_hand(kernel: int) -> None:
    x = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    if kernel == 1:
        assert unroll(x, Unrolling((1, 2), (1, 1), (2, 2), (1, 1)))[0].tolist() == [[[0], [2]]]
    else:
        assert unroll(x, Unrolling((1, 2), (2, 2), (1, 1), (1, 1)))[0].tolist() == [[[0, 1, 3, 4], [1, 2, 4, 5]]]
