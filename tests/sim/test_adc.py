"""Column sums on data, and the full scales that follow from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference import pulses_of
from small import random_weights, small_chip, small_network

import mapping
from xbar.errors import ConfigError
from xbar.program import Program, largest_sums
from xbar.sim import calibrate_adc, column_sum_histograms, simulate
from xbar.sim.adc import _least_squares


def _program(**adc: object) -> Program:
    settings = {
        "kind": "sar", "source": "made up", "bits": 4, **adc,
        "reference": {"bits": 8, "power_W": 1e-3, "area_m2": 1e-9, "rate_Hz": 1e9},
    }  # fmt: skip
    encoding = {"kind": "offset", "layout": "interleaved"}
    return mapping.compile(
        small_network(random_weights([(5, 20), (4, 5)])), small_chip(adc=settings, encoding=encoding)
    )


INPUTS = torch.from_numpy(np.random.default_rng(0).integers(0, 16, (30, 1, 20)).astype(np.float32))


def test_histograms_count_every_conversion() -> None:
    program = _program()
    seen = column_sum_histograms(program, INPUTS)
    for layer, sums in zip(program.layers, seen, strict=True):
        conversions = 30 * np.array(layer.per_vector.conversions)
        np.testing.assert_array_equal(sums.by_slice.sum(axis=1), conversions)
        assert sums.unit.sum() == 30 * (len(layer.row_edges) - 1) * layer.n_pulses
        assert (sums.largest() <= largest_sums(layer)).all()
    layer, x = program.layers[0], INPUTS.numpy()
    wanted = np.zeros_like(seen[0].by_slice)
    for digit, _ in pulses_of(x, layer):
        for first, last in zip(layer.row_edges, layer.row_edges[1:], strict=False):
            for k, s in enumerate(layer.plane_slice):
                y = digit[:, 0, first:last] @ layer.cells[k, 0, first:last].astype(np.int64)
                wanted[s] += np.bincount(y.ravel(), minlength=wanted.shape[1])
    np.testing.assert_array_equal(seen[0].by_slice, wanted)


def test_calibration_by_maximum_and_percentile() -> None:
    program = _program(mode="range", full_scale="max")
    seen = column_sum_histograms(program, INPUTS)
    calibrated = calibrate_adc(program, INPUTS)
    for layer, sums in zip(calibrated.layers, seen, strict=True):
        assert layer.adc.full_scale == tuple(np.maximum(sums.largest(), 1))
    simulate(calibrated, INPUTS)
    assert all(layer.adc.full_scale is None for layer in program.layers)
    cut = calibrate_adc(_program(mode="range", full_scale="percentile", percentile=90), INPUTS)
    for layer, sums in zip(cut.layers, seen, strict=True):
        for s, full_scale in enumerate(layer.adc.full_scale or ()):
            h = sums.by_slice[s]
            assert h[: full_scale + 1].sum() >= 0.9 * h.sum() or full_scale == 1
            assert full_scale == 1 or h[:full_scale].sum() < 0.9 * h.sum()


def test_calibration_by_least_squares() -> None:
    histogram = np.zeros(200, np.int64)
    histogram[:21], histogram[199] = 1000, 1
    best = _least_squares(histogram, 4)
    assert 15 <= best <= 40  # one outlier does not stretch the range
    histogram[199] = 1000
    assert _least_squares(histogram, 4) > 150
    assert _least_squares(histogram, 8) == 199
    calibrated = calibrate_adc(_program(mode="range", full_scale="mse"), INPUTS)
    assert all(f >= 1 for layer in calibrated.layers for f in layer.adc.full_scale or (0,))


@pytest.mark.parametrize("adc", [{}, {"mode": "range", "full_scale": "worst_case"}])
def test_calibration_without_effect_is_an_error(adc: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="no effect"):
        calibrate_adc(_program(**adc), INPUTS)
