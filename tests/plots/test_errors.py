"""Pictures of errors show the numbers that they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from small import counted, random_weights, small_chip, small_network

import mapping
from xbar import plots
from xbar.result import Activity
from xbar.sim.error_sources import ErrorSources, LayerErrors


def _errors(*names: str) -> ErrorSources:
    sources = {"quantization": np.array([1.0, 3.0]), "ADC": np.zeros(2), "programming": np.array([4.0, 8.0])}
    layers = tuple(LayerErrors(name, np.array([800.0, 800.0]), sources, np.array([8.0, 8.0])) for name in names)
    return ErrorSources("made up", 10, 1, 0, layers)


def test_bars_are_shares_of_the_summed_power() -> None:
    ax = plots.error_shares(_errors("a", "b"), Figure().add_subplot())
    assert_allclose([bar.get_height() for bar in ax.patches], [0.25, 0.25, 0, 0, 0.75, 0.75])
    assert_allclose([bar.get_y() for bar in ax.patches], [0, 0, 0.25, 0.25, 0.25, 0.25])
    assert [text.get_text() for text in ax.texts] == ["20.0", "20.0"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["quantization", "ADC", "programming"]


def test_a_layer_without_error_has_no_bar() -> None:
    quiet = LayerErrors("a", np.ones(2), {"quantization": np.zeros(2)}, np.zeros(2))
    ax = plots.error_shares(ErrorSources("none", 1, 1, 0, (quiet,)), Figure().add_subplot())
    assert [bar.get_height() for bar in ax.patches] == [0]
    assert [text.get_text() for text in ax.texts] == ["exact"]


def test_maps_are_error_over_signal_in_dB_by_channel() -> None:
    figure = Figure()
    axes = plots.error_maps(_errors("a", "b"), figure.subplots(1, 2))
    (image,) = axes[0].get_images()
    shown = image.get_array().filled(np.nan)  # [source and total, channel]
    assert_allclose(shown[0], 10 * np.log10([1 / 800, 3 / 800]))
    assert np.isnan(shown[1]).all()  # white: exact
    assert_allclose(shown[3], [-20, -20])
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["quantization", "ADC", "programming", "total"]
    assert {label.get_text() for label in axes[1].get_yticklabels()} == {""}
    assert len(figure.axes) == 3  # one scale for all


def _activity(unit: bool) -> Activity:
    encoding = {"kind": "offset", "layout": "interleaved"} if unit else {"kind": "differential"}
    program = mapping.compile(small_network(random_weights([(6, 8)])), small_chip(encoding=encoding))
    activity = counted(program)
    (layer,) = activity.layers
    saturations = tuple(c // 4 for c in layer.conversions)
    return replace(activity, layers=(replace(layer, saturations=saturations, unit_saturations=1),))


@pytest.mark.parametrize("unit", [False, True])
def test_saturation_is_the_share_of_the_conversions(unit: bool) -> None:
    activity = _activity(unit)
    (layer,) = activity.layers
    ax = plots.saturation(activity, Figure().add_subplot())
    (image,) = ax.get_images()
    wanted = [100 * s / c for s, c in zip(layer.saturations, layer.conversions, strict=True)]
    wanted += [100 / layer.unit_conversions] if unit else []
    assert_allclose(np.asarray(image.get_array()), [wanted])
    assert [text.get_text() for text in ax.texts] == [f"{share:.2g}" for share in wanted]
    assert ("unit" in [label.get_text() for label in ax.get_xticklabels()]) is unit
