"""Precision as chips state it, and how networks print."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import models
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import mapping
from xbar.errors import ConfigError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import load_chip
from xbar.network import Precision
from xbar.program_io import load_program, save_program
from xbar.quantization import quantize


def chip_file(folder: Path) -> Path:
    """The generic chip without weight_bits."""
    text = (resources.files("hw_configs") / "generic_1t1r.yaml").read_text(encoding="utf-8")
    shorter, n = re.subn(r"\n  weight_bits: 8[^\n]*", "", text)
    assert n == 1
    path = folder / "mine.yaml"
    path.write_text(shorter, encoding="utf-8")
    return path


def test_one_level_weights_take_their_two_bits_of_themselves(tmp_path: Path) -> None:
    path = chip_file(tmp_path)
    assert load_chip(path).precision.weight_bits == 8
    chip = load_chip(path, {"precision.weights": "one_level"})
    assert (chip.precision.weight_bits, chip.n_slices) == (2, 1)
    assert Precision(weights="one_level") == Precision(weights="one_level", weight_bits=2)

    x = models.inputs(models.MLP, 4)
    program = mapping.compile(quantize(models.traced(models.MLP), x, chip), chip)
    assert {layer.weight_bits for layer in program.layers} == {2}
    save_program(program, tmp_path / "program")
    assert load_program(tmp_path / "program") == program


def test_one_level_weights_refuse_the_bits_of_a_chip_that_states_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"weight_bits: 8 has no effect with weights: one_level.*set weight_bits: 2"):
        load_chip("generic_1t1r", {"precision.weights": "one_level"})
    chip = load_chip("generic_1t1r", {"precision.weights": "one_level", "precision.weight_bits": "2"})
    assert chip.n_slices == 1
    for wrong in ("8", "3"):
        with pytest.raises(ConfigError, match=f"weight_bits: {wrong} has no effect"):
            load_chip(chip_file(tmp_path), {"precision.weights": "one_level", "precision.weight_bits": wrong})


def test_a_network_prints_a_line_for_itself_and_one_for_each_layer() -> None:
    network = models.traced(models.LeNet5)
    lines = str(network).splitlines()
    assert lines[0] == "LeNet5: input [1, 28, 28], 5 matrix layers, 61,706 parameters in them, 6 digital nodes"
    assert [line.split() for line in lines[1:]] == [
        ["conv1", "25", "x", "6,", "conv", "5", "x", "5,", "784", "vectors", "per", "input"],
        ["conv2", "150", "x", "16,", "conv", "5", "x", "5,", "100", "vectors", "per", "input"],
        ["fc1", "400", "x", "120,", "linear,", "1", "vector", "per", "input"],
        ["fc2", "120", "x", "84,", "linear,", "1", "vector", "per", "input"],
        ["fc3", "84", "x", "10,", "linear,", "1", "vector", "per", "input"],
    ]
    assert repr(network) == f"<Network {lines[0]}>"


class SharedWeight(nn.Module):
    """One weight in three places, which folding makes three weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.bn1, self.bn2 = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4, eps=3.0)
        self.bias = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.bn2(self.fc(self.bn1(self.fc(x)))), self.fc.weight, self.bias)


def test_tied_and_grouped_layers_say_so_and_tied_parameters_count_once() -> None:
    traps = str(models.traced(models.Traps)).splitlines()
    # sub, first, the biases of second alone, packed, normed, kernel, heads
    assert f"9 matrix layers, {108 + 156 + 12 + 240 + 66 + 60 + 36} parameters" in traps[0]
    assert traps[4].split(", ")[-1] == "weights of first"
    shared = SharedWeight().eval()
    # 4 x 4 weights and 4 biases, folded into the first BatchNorm, into the second, and with a bias of their own
    assert from_torch(shared, torch.ones(2, 4)).n_parameters == 3 * (16 + 4)
    assert from_torch(nn.Sequential(shared.fc, nn.ReLU(), shared.fc), torch.ones(2, 4)).n_parameters == 16 + 4
    network = models.traced(models.Convolutions)
    assert "9 x 2, 4 groups, conv 3 x 3, 81 vectors per input" in str(network)


def test_a_quantized_network_prints_its_precision_and_its_steps() -> None:
    x = models.inputs(models.MLP, 4)
    network = from_torch(models.build(models.MLP), x, name="mlp")
    quantized = quantize(network, x, Precision(weight_bits=6, granularity="layer", weights="dynamic_fixed_point"))
    lines = str(quantized).splitlines()
    assert lines[0] == (
        "mlp: 3 matrix layers in integers, 2,778 parameters in them, 2 digital nodes; "
        "weights 6 bit dynamic_fixed_point per layer, inputs 8 bit uniform"
    )
    assert lines[1].split()[:4] == ["1", "64", "x", "32,"]
    for line, layer in zip(lines[1:], quantized.layers, strict=True):
        sign = "signed" if layer.input_signed else "unsigned"
        assert line.endswith(f"weights 6 bit, inputs 8 bit {sign} in steps of {layer.input_scale:.3g}")
    assert repr(quantized) == f"<QuantizedNetwork {lines[0]}>"
