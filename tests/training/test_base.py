"""Which layers methods treat, and how they compose."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models import MLP, LeNet5
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.optim import SGD, Optimizer

from mapping.unroll import unroll
from xbar.errors import LayerError, TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.network import Precision
from xbar.quantization import quantize
from xbar.training.base import Method, Together, Treated, find_layers
from xbar.training.group_lasso import GroupLasso
from xbar.training.l1 import L1
from xbar.training.one_level import OneLevel
from xbar.training.rank_clipping import RankClipping


def _find(model: nn.Module, **choice: Any) -> tuple[Treated, ...]:
    return find_layers("Test", model, SGD(model.parameters(), 0.1), **choice)


def test_all_linear_layers_and_convolutions() -> None:
    assert [t.name for t in _find(LeNet5())] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert [t.name for t in _find(LeNet5(), layers=["fc1", "conv2"])] == ["conv2", "fc1"]
    assert [t.name for t in _find(LeNet5(), skip=["fc1", "conv2"])] == ["conv1", "fc2", "fc3"]


def test_a_container_stands_for_its_layers() -> None:
    model = nn.Sequential(MLP(), nn.Linear(10, 2))
    assert [t.name for t in _find(model, layers=["0"])] == ["0.1", "0.3", "0.5"]


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(4, 6, 3, groups=2), nn.Conv1d(3, 5, 2)])
def test_a_matrix_is_what_crossbars_hold(layer: nn.Module) -> None:
    (treated,) = _find(nn.Sequential(layer))
    x = torch.rand(2, *((6,) if isinstance(layer, nn.Linear) else (layer.in_channels, *[5] * (layer.weight.dim() - 2))))
    qnet = quantize(from_torch(nn.Sequential(layer), x), x, Precision(granularity="layer"))
    (quantized,) = qnet.layers
    held = torch.from_numpy(unroll(quantized)) * float(quantized.weight_scale[0])
    assert torch.allclose(treated.matrix(), held.float(), atol=float(quantized.weight_scale[0]))
    assert torch.equal(treated.weights(treated.matrix()), treated.parameter)


def test_shared_weights_are_treated_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert [t.name for t in _find(model)] == ["0"]


def test_a_parametrized_layer_is_treated_by_its_original_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    parametrize.register_parametrization(model[0], "weight", nn.Identity())
    (treated,) = _find(model)
    assert treated.parameter is model[0].parametrizations.weight.original


@pytest.mark.parametrize(
    ("model", "choice", "told"),
    [
        (MLP(), {"layers": ["fc9"]}, "no layer 'fc9'; it has 1, 3, 5"),
        (MLP(), {"skip": ["fc9"]}, "no layer 'fc9'"),
        (MLP(), {"layers": ["2"]}, "'2' has no weights to treat"),
        (
            nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2)),
            {},
            r"layer 1 \(GRU\) has weights that it cannot treat.*skip=\['1'\]",
        ),
        (nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 2))), {}, "cannot treat"),
        (nn.Sequential(nn.ReLU()), {}, "at least one linear layer"),
    ],
)
def test_what_cannot_be_treated_is_an_error(model: nn.Module, choice: dict[str, Any], told: str) -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1)), *model.parameters()], 0.1)
    with pytest.raises(TrainingError, match=told):
        find_layers("Test", model, optimizer, **choice)


class Positioned(nn.Module):
    """As every vision transformer, with weights of its own beside its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(8, 8))
        self.classes = nn.Linear(64, 10)


def test_weights_of_the_model_itself_can_be_left_alone() -> None:
    with pytest.raises(TrainingError, match=r"the model itself \(Positioned\) has weights .* with skip=\[''\]"):
        _find(Positioned())
    assert [t.name for t in _find(Positioned(), skip=[""])] == ["classes"]
    assert [t.name for t in _find(nn.Linear(2, 2), layers=[""])] == [""]


def test_a_name_for_a_list_of_names_is_an_error() -> None:
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(11)))
    optimizer = SGD(model.parameters(), 0.1)
    with pytest.raises(TrainingError, match="L1: skip: must be a list of names of layers, got '10'"):
        find_layers("L1", model, optimizer, None, "10")
    with pytest.raises(TrainingError, match="L1: layers: must be a list of names of layers, got '10'"):
        find_layers("L1", model, optimizer, "10")


def test_weights_that_the_optimizer_does_not_have_are_an_error_each() -> None:
    model = MLP()
    with pytest.raises(TrainingError, match="optimizer does not have its weights") as caught:
        find_layers("Test", model, SGD(model[1].parameters(), 0.1))
    assert [p.split(":")[1] for p in caught.value.problems] == [" layer 3", " layer 5"]


class _Adds(Method):
    def __init__(self, value: float) -> None:
        self.value, self.steps, self.done = value, 0, False
        self._found: tuple[Treated, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._found = find_layers("Adds", model, optimizer)

    def penalty(self) -> Tensor:
        return torch.tensor(self.value)

    def after_step(self) -> None:
        self.steps += 1

    def finish(self) -> None:
        self.done = True

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


def test_methods_together_are_a_method() -> None:
    model, parts = MLP(), (_Adds(1.0), _Adds(2.5))
    both = Together(*parts)
    both.attach(model, SGD(model.parameters(), 0.1))
    assert both.penalty().item() == 3.5
    assert len(both.treated) == 3
    both.after_step()
    both.finish()
    assert all(part.steps == 1 and part.done for part in parts)
    other = Together(_Adds(1.0), _Adds(2.5))
    other.load_state_dict(both.state_dict())
    assert [part.steps for part in other.methods] == [1, 1]
    with pytest.raises(TrainingError, match="at least one"):
        Together()


def test_a_method_does_not_work_on_weights_that_another_replaced() -> None:
    model = MLP()
    together = Together(_Adds(1.0), RankClipping(skip=["5"]), L1(1.0))
    with pytest.raises(TrainingError, match=r"_Adds: works on weights of 1, 3 that the model has no more"):
        together.attach(model, SGD(model.parameters(), 0.1))


def test_only_penalties_act_on_ranks_that_fall() -> None:
    model = MLP()
    optimizer, ranks = SGD(model.parameters(), 0.1), RankClipping(eps=0.9, every=1, skip=["5"])
    Together(ranks, L1(1.0), GroupLasso(1.0)).attach(model, optimizer)
    with pytest.raises(LayerError) as caught:
        OneLevel(1e-3).attach(model, optimizer)
    assert [p.split(" its rank")[0] for p in caught.value.problems] == [
        f"OneLevel: layer {name}:" for name in ("1.u", "1.v", "3.u", "3.v")
    ]
    ranks.after_step()
    ranks.finish()
    method = OneLevel(1e-3)
    method.attach(model, optimizer)
    assert [t.name for t in method.treated] == ["1.u", "1.v", "3.u", "3.v", "5"]  # of ranks that fell
