"""Rank clipping: the equation, what the optimizer keeps, going on after a kill, and digits from end to end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from models import CaffeLeNet, LeNet5, Sequence1d, Volume, build, inputs
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, Optimizer, RMSprop, Rprop

from xbar import datasets
from xbar.demo.models import accuracy, digits_cnn
from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.training.base import find_layers
from xbar.training.rank_clipping import RankClipping, smallest_rank


def _attached(model: nn.Module, optimizer: Optimizer | None = None, **settings: Any) -> RankClipping:
    method = RankClipping(**settings)
    method.attach(model, optimizer or SGD(model.parameters(), 0.1))
    return method


def _random(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _linear(n: int, m: int, seed: int = 0, scale: float = 1.0) -> nn.Sequential:
    """One linear layer of n inputs and m outputs, its singular values falling."""
    model = nn.Sequential(nn.Linear(n, m))
    falling = 0.6 ** torch.arange(m)
    nn.init.zeros_(model[0].bias)
    model[0].weight.data = scale * (falling[:, None] * _random((m, m), seed)).T @ _random((m, n), seed + 1)
    return model


def _product(pair: nn.Module) -> np.ndarray:
    """W [row, col] of a pair of linear layers, float64."""
    u, v = (layer.weight.detach().double().flatten(1) for layer in pair.children())
    return (v @ u).T.numpy()


@pytest.mark.parametrize("kind", [LeNet5, Sequence1d, Volume])
def test_at_full_rank_the_network_computes_what_it_did(kind: type[nn.Module]) -> None:
    model, x = build(kind), inputs(kind, 3)
    before = model(x).detach()
    full = {t.name: min(t.matrix().shape[1:]) for t in find_layers("", model, SGD(model.parameters(), 0.1))}
    state = torch.get_rng_state()
    method = _attached(model)
    assert torch.equal(torch.get_rng_state(), state), "the user's random numbers must not shift"
    assert torch.allclose(model(x), before, atol=1e-5 * float(before.abs().max()))
    assert method.ranks == full


def test_padding_stride_and_dilation_stay_with_the_kernel() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 7, (2, 3), stride=(2, 1), dilation=(1, 2), padding=(1, 2), padding_mode="circular"),
        nn.Conv2d(7, 4, 3, padding="same", bias=False),
    )
    x = _random((2, 3, 9, 9))
    before = model(x)
    _attached(model)
    assert torch.allclose(model(x), before, atol=1e-5)
    assert [type(m) for m in model[0]] == [nn.Conv2d, nn.Conv2d]
    assert model[0].v.kernel_size == (1, 1)
    assert model[1].v.bias is None


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 12), m=st.integers(1, 12), eps=st.floats(0, 0.9), seed=st.integers(0, 1000))
def test_the_error_is_the_discarded_eigenvalues(n: int, m: int, eps: float, seed: int) -> None:
    """||W - U V^T||^2 = sum of the discarded lambda, the singular values squared; and no smaller rank is enough."""
    model = _linear(n, m, seed)
    w = model[0].weight.detach().double().numpy().T
    lam = np.linalg.svd(w, compute_uv=False) ** 2
    method = _attached(model, eps=eps, every=1)
    method.after_step()
    rank = method.ranks["0"]
    error, total = ((w - _product(model[0])) ** 2).sum(), lam.sum()
    assert error == pytest.approx(lam[rank:].sum(), rel=1e-3, abs=1e-9 * total)
    rounding = 1e-6 * total
    assert error <= eps * total + rounding
    assert rank == 1 or lam[rank - 1 :].sum() > eps * total - rounding


def test_once_trained_the_eigenvalues_are_those_of_u() -> None:
    model = _linear(9, 6)
    method = _attached(model, eps=0.1, every=1)
    u, v = method.treated
    u.parameter.data, v.parameter.data = _random((6, 9), 3) * 0.5 ** torch.arange(6)[:, None], _random((6, 6), 4)
    before, right = u.parameter.detach().double().numpy().T, v.parameter.detach().double().numpy()
    lam, e = np.linalg.eigh(before.T @ before)
    method.after_step()
    rank = method.ranks["0"]
    assert 1 < rank < 6
    kept = e[:, -rank:]
    assert np.allclose(_product(model[0]), before @ kept @ kept.T @ right.T, atol=1e-5)
    after = u.parameter.detach().double().numpy()
    assert np.allclose(np.sort((after**2).sum(1)), lam[-rank:], rtol=1e-5), "columns of U are principal components"


def test_smallest_rank_by_hand() -> None:
    lam = torch.tensor([6.0, 3.0, 1.0], dtype=torch.float64)
    asked = {0.0: 3, 0.09: 3, 0.1: 2, 0.39: 2, 0.4: 1, 0.99: 1}
    assert {eps: smallest_rank(lam, eps) for eps in asked} == asked
    assert smallest_rank(torch.zeros(3), 0.03) == 1


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_ranks_do_not_depend_on_scale(scale: float) -> None:
    methods = [_attached(_linear(30, 20, scale=s), eps=0.01, every=1) for s in (1.0, scale)]
    for method in methods:
        method.after_step()
    assert methods[0].ranks == methods[1].ranks
    assert methods[0].ranks["0"] < 20


def test_zero_weights_have_rank_one_and_no_nan() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    nn.init.zeros_(model[0].weight)
    method = _attached(model, every=1)
    method.after_step()
    assert method.ranks == {"0": 1}
    assert all(torch.isfinite(p).all() for p in model.parameters())


def _loop(model: nn.Module, optimizer: Optimizer, method: RankClipping, steps: range) -> Tensor:
    """Fits a fixed random task; the loss of the last step is alive while the next one runs, as in users' loops."""
    loss = torch.zeros(())
    for step in steps:
        x = _random((16, 9), 100 + step)
        loss = (model(x) - torch.tanh(x[:, :6])).square().mean() + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()
    return loss.detach()


def test_momentum_turns_with_the_weights() -> None:
    """SGD does not see an orthogonal change of basis between the factors, if its momentum turns too."""
    model = _linear(9, 6)
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
    method = _attached(model, optimizer, every=1000)
    _loop(model, optimizer, method, range(5))
    plain, turned = copy.deepcopy((model, optimizer, method)), (model, optimizer, method)
    _, basis = method._factors[0].spectrum()
    method._factors[0].turn(basis, optimizer)
    for trio in (plain, turned):
        _loop(*trio, range(5, 10))
    assert np.allclose(_product(plain[0][0]), _product(turned[0][0]), atol=1e-5)
    assert not torch.allclose(plain[0][0].u.weight, turned[0][0].u.weight, atol=1e-2)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, 0.05),
        lambda p: SGD(p, 0.05, momentum=0.9, nesterov=True),
        lambda p: Adam(p, 0.01, amsgrad=True),
        lambda p: RMSprop(p, 0.01, momentum=0.5, centered=True),
        lambda p: Rprop(p, 0.01),
    ],
)
def test_training_goes_on_after_a_clipping(make: Callable[[Any], Optimizer]) -> None:
    model = _linear(9, 6)
    optimizer = make(model.parameters())
    method = _attached(model, optimizer, eps=0.2, every=3)
    _loop(model, optimizer, method, range(3))
    rank, first = method.ranks["0"], float(_loop(model, optimizer, method, range(3, 4)))
    assert rank < 6
    for value in optimizer.state[model[0].u.weight].values():
        if isinstance(value, Tensor) and value.dim():
            assert value.shape == (rank, 9)
            assert torch.isfinite(value).all()
    assert float(_loop(model, optimizer, method, range(4, 40))) < first
    assert torch.isfinite(model[0].u.weight).all()


def test_the_optimizer_has_the_factors_in_the_place_of_the_layer() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2))
    groups = [
        {"params": list(model[0].named_parameters()), "lr": 0.5},
        {"params": [*model[1].named_parameters(), *model[2].named_parameters()], "weight_decay": 0.1},
    ]
    optimizer = SGD(groups, 0.1)
    method = _attached(model, optimizer, skip=["2"], eps=0.9, every=1)
    first, second = optimizer.param_groups
    assert (first["lr"], second["lr"], second["weight_decay"]) == (0.5, 0.1, 0.1)
    assert second["param_names"] == ["1.u.weight", "1.v.weight", "bias", "weight", "bias"]
    assert [id(p) for p in first["params"]] == [id(p) for p in model[0].parameters()]
    assert [id(p) for p in second["params"]] == [id(p) for m in (model[1], model[2]) for p in m.parameters()]
    method.after_step()
    method.load_state_dict({"steps": 0, "finished": False, "ranks": {"0": 1, "1": 6}})
    method.finish()
    assert second["param_names"] == ["1.weight", "bias", "weight", "bias"]
    assert [id(p) for p in second["params"]] == [id(p) for p in (*model[1].parameters(), *model[2].parameters())][:4]


def test_a_module_in_two_places_is_replaced_in_both() -> None:
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.Sequential(layer))
    _attached(model)
    assert model[0] is model[1][0]
    assert isinstance(model[0], nn.Sequential)


def test_finish_puts_back_what_two_layers_would_not_save() -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10))
    x, whole = _random((4, 10)), model[0]
    optimizer = SGD(model.parameters(), 0.1)
    method = _attached(model, optimizer)
    method.load_state_dict({"steps": 7, "finished": False, "ranks": {"0": 5, "2": 4}})
    for p in model.parameters():
        p.data = _random(tuple(p.shape), 5)
    before = model(x)
    assert method.whole == ("0",)  # 5 (10 + 10) = 100 cells
    method.finish()
    assert model[0] is whole
    assert [t.name for t in method.treated] == ["0", "2.u", "2.v"]
    assert torch.allclose(model(x), before, atol=1e-4)
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in model.parameters()}
    assert [(layer.n_rows, layer.n_cols) for layer in from_torch(model, x).layers] == [(10, 10), (10, 4), (4, 10)]
    method.after_step()
    method.finish()
    assert method.state_dict()["steps"] == 7


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05, momentum=0.9), lambda p: Adam(p, 0.01)])
@pytest.mark.parametrize("killed", [0, 2, 3, 4, 11])
def test_a_run_that_was_killed_ends_with_the_same_bits(killed: int, make: Callable[[Any], Optimizer]) -> None:
    def started() -> tuple[nn.Module, Optimizer, RankClipping]:
        model = nn.Sequential(_linear(9, 12), nn.Tanh(), _linear(12, 6, seed=2))
        optimizer = make(model.parameters())
        return model, optimizer, _attached(model, optimizer, eps=0.05, every=3)

    whole, first = started(), started()
    _loop(*whole, range(15))
    whole[2].finish()
    assert whole[2].ranks["0.0"] < 9
    assert whole[2].ranks["2.0"] < 6
    _loop(*first, range(killed))
    states = copy.deepcopy([part.state_dict() for part in first])
    model, optimizer, method = second = started()
    for part, state in zip((method, model, optimizer), (states[2], states[0], states[1]), strict=True):
        part.load_state_dict(state)
    _loop(*second, range(killed, 15))
    method.finish()
    assert method.ranks == whole[2].ranks
    for name, value in whole[0].state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_factors_lie_in_memory_as_new_tensors_do() -> None:
    """Weights of 1 x 1 kernels count as contiguous whatever their strides are; torch multiplies them otherwise then."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 3))
    optimizer = Adam(model.parameters(), 0.01)
    method = _attached(model, optimizer, eps=0.3, every=2)
    for _ in range(4):
        loss = model(torch.rand(2, 3, 6, 6)).square().mean() + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()
    assert method.ranks["0"] < 8
    for parameter in model.parameters():
        assert parameter.stride() == torch.empty(parameter.shape).stride()
        assert optimizer.state[parameter]["exp_avg"].stride() == parameter.stride()


def test_a_finished_state_gives_a_new_model_its_shapes() -> None:
    def started() -> tuple[nn.Module, RankClipping]:
        model = nn.Sequential(_linear(9, 12), _linear(12, 6, seed=2))
        return model, _attached(model)

    (model, method), (other, same) = started(), started()
    method.load_state_dict({"steps": 0, "finished": False, "ranks": {"0.0": 2, "1.0": 6}})
    method.finish()
    same.load_state_dict(method.state_dict())
    other.load_state_dict(model.state_dict())
    assert [t.name for t in same.treated] == ["0.0.u", "0.0.v", "1.0"]
    with pytest.raises(TrainingError, match="is from before finish"):
        same.load_state_dict({"steps": 0, "finished": False, "ranks": {"0.0": 2, "1.0": 6}})
    with pytest.raises(TrainingError, match=r"must be of the layers 0\.0, 1\.0, got fc1"):
        started()[1].load_state_dict({"steps": 0, "finished": False, "ranks": {"fc1": 2}})


class _ConvNet(nn.Module):
    """Caffe's cifar10_full without its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 5, padding=2), nn.Conv2d(32, 32, 5, padding=2)
        self.conv3, self.fc = nn.Conv2d(32, 64, 5, padding=2), nn.Linear(1024, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2, self.conv3):
            x = nn.functional.max_pool2d(torch.relu(conv(x)), 2)
        return self.fc(x.flatten(1))


@pytest.mark.parametrize(
    ("model", "classifier", "ranks", "cells", "shape"),
    [
        (CaffeLeNet(), "fc2", {"conv1": 5, "conv2": 12, "fc1": 36}, (58_625, 430_500), (1, 28, 28)),
        (_ConvNet(), "fc", {"conv1": 12, "conv2": 19, "conv3": 22}, (46_340, 89_440), (3, 32, 32)),
    ],
)
def test_published_cells(
    model: nn.Module, classifier: str, ranks: dict[str, int], cells: tuple[int, int], shape: tuple[int, ...]
) -> None:
    """Wang 2017, tables 1 and 2: what the simulator sees of clipped networks with the published ranks."""
    x = torch.zeros(2, *shape)
    before = from_torch(model, x)
    method = _attached(model, skip=[classifier])
    method.load_state_dict({"steps": 0, "finished": False, "ranks": ranks})
    method.finish()
    assert method.whole == ()
    counted = [sum(layer.n_rows * layer.n_cols for layer in net.layers) for net in (from_torch(model, x), before)]
    assert tuple(counted) == cells


def _watched() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_forward_hook(lambda *_: None)
    return model


def _shared() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    return model


def _broken() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.data[0, 0] = torch.nan
    return model


@pytest.mark.parametrize(
    ("model", "skip", "told"),
    [
        (nn.Sequential(nn.Conv2d(4, 6, 3, groups=2)), [], r"layer 0: .* 2 groups, which are 2 matrices.*skip=\['0'\]"),
        (nn.Linear(2, 2), [], "a single Linear; wrap it"),
        (_shared(), [], "sharing its weights with another layer"),
        (_watched(), [], "watched by hooks"),
        (_broken(), [], "NaN or infinite"),
        (nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8)), ["0.self_attn"], "reads its weights directly"),
        (nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(2, 2))), [], "a subclass of torch's layers"),
    ],
)
def test_what_cannot_be_factorised_is_an_error(model: nn.Module, skip: list[str], told: str) -> None:
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(TrainingError, match=told):
        _attached(model, skip=skip)
    assert [name for name, _ in model.named_modules()] == names, "the model must be as it was"


def test_wrong_use_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"eps: must be at least 0 and below 1, got 1\.5") as caught:
        RankClipping(eps=1.5, every=0)
    assert len(caught.value.problems) == 2
    for eps in (1.0, -0.1, float("nan")):
        with pytest.raises(TrainingError, match="eps"):
            RankClipping(eps=eps)
    for use in (RankClipping().penalty, RankClipping().after_step, RankClipping().finish):
        with pytest.raises(TrainingError, match="not attached yet"):
            use()
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(TrainingError, match="got LBFGS; use SGD"):
        _attached(model, LBFGS(model.parameters()))
    method = _attached(model, every=1)
    with pytest.raises(TrainingError, match="attached already"):
        method.attach(model, SGD(model.parameters(), 0.1))
    model[0].u.weight.data.fill_(torch.inf)
    with pytest.raises(TrainingError, match="step 1: weights must be finite, got NaN or infinity in 0"):
        method.after_step()


def test_digits_from_end_to_end() -> None:
    """The demo's network: fewer cells at nearly the same accuracy, and a plain model for the simulator."""
    train, test = (datasets.load("digits", part) for part in ("train", "test"))
    (x, y), (x_test, y_test) = ((torch.from_numpy(s.images), torch.from_numpy(s.labels)) for s in (train, test))
    model = digits_cnn()
    before = accuracy(model, x_test, y_test)
    cells = sum(layer.n_rows * layer.n_cols for layer in from_torch(model, x[:2]).layers)
    optimizer = SGD(model.parameters(), 0.005, momentum=0.9)
    method = _attached(model, optimizer, eps=0.03, every=20, skip=["fc2"])
    generator, model = torch.Generator().manual_seed(0), model.train()
    for epoch in range(5):
        if epoch == 4:
            method.finish()
        for chosen in torch.randperm(len(x), generator=generator).split(64):
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen]) + method.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            method.after_step()
    left = sum(layer.n_rows * layer.n_cols for layer in from_torch(model, x[:2]).layers)
    assert left < 0.85 * cells
    assert accuracy(model, x_test, y_test) > before - 0.02
