"""Precision as chips state it, and how networks print."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import models
import pytest

import mapping
from xbar.errors import ConfigError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import load_chip
from xbar.network import Precision
from xbar.program_io import equal, load_program, save_program
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
    program = mapping.compile(quantize(from_torch(models.build(models.MLP), x), x, chip), chip)
    assert {layer.weight_bits for layer in program.layers} == {2}
    save_program(program, tmp_path / "program")
    assert equal(load_program(tmp_path / "program"), program)


def test_one_level_weights_refuse_the_bits_of_a_chip_that_states_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"weight_bits: 8 has no effect with weights: one_level.*set weight_bits: 2"):
        load_chip("generic_1t1r", {"precision.weights": "one_level"})
    chip = load_chip("generic_1t1r", {"precision.weights": "one_level", "precision.weight_bits": "2"})
    assert chip.n_slices == 1
    for wrong in ("8", "3"):
        with pytest.raises(ConfigError, match=f"weight_bits: {wrong} has no effect"):
            load_chip(chip_file(tmp_path), {"precision.weights": "one_level", "precision.weight_bits": wrong})
