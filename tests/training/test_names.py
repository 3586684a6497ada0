"""Networks, methods, chips and levels by the names that recipes give them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import hw_configs
from xbar.demo.models import MLP, CaffeConvNet
from xbar.errors import ConfigError, TrainingError
from xbar.hardware import load_chip
from xbar.noise import load_noise
from xbar.training.adc_aware import AdcAware
from xbar.training.admm import Admm
from xbar.training.base import Method
from xbar.training.l1 import L1
from xbar.training.levels import device_levels
from xbar.training.names import NETWORKS, contents, method, method_kinds, network


def test_networks_by_name_by_sizes_and_of_others() -> None:
    assert isinstance(network("mlp-8-4-2")(), MLP)
    assert network("mlp-8-4-2")()[1].weight.shape == (4, 8)
    assert network("torch.nn:Identity") is nn.Identity
    for name, cls in NETWORKS.items():
        assert network(name) is cls
    for wrong in (
        "mlp-8",
        "mlp-8-0",
        "mlp-a-b",
        "nothing",
        "torch.nn:Nothing",
        "no_such_module:Net",
        "xbar.errors:XbarError",
    ):
        with pytest.raises(ValueError):
            network(wrong)


def test_the_convnet_has_the_published_number_of_weights() -> None:
    assert sum(p.numel() for p in CaffeConvNet().parameters() if p.dim() > 1) == 89_440


def test_every_file_with_a_method_is_a_kind() -> None:
    assert {"l1", "bit_slice_l1", "pruning"} <= set(method_kinds())
    assert not {"base", "trainer", "recipe"} & set(method_kinds())
    assert isinstance(method({"kind": "xbar.training.l1:L1", "strength": 2.0}), Method)
    with pytest.raises(ValueError, match=r"that is a xbar\.training\.base\.Method"):
        method({"kind": "torch.nn:Linear"})
    with pytest.raises(ValueError, match="kind must be a training method, got None"):
        method({"strength": 1.0})


def test_a_chip_is_a_name_or_a_name_with_settings() -> None:
    method({"kind": "adc_aware", "chip": "isaac_isca_2016"})
    built = method({"kind": "adc_aware", "chip": {"name": "isaac_isca_2016", "adc.bits": 5}})
    assert isinstance(built, AdcAware)
    assert built.chip.adc_bits == (5,) * 8
    with pytest.raises(ConfigError, match=r"^chip isaac_isca_2016: adc\.bitz: "):
        method({"kind": "adc_aware", "chip": {"name": "isaac_isca_2016", "adc.bitz": 5}})
    with pytest.raises(TrainingError, match=r"chip: must be a name or .*, got 3"):
        method({"kind": "adc_aware", "chip": 3})


def test_levels_are_those_of_a_chips_device() -> None:
    built = method({"kind": "admm", "levels": {"chip": "generic_1t1r", "weight_bits": 5, "baseline": "kept"}})
    assert isinstance(built, Admm)
    assert built.levels == device_levels(load_chip("generic_1t1r").device, 5, baseline="kept")
    drawn = {"chip": "generic_1t1r", "weight_bits": 5, "noise": "reram_wan_2022"}
    noisy = method({"kind": "admm", "levels": drawn})
    assert isinstance(noisy, Admm)
    device, noise = load_chip("generic_1t1r").device, load_noise("reram_wan_2022")
    assert noisy.levels == device_levels(device, 5, noise=noise) != built.levels
    with pytest.raises(TrainingError, match="levels: has no argument bits; its arguments are chip, weight_bits"):
        method({"kind": "admm", "levels": {"chip": "generic_1t1r", "bits": 5}})
    with pytest.raises(TrainingError, match="chip: must be a name or"):
        method({"kind": "admm", "levels": {"weight_bits": 5}})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kind": "l1", "strength": "ten"}, r"L1: strength: must be float \(should be a valid number\), got 'ten'"),
        ({"kind": "l1", "strength": None}, r"L1: strength: must be float \(should be a valid number\), got None"),
        ({"kind": "rank_clipping", "eps": "small"}, "RankClipping: eps: must be float"),
        (
            {"kind": "pruning", "threshold": "much"},
            r"MagnitudePruning: threshold: must be float \| None \(should be a valid number",
        ),
        ({"kind": "admm", "prune": "half"}, "Admm: prune: must be .*should be a valid number.*got 'half'"),
        ({"kind": "admm", "levels": 5}, "Admm: levels: "),
        ({"kind": "admm", "levels": {"chip": "generic_1t1r", "weight_bits": "x"}}, "levels: weight_bits: must be int"),
        ({"kind": "admm", "levels": {"chip": "generic_1t1r", "measured_S": "abc"}}, "levels: measured_S: must be "),
        ({"kind": "group_lasso", "strength": 1.0, "structures": 5}, "GroupLasso: structures: "),
        ({"kind": "l1", "strength": 1.0, "skip": "fc1"}, "L1: skip: .*got 'fc1'"),
        ({"kind": "l1", "strength": 1.0, "skip": 3}, "L1: skip: .*got 3"),
    ],
    ids=str,
)
def test_arguments_of_a_wrong_type_are_told(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        method(wrong)


def test_arguments_with_annotations_that_cannot_be_read_are_taken_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_method.py").write_text(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom xbar.training.l1 import L1\n"
        "if TYPE_CHECKING:\n    from numbers import Real\n\n"
        "class Own(L1):\n    def __init__(self, strength: Real) -> None:\n        super().__init__(strength)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(method({"kind": "own_method:Own", "strength": 2.0}), L1)


def test_a_method_is_compared_by_what_its_files_hold(tmp_path: Path) -> None:
    chip, noise = tmp_path / "chip.yaml", tmp_path / "noise.yaml"
    for file, folder, name in ((chip, "", "generic_1t1r"), (noise, "noise/", "reram_wan_2022")):
        file.write_text((Path(hw_configs.__file__).parent / f"{folder}{name}.yaml").read_text())
    aware = {"kind": "noise_aware", "chip": str(chip), "noise": str(noise)}
    levels = {"kind": "admm", "levels": {"chip": str(chip), "weight_bits": 5}}
    before = contents(aware), contents(levels)
    assert before == (contents(aware), contents(levels))
    chip.write_text(chip.read_text().replace("cell_bits: ", "cell_bits: 1 # ", 1))
    assert contents(aware)["chip"] != before[0]["chip"]
    assert contents(levels) != before[1]
    noise.write_text(re.sub(r"sigma_rel: [\d.]+", "sigma_rel: 0.5", noise.read_text()))
    assert contents(aware)["noise"] != before[0]["noise"]
    own = {"kind": "my_package:Own", "noise": "loud", "chip": 7}
    assert contents(own) == own


def test_pairs_are_lists_in_yaml() -> None:
    built = method({"kind": "admm", "prune": 0.5, "structure": "crossbar_row", "crossbar": [32, 16]})
    assert isinstance(built, Admm)
    assert built.crossbar == (32, 16)
