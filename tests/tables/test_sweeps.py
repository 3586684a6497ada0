"""The table of a sweep: as many figures as there is room for, problems in words, a front where there is a choice."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from rich.console import Console

from xbar.tables.sweeps import print_estimates, print_sweep


def _frame(varied: dict[str, list[str]], **more: object) -> pd.DataFrame:
    figures = {
        "accuracy_float": 0.99,
        "accuracy": [0.9, 0.8],
        "saturated_rel": 0.0,
        "energy_J": [2e-9, 1e-9],
        "latency_s": 1e-6,
        "power_W": 0.1,
        "used_area_m2": 1e-6,
        "tops_per_W": 0.5,
        "problem": "",
    }
    return pd.DataFrame({**varied, **figures, **more})


def _printed(frame: pd.DataFrame, varied: list[str], width: int, smaller: str = "energy_J") -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    print_sweep(frame, varied, smaller, console)
    return console.export_text()


def test_figures_that_do_not_fit_are_left_out_whole() -> None:
    frame = _frame({"adc.bits": ["3", "4"]})
    wide, narrow = _printed(frame, ["adc.bits"], 200), _printed(frame, ["adc.bits"], 60, "power_W")
    assert "TOPS/W" in wide
    assert "TOPS/W" not in narrow
    assert "100 mW" in narrow  # what the front is about stays
    assert "…" not in narrow
    assert "nothing has both higher accuracy and lower energy_J" in wide


def test_settings_go_by_their_last_name_where_that_is_clear() -> None:
    one = _printed(_frame({"adc.bits": ["3", "4"]}), ["adc.bits"], 200)
    assert "adc.bits" not in one
    two = _printed(_frame({"adc.bits": ["3", "4"], "dac.bits": ["1", "1"]}), ["adc.bits", "dac.bits"], 200)
    assert "adc.bits" in two


def test_noise_has_a_spread_and_no_front() -> None:
    frame = _frame({"noise.time_s": ["1 s", "1 h"]}, accuracy_ci95=[0.01, 0.0234], accuracy_worst=0.5)
    text = _printed(frame, ["noise.time_s"], 200)
    assert "2.34%" in text
    assert "50.00%" in text
    assert "*" not in text


def test_problems_are_told_once_each() -> None:
    frame = _frame({"adc.bits": ["0", "4"]})
    frame.loc[0, ["accuracy", "energy_J"]] = np.nan
    frame.loc[0, "problem"] = "adc.bits: must be more"
    text = _printed(frame, ["adc.bits"], 60)
    assert text.count("problem 1") == 2
    assert "problem 1: adc.bits: must be more" in text


def test_figures_of_single_points_may_be_missing() -> None:
    frame = _frame({"noise": ["none", "mine"]}, accuracy_ci95=[np.nan, 0.01])
    text = _printed(frame, ["noise"], 200)
    assert "nan" not in text
    assert "1.00%" in text


def _estimates(n: int, problem: str = "") -> str:
    """n points of which the later cost more energy and less time; the last one has the problem."""
    steps = np.arange(n, dtype=float)
    frame = pd.DataFrame({"core.adcs": [str(i) for i in range(n)], "adc.bits": "8", "problem": ""})
    figures = {"energy_J": 1e-9 * (1 + steps), "latency_s": 1e-6 * (n - steps), "used_area_m2": 1e-6, "power_W": 1.0}
    frame = frame.assign(**figures, energy_delay_Js=figures["energy_J"] * figures["latency_s"])
    if problem:
        frame.loc[n - 1, "problem"] = problem
        frame.loc[n - 1, list(figures)] = np.nan
    console = Console(width=100, file=io.StringIO(), record=True)
    print_estimates(frame, ["core.adcs", "adc.bits"], n < 10, console)
    return console.export_text()


def test_estimates_of_few_points_are_all_shown() -> None:
    text = _estimates(5, "chip.tiles: too few")
    assert text.count("*") == 4 + 1
    assert "problem 1: chip.tiles: too few" in text
    assert "no other point of the same adc.bits is as good in energy, latency and used area" in text
    assert "accuracy is not looked at" in text
    assert "--cycles" not in text


def test_of_many_estimates_the_best_are_shown() -> None:
    text = _estimates(60, "chip.tiles: too few")
    assert "60 points, 1 with a problem; 40 of 59 points on the Pareto front by energy x delay" in text
    assert "problem 1: chip.tiles: too few" in text
    assert text.count("*") == 40 + 1
    assert "one layer after another" in text
