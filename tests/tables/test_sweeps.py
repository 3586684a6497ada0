"""The table of a sweep: as many figures as there is room for, problems in words, a front where there is a choice."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from rich.console import Console

from xbar.tables.sweeps import print_sweep


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
