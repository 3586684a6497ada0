"""Methods work where the model is: on a device that mixes with no CPU tensor they do what they do on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pretend_gpu import GPU, GpuTensor, PretendGpu
from torch import Tensor, nn
from torch.optim import SGD

from xbar.hardware import load_chip
from xbar.training.adc_aware import AdcAware
from xbar.training.admm import Admm
from xbar.training.base import Method
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.group_deletion import GroupDeletion
from xbar.training.group_lasso import GroupLasso
from xbar.training.l1 import L1
from xbar.training.levels import device_levels
from xbar.training.names import method_kinds
from xbar.training.noise_aware import NoiseAware
from xbar.training.one_level import OneLevel
from xbar.training.pruning import MagnitudePruning
from xbar.training.quantization_aware import QuantizationAware
from xbar.training.rank_clipping import RankClipping
from xbar.training.recipe import AugmentSettings
from xbar.training.stages import Stage
from xbar.training.tea import Tea
from xbar.training.tea_network import TeaLayer, TeaNetwork, balanced, merged, patches
from xbar.training.trainer import Data, Training
from xbar.training.truenorth_bias import TrueNorthBias

ISAAC = load_chip("isaac_isca_2016", {"adc.bits": 3, "precision.weight_bits": 4, "precision.input_bits": 4})
LEVELS = device_levels(load_chip("generic_1t1r").device, 5)
METHODS: dict[str, tuple[Callable[[], Method], str]] = {  # and the step between stages
    "adc_aware": (lambda: AdcAware(ISAAC, strength=1), ""),
    "admm": (lambda: Admm(prune=0.5, structure="shape_column", levels=LEVELS, every=1), "map"),
    "bit_slice_l1": (lambda: BitSliceL1(1.0), ""),
    "group_deletion": (lambda: GroupDeletion(1e-3, crossbar=(16, 16)), "freeze"),
    "group_lasso": (lambda: GroupLasso(1.0, structures=["filter", "channel"]), ""),
    "l1": (lambda: L1(1.0), ""),
    "noise_aware": (lambda: NoiseAware("reram_wan_2022", ISAAC, smooth_out=0.1), ""),
    "one_level": (lambda: OneLevel(1e-3), "tune_biases"),
    "pruning": (lambda: MagnitudePruning(fraction=0.5, structure="crossbar_row", crossbar=(16, 16)), "prune"),
    "quantization_aware": (lambda: QuantizationAware(ISAAC), ""),
    "rank_clipping": (lambda: RankClipping(eps=0.3, every=2), ""),
    "tea": (Tea, ""),
    "truenorth_bias": (lambda: TrueNorthBias(1.0, ramp=3), ""),
}
OF_CORES = ("tea", "truenorth_bias")


def _model(of_cores: bool = False) -> nn.Module:
    torch.manual_seed(0)
    if of_cores:
        return TeaNetwork(72, [TeaLayer(patches((2, 6, 6), 4, 2), *balanced(4, 32, 20, 10))], merged(80, 10))
    return nn.Sequential(nn.Conv2d(2, 20, 3), nn.ReLU(), nn.Flatten(), nn.Linear(320, 20), nn.ReLU(), nn.Linear(20, 10))


def _trained(name: str, device: torch.device) -> list[Tensor]:
    make, step = METHODS[name]
    model, method = _model(name in OF_CORES).to(device), make()
    images, labels = torch.rand(8, 2, 6, 6).to(device), torch.randint(10, (8,)).to(device)
    optimizer = SGD(model.parameters(), 0.01, momentum=0.9, foreach=False)
    method.attach(model, optimizer)
    for i in range(4):
        if i == 3 and step:
            getattr(method, step)()
        loss = nn.functional.cross_entropy(model(images), labels) + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()
    method.load_state_dict(method.state_dict())
    method.finish()
    return list(model.parameters())


def _same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    assert all(isinstance(p, GpuTensor) for p in theirs)
    return all(torch.equal(a, b.held) for a, b in zip(ours, theirs, strict=True) if isinstance(b, GpuTensor))


def test_every_method_is_here() -> None:
    assert set(METHODS) == set(method_kinds())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_works_on_the_device_of_the_model(name: str) -> None:
    with PretendGpu():
        theirs = _trained(name, GPU)
    assert _same(_trained(name, torch.device("cpu")), theirs)


def test_a_training_works_on_the_device_of_model_and_data() -> None:
    def trained(device: torch.device) -> list[Tensor]:
        torch.manual_seed(1)
        images, labels = torch.rand(40, 2, 6, 6).to(device), torch.randint(10, (40,)).to(device)
        model = _model().to(device)
        optimizer = SGD(model.parameters(), 0.01, momentum=0.9, foreach=False)
        stages = [Stage(1, 0.01, attach=("masks",)), Stage(1, 0.01, finish=("masks",))]
        methods = {"masks": MagnitudePruning(fraction=0.5)}
        augment = AugmentSettings(shift_px=1, mirror=True)
        training = Training(model, optimizer, methods, stages, batch=8, augment=augment)
        training.run(Data(images, labels, images[:9], labels[:9]))
        return list(model.parameters())

    with PretendGpu():
        theirs = trained(GPU)
    assert _same(trained(torch.device("cpu")), theirs)


def test_what_is_on_two_devices_is_noticed() -> None:
    with PretendGpu():
        module, x = nn.Linear(3, 4).to(GPU), torch.rand(2, 3)
        assert module(x.to(GPU)).device == GPU
        with pytest.raises(RuntimeError, match=r"tensors are on lazy:0 and on cpu, those there of \[\[2, 3\]\]"):
            module(x)
        with pytest.raises(RuntimeError, match="tensors are on lazy:0 and on cpu"):
            module.weight * torch.ones(4, 3)
