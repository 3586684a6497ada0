"""What draws random numbers is refused by name; what could draw them and does not is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from xbar import host
from xbar.errors import ModelError
from xbar.frontends.torch_module import from_torch


def exported(model: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """Exported as it stands, in training mode too."""
    with torch.no_grad():
        return torch.export.export(model, (x,))


@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_of_a_file_exported_in_training_mode_is_refused_by_its_name(tmp_path: Path, inplace: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5, inplace), nn.Linear(8, 2), nn.AlphaDropout(0.1))
    torch.export.save(exported(model.train(), torch.ones(3, 4)), tmp_path / "net.pt2")
    with pytest.raises(ModelError) as caught:
        from_torch(tmp_path / "net.pt2", digital=("0",))
    mark = "_" if inplace else ""
    assert [p.split(",")[0] for p in caught.value.problems] == [
        f"net: 1 (dropout{mark}): draws random numbers",
        "net: 3 (alpha_dropout): draws random numbers",
    ]
    assert all("export the model in eval mode: model.eval() before torch" in p for p in caught.value.problems)


class Random(nn.Module):
    """One way of drawing random numbers, after the only matrix layer."""

    OPS = ("rand", "randn_like", "randint", "bernoulli", "multinomial", "normal_", "randperm", "functional", "rrelu")
    OPS += ("weight", "cond", "attention")

    def __init__(self, op: str) -> None:
        super().__init__()
        self.op, self.fc = op, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        match self.op:
            case "rand":
                return y + torch.rand(4)
            case "randn_like":
                return y + torch.randn_like(y)
            case "randint":
                return y + torch.randint(0, 2, (4,))
            case "bernoulli":
                return y * torch.bernoulli(torch.sigmoid(y))
            case "multinomial":
                return torch.multinomial(torch.softmax(y, 1), 1).float()
            case "normal_":
                return y + torch.empty(4).normal_()
            case "randperm":
                return y[:, torch.randperm(4)]
            case "functional":
                return functional.dropout(y)  # forgets training=self.training, so that model.eval() changes nothing
            case "rrelu":
                return functional.rrelu(y, training=True)
            case "weight":
                return functional.linear(y, functional.dropout(self.fc.weight))
            case "cond":
                return torch.cond(y.sum() > 0, lambda t: t + torch.rand(4), lambda t: t - 1, (y,))
            case _:
                heads = y.reshape(-1, 1, 2, 2)
                return functional.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.1)


@pytest.mark.parametrize("op", Random.OPS)
def test_every_random_operation_is_refused_also_in_evaluation_mode(op: str) -> None:
    with pytest.raises(ModelError, match=r"draws random numbers, so that two runs differ; ") as caught:
        from_torch(Random(op), torch.ones(2, 4))
    assert len(caught.value.problems) == 1
    switched = op in ("functional", "rrelu", "weight", "attention")
    assert ("model.eval()" in caught.value.problems[0]) == switched
    assert ("make it an input" in caught.value.problems[0]) != switched


class Quiet(nn.Module):
    """Everything that can draw random numbers and here does not."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.drop, self.rrelu = nn.Linear(4, 4), nn.Dropout(0.5), nn.RReLU()
        self.gru = nn.GRU(4, 4, 2, batch_first=True, dropout=0.5)

    def forward(self, x: Tensor) -> Tensor:
        torch.rand(3)  # nobody reads it
        y = self.rrelu(self.drop(self.fc(x)))
        y = functional.linear(functional.dropout(y, 0.0), functional.dropout(self.fc.weight, 0.3, self.training))
        heads = y.reshape(-1, 1, 2, 2)
        y = functional.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.0).reshape(-1, 1, 4)
        return self.gru(y)[0]


def test_operations_that_are_switched_off_are_no_hindrance() -> None:
    model, x = Quiet().eval(), torch.randn(3, 4)
    network = from_torch(model, x, digital=("gru",))
    # the weight behind a dropout that does nothing is a stored weight
    assert [layer.name for layer in network.layers] == ["fc", "fc:2"]
    assert np.array_equal(network.layers[1].weight, network.layers[0].weight)
    torch.testing.assert_close(host.run(network, x), model(x).detach())


@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")  # torch about its own code
def test_a_recurrent_layer_with_active_dropout_is_refused_even_where_the_user_keeps_it_digital() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.GRU(4, 4, 2, batch_first=True, dropout=0.5)).train()
    with pytest.raises(ModelError, match=r"1 \(gru\): draws random numbers"):
        from_torch(exported(model, torch.ones(2, 3, 4)), digital=("1",))


def test_writing_behind_a_dropout_that_does_nothing_spares_the_callers_data() -> None:
    model = nn.Sequential(nn.Dropout(), nn.ReLU(inplace=True), nn.Linear(3, 2)).eval()
    network, x = from_torch(model, torch.ones(2, 3)), -torch.ones(2, 3)
    host.run(network, x)
    assert torch.equal(x, -torch.ones(2, 3))
