"""ADC-aware training: the forward pass is the simulation."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from digits_training import digits, pass_over, step
from models import MLP, ScaledLinear
from small import small_chip
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import SGD

import mapping
from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip
from xbar.host import Host
from xbar.network import Network, Precision
from xbar.program import Program, formed
from xbar.quantization import quantize
from xbar.result import SimResult
from xbar.sim import simulate
from xbar.sim.crossbar import Counts, Integers, multiply
from xbar.sim.prepare import prepare
from xbar.sim.simulate import walk
from xbar.training.adc_aware import AdcAware, may_clip
from xbar.training.base import Together, find_layers
from xbar.training.noise_aware import NoiseAware
from xbar.training.quantization_aware import QuantizationAware

DEVICE = {"kind": "levels", "cell_bits": 2}
ADC = {
    "kind": "table",
    "source": "made up",
    "bits": 2,
    "points": [{"bits": b, "energy_J": 1e-12, "area_m2": 1e-9, "time_s": 1e-9} for b in range(1, 9)],
}


def _chip(bits: int | list[int] = 2, **changes: Any) -> Chip:
    adc = {**ADC, "bits": bits}
    return small_chip(**{"crossbar__rows": 32, "crossbar__cols": 32, "device": DEVICE, "adc": adc, **changes})


def _model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 5)
        )


def _images(n: int = 6) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def _simulated(model: nn.Module, method: AdcAware, chip: Chip, calibration: Tensor, x: Tensor) -> SimResult:
    qnet = quantize(from_torch(model.eval(), x), calibration, chip, input_ranges=method.input_ranges)
    return simulate(mapping.compile(qnet, chip), x)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bits": [1, 3]},
        {"encoding": {"kind": "offset", "flipped": True}},
        {"adc": {**ADC, "mode": "range", "full_scale": "worst_case"}},
        {"precision": {"weight_bits": 4, "input_bits": 4, "granularity": "layer", "inputs": "dynamic_fixed_point"}},
        {
            "device": {"kind": "resistive", "source": "", "cell_bits": 2, "g_max_S": 1e-5, "g_min_S": 1e-6},
            "noise": "none",
        },
    ],
    ids=str,
)
def test_the_forward_pass_is_the_simulation_bit_for_bit(changes: dict[str, Any]) -> None:
    chip, model, x = _chip(**changes), _model(), _images()
    method, optimizer = AdcAware(chip), SGD(model.parameters(), 0.05)
    method.attach(model, optimizer)
    for _ in range(2):
        optimizer.zero_grad()
        ((model(x) - 1) ** 2).mean().backward()
        optimizer.step()
        method.after_step()
    seen = model.eval()(x).detach()
    method.finish()
    result = _simulated(model, method, chip, x, x)
    assert torch.equal(result.outputs, seen)
    saturations = sum(sum(layer.saturations) for layer in result.activity.layers)
    assert saturations > 0 or chip.adc.mode == "range"  # whose full scale holds the worst case


def test_in_training_only_what_may_clip_is_simulated() -> None:
    chip, model, x = _chip([1, 8]), _model(), _images()
    ideal = _chip(adc={"kind": "ideal"})
    outputs = []
    for method in (AdcAware(ideal), QuantizationAware(ideal)):
        copy = _model()
        method.attach(copy, SGD(copy.parameters(), 0.05))
        outputs.append(copy.train()(x))
    assert torch.equal(*outputs)
    method = AdcAware(chip)
    method.attach(model, SGD(model.parameters(), 0.05))
    assert not torch.allclose(model.train()(x), outputs[0], atol=1e-2)
    assert torch.equal(model(x), model.eval()(x))  # all of it was simulated


@cache
def _of_the_largest_weights() -> list[Network]:
    """Traced once: each runs on many chips."""
    networks = []
    for weight in (torch.ones(3, 20), -torch.ones(3, 20), torch.tensor([1.0, -1.0]).repeat(3, 10)):
        layer = nn.Linear(20, 3, bias=False)
        layer.weight.data = weight
        networks.append(from_torch(nn.Sequential(layer), torch.ones(2, 20)))
    return networks


@pytest.mark.parametrize(
    "encoding", [{"kind": "differential"}, {"kind": "offset"}, {"kind": "offset", "flipped": True}]
)
@pytest.mark.parametrize("dac_bits", [1, 2])
def test_what_cannot_clip_never_does(encoding: dict[str, Any], dac_bits: int) -> None:
    """The largest weights and inputs that there are, against the bound."""
    for bits in range(1, 9):
        chip = _chip(bits, encoding=encoding, dac__bits=dac_bits)
        layer = nn.Linear(20, 3, bias=False)
        (treated,) = find_layers("Test", nn.Sequential(layer), SGD(layer.parameters(), 0.1))
        clipped = False
        for network in _of_the_largest_weights():
            qnet = quantize(network, torch.ones(2, 20), chip)
            activity = simulate(mapping.compile(qnet, chip), torch.ones(2, 20)).activity.layers[0]
            clipped |= sum(activity.saturations) + activity.unit_saturations > 0
        assert may_clip(treated, chip) or not clipped
        if encoding["kind"] == "differential":
            assert may_clip(treated, chip) == clipped  # the bound is reached


def test_the_gradient_is_that_of_the_quantized_product() -> None:
    x, grads = _images(), []
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    for method in (AdcAware(_chip()), QuantizationAware(_chip())):
        copy = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        copy.load_state_dict(weights)
        method.attach(copy, SGD(copy.parameters(), 0.05))
        copy(x).sum().backward()
        grads.append([p.grad for p in copy.parameters()])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_finish_leaves_a_plain_model() -> None:
    model, x = _model(), _images()
    names = list(model.state_dict())
    method, optimizer = AdcAware(_chip()), SGD(model.parameters(), 0.05)
    method.attach(model, optimizer)
    model(x)
    state = method.state_dict()
    method.load_state_dict(state)
    assert method.state_dict() == state
    method.finish()
    assert list(model.state_dict()) == names
    for module in model.modules():
        assert not parametrize.is_parametrized(module)
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    torch.export.export(model.eval(), (x,))


def test_the_penalty_is_what_sums_exceed_their_ranges_by() -> None:
    model, x, chip = _model(), _images(), _chip()
    method = AdcAware(chip, strength=0.5)
    method.attach(model, SGD(model.parameters(), 0.1))
    model.train()
    model(x)
    penalty = method.penalty()
    penalty.backward()
    for layer in method.treated:
        assert layer.parameter.grad is not None
        assert bool((layer.parameter.grad * layer.parameter >= 0).all())  # all towards 0 with pairs of cells
        assert bool(layer.parameter.grad.any())
    assert float(method.penalty()) == 0  # nothing was computed since
    method.finish()
    qnet = quantize(from_torch(model.eval(), x), x, chip, input_ranges=method.input_ranges)
    program = mapping.compile(qnet, chip)
    assert float(penalty.detach()) == approx(0.5 * sum(_mean_excess(program, i, x) for i in range(3)), rel=1e-5)


def test_passes_whose_penalty_nobody_asks_for_are_forgotten() -> None:
    model, x = _model(), _images()
    method, optimizer = AdcAware(_chip(), strength=0.5), SGD(model.parameters(), 0.1)
    method.attach(model, optimizer)
    for _ in range(3):
        model(x)
    optimizer.step()
    method.after_step()
    assert float(method.penalty().detach()) == 0


def test_with_the_penalty_sums_come_into_their_ranges() -> None:
    x, y = _images(64), torch.randint(5, (64,), generator=torch.Generator().manual_seed(1))
    excess = []
    for strength in (0.0, 1.0):
        model = _model()
        method, optimizer = AdcAware(_chip(), strength=strength), SGD(model.parameters(), 0.05)
        method.attach(model, optimizer)
        for _ in range(20):
            step(model, optimizer, method, x, y)
        method.finish()
        qnet = quantize(from_torch(model.eval(), x), x, _chip(), input_ranges=method.input_ranges)
        program = mapping.compile(qnet, _chip())
        excess.append(sum(_mean_excess(program, i, x) for i in range(3)))
    assert excess[1] < 0.5 * excess[0]


def _mean_excess(program: Program, index: int, x: Tensor) -> float:
    """Of a layer in a network whose activations are those of its clipping ADCs; all ADCs have 2 bits."""
    seen: list[Integers] = []
    prepared = [prepare(layer) for layer in program.layers]

    def look(index: int, x: Integers, first_vector: int) -> tuple[Tensor, Counts]:
        if index == wanted:
            seen.append(x)
        return multiply(prepared[index], x)

    wanted = index
    walk(program, Host(program.network), x, look)
    layer = program.layers[index]
    total, n = 0.0, 0
    exist = formed(layer)
    for block, (first, last) in enumerate(zip(layer.row_edges, layer.row_edges[1:], strict=False)):
        cells = layer.cells[:, 0, first:last].astype(np.int64)  # [plane, row, col]
        for bit in range(layer.input_bits):
            digits = np.concatenate(seen)[:, 0, first:last].astype(np.int64) >> bit & 1
            sums = np.einsum("vr,prc->vpc", digits, cells)[:, exist[:, block, 0]]
            total += (np.maximum(0, sums - 3) / 3).sum()
            n += sums.size
    return total / n


def test_bad_input_is_one_clear_error() -> None:
    with pytest.raises(TrainingError, match="strength: must be a finite number from 0, got -1"):
        AdcAware(_chip(), strength=-1)
    with pytest.raises(TrainingError, match=r"AdcAware: chip: adc.full_scale must not depend on data.*got max"):
        AdcAware(_chip(adc={**ADC, "mode": "range", "full_scale": "max"}))
    model = nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2))
    with pytest.raises(TrainingError, match=r"AdcAware: layer 1 \(GRU\) has weights that it cannot treat"):
        AdcAware(_chip()).attach(model, SGD(model.parameters(), 0.1))

    class Bent(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.weight**2, self.bias)

    bent = nn.Sequential(Bent(40, 2))
    AdcAware(_chip()).attach(bent, SGD(bent.parameters(), 0.1))
    with pytest.raises(TrainingError, match=r"layer 0 \(Bent\): must be one product with its weights.*skip=\['0'\]"):
        bent(torch.ones(2, 40))


def test_a_layer_with_its_own_forward_keeps_it() -> None:
    chip, model, x = _chip(), nn.Sequential(ScaledLinear(40, 3)), torch.rand(4, 40)
    method = AdcAware(chip)
    method.attach(model, SGD(model.parameters(), 0.1))
    seen = model(x).detach()
    method.finish()
    assert torch.equal(_simulated(model, method, chip, x, x).outputs, seen)


def test_fine_tuning_recovers_what_few_adc_bits_lose() -> None:
    (x, _), (x_test, y_test) = digits("train"), digits("test")
    chip = _chip(2, crossbar__rows=64, chip__tiles=64, precision=Precision(weight_bits=5, input_bits=4).model_dump())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MLP((64, 32, 10))

    def accuracy(**ranges: Any) -> float:
        qnet = quantize(from_torch(model.eval(), x[:4]), x, chip, **ranges)
        outputs = simulate(mapping.compile(qnet, chip), x_test).outputs
        return float(np.mean((outputs.argmax(1) == y_test).numpy()))

    pass_over(model, SGD(model.parameters(), 0.1, momentum=0.9), None, 10)
    before = accuracy()
    method, optimizer = AdcAware(chip), SGD(model.parameters(), 0.02, momentum=0.9)
    method.attach(model, optimizer)
    pass_over(model, optimizer, method, 3)
    method.finish()
    after = accuracy(input_ranges=method.input_ranges)
    assert before < 0.75
    assert after > before + 0.15


def test_beside_a_method_that_changes_weights_it_is_an_error_instead_of_a_loss() -> None:
    told = r"AdcAware: layer 0: must be trained with its plain weights"
    model, x = _model(), _images()
    optimizer = SGD(model.parameters(), 0.05)
    with pytest.raises(TrainingError, match=told):
        Together(NoiseAware(smooth_out=0.1), AdcAware(_chip())).attach(model, optimizer)
    other = _model()
    Together(AdcAware(_chip()), NoiseAware(smooth_out=0.1)).attach(other, SGD(other.parameters(), 0.05))
    with pytest.raises(TrainingError, match=told):
        other.train()(x)
