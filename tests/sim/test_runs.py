"""Networks simulated with noise: runs, seeds, what makes a chip analog, and ranges that hold its currents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small import small_chip, small_network

import mapping
import xbar
from xbar.errors import ConfigError, DataError, XbarError
from xbar.noise import NoiseModel
from xbar.program import Program, largest_sums
from xbar.sim import calibrate_adc
from xbar.sim.adc import column_sum_histograms

RESISTIVE = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 1e-5}


def _program(seed: int = 0, **changes: Any) -> Program:
    rng = np.random.default_rng(seed)
    net = small_network([rng.integers(-7, 8, (5, 12)), rng.integers(-7, 8, (3, 5))], vectors=2)
    return mapping.compile(net, small_chip(**changes))


def _inputs(n: int = 6) -> torch.Tensor:
    return torch.rand(n, 2, 12, generator=torch.Generator().manual_seed(0))


def test_a_seed_fixes_every_bit_whatever_the_batches_and_threads() -> None:
    program, x = _program(device=RESISTIVE), _inputs()
    whole = xbar.simulate(program, x, seed=3, noise="reram_wan_2022")
    assert xbar.simulate(program, x, batch_size=1, seed=3, noise="reram_wan_2022") == whole
    assert xbar.simulate(program, x, batch_size=4, seed=3, noise="reram_wan_2022") == whole
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert xbar.simulate(program, x, seed=3, noise="reram_wan_2022") == whole
    finally:
        torch.set_num_threads(threads)
    assert xbar.simulate(program, x, seed=4, noise="reram_wan_2022") != whole


def test_runs_differ_and_each_depends_on_its_number_alone() -> None:
    program, x, seen = _program(), _inputs(), []
    runs = xbar.simulate(program, x, seed=1, noise="reram_wan_2022", n_runs=4, progress=lambda *at: seen.append(at))
    again = xbar.simulate(program, x, seed=1, noise="reram_wan_2022", n_runs=2)
    assert runs.results[:2] == again.results
    assert runs.results[0] == xbar.simulate(program, x, seed=1, noise="reram_wan_2022")
    assert len({r.outputs.numpy().tobytes() for r in runs.results}) == 4
    assert seen[-1] == (24, 24)
    assert runs.results[0].activity.layers[0].conversions == runs.results[3].activity.layers[0].conversions


def test_the_same_chip_keeps_what_belongs_to_its_devices() -> None:
    program, x = _program(device=RESISTIVE), _inputs()
    faults = xbar.load_noise("reram_typical").only("faults")
    assert faults.effects
    same = xbar.simulate(program, x, noise=faults, n_runs=2, same_chip=True)
    assert same.results[0] == same.results[1]
    new = xbar.simulate(program, x, noise=faults, n_runs=2)
    assert new.results[0] != new.results[1]


def test_cells_are_ideal_until_something_says_otherwise() -> None:
    x = _inputs()
    exact = xbar.simulate(_program(), x)
    resistive = xbar.simulate(_program(device=RESISTIVE), x)
    assert resistive.outputs.equal(exact.outputs)
    assert resistive.activity != exact.activity  # its reads have an energy
    assert xbar.simulate(_program(adc={"kind": "ideal"}), x, noise="none").outputs.equal(exact.outputs)
    few = {**RESISTIVE, "n_states": 3, "spacing": "resistance"}
    assert not xbar.simulate(_program(device=few), x).outputs.equal(exact.outputs)
    assert not xbar.simulate(_program(noise="reram_wan_2022"), x).outputs.equal(exact.outputs)


def test_noise_of_the_chip_is_what_is_used_and_an_argument_takes_its_place() -> None:
    own, plain, x = _program(noise="reram_wan_2022"), _program(), _inputs()
    assert xbar.simulate(own, x, seed=2).outputs.equal(xbar.simulate(plain, x, seed=2, noise="reram_wan_2022").outputs)
    assert xbar.simulate(own, x, noise="none").outputs.equal(xbar.simulate(plain, x, noise=NoiseModel()).outputs)


def test_what_makes_no_sense_is_an_error() -> None:
    program, x = _program(), _inputs()
    with pytest.raises(DataError, match="n_runs: has no effect with ideal cells, got 3; give a noise"):
        xbar.simulate(program, x, n_runs=3)
    with pytest.raises(DataError, match="n_runs: must be at least 1, got 0"):
        xbar.simulate(program, x, noise="none", n_runs=0)
    with pytest.raises(XbarError, match="seed: must be a whole number from 0 up, got -1"):
        xbar.simulate(program, x, noise="reram_wan_2022", seed=-1)
    with pytest.raises(ConfigError, match="did you mean reram_wan_2022"):
        xbar.simulate(program, x, noise="reram_wan_202")


RANGE = {
    "kind": "table",
    "source": "made up",
    "bits": 6,
    "mode": "range",
    "points": [{"bits": 6, "energy_J": 1e-12, "area_m2": 1e-9, "time_s": 50e-9}],
}


def test_ranges_hold_the_current_of_cells_in_hrs_where_it_reaches_the_adc() -> None:
    """on/off ratio 10 and 8 levels: an active line adds 7/9 of a step to every column, 8 lines 6.2 steps."""
    x = _inputs(20)
    for baseline, most in (("pair", 7), ("digital", 7), ("reference", 0)):
        encoding = {"kind": "differential", "layout": "interleaved", "baseline": baseline}
        worst = _program(device=RESISTIVE, noise="none", encoding=encoding, adc={**RANGE, "full_scale": "worst_case"})
        for layer, rows in zip(worst.layers, (8, 5), strict=True):
            lines = int(np.ceil(7 / 9 * rows)) if most else 0
            assert layer.adc.full_scale == tuple(int(y) + lines for y in largest_sums(layer))
        program = _program(device=RESISTIVE, noise="none", encoding=encoding, adc={**RANGE, "full_scale": "max"})
        plain = _program(device=RESISTIVE, encoding=encoding, adc={**RANGE, "full_scale": "max"})
        with_baseline, without = column_sum_histograms(program, x), column_sum_histograms(plain, x)
        for a, b in zip(with_baseline, without, strict=True):
            assert (a.largest() > b.largest()).all() == (most > 0)
            assert (a.largest() <= b.largest() + most).all()
            assert a.by_slice.sum() == b.by_slice.sum()
        calibrated = calibrate_adc(program, x)
        result = xbar.simulate(calibrated, x)
        assert sum(sum(layer.saturations) for layer in result.activity.layers) == 0


def test_programs_with_noise_are_saved_whole(tmp_path: Any) -> None:
    program = _program(device=RESISTIVE, noise="pcm_joshi_2020")
    xbar.save_program(program, tmp_path / "program")
    loaded = xbar.load_program(tmp_path / "program")
    assert loaded == program
    assert xbar.simulate(loaded, _inputs(), seed=1) == xbar.simulate(program, _inputs(), seed=1)
