"""Ranges of activations."""

from __future__ import annotations

from collections.abc import Iterator

import models
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from xbar.errors import DataError
from xbar.frontends.torch_module import from_torch
from xbar.quantization.calibration import Observed, observe


def observed(*batches: Tensor) -> Observed:
    seen = Observed(True)
    for batch in batches:
        seen.add(batch)
    return seen


def test_extremes_and_sign() -> None:
    seen = observed(torch.tensor([0.5, 2.0]), torch.tensor([0.0, 1.0]))
    assert (seen.low, seen.high, seen.largest, seen.signed) == (0.0, 2.0, 2.0, False)
    assert observed(torch.tensor([-3.0, 2.0])).largest == 3.0
    assert observed(torch.tensor([-3.0, 2.0])).signed


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=60), st.data())
def test_the_result_does_not_depend_on_the_batches(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    x = torch.tensor(values)
    whole, parts = observed(x), observed(x[:cut], x[cut:])
    assert (whole.low, whole.high, whole.top) == (parts.low, parts.high, parts.top)
    assert np.array_equal(whole.counts, parts.counts)
    assert whole.counts.sum() == np.count_nonzero(x.numpy())
    for percent in (60, 99, 100):
        assert whole.percentile(percent) == parts.percentile(percent)


def test_zeros_have_no_say_in_a_percentile() -> None:
    magnitudes = torch.cat([torch.arange(1, 51), -torch.arange(51, 101)]).float()
    for n_zeros in (0, 900, 99_900):
        seen = observed(torch.cat([torch.zeros(n_zeros), magnitudes]))
        assert seen.percentile(100) == 100.0
        assert seen.percentile(90) == pytest.approx(90, abs=0.02)
        assert seen.percentile(51) == pytest.approx(51, abs=0.02)


@given(st.integers(0, 20), st.floats(51, 100))
def test_percentiles_cover_their_share(seed: int, percent: float) -> None:
    x = torch.randn(500, generator=torch.Generator().manual_seed(seed))
    limit = observed(x).percentile(percent)
    covered = float((x.abs() <= limit).float().mean())
    assert percent / 100 - 1e-6 <= covered <= percent / 100 + 0.01


@pytest.mark.parametrize(("bits", "signed"), [(2, False), (4, True), (8, False)])
def test_least_squares_is_the_best_of_the_scanned_ranges(bits: int, signed: bool) -> None:
    x = torch.randn(20000, generator=torch.Generator().manual_seed(0)) ** 3
    x = x if signed else x.abs()
    seen = observed(x)

    def error(limit: float) -> float:
        top = 2 ** (bits - signed) - 1
        step = limit / top
        return float((((x / step).round().clamp(-top if signed else 0, top) * step - x) ** 2).sum())

    chosen = seen.least_squares(bits, signed)
    best = min(error(seen.largest * i / 128) for i in range(1, 129))
    assert error(chosen) <= best * 1.02
    # coarse steps are worth clipping for; at 8 bits the tail of this cube is not
    assert (chosen < seen.largest) == (bits < 8)
    assert (error(chosen) < 0.8 * error(seen.largest)) == (bits < 8)


def test_one_outlier_does_not_set_the_range() -> None:
    x = torch.cat([torch.rand(20000, generator=torch.Generator().manual_seed(0)), torch.tensor([50.0])])
    assert observed(x).percentile(99.9) < 1.01
    # all values at 0 and one at 50 would cost 20000 / 3, clipping the one costs 49²
    assert observed(x).least_squares(2, False) < 2


def test_zeros_only() -> None:
    seen = observed(torch.zeros(5))
    assert (seen.largest, seen.percentile(99), seen.least_squares(8, False), seen.signed) == (0.0, 0.0, 0.0, False)


def test_every_layer_is_observed_over_all_batches() -> None:
    network = from_torch(nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)), torch.ones(2, 1))

    def batches() -> Iterator[Tensor]:
        yield torch.tensor([[1.0], [2.0]])
        yield torch.tensor([[-4.0]])

    first, second = observe(network, batches(), histogram=False)
    assert (first.low, first.high) == (-4.0, 2.0)
    assert second.low >= 0


def test_calibration_needs_data() -> None:
    network = models.traced(models.MLP)
    with pytest.raises(DataError, match="at least one batch of inputs, got none"):
        observe(network, [], histogram=False)
    with pytest.raises(DataError, match="NaN or infinity"):
        observe(network, torch.full((1, 1, 8, 8), float("nan")), histogram=False)


def test_nan_inside_the_network_names_every_layer_that_receives_it() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(self.b(torch.sqrt(self.a(x))))

    network = from_torch(Root(), torch.ones(2, 2))
    with pytest.raises(DataError) as caught:
        observe(network, [torch.randn(20, 2), torch.zeros(1, 2) + 100, -100 * torch.ones(1, 2)], histogram=True)
    assert [p.split(":")[1] for p in caught.value.problems] == [" layer b", " layer c"]
