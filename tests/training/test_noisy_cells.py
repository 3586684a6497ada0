"""Weights in noisy cells: the distribution is that of the engine's own cells, and that of the formulas."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from small import small_chip, small_network

import mapping
from xbar.config import from_data, validate
from xbar.hardware import Chip, load_chip
from xbar.network import QuantizedNetwork
from xbar.noise import NoiseModel
from xbar.parts.base import Cells
from xbar.sim import simulate
from xbar.training import noisy_cells
from xbar.training.noisy_cells import STEPS, NoisyCells

CONFIDENCE = 0.999  # of a whole comparison, all its statistics together
PROGRAMMING = {"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "range"}
SPREAD = {"kind": "lognormal", "sigma_ln": 0.15, "per": "device"}
DRIFT = {"kind": "drift", "nu_mean": 0.05, "nu_sigma": 0.03, "t_0_s": 1.0}
STUCK = {"kind": "stuck", "hrs_rate": 0.1, "lrs_rate": 0.05}
READ = {"kind": "white", "sigma_rel": 0.05, "relative_to": "g_max"}
DRIVERS = {"kind": "dac_error", "gain_sigma_rel": 0.1, "noise_sigma_rel": 0.05}

OFFSET, FLIPPED = {"kind": "offset"}, {"kind": "offset", "flipped": True}


def _noise(*effects: dict[str, Any], time_s: float = 0.0, compensated: bool = False) -> NoiseModel:
    data = {"effects": {e["kind"]: e for e in effects}, "time_s": time_s, "drift_compensation": compensated}
    return validate(NoiseModel, from_data(data, "test"))


def _chip(encoding: dict[str, Any], low_rel: float = 0.0, cell_bits: int = 2, **changes: Any) -> Chip:
    device: dict[str, Any] = {"kind": "levels", "cell_bits": cell_bits}
    if low_rel > 0:
        device = {**device, "kind": "resistive", "g_min_S": low_rel * 1e-5, "g_max_S": 1e-5}
    bits = 2 if encoding["kind"] == "ternary" else 4
    settings = {
        "crossbar__rows": 32,
        "crossbar__cols": 8,
        "chip__tiles": 4096,
        "adc": {"kind": "ideal"},
        "precision": {"weight_bits": bits, "input_bits": 4},
    }
    return small_chip(device=device, encoding=encoding, **{**settings, **changes})


@lru_cache
def _network(shape: tuple[int, int], bits: int) -> QuantizedNetwork:
    return small_network([np.ones(shape, np.int32)], weight_bits=bits)


def _simulated(chip: Chip, noise: NoiseModel, weights: np.ndarray, n_runs: int = 1) -> np.ndarray:
    """What each weight counts in `xbar.simulate`, [run, col, row]: one word line after another, at digit 1."""
    qnet = _network(weights.shape, chip.precision.weight_bits)
    qnet = replace(qnet, layers=(replace(qnet.layers[0], weight_q=weights),))
    x = torch.eye(weights.shape[1])[:, None]
    found = simulate(mapping.compile(qnet, chip), x, noise=noise, n_runs=n_runs).results
    return np.stack([run.outputs[:, 0].numpy().T for run in found])


def _held(chip: Chip, noise: NoiseModel, weights: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Draws that share no pool, [draw, col, row]."""
    cells = NoisyCells(chip, noise, seed)
    return np.stack([cells.hold(weights[None], "layer", era * STEPS)[0] for era in range(n)])


def _pattern(chip: Chip) -> np.ndarray:
    """Six columns, two crossbars of rows: all values are there, and columns of crossbars that are heavy and light."""
    top, rows = (1 << chip.precision.weight_bits - 1) - 1, 2 * chip.crossbar.rows
    weights = np.random.default_rng(2).integers(-top, top + 1, (6, rows)).astype(np.int32)
    weights[3], weights[4, : rows // 2] = -np.abs(weights[3]), np.abs(weights[4, : rows // 2])
    return weights


def _statistics(held: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Of draws [draw, col, row] of the pattern, [draw, statistic]: the mean squared error of all weights, of each value
    the mean error and its square; the squared errors of rows and of columns, and products of columns of a row, in
    which errors add up that share a cell or a driver."""
    error = (held - pattern).astype(np.float64)
    parts = [error[:, pattern == value] for value in np.unique(pattern)]
    parts = [error.reshape(len(error), -1) ** 2, *parts, *(e**2 for e in parts)]
    parts += [error.sum(axis=1) ** 2, error.sum(axis=2) ** 2]
    parts += [error[:, i] * error[:, j] for i in range(6) for j in range(i)]
    return np.stack([p.mean(axis=1) for p in parts], axis=1)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether statistics [sample, statistic] of independent samples have one mean, all of them: z-tests, Bonferroni."""
    limit = norm.isf((1 - CONFIDENCE) / (2 * one.shape[1]))
    error = np.sqrt(one.var(axis=0, ddof=1) / len(one) + other.var(axis=0, ddof=1) / len(other))
    return bool((np.abs(one.mean(axis=0) - other.mean(axis=0)) <= limit * error + 1e-4).all())


N_TILES, N_RUNS, N_ERAS = 8, 8, 40


def _of_engine(chip: Chip, noise: NoiseModel) -> np.ndarray:
    """Statistics of the pattern, many times below itself on crossbars of its own, in several runs."""
    pattern = _pattern(chip)
    held = _simulated(chip, noise, np.tile(pattern, (1, N_TILES)), N_RUNS)
    tiles = held.reshape(N_RUNS, len(pattern), N_TILES, -1).swapaxes(1, 2)
    return _statistics(tiles.reshape(-1, *pattern.shape), pattern)


def _of_cells(chip: Chip, noise: NoiseModel) -> np.ndarray:
    """The same of `NoisyCells`; what shares a pool is one sample."""
    pattern = _pattern(chip)
    held = _held(chip, noise, np.tile(pattern, (1, N_TILES)), N_ERAS)
    tiles = held.reshape(N_ERAS, len(pattern), N_TILES, -1).swapaxes(1, 2)
    found = _statistics(tiles.reshape(-1, *pattern.shape), pattern)
    return found.reshape(N_ERAS, N_TILES, -1).mean(axis=1)


AGED = {"time_s": 1e3}
CASES: dict[str, tuple[dict[str, Any], float, NoiseModel]] = {
    "programming": ({"kind": "differential"}, 0.0, _noise(PROGRAMMING)),
    "devices, low currents": ({"kind": "differential"}, 0.2, _noise(SPREAD)),
    "references that do not cancel": (
        {"kind": "differential", "layout": "separate", "baseline": "reference"}, 0.2, _noise(PROGRAMMING, STUCK)
    ),
    "references that cancel": ({"kind": "differential", "baseline": "reference"}, 0.2, _noise(PROGRAMMING)),
    "faults": ({"kind": "differential"}, 0.1, _noise(PROGRAMMING, STUCK)),
    "ternary": ({"kind": "ternary"}, 0.1, _noise(PROGRAMMING, STUCK)),
    "reads": ({"kind": "differential"}, 0.1, _noise(READ)),
    "drift": ({"kind": "differential"}, 0.1, _noise(PROGRAMMING, DRIFT, **AGED)),
    "drift compensated": ({"kind": "differential"}, 0.1, _noise(PROGRAMMING, DRIFT, **AGED, compensated=True)),
    "offset": (OFFSET, 0.0, _noise(PROGRAMMING)),
    "offset, reference": (OFFSET, 0.2, _noise(SPREAD, READ)),
    "offset, references of planes": ({**OFFSET, "layout": "separate"}, 0.2, _noise(PROGRAMMING)),
    "offset, compensated": (OFFSET, 0.2, _noise(PROGRAMMING, DRIFT, **AGED, compensated=True)),
    "offset, digital, compensated": (
        {**OFFSET, "baseline": "digital"}, 0.2, _noise(PROGRAMMING, DRIFT, **AGED, compensated=True)
    ),
    "offset, digital, drivers": ({**OFFSET, "baseline": "digital"}, 0.2, _noise(DRIVERS)),
    "flipped": (FLIPPED, 0.0, _noise(PROGRAMMING, READ)),
    "flipped, reference": (FLIPPED, 0.2, _noise(PROGRAMMING)),
    "flipped, references of planes": ({**FLIPPED, "layout": "separate"}, 0.2, _noise(PROGRAMMING, STUCK)),
    "flipped, digital, drifted, drivers": (
        {**FLIPPED, "baseline": "digital"}, 0.2, _noise(DRIVERS, DRIFT, **AGED, compensated=True)
    ),
    "drivers": ({"kind": "differential"}, 0.0, _noise(DRIVERS)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_distribution_is_that_of_a_simulation(case: str) -> None:
    encoding, low_rel, noise = CASES[case]
    chip = _chip(encoding, low_rel, cell_bits=1 if encoding["kind"] == "ternary" else 2)
    engine, cells = _of_engine(chip, noise), _of_cells(chip, noise)
    assert _same(engine, cells)
    assert engine[:, 0].mean() > 1e-3  # there is something to compare


def test_a_tenth_more_noise_would_be_noticed() -> None:
    chip = _chip(OFFSET)
    engine = _of_engine(chip, _noise(PROGRAMMING))
    assert _same(engine, _of_cells(chip, _noise(PROGRAMMING)))
    assert not _same(engine, _of_cells(chip, _noise({**PROGRAMMING, "sigma_rel": 0.11})))


def test_deterministic_effects_are_those_of_a_simulation_weight_by_weight() -> None:
    examples = 0

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        encoding=st.sampled_from(
            [{"kind": "differential"}]
            + [
                {"kind": "offset", "flipped": flipped, "baseline": baseline, "layout": layout}
                for flipped in (False, True)
                for baseline in ("reference", "digital")
                for layout in ("interleaved", "separate")
            ]
        ),
        low_rel=st.sampled_from([0.0, 0.1]),
        cell_bits=st.integers(1, 3),
        bits=st.sampled_from([4, 9]),
        compensated=st.booleans(),
        zeros=st.sampled_from([0.0, 0.5, 0.95]),
        seed=st.integers(0, 99),
    )
    def check(
        encoding: dict[str, Any],
        low_rel: float,
        cell_bits: int,
        bits: int,
        compensated: bool,
        zeros: float,
        seed: int,
    ) -> None:
        nonlocal examples
        rng = np.random.default_rng(seed)
        chip = _chip(
            encoding,
            low_rel,
            cell_bits,
            crossbar__rows=8,
            crossbar__cols=32,
            precision={"weight_bits": bits, "input_bits": 4},
        )
        measured = [
            {"level": i, "mean_S": 1e-5 * g, "sigma_S": 0.0}
            for i, g in enumerate(chip.device.levels_rel() + rng.normal(0, 0.2, 1 << cell_bits).clip(-0.1, 0.5) + 0.1)
        ]
        programming = {"kind": "table", "g_max_S": 1e-5, "measured": measured}
        noise = _noise(programming, {**DRIFT, "nu_sigma": 0.0}, time_s=100.0, compensated=compensated)
        top = (1 << bits - 1) - 1
        weights = rng.integers(-top, top + 1, (7, 20)).astype(np.int32)
        weights[rng.random(weights.shape) < zeros] = 0
        if rng.random() < 0.5:
            weights[:, 8:16] = np.maximum(weights[:, 8:16], 0) >> 1
        (wanted,) = _simulated(chip, noise, weights)
        got = NoisyCells(chip, noise, seed).hold(weights[None], "layer", 0)[0]
        scale = 1 << bits
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * scale)
        examples += int(np.abs(wanted - weights).max() > 0.01 * scale)

    check()
    assert examples > 20  # where the effects do something


@pytest.mark.parametrize("encoding", [{"kind": "differential"}, OFFSET, {"kind": "ternary"}], ids=str)
@pytest.mark.parametrize(
    "effect",
    [
        PROGRAMMING,
        {"kind": "write_verify", "sigma_rel": 0.2, "tolerance_rel": 0.1, "max_writes": 3, "relative_to": "range"},
        SPREAD,
        STUCK,
        DRIFT,
        {"kind": "telegraph", "amplitude_rel": 0.3, "probability": 0.2},
        READ,
    ],
    ids=lambda effect: effect["kind"],
)
def test_mean_and_variance_are_those_of_the_formulas(encoding: dict[str, Any], effect: dict[str, Any]) -> None:
    """Of every value: the moments of its cells, summed; offset: with those of the unit cell, offset times."""
    chip = _chip(encoding, cell_bits=1 if encoding["kind"] == "ternary" else 2, crossbar__rows=256)
    noise, n = _noise(effect, time_s=1e3), chip.n_slices
    top_level, bits = (1 << chip.device.cell_bits) - 1, chip.precision.weight_bits
    target = chip.device.levels_rel()
    cells = Cells(np.arange(top_level + 1, dtype=np.uint8), target, 0.0, top_level + 1)
    mean, variance = target, np.zeros_like(target)
    for cell_noise in noise.of_cells.values():
        mean, variance = cell_noise.moments(cells, target, noise.when)
    for read_noise in noise.of_reads.values():
        variance = read_noise.variance(target, noise.when)
    values = np.arange(-(1 << bits - 1) + 1, 1 << bits - 1)
    offset = (1 << bits - 1) if encoding["kind"] == "offset" else 0
    scale = float(1 << chip.device.cell_bits) ** np.arange(n) * top_level

    def slices(code: np.ndarray) -> np.ndarray:
        return (code[:, None] >> (chip.device.cell_bits * np.arange(n))) & top_level

    if offset:
        level = slices(values + offset)
        wanted = mean[level] @ scale - offset * top_level * mean[1]
        spread = variance[level] @ scale**2 + (offset * top_level) ** 2 * variance[1]
    else:
        plus, minus = slices(np.maximum(values, 0)), slices(np.maximum(-values, 0))
        wanted = (mean[plus] - mean[minus]) @ scale
        spread = (variance[plus] + variance[minus]) @ scale**2
    n_values = len(values)
    turned = np.add.outer(np.arange(n_values), np.arange(240 // n_values * n_values)) % n_values  # all in every line
    held = _held(chip, noise, values[turned], 50).astype(np.float64)
    error = np.stack([held[:, turned == i] - wanted[i] for i in range(n_values)], axis=1)  # [era, value, weight]
    samples = np.concatenate([error.mean(axis=2), (error**2).mean(axis=2)], axis=1)
    expected = np.concatenate([0 * wanted, spread])
    z = (samples.mean(axis=0) - expected) / (samples.std(axis=0, ddof=1) / np.sqrt(len(samples)) + 1e-9)
    limit = norm.isf((1 - CONFIDENCE) / (2 * len(expected)))
    assert np.abs(z).max() < limit
    assert spread.max() > 1e-3
    error_of_spread = samples.std(axis=0, ddof=1)[len(values) :] / np.sqrt(len(samples))
    assert (error_of_spread < 0.05 * spread + 1e-6).all()  # the interval is narrow enough to say something


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["differential", "offset", "flipped", "ternary"]),
    baseline=st.sampled_from([None, "reference", "digital"]),
    layout=st.sampled_from(["interleaved", "separate"]),
    low_rel=st.sampled_from([0.0, 0.03, 0.3]),
    cell_bits=st.integers(1, 5),
    bits=st.integers(2, 16),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 30)),
    compensated=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_without_effects_it_is_the_integers(
    kind: str,
    baseline: str | None,
    layout: str,
    low_rel: float,
    cell_bits: int,
    bits: int,
    shape: tuple[int, int, int],
    compensated: bool,
    seed: int,
) -> None:
    encoding: dict[str, Any] = {"kind": "offset" if kind == "flipped" else kind, "layout": layout}
    if kind == "flipped":
        encoding["flipped"] = True
    if baseline is not None:
        encoding["baseline"] = baseline
    if kind == "ternary":
        bits, cell_bits = 2, 1
    chip = _chip(encoding, low_rel, cell_bits, crossbar__cols=64, precision={"weight_bits": bits, "input_bits": 4})
    top = (1 << bits - 1) - 1
    weights = np.random.default_rng(seed).integers(-top, top + 1, shape).astype(np.int32)
    held = NoisyCells(chip, _noise(compensated=compensated), 0).hold(weights, "layer", 0)
    assert held.dtype == np.float32
    np.testing.assert_array_equal(held, weights)


def test_what_mapping_leaves_out_has_no_noise() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-7, 8, (9, 100)).astype(np.int32)
    weights[:, [3, 40]] = 0
    weights[5] = 0
    weights[:4, 66:] = 0  # the first strip of differential pairs, below two crossbars of rows that are left
    for encoding in ({"kind": "differential"}, OFFSET, FLIPPED):
        chip = _chip(encoding, 0.2)
        (wanted,) = _simulated(chip, _noise(SPREAD), weights)
        got = NoisyCells(chip, _noise(SPREAD), 0).hold(weights[None], "layer", 0)[0]
        np.testing.assert_array_equal(got == 0, wanted == 0)
        assert (got[5] == 0).all()
        assert (got[:, [3, 40]] == 0).all()
        assert 0.1 < (got == 0).mean() < 0.9


def test_groups_are_matrices_of_their_own() -> None:
    chip, noise = _chip(OFFSET), _noise(PROGRAMMING)
    weights = np.random.default_rng(1).integers(-7, 8, (2, 4, 40)).astype(np.int32)
    cells = NoisyCells(chip, noise, 0)
    error = np.stack([cells.hold(weights, "layer", i) for i in range(STEPS)]) - weights
    assert (error.std(axis=0) > 0.3).all()
    columns = np.corrcoef(error.sum(axis=3).reshape(STEPS, -1).T)  # unit cells are most of it
    assert columns[:4, :4].min() > 0.6
    assert columns[4:, 4:].min() > 0.6
    assert np.abs(columns[:4, 4:]).max() < norm.isf(0.0005) / np.sqrt(STEPS)


def test_same_names_same_bits() -> None:
    chip, noise = load_chip("isaac_isca_2016"), _noise(PROGRAMMING, READ, DRIVERS)
    weights = np.random.default_rng(0).integers(-99, 100, (1, 6, 30)).astype(np.int32)

    def held(seed: int, layer: str, step: int) -> np.ndarray:
        return NoisyCells(chip, noise, seed).hold(weights, layer, step)

    first, cells = held(0, "a", STEPS), NoisyCells(chip, noise, 0)
    for step, layer in ((0, "b"), (STEPS, "b"), (3 * STEPS, "a"), (0, "a")):  # other draws leave no trace
        cells.hold(weights, layer, step)
    np.testing.assert_array_equal(cells.hold(weights, "a", STEPS), first)
    for other in (held(1, "a", STEPS), held(0, "b", STEPS), held(0, "a", STEPS + 1), held(0, "a", 0)):
        assert (other != first).mean() > 0.9


def test_a_new_era_is_another_pool() -> None:
    """Within a pool there are no more errors than draws; the next has others."""
    chip, noise = _chip({"kind": "differential"}), _noise(PROGRAMMING)
    cells, weights = NoisyCells(chip, noise, 0), np.full((1, 50, 100), 3, np.int32)
    eras = [np.unique([cells.hold(weights, "layer", era * STEPS + k) for k in range(3)]) for era in range(2)]
    assert all(900 < len(era) <= 1024 for era in eras)
    assert len(np.intersect1d(*eras)) < 10


def test_all_pools_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two cells of a level in each, they err together, and only eras make the mean right."""
    monkeypatch.setattr(noisy_cells, "DRAWS", 2)
    monkeypatch.setattr(noisy_cells, "_CELLS", 8)
    chip, noise = _chip(OFFSET, 0.5), _noise(PROGRAMMING)  # no cell is cut at 0
    weights = np.random.default_rng(0).integers(-7, 8, (5, 60)).astype(np.int32)
    error = (_held(chip, noise, weights, 200) - weights).mean(axis=(1, 2))
    assert error.std() > 0.5
    assert abs(error.mean()) < norm.isf(0.0005) * error.std() / np.sqrt(len(error))


def test_uneven_states_of_a_device_are_held_as_they_are() -> None:
    """Without effects, what the engine programmes."""
    chip = _chip({"kind": "differential"})
    device = {"kind": "measured", "source": "made up", "cell_bits": 2, "states_S": [1e-6, 3e-6, 8e-6, 1e-5]}
    chip = small_chip(**{"device": device, "adc": {"kind": "ideal"}, "precision": chip.precision.model_dump()})
    weights = np.random.default_rng(0).integers(-7, 8, (2, 9)).astype(np.int32)
    (wanted,) = _simulated(chip, _noise(), weights)
    held = NoisyCells(chip, _noise(), 0).hold(weights[None], "layer", 0)[0]
    np.testing.assert_allclose(held, wanted, atol=1e-3)
    assert np.abs(held - weights).max() > 0.1
