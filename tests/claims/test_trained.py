"""What the training methods promise, on the real MNIST: the kept results of `prove.py` against the published claims.

results/*_seed0.json were written by `python tests/claims/prove.py NAME --seed 0`; that they are of the commands and
recipes as they are now is tested as well. `make slow` trains again (up to 15 minutes each on two cores).
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims.prove import PROOFS, RESULTS, prove
from close import approx

from xbar.training.recipe import load_recipe

Record = dict[str, Any]


def bit_slice_l1(record: Record) -> None:
    """Zhang et al. 2019: at most 0.6 times the non-zero slices of L1, and ADCs of 1 and 3 bits after fine-tuning.

    ADC energy falls as their prices say: three slices of four to 1 / (14.22 * 2.667), one to 1 / (28.44 * 8). On
    crossbars with 32 rows, for which the network was tuned.
    """
    l1, slices, _ = record["figures"]["compare"].values()
    assert _mean(slices["nonzero_slices_rel"]) <= 0.6 * _mean(l1["nonzero_slices_rel"])
    assert slices["accuracy_float"] >= l1["accuracy_float"] - 0.005
    wide, few = record["figures"]["eight_bits_32_rows"], record["figures"]["few_bits_32_rows"]
    assert few["tuned"]["accuracy"] >= wide["slices"]["accuracy"] - 0.01
    left = few["tuned"]["adc_energy_J"] / wide["tuned"]["adc_energy_J"]
    assert left == approx((3 / (128 / 9 * 8 / 3) + 1 / (256 / 9 * 8)) / 4, rel=0.01)


def bit_slice_l1_lenet(record: Record) -> None:
    """The same of LeNet-5."""
    l1, slices = record["figures"]["compare"].values()
    assert _mean(slices["nonzero_slices_rel"]) <= 0.6 * _mean(l1["nonzero_slices_rel"])
    assert slices["accuracy_float"] >= l1["accuracy_float"] - 0.005


def group_scissor(record: Record) -> None:
    """Wang et al. 2017: 13.62 % of the cells at the same accuracy, then 8.1 % of the routing area."""
    plain, clipped, deleted = record["figures"]["compare"].values()
    after_as_many_epochs = record["accuracy_by_epoch"]["plain"][len(record["accuracy_by_epoch"]["clipped"]) - 1]
    assert clipped["weights"] <= 0.1362 * plain["weights"]
    assert clipped["accuracy_float"] >= after_as_many_epochs - 0.001
    assert deleted["routing_area_rel"] <= 0.081
    assert deleted["accuracy_float"] >= plain["accuracy_float"] - 0.005


def one_level(record: Record) -> None:
    """Wang et al. 2017: each step adds accuracy, and the last is at most 0.5 % below float after as many epochs.

    Naive levels, the same for all layers, are far off for some values and good for others, as in the paper.
    """
    accuracy, naive = record["accuracy"], record["figures"]["naive"].values()
    assert _mean(list(naive)) < accuracy["level"] < accuracy["regularized"] < accuracy["tuned"]
    assert max(naive) < accuracy["regularized"]
    assert accuracy["tuned"] >= accuracy["plain"] - 0.005
    assert len(record["accuracy_by_epoch"]["plain"]) == len(record["accuracy_by_epoch"]["tuned"])


def admm(record: Record) -> None:
    """Yuan et al. 2019: 17 times fewer weights of convolutions, and no zero among 5 bits; area saved is 1 - 1 / ratio.

    The convolutions of Caffe's LeNet have 25,500 weights, the linear layers 405,000, which are not pruned.
    """
    plain, pruned = record["figures"]["nine_bits"].values()
    ratio = 25_500 / (pruned["weights"] - 405_000)
    assert ratio >= 17
    assert pruned["accuracy_float"] >= plain["accuracy_float"] - 0.001
    assert pruned["accuracy"] >= plain["accuracy"] - 0.001
    # four cells a weight: two signs, two slices
    area_saved = 1 - (pruned["cells"] - 4 * 405_000) / (4 * 25_500)
    assert area_saved == pytest.approx(1 - 1 / ratio, abs=0.015)
    _, levels = record["figures"]["five_bits"].values()
    assert levels["accuracy"] >= plain["accuracy_float"] - 0.003


def noise_aware(record: Record) -> None:
    """At 10 % programming error at most half of the loss of the plain network."""
    plain, aware = record["figures"]["compare"].values()
    lost = plain["accuracy_float"] - plain["accuracy"]
    assert plain["accuracy_float"] - aware["accuracy"] <= lost / 2


def resnet20(record: Record) -> None:
    """A short training, of which only drops are told: 0.6 times the slices, and half of the cells, for 2 % each."""
    plain, sliced, pruned = record["figures"]["compare"].values()
    assert _mean(sliced["nonzero_slices_rel"]) <= 0.6 * _mean(plain["nonzero_slices_rel"])
    assert pruned["cells"] <= 0.51 * plain["cells"]
    accuracy = {name: record["figures"]["training"][name]["accuracy"] for name in ("plain", "bit_slice_l1", "admm")}
    assert accuracy["bit_slice_l1"] >= accuracy["plain"] - 0.02
    assert accuracy["admm"] >= accuracy["plain"] - 0.02


def truenorth_bias(record: Record) -> None:
    """Wen et al. 2016: at equal accuracy 68.8 % fewer cores, or 6.5 times fewer spikes per frame; one copy 92.78 %.

    60 % and 5 times are asked. Cores: at 2 spikes per frame and more (at 1, whole copies leave 50 %).
    """
    plain, penalty = (np.array(record["figures"]["table"][name]["accuracy"]) for name in ("plain", "penalty"))
    assert penalty[0, 0] >= 0.925
    for spikes in (2, 3, 4, 8, 16):
        assert _fewest(plain[:, spikes - 1], penalty[0, spikes - 1]) >= 1 / (1 - 0.6)
    assert max(_fewest(plain[0], penalty[0, spikes - 1]) / spikes for spikes in (1, 2, 3)) >= 5
    assert all(seconds <= 15 * 60 for seconds in record["seconds"][:2])


def truenorth_bias_published_types(record: Record) -> None:
    """The same with axons of one sign for all neurons, as published."""
    plain, penalty = (np.array(record["figures"]["table"][name]["accuracy"]) for name in ("plain", "penalty"))
    assert penalty[0, 0] >= 0.925
    for spikes in (2, 3, 4, 8, 16):
        assert _fewest(plain[:, spikes - 1], penalty[0, spikes - 1]) >= 1 / (1 - 0.6)


def _fewest(accuracy: np.ndarray, goal: float) -> int:
    """The first number, from 1, at which an accuracy is reached; one more than there are where it never is."""
    reached = np.flatnonzero(accuracy >= goal)
    return int(reached[0]) + 1 if len(reached) else len(accuracy) + 1


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


BARS: dict[str, Callable[[Record], None]] = {
    "bit_slice_l1": bit_slice_l1,
    "bit_slice_l1_lenet": bit_slice_l1_lenet,
    "group_scissor": group_scissor,
    "one_level": one_level,
    "admm": admm,
    "noise_aware": noise_aware,
    "truenorth_bias": truenorth_bias,
    "truenorth_bias_published_types": truenorth_bias_published_types,
    "resnet20": resnet20,
}


def _kept(name: str, seed: int = 0) -> Record:
    record: Record = json.loads((RESULTS / f"{name}_seed{seed}.json").read_text())
    return record


def _all(name: str) -> list[Record]:
    return [_kept(name, seed) for other, seed in _seeds() if other == name]


def _seeds() -> list[tuple[str, int]]:
    """Names and seeds of all kept results."""
    found = [file.stem.rpartition("_seed") for file in sorted(RESULTS.glob("*_seed*.json"))]
    return [(name, int(seed)) for name, _, seed in found]


def test_every_proof_has_a_kept_result() -> None:
    assert {name for name, seed in _seeds() if seed == 0} == set(PROOFS) == set(BARS)


@pytest.mark.parametrize(("name", "seed"), _seeds())
def test_the_kept_result_holds_what_is_promised(name: str, seed: int) -> None:
    BARS[name](_kept(name, seed))


@pytest.mark.parametrize(("name", "seed"), _seeds())
def test_the_kept_result_is_of_the_commands_and_recipes_as_they_are(name: str, seed: int) -> None:
    record = _kept(name, seed)
    assert record["commands"] == [command.format(seed=seed, out="OUT") for command in PROOFS[name]]
    trainings = [shlex.split(c) for c in record["commands"] if c.startswith("xbar train")]
    assert trainings or name == "resnet20"  # which has a script of its own
    for words in trainings:
        changes = [words[i + 1].partition("=") for i, word in enumerate(words) if word == "--set"]
        overrides = {path: value for path, _, value in changes}
        recipe = load_recipe(words[2], {**overrides, "data": "mnist", "seed": seed})
        folder = words[words.index("--out") + 1].removeprefix("OUT/")
        assert record["recipes"][folder] == json.loads(recipe.model_dump_json())


def test_the_readme_tells_the_kept_figures() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = {row.split("`")[1]: row for row in readme.splitlines() if row.startswith("| `") and " % " in row}
    slices, pruned, noise = (_kept(name)["figures"] for name in ("bit_slice_l1", "admm", "noise_aware"))
    l1, sparse, tuned = slices["compare"].values()
    ratio = _mean(sparse["nonzero_slices_rel"]) / _mean(l1["nonzero_slices_rel"])
    lenet_l1, lenet = _kept("bit_slice_l1_lenet")["figures"]["compare"].values()
    lenet_ratio = _mean(lenet["nonzero_slices_rel"]) / _mean(lenet_l1["nonzero_slices_rel"])
    scissor = _kept("group_scissor")["figures"]["compare"]
    levels = _kept("one_level")["accuracy"]
    few, wide = slices["few_bits_32_rows"]["tuned"], slices["eight_bits_32_rows"]
    figures = {
        "bit_slice_l1_zhang_2019": (
            f"{100 * sparse['accuracy_float']:.2f} % in",
            f"L1: {100 * l1['accuracy_float']:.2f} %",
            f"{ratio:.2f} times",
            f"LeNet-5: {100 * lenet['accuracy_float']:.2f} % (L1: {100 * lenet_l1['accuracy_float']:.2f} %)",
            f"LeNet-5: {lenet_ratio:.2f} times",
        ),
        "adc_aware_zhang_2019": (
            f"{100 * few['accuracy']:.2f} % with 1-bit",
            f"({100 * wide['slices']['accuracy']:.2f} % with 8 bits",
            f"with 8 bits: {100 * wide['tuned']['accuracy']:.2f} %",
            f"are {_mean(tuned['nonzero_slices_rel']) / _mean(l1['nonzero_slices_rel']):.2f} times those of L1",
            f"on 128 rows: {100 * slices['few_bits_128_rows']['tuned']['accuracy']:.2f} %",
            f"{wide['tuned']['adc_energy_J'] / few['adc_energy_J']:.0f} times less",
            f"{slices['eight_bits_128_rows']['slices']['adc_energy_J'] / few['adc_energy_J']:.0f} times less",
        ),
        "group_scissor_wang_2017": (
            f"{100 * scissor['deleted']['accuracy_float']:.2f} % ({100 * scissor['plain']['accuracy_float']:.2f} %)",
            f"{100 * scissor['clipped']['accuracy_float']:.2f} %",
            f"{100 * scissor['clipped']['weights'] / scissor['plain']['weights']:.1f} % of the cells",
            f"{100 * scissor['deleted']['routing_area_rel']:.1f} % of the routing area",
        ),
        "one_level_wang_2017": (
            f"{100 * levels['tuned']:.2f} % with weights of {{-q, 0, +q}} ({100 * levels['plain']:.2f} %)",
        ),
        "admm_yuan_2019": (
            f"{100 * pruned['five_bits']['admm']['accuracy']:.2f} % on levels",
            f"({100 * pruned['five_bits']['plain']['accuracy_float']:.2f} %)",
            f"{25_500 / (pruned['nine_bits']['admm']['weights'] - 405_000):.1f} times",
        ),
        "noise_aware_joshi_2020": (
            f"{100 * noise['compare']['aware']['accuracy']:.1f} % at",
            f"({100 * noise['compare']['plain']['accuracy']:.1f} %)",
        ),
    }
    for recipe, told in figures.items():
        for text in told:
            assert text in rows[recipe]


def test_the_readme_tells_drops_and_spreads() -> None:
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    resnet = _kept("resnet20")["figures"]
    plain, sliced, pruned = resnet["compare"].values()
    trained = {name: 100 * found["accuracy"] for name, found in resnet["training"].items() if name != "seconds"}
    fewer = _mean(sliced["nonzero_slices_rel"]) / _mean(plain["nonzero_slices_rel"])
    cells = 100 * pruned["cells"] / plain["cells"]
    for text in (
        f"{trained['plain']:.1f} % after ten epochs",
        f"{trained['plain'] - trained['bit_slice_l1']:.1f} points with {fewer:.2f} times the non-zero slices",
        f"{trained['plain'] - trained['admm']:.1f} points with {cells:.0f} % of the cells",
    ):
        assert text in readme
    spread = [100 * record["figures"]["compare"]["aware"]["accuracy"] for record in _all("noise_aware")]
    assert f"{len(spread)} seeds: {min(spread):.1f} to {max(spread):.1f} %" in readme


def test_the_readme_tells_copies_and_spikes() -> None:
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    table = _kept("truenorth_bias")["figures"]["table"]
    plain, penalty = (np.array(table[name]["accuracy"]) for name in ("plain", "penalty"))
    points = ((1, 1), (1, 2), (1, 3), (1, 16), (3, 1), (16, 1), (16, 16))
    for name, accuracy in (("without the penalty", plain), ("with it", penalty)):
        row = [f"{100 * accuracy[c - 1, s - 1]:.2f} %" for c, s in points]
        assert f"| {name} | {' | '.join(row)} |" in readme
    copies = [_fewest(plain[:, s - 1], penalty[0, s - 1]) for s in (2, 3, 8, 1)]
    assert copies == [3, 3, 5, 2]
    assert (
        "is as good as 3 copies without it at 2 and at 3 spikes per frame (67 % fewer cores), as 5 at 8 spikes (80 %), "
        "and as 2 at 1 spike (50 %); at 3 spikes per frame it passes what 16 spikes give without it" in readme
    )
    assert penalty[0, 2] > plain[0].max()
    assert plain[15, 15] > penalty[15, 15]


@pytest.mark.slow
@pytest.mark.skipif("XBAR_DATA" not in os.environ, reason="set XBAR_DATA to the folder that holds mnist/")
@pytest.mark.parametrize("name", BARS)
def test_trained_again_it_holds(name: str, tmp_path: Path) -> None:
    record = prove(name, 0, tmp_path)
    BARS[name](record)
    for folder, epochs in _kept(name)["accuracy_by_epoch"].items():
        # as methods show it: with ADCs, levels or noise; another processor may round differently, and trainings drift
        assert record["accuracy_by_epoch"][folder][-1] == pytest.approx(epochs[-1], abs=0.005)
