"""Levels: where a device puts them, the nearest one, and the scale with the least error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from xbar.config import from_data, validate
from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.network import Precision
from xbar.noise import NoiseModel
from xbar.parts.device.levels import LevelsDevice
from xbar.parts.device.measured import MeasuredDevice
from xbar.parts.device.resistive import ResistiveDevice
from xbar.quantization import quantize
from xbar.training.levels import Levels, device_levels

CELL = ResistiveDevice(cell_bits=4, g_min_S=1e-7, g_max_S=1e-6)  # the paper's: 10 MOhm and 1 MOhm, 4 bits
RISING = st.lists(st.floats(0.01, 1), min_size=1, max_size=6, unique_by=lambda x: round(x, 2)).map(
    lambda steps: tuple(np.cumsum(steps))
)


def _noise(**effects: Any) -> NoiseModel:
    return validate(NoiseModel, from_data({"effects": effects}, "test"))


def test_five_bits_are_the_papers_32_levels_with_the_range_of_the_device() -> None:
    levels = device_levels(CELL, baseline="kept")
    assert 2 * len(levels.magnitudes) == 32
    np.testing.assert_allclose(levels.magnitudes, np.linspace(0.1, 1, 16))


def test_without_its_baseline_a_cell_has_even_levels() -> None:
    levels = device_levels(CELL)
    np.testing.assert_allclose(levels.magnitudes, 0.06 * np.arange(1, 16))


@pytest.mark.parametrize("bits", [2, 3, 5, 7, 9])
def test_more_bits_are_slices_of_cells(bits: int) -> None:
    even = np.array(device_levels(CELL, bits).magnitudes)
    np.testing.assert_allclose(even / even[0], np.arange(1, 1 << (bits - 1)))
    kept = np.array(device_levels(CELL, bits, baseline="kept").magnitudes)
    assert len(kept) == 1 << (bits - 1)
    assert kept[-1] / kept[0] <= 10 + 1e-9


def test_states_of_a_measured_device_in_slices_by_hand() -> None:
    """1-bit cells at 0.25 and 1 of g_max, two slices: 1 g, 2 g, 3 g with g = 0.75; kept: 0.75, 1.5, 2.25, 3."""
    device = MeasuredDevice(cell_bits=1, states_S=(1e-6, 4e-6))
    assert device_levels(device, 3).magnitudes == (0.75, 1.5, 2.25)
    assert device_levels(device, 3, baseline="kept").magnitudes == (0.75, 1.5, 2.25, 3.0)


def test_a_level_is_the_mean_of_its_programmed_states() -> None:
    device = ResistiveDevice(cell_bits=1, g_min_S=1e-6, g_max_S=1e-5)
    levels = device_levels(device, baseline="kept", measured_S=[[1e-6, 3e-6], [8e-6, 9e-6, 1e-5]])
    np.testing.assert_allclose(levels.magnitudes, [0.2, 0.9])
    np.testing.assert_allclose(device_levels(device, measured_S=[2e-6, 9e-6]).magnitudes, [0.7])


def test_mismatch_drawn_from_a_noise_model_tends_to_its_mean() -> None:
    table = {
        "kind": "table",
        "g_max_S": 1e-6,
        "measured": [{"level": i, "mean_S": 1e-7 + 5e-8 * i + 2e-10 * i * i, "sigma_S": 3e-9} for i in range(16)],
    }
    drawn = np.array(device_levels(CELL, noise=_noise(write=table), baseline="kept", n_drawn=2000).magnitudes)
    expected = 0.1 + 0.05 * np.arange(16) + 2e-4 * np.arange(16) ** 2
    np.testing.assert_allclose(drawn, expected, atol=5 * 3e-3 / 2000**0.5)
    assert not np.allclose(drawn, expected, atol=1e-9)
    again = device_levels(CELL, noise=_noise(write=table), baseline="kept", n_drawn=2000)
    assert again.magnitudes == tuple(drawn)


def test_only_programming_makes_mismatch() -> None:
    effects = {
        "write": {"kind": "gaussian", "sigma_rel": 0.0, "relative_to": "range"},
        "stuck": {"kind": "stuck", "hrs_rate": 0.5, "lrs_rate": 0.5},
    }
    np.testing.assert_allclose(device_levels(CELL, noise=_noise(**effects)).magnitudes, device_levels(CELL).magnitudes)


@pytest.mark.parametrize(
    ("settings_", "told"),
    [
        (
            {"measured_S": [1e-7] * 15 + [2e-6]},
            "level 15: must lie in the device's range, 1e-07 to 1e-06 S, got 2e-06 S",
        ),
        ({"measured_S": [0.0] + [1e-6] * 15}, "level 0: must lie in the device's range"),
        ({"measured_S": [float("nan")] + [1e-6] * 15}, "level 0: must lie in the device's range"),
        ({"measured_S": [1e-7, 1e-6]}, "one entry for each of the 16 levels, got 2"),
        ({"weight_bits": 1}, "weight_bits: must be from 2 to 16"),
        ({"baseline": "gone"}, "baseline: must be removed or kept"),
        ({"n_drawn": 0}, "n_drawn: must be 1 or more"),
        ({"noise": NoiseModel()}, "must have an effect of programming, got none"),
        ({"noise": NoiseModel(), "measured_S": [1e-6] * 16}, "give one of the two"),
    ],
)
def test_levels_that_a_device_cannot_have_are_an_error(settings_: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        device_levels(CELL, **settings_)


def test_a_device_without_conductances_has_no_range() -> None:
    bare = LevelsDevice(cell_bits=2)
    np.testing.assert_allclose(device_levels(bare).magnitudes, [1 / 3, 2 / 3, 1])
    with pytest.raises(TrainingError) as caught:
        device_levels(bare, baseline="kept", measured_S=[0.1, 0.2, 0.3, 0.4])
    assert [p.split(": ")[1] for p in caught.value.problems] == ["baseline", "measured_S"]


@pytest.mark.parametrize("magnitudes", [(), (0.0, 1.0), (-1.0, 1.0), (0.5, 0.5), (1.0, 0.5), (0.5, float("inf"))])
def test_magnitudes_must_rise_from_above_zero(magnitudes: tuple[float, ...]) -> None:
    with pytest.raises(TrainingError, match="zero is for pruned weights"):
        Levels(magnitudes)


@settings(max_examples=100, deadline=None)
@given(levels=RISING, scale=st.floats(0.1, 10), seed=st.integers(0, 2**31))
def test_the_projection_is_the_nearest_level(levels: tuple[float, ...], scale: float, seed: int) -> None:
    values = torch.randn(30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale
    values[0] = 0.0
    got = Levels(levels).project(values, scale)
    both = scale * torch.tensor([-m for m in levels] + list(levels), dtype=torch.float64)
    nearest = (values[1:, None] - both).abs().min(1).values
    assert torch.allclose((got[1:] - values[1:]).abs(), nearest, atol=1e-12)
    assert torch.isclose(got[1:, None], both, atol=1e-12).any(1).all()
    assert got[0] == 0


def _error(levels: tuple[float, ...], values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Sum of squared distances to the nearest level, for each scale."""
    distances = np.abs(np.abs(values)[:, None] - scales[:, None, None] * np.array(levels))
    return (distances.min(2) ** 2).sum(1)


@settings(max_examples=100, deadline=None)
@given(levels=RISING, n=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_no_scale_that_uses_the_top_level_has_less_error(levels: tuple[float, ...], n: int, seed: int) -> None:
    values = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scale = Levels(levels).fit(values)
    weights = values.numpy()
    projected = Levels(levels).project(values)
    assert projected.abs().max().item() == approx(scale * levels[-1])
    # with one level, every scale uses it
    top = np.abs(weights).max() / ((levels[-1] + levels[-2]) / 2 if len(levels) > 1 else levels[0])
    tried = np.linspace(1e-3, 1, 1000) * top
    assert _error(levels, weights, np.array([scale]))[0] <= _error(levels, weights, tried).min() + 1e-9


def test_many_weights_are_fitted_together_and_nearly_as_well() -> None:
    values = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    levels = device_levels(CELL)
    errors = _error(levels.magnitudes, values.double().numpy(), levels.fit(values) * np.array([1.0, 0.97, 1.03]))
    assert errors[0] <= errors.min() * 1.001


def test_zeros_and_nothing_stay_zero() -> None:
    levels = Levels((1.0, 2.0))
    assert levels.fit(torch.zeros(3)) == 1.0
    assert torch.equal(levels.project(torch.zeros(3)), torch.zeros(3))
    assert torch.equal(levels.project(torch.tensor([0.0, 3.0])), torch.tensor([0.0, 3.0]))


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_the_quantizer_finds_the_levels_again(bits: int) -> None:
    torch.manual_seed(bits)
    model = nn.Sequential(nn.Linear(20, 30, bias=False))
    levels = device_levels(CELL, bits)
    with torch.no_grad():
        model[0].weight.copy_(levels.project(model[0].weight))
    x = torch.rand(4, 20)
    (layer,) = quantize(from_torch(model, x), x, Precision(weight_bits=bits, granularity="layer")).layers
    again = torch.from_numpy(layer.weight_q * layer.weight_scale[0])
    assert torch.allclose(again, model[0].weight.detach().double(), rtol=1e-6, atol=0)
    assert layer.weight_q.min() < 0 < layer.weight_q.max()
    assert (layer.weight_q != 0).all()
