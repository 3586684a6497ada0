"""The code in the README runs as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from close import approx

import mapping
import xbar
from xbar import datasets
from xbar.demo.models import MLP, digits_cnn

README = (Path(xbar.__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def _block(word: str) -> str:
    (found,) = [block for block in BLOCKS if word in block]
    return found


def test_the_six_lines() -> None:
    images = torch.from_numpy(datasets.load("digits").images[:8])
    names = {"model": digits_cnn(), "example_input": images[:2], "calibration_batches": [images], "inputs": images}
    exec(_block("xbar.quantize(net"), names)
    assert names["result"].outputs.shape == (8, 10)
    assert names["report"].energy_J > 0


def test_noise() -> None:
    chip = xbar.load_chip("generic_1t1r")
    test = datasets.load("digits").first(70)
    inputs, labels = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    program = mapping.compile(xbar.quantize(xbar.from_torch(digits_cnn(), inputs[:2]), [inputs], chip), chip)
    block = _block("xbar.error_sources").replace("n_runs=20", "n_runs=2")
    names = {"xbar": xbar, "program": program, "inputs": inputs, "labels": labels}
    exec(block, names)
    assert len(names["runs"].accuracy(labels).values) == 2


def test_a_training_method_beside_a_loop() -> None:
    data = datasets.load("digits", "train").first(64)
    torch.manual_seed(0)
    model = MLP((64, 8, 10))
    names = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), 0.1),
        "criterion": torch.nn.functional.cross_entropy,
        "batches": [(torch.from_numpy(data.images), torch.from_numpy(data.labels))] * 3,
    }
    before = model[1].weight.detach().clone()
    exec(_block("BitSliceL1"), names)
    codes = model[1].weight / model[1].weight.abs()[model[1].weight != 0].min()
    assert not torch.equal(before, model[1].weight)
    assert torch.equal(codes, codes.round())


def test_asserting_what_training_saves() -> None:
    names: dict[str, object] = {}
    exec(_block("xbar import datasets, testing"), names)
    names["test_half_of_the_hidden_neurons_are_enough"]()  # type: ignore[operator]


def test_spiking_cores_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"xbar": xbar}
    exec(_block("SpikingBuilder"), names)
    assert capsys.readouterr().out.startswith("[12 22 32]\n")
    assert names["later"].state.tick == 200  # type: ignore[attr-defined]


def test_exporting_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(_block("torch.export.save"), {"torch": torch, "model": digits_cnn(), "example": torch.zeros(2, 1, 8, 8)})
    net = xbar.from_torch("model.pt2")
    assert net.fixed_batch is None
    assert [layer.name for layer in net.layers] == ["conv1", "conv2", "fc1", "fc2"]


def test_a_part_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package_of_the_readme.py").write_text(_block("class FlashAdc"))
    monkeypatch.syspath_prepend(tmp_path)
    adc = {"kind": "my_package_of_the_readme:FlashAdc", "bits": 8, "comparator_J": "10 fJ", "source": "mine"}
    chip = xbar.load_chip("isaac_isca_2016", {"adc": adc})
    sys.modules.pop("my_package_of_the_readme")
    assert chip.adc.cost(8).energy_J == approx(255 * 10e-15)


def test_every_file_that_it_names_exists() -> None:
    root = Path(xbar.__file__).parents[1]
    named = re.findall(r"`((?:xbar|mapping|tests|hw_configs|notebooks)/[\w./]*)`", README)
    assert len(named) > 10
    for name in [*named, *re.findall(r"\]\((notebooks/[\w./]*)\)", README)]:
        assert (root / name).exists(), name
