"""Networks of connection probabilities from `.pt2` files: those of `xbar train`, and files that are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from xbar.errors import ModelError
from xbar.frontends.tea_model import TEA_NETWORK, load_bernoulli
from xbar.pt2 import save_exported
from xbar.training.tea import tea_structure, to_bernoulli
from xbar.training.tea_network import TeaLayer, TeaNetwork, alternating, merged


def network() -> TeaNetwork:
    return TeaNetwork(4, [TeaLayer(np.array([[0, 1, 2, 3, -1]]), *alternating(1, 5, 4))], merged(4, 2))


def exported(model: nn.Module) -> ExportedProgram:
    return torch.export.export(model, (torch.rand(2, 4),))


def test_a_file_of_a_tea_network_is_read_and_any_other_is_none(tmp_path: Path) -> None:
    model, file = network(), tmp_path / "model.pt2"
    model.layers[0].bias.data.normal_(0, 5)
    save_exported(exported(model), file, extra=tea_structure(model))
    assert load_bernoulli(file) == to_bernoulli(model)
    save_exported(exported(nn.Linear(4, 2)), file)
    assert load_bernoulli(file) is None


def test_damaged_files_are_told(tmp_path: Path) -> None:
    model, file = network(), tmp_path / "tea.pt2"
    program, structure = exported(model), tea_structure(model)[TEA_NETWORK]
    for wrong, told in (
        ({**structure, "layers": ["layers.1"]}, r"must have the tensors of a TeaNetwork, lacks layers\.1\.lines"),
        ({"layers": ["layers.0"]}, "its tea_network.json is damaged .*n_inputs"),
        ([], "its tea_network.json is damaged"),
        ({**structure, "n_inputs": 2}, "lines: must be from -1 to 1, got -1 to 3"),
    ):
        save_exported(program, file, extra={TEA_NETWORK: wrong})
        with pytest.raises(ModelError, match=rf"^{file}: .*{told}"):
            load_bernoulli(file)
    file.write_text("no archive")
    with pytest.raises(ModelError, match=r"is not a readable \.pt2 archive"):
        load_bernoulli(file)


def test_numbers_that_no_chip_has_are_told() -> None:
    model = network()
    for value, told in ((300.0, "leak: must be from -255 to 255"), (torch.nan, "bias must be finite")):
        model.layers[0].bias.data[0, 0] = value
        with pytest.raises(ModelError, match=told):
            to_bernoulli(model)
