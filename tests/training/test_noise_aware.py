"""Noise-aware training: the draws, their gradients, and a network that loses less on noisy cells."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from digits_training import accuracy, digits, mlp, trained
from digits_training import chip as isaac
from small import small_chip
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.optim import SGD

import mapping
import xbar
from xbar.config import from_data, validate
from xbar.errors import TrainingError
from xbar.network import Precision
from xbar.noise import NoiseModel
from xbar.quantization.network import quantize_weights
from xbar.rng import generator
from xbar.training.base import Method, Together
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.noise_aware import NoiseAware
from xbar.training.noisy_cells import NoisyCells
from xbar.training.quantization_aware import QuantizationAware

PROGRAMMING = {"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "range"}
CONVERTERS = {"kind": "adc_error", "offset_sigma_lsb": 0.5}


def _noise(**effects: dict[str, Any]) -> NoiseModel:
    return validate(NoiseModel, from_data({"effects": effects or {"programming": PROGRAMMING}}, "test"))


def _model() -> nn.Sequential:
    """A convolution in groups, a linear layer with shared weights, and one more."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        )
        model[3].weight = model[2].weight
        return model


def _images(n: int = 6) -> Tensor:
    return torch.rand(n, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def _attached(model: nn.Module, method: Method, lr: float = 0.1, **optimizer: Any) -> SGD:
    found = SGD(model.parameters(), lr, **optimizer)
    method.attach(model, found)
    return found


def _step(model: nn.Module, method: Method, optimizer: SGD) -> None:
    loss = (model(_images()) ** 2).mean() + method.penalty()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    method.after_step()


@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_layers_see_their_integers_as_cells_hold_them(encoding: str) -> None:
    model, chip, noise = _model(), small_chip(encoding={"kind": encoding}), _noise()
    plain = {n: p.detach().clone() for n, p in model.named_parameters()}
    method = NoiseAware(noise, chip, seed=7)
    _attached(model, method)
    assert [t.name for t in method.treated] == ["0", "2", "4"]
    for step in range(2):
        for layer in method.treated:
            weight = plain[f"{layer.name}.weight"].numpy()
            integers, scale, _ = quantize_weights(weight, chip.precision)
            held = NoisyCells(chip, noise, 7).hold(
                integers.reshape(layer.groups, len(weight) // layer.groups, -1), layer.name, step
            )
            wanted = held.reshape(weight.shape) * scale.reshape(-1, *[1] * (weight.ndim - 1))
            seen = model[int(layer.name)].weight.detach().numpy()
            np.testing.assert_array_equal(seen, wanted.astype(np.float32))
            assert np.abs(seen - weight).max() > 0.05 * np.abs(weight).max()
        method.after_step()
    assert torch.equal(model[2].weight, model[3].weight)
    assert method.penalty() == 0


def test_a_draw_lasts_one_step_and_evaluation_sees_plain_weights() -> None:
    model = _model()
    original = model[4].weight.detach().clone()
    method = NoiseAware(_noise(), small_chip())
    _attached(model, method)
    first = model[4].weight.detach().clone()
    assert torch.equal(model[4].weight, first)
    method.after_step()
    assert (model[4].weight != first).any()
    model.eval()
    assert torch.equal(model[4].weight, original)
    assert torch.equal(model(_images()), _model().eval()(_images()))
    model.train()
    with torch.no_grad():  # weights that changed within a step
        parameter = method.treated[2].parameter
        before = model[4].weight.clone()
        parameter.mul_(2)
        assert torch.allclose(model[4].weight, 2 * before)


def test_same_seed_same_network() -> None:
    def weights(seed: int, n_steps: int = 3) -> list[Tensor]:
        model, method = _model(), NoiseAware(_noise(), small_chip(), smooth_out=0.02, seed=seed)
        optimizer = _attached(model, method)
        for _ in range(n_steps):
            _step(model, method, optimizer)
        method.finish()
        return [p.detach() for p in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(weights(0), weights(0), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(weights(0), weights(1), strict=True))


def test_a_checkpoint_goes_on_with_the_same_draws() -> None:
    model, method = _model(), NoiseAware(_noise(), small_chip(), smooth_out=0.02)
    optimizer = _attached(model, method, momentum=0.9)
    for _ in range(3):
        _step(model, method, optimizer)
    saved = copy.deepcopy([model.state_dict(), optimizer.state_dict(), method.state_dict()])
    other, again = _model(), NoiseAware(_noise(), small_chip(), smooth_out=0.02)
    optimizer_2 = _attached(other, again, momentum=0.9)
    _step(other, again, optimizer_2)  # what it did before is forgotten
    other.load_state_dict(saved[0])
    optimizer_2.load_state_dict(saved[1])
    again.load_state_dict(saved[2])
    assert torch.equal(model[4].weight, other[4].weight)
    for _ in range(2):
        _step(model, method, optimizer)
        _step(other, again, optimizer_2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_loading_a_state_forgets_the_draw_in_hand() -> None:
    model, method = _model(), NoiseAware(_noise(), small_chip())
    _attached(model, method)
    first = model[4].weight.detach().clone()
    method.load_state_dict({"step": 5})
    assert (model[4].weight != first).any()


def test_finish_leaves_a_plain_model() -> None:
    model, method, x = _model(), NoiseAware(_noise(), small_chip(), smooth_out=0.1), _images()
    names, before = list(model.state_dict()), [p.detach().clone() for p in model.parameters()]
    _attached(model, method)
    model(x)
    method.finish()
    assert list(model.state_dict()) == names
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert not any(parametrize.is_parametrized(m) or m._forward_hooks for m in model.modules())
    network = xbar.from_torch(model.eval(), x)
    assert [layer.name for layer in network.layers] == ["0", "2", "3", "4"]
    np.testing.assert_array_equal(network.layers[-1].weight, before[-2].numpy())
    method.finish()  # a second time does nothing


def test_smooth_out_is_uniform_and_drawn_anew() -> None:
    layer, a = nn.Linear(100, 80, bias=False), 0.03
    plain, method = layer.weight.detach().clone(), NoiseAware(smooth_out=a)
    model = nn.Sequential(layer)
    _attached(model, method)
    draws = []
    for _ in range(4):
        draws.append((model[0].weight.detach() - plain).double().flatten() / a)
        method.after_step()
    u = torch.cat(draws)
    assert u.abs().max() <= 1 + 1e-5
    assert u.abs().max() > 0.999
    n = len(u)  # 4 standard errors of mean, variance 1/3 and fourth moment 1/5
    assert abs(u.mean()) < 4 * np.sqrt(1 / 3 / n)
    assert abs((u**2).mean() - 1 / 3) < 4 * np.sqrt((1 / 5 - 1 / 9) / n)
    assert abs((u**4).mean() - 1 / 5) < 4 * np.sqrt((1 / 9 - 1 / 25) / n)
    correlations = torch.corrcoef(torch.stack(draws))[torch.triu_indices(4, 4, 1).unbind()]
    assert correlations.abs().max() < 4 / np.sqrt(len(draws[0]))
    wanted = generator(0, "smooth out", "0", 0).random((80, 100), np.float32)
    np.testing.assert_allclose(draws[0], 2.0 * wanted.ravel() - 1, atol=1e-5)


@pytest.mark.parametrize("with_cells", [False, True])
def test_the_gradient_is_that_at_the_noisy_point_and_the_step_starts_at_the_plain_one(with_cells: bool) -> None:
    """w <- w - lr d loss / d w at w + noise: the noise is gone before the step (SmoothOut, section 3)."""
    chosen: dict[str, Any] = {"noise": _noise(), "chip": small_chip()} if with_cells else {}
    model, method, x = _model(), NoiseAware(smooth_out=0.05, **chosen), _images()
    optimizer = _attached(model, method, lr=0.5)
    before = {t.name: t.parameter.detach().clone() for t in method.treated}
    noisy = {t.name: model[int(t.name)].weight.detach().clone() for t in method.treated}
    twin = _model()
    with torch.no_grad():
        for name, weight in noisy.items():
            twin[int(name)].weight.copy_(weight)
    (twin(x) ** 2).mean().backward()
    _step(model, method, optimizer)
    for treated in method.treated:
        grad = twin[int(treated.name)].weight.grad
        assert grad is not None
        assert grad.abs().max() > 0
        torch.testing.assert_close(treated.parameter.detach(), before[treated.name] - 0.5 * grad)
        assert (noisy[treated.name] - before[treated.name]).abs().max() > 0.01


@pytest.mark.parametrize("noise_first", [True, False])
def test_noise_comes_after_the_methods_that_quantize(noise_first: bool) -> None:
    chip, noise = small_chip(), _noise()
    methods: list[Method] = [NoiseAware(noise, chip), QuantizationAware(chip)]
    model, alone = _model(), _model()
    _attached(model, Together(*(methods if noise_first else methods[::-1])))
    _attached(alone, NoiseAware(noise, chip))
    assert torch.equal(model[4].weight, alone[4].weight)
    model.eval()
    assert len(torch.unique(model[4].weight[0])) <= 15  # the integers of 4 bits
    methods[0].finish()
    assert parametrize.is_parametrized(model[4])
    coarse = _model()
    noisy = NoiseAware(noise, chip)
    _attached(coarse, Together(noisy, QuantizationAware(Precision(weight_bits=2))))
    draws = []
    for _ in range(200):
        draws.append(coarse[4].weight.detach())
        noisy.after_step()
    coarse.eval()
    shown = coarse[4].weight.detach()  # of two bits: -q, 0, +q, which the chip's four bits hold
    plain = coarse[4].parametrizations.weight.original.detach()
    assert (torch.stack(draws).mean(0) - shown).norm() < 0.3 * (plain - shown).norm()
    smooth = _model()
    both = [NoiseAware(smooth_out=1e-4), BitSliceL1(0.1, cell_bits=2, weight_bits=4)]
    _attached(smooth, Together(*(both if noise_first else both[::-1])))
    seen = smooth[4].weight.detach()
    smooth.eval()
    assert 0 < (seen - smooth[4].weight).abs().max() <= 1.01e-4


@pytest.mark.parametrize("chosen", [{"layers": ["4"]}, {"skip": ["0", "2", "3"]}])
def test_layers_can_be_chosen(chosen: dict[str, Any]) -> None:
    model = _model()
    method = NoiseAware(_noise(), small_chip(), **chosen)
    _attached(model, method)
    assert [t.name for t in method.treated] == ["4"]
    assert [parametrize.is_parametrized(model[i]) for i in (0, 2, 3, 4)] == [False, False, False, True]


def test_the_chips_own_noise_and_names_of_files() -> None:
    chip = small_chip(noise={"effects": {"programming": PROGRAMMING}})
    models = [_model() for _ in range(2)]
    for model, method in zip(models, [NoiseAware(chip=chip), NoiseAware(_noise(), small_chip())], strict=True):
        _attached(model, method)
    assert torch.equal(models[0][4].weight, models[1][4].weight)
    assert NoiseAware("reram_wan_2022", "isaac_isca_2016", smooth_out=0.01).treated == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "NoiseAware: noise: one is needed, got none; give a noise model with its chip, or smooth_out"),
        ({"noise": _noise()}, "NoiseAware: chip: is needed to know which cells a weight becomes, got none; give one"),
        ({"chip": small_chip()}, "NoiseAware: noise: one is needed, got none"),
        (
            {"chip": small_chip(), "smooth_out": 0.1},
            "NoiseAware: chip: has no effect without a noise, got small; remove it",
        ),
        ({"noise": "reram_wann_2022", "chip": small_chip()}, "NoiseAware: noise: .*did you mean reram_wan_2022"),
        ({"noise": _noise(), "chip": "isaac"}, "NoiseAware: chip: must be a known chip"),
        (
            {"noise": 0.1, "chip": small_chip()},
            "NoiseAware: noise: must be a NoiseModel, or the name or file of one, got 0.1",
        ),
        ({"noise": _noise(), "chip": Path("no.yaml")}, "NoiseAware: no.yaml"),
        (
            {"noise": _noise(adc=CONVERTERS, programming=PROGRAMMING), "chip": small_chip()},
            r"effect adc \(adc_error\) acts on ADCs and not on weights; leave it out with noise.only\('programming'\)",
        ),
        (
            {"noise": _noise(adc=CONVERTERS), "chip": small_chip()},
            r"effect adc \(adc_error\) acts on ADCs and not on weights; give another noise",
        ),
        (
            {
                "noise": _noise(
                    table={
                        "kind": "table",
                        "g_max_S": 1e-5,
                        "measured": [{"level": i, "mean_S": i * 1e-5, "sigma_S": 0} for i in range(2)],
                    }
                ),
                "chip": small_chip(),
            },
            "NoiseAware: noise: effect table: must have as many levels as the cells, 8, not 2",
        ),
        ({"smooth_out": -0.1}, "NoiseAware: smooth_out: must be a number from 0 up, got -0.1; try a hundredth"),
        ({"smooth_out": float("nan")}, "NoiseAware: smooth_out: must be a number from 0 up, got nan"),
        ({"smooth_out": "0.1"}, "NoiseAware: smooth_out: must be a number from 0 up, got '0.1'"),
        ({"smooth_out": 0.1, "seed": -1}, "NoiseAware: seed: must be a whole number from 0 up, got -1"),
        ({"smooth_out": 0.1, "seed": 1.5}, "NoiseAware: seed: must be a whole number from 0 up, got 1.5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as found:
        NoiseAware(**arguments)
    assert len(found.value.problems) == 1


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(TrainingError) as found:
        NoiseAware(_noise(adc=CONVERTERS, more=CONVERTERS), small_chip(), smooth_out=-1.0, seed=-1)
    assert len(found.value.problems) == 4


def test_models_that_do_not_fit_are_an_error() -> None:
    method = NoiseAware(_noise(), small_chip())
    model = nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2))
    with pytest.raises(TrainingError, match=r"NoiseAware: layer 1 \(GRU\) has weights that it cannot treat"):
        _attached(model, method)
    normed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    layer_wise = small_chip(precision={"weight_bits": 4, "input_bits": 4, "granularity": "layer"})
    with pytest.raises(TrainingError, match=r"NoiseAware: 1: BatchNorm changes the integers .* granularity: layer"):
        _attached(normed, NoiseAware(_noise(), layer_wise))
    assert not parametrize.is_parametrized(normed[0])
    _attached(normed, NoiseAware(_noise(), small_chip()))  # with a factor per channel
    _attached(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), NoiseAware(smooth_out=0.1))
    spectral = nn.Sequential(parametrizations.spectral_norm(nn.Linear(2, 2)))
    _attached(spectral, NoiseAware(_noise(), small_chip()))
    with pytest.raises(TrainingError, match="NoiseAware: layer 0: its weights are made of others by _SpectralNorm"):
        spectral(torch.ones(1, 2))


def test_weights_that_are_no_numbers_are_an_error() -> None:
    model, method = _model(), NoiseAware(_noise(), small_chip())
    _attached(model, method)
    with torch.no_grad():
        method.treated[2].parameter[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="NoiseAware: layer 4: weights must be finite, got NaN or infinity; lower"):
        model(_images())


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_weights_keep_their_type(kind: torch.dtype) -> None:
    model = _model().to(kind)
    _attached(model, NoiseAware(_noise(), small_chip(), smooth_out=0.01))
    assert model[4].weight.dtype == kind
    model(_images().to(kind)).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == kind for p in model.parameters())


def test_a_network_that_saw_programming_errors_loses_less_to_them() -> None:
    precision = {"precision__weights": "uniform", "precision__granularity": "channel", "precision__weight_bits": 5}
    chip = isaac(**precision, device__cell_bits=4)
    noise = _noise(programming={**PROGRAMMING, "sigma_rel": 0.2})
    (images, _), (test_images, labels) = digits("train"), digits("test")

    def onsmall_chip(model: nn.Module) -> float:
        """Mean accuracy over five chips."""
        qnet = xbar.quantize(xbar.from_torch(model, images[:4]), images[:256], chip)
        runs = xbar.simulate(mapping.compile(qnet, chip), test_images, noise=noise, n_runs=5).results
        return float(np.mean([(run.outputs.argmax(1) == labels).double().mean() for run in runs]))

    plain, aware = (trained(mlp(), method, 20).eval() for method in (None, NoiseAware(noise, chip)))
    loss_plain, loss_aware = (accuracy(model) - onsmall_chip(model) for model in (plain, aware))
    assert accuracy(aware) > accuracy(plain) - 0.03
    assert loss_plain > 0.12
    assert loss_aware < 0.65 * loss_plain
