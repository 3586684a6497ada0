"""Pictures of sweeps: the front, the bands over a varied number, and wrong file names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from xbar import plots
from xbar.errors import OutputError
from xbar.plots.sweeps import number_axis
from xbar.spread import Spread


def test_pareto_draws_the_front_in_order() -> None:
    frame = pd.DataFrame(
        {
            "adc.bits": ["3", "4", "5", "6"],
            "accuracy_float": 0.99,
            "accuracy": [0.5, 0.9, 0.8, 0.95],
            "energy_J": [1e-9, 2e-9, 3e-9, 4e-9],
        }
    )
    ax = plots.pareto(frame, "energy_J", Figure().add_subplot())
    (front,) = ax.lines
    assert list(front.get_ydata()) == [0.5, 0.9, 0.95]
    assert [text.get_text() for text in ax.texts] == ["bits 3", "bits 4", "bits 6"]


def test_unknown_kinds_of_pictures(tmp_path: Path) -> None:
    frame = pd.DataFrame({"accuracy_float": [1.0], "accuracy": [1.0], "energy_J": [1.0]})
    with pytest.raises(OutputError, match=r"end its name in .png, .svg or .pdf"):
        plots.save_sweep(frame, "energy_J", tmp_path / "picture.xyz")


def _frame(**varied: list[str]) -> pd.DataFrame:
    n = len(next(iter(varied.values())))
    return pd.DataFrame(
        {
            **varied,
            "accuracy_float": 0.99,
            "accuracy_no_noise": 0.98,
            "accuracy": np.linspace(0.9, 0.6, n),
            "accuracy_ci95": np.linspace(0.01, 0.04, n),
            "accuracy_worst": np.linspace(0.85, 0.5, n),
            "energy_J": 1e-9,
        }
    )


def test_a_band_is_mean_interval_and_worst_run() -> None:
    spreads = [Spread((0.9, 0.8, 0.7)), Spread((0.5, 0.6, 0.7))]
    ax = plots.accuracy_band([0.02, 0.01], spreads, Figure().add_subplot(), "device", "noise.effects.read.sigma_rel")
    mean, worst = ax.lines
    assert_allclose(mean.get_ydata(), [0.8, 0.6])
    assert_allclose(worst.get_ydata(), [0.7, 0.5])
    (band,) = ax.collections
    half = 4.302652729911275 * 0.1 / np.sqrt(3)  # Student's t of 2 degrees of freedom, table
    corners = band.get_paths()[0].vertices
    assert_allclose((corners[:, 1].min(), corners[:, 1].max()), (0.6 - half, 1.0))  # no accuracy is above 1
    assert ax.get_xlabel() == "read.sigma_rel"
    assert ax.get_xscale() == "linear"


def test_times_are_in_order_on_a_logarithmic_axis_in_words() -> None:
    frame = _frame(**{"noise.time_s": ["1 day", "1 s", "1 h", "1 year"]})
    ax = plots.sweep_bands(frame, Figure().add_subplot())
    assert_allclose(ax.lines[0].get_xdata(), [1, 3600, 86400, 31536000])
    assert_allclose(ax.lines[0].get_ydata(), [0.8, 0.7, 0.9, 0.6])
    assert ax.get_xscale() == "log"
    ticks = [ax.xaxis.get_major_formatter()(t) for t in ax.get_xticks()]
    assert ticks == ["1 s", "1 min", "1 h", "1 day", "30 days", "1 year"]
    assert ax.lines[-1].get_ydata()[0] == 0.98  # without noise, the same for all points


def test_right_after_programming_is_on_the_axis_too() -> None:
    ax = plots.sweep_bands(_frame(**{"noise.time_s": ["0 s", "1 h", "1 day"]}), Figure().add_subplot())
    assert ax.get_xscale() == "symlog"
    assert ax.get_xticks()[0] == 0
    places = ax.transData.transform([(x, 0.9) for x in (0, 3600, 86400)])[:, 0]
    assert places[0] < places[1] < places[2]


def test_a_band_for_each_combination_of_the_other_settings() -> None:
    frame = _frame(
        **{
            "noise.drift_compensation": ["false", "false", "true", "true"],
            "noise.time_s": ["1 s", "1 h", "1 s", "1 h"],
        }
    )
    frame.loc[0, "accuracy_no_noise"] = 0.5  # not the same for all: no common line
    ax = plots.sweep_bands(frame, Figure().add_subplot())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["drift_compensation false", "drift_compensation true"]
    assert_allclose(ax.lines[2].get_ydata(), [0.7, 0.6])


def test_wide_ranges_are_logarithmic() -> None:
    wide = {"noise.effects.read.sigma_rel": ["0.001", "0.1"]}
    assert plots.sweep_bands(_frame(**wide), Figure().add_subplot()).get_xscale() == "log"


def test_the_axis_is_the_first_varied_number() -> None:
    assert number_axis(_frame(**{"noise": ["none", "a"], "adc.bits": ["4", "5"]})) == "adc.bits"
    assert number_axis(_frame(**{"device.g_min_S": ["1 uS", "2 uS"]})) == "device.g_min_S"
    assert number_axis(_frame(**{"noise": ["none", "a"], "adc.bits": ["4", "4"]})) is None
    ideal = _frame(**{"adc.bits": ["4", "5"]}).drop(columns="accuracy_no_noise")
    assert number_axis(ideal) is None
    with pytest.raises(ValueError, match="a varied setting that is a number, got noise"):
        plots.sweep_bands(_frame(noise=["none", "a"]), Figure().add_subplot())


def test_points_with_problems_are_left_out() -> None:
    frame = _frame(**{"adc.bits": ["4", "5", "6"]})
    frame.loc[1, ["accuracy", "accuracy_ci95", "accuracy_worst"]] = np.nan
    ax = plots.sweep_bands(frame, Figure().add_subplot())
    assert_allclose(ax.lines[0].get_xdata(), [4, 6])


def test_the_band_is_beside_the_front(tmp_path: Path) -> None:
    def width(frame: pd.DataFrame, name: str) -> int:
        plots.save_sweep(frame, "energy_J", tmp_path / name)
        return int.from_bytes((tmp_path / name).read_bytes()[16:20])  # of a PNG

    frame = _frame(**{"adc.bits": ["4", "5"]})
    ideal = width(frame.drop(columns="accuracy_no_noise"), "ideal.png")
    assert width(frame, "noisy.png") > 1.5 * ideal
    assert width(_frame(**{"noise.time_s": ["1 s", "1 h"]}), "time.png") == ideal  # nobody chooses noise: no front


def test_single_runs_have_a_line_and_no_band() -> None:
    frame = _frame(**{"adc.bits": ["4", "5"]}).drop(columns=["accuracy_ci95", "accuracy_worst"])
    ax = plots.sweep_bands(frame, Figure().add_subplot())
    assert_allclose(ax.lines[0].get_ydata(), [0.9, 0.6])
    assert len(ax.collections) == 0
    single = plots.accuracy_band([1, 2], [Spread((0.9,)), Spread((0.8,))], Figure().add_subplot())
    assert (len(single.lines), len(single.collections)) == (1, 0)


def test_estimates_are_drawn_with_their_front(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "core.adcs": ["1", "2", "4", "8"],
            "problem": ["", "", "", "too few tiles"],
            "energy_J": [1e-6, 2e-6, 2e-6, np.nan],
            "latency_s": [2e-3, 1e-3, 3e-3, np.nan],
            "used_area_m2": [1e-6, 2e-6, 3e-6, np.nan],
        }
    )
    ax = plots.estimates(frame, Figure().add_subplot())
    others, front = ax.collections
    assert_allclose(others.get_offsets(), [[2e-6, 3e-3]])
    assert_allclose(front.get_offsets(), [[1e-6, 2e-3], [2e-6, 1e-3]])
    assert_allclose(front.get_array(), [1, 2])
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")
    wide = frame.assign(energy_J=[1e-6, 2e-5, 2e-5, np.nan])
    assert plots.estimates(wide, Figure().add_subplot()).get_xscale() == "log"
    plots.save_estimates(frame, "three chips", tmp_path / "points.png")
    assert (tmp_path / "points.png").stat().st_size > 20_000
