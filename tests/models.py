"""Networks that the tests trace, map and simulate; untrained, with the weights of a fixed seed."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from xbar.demo.models import MLP, CaffeLeNet, ResNet20
from xbar.frontends.torch_module import from_torch
from xbar.network import Network


class LeNet5(nn.Module):
    """LeCun 1998 with full connections: 61,706 parameters; input [1, 28, 28]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = x.view(x.shape[0], -1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


class ViT(nn.Module):
    """A small vision transformer: patches, class token, encoder layers of torch, head; input [3, 16, 16]."""

    def __init__(self, dim: int = 32, heads: int = 4, depth: int = 2) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, dim))
        self.position = nn.Parameter(torch.randn(1, 17, dim))
        layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(dim, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.encoder(x)[:, 0])


class ScaledLinear(nn.Linear):
    """A subclass of nn.Linear with its own forward."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * functional.linear(x, self.weight, self.bias)


class Traps(nn.Module):
    """What others miss: subclasses, tied weights, slices of weights, weight_norm, einsum, matmul; input [8]."""

    def __init__(self) -> None:
        super().__init__()
        self.sub = ScaledLinear(8, 12)
        self.first, self.second = nn.Linear(12, 12), nn.Linear(12, 12)
        self.second.weight = self.first.weight
        self.packed = nn.Parameter(torch.randn(20, 12) / 4)
        self.normed = parametrizations.weight_norm(nn.Linear(10, 6))
        self.kernel = nn.Parameter(torch.randn(10, 6) / 4)
        self.heads = nn.Parameter(torch.randn(6, 2, 3) / 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.sub(x), inplace=True)
        x = self.second(torch.tanh(self.first(self.first(x))))
        x = functional.linear(x, self.packed[:10]) + x @ self.packed[10:].t()
        x = self.normed(x) + torch.matmul(x, self.kernel)
        return torch.einsum("bi,ihk->bhk", x, self.heads).flatten(1)


class Convolutions(nn.Module):
    """Depthwise, grouped, dilated, strided and same-padded convolutions with BatchNorm; input [4, 9, 9]."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise, self.bn = nn.Conv2d(4, 8, 3, padding=1, groups=4), nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 6, (3, 2), stride=(2, 1), groups=2, bias=False)
        self.same = nn.Conv2d(6, 5, (2, 4), padding="same", dilation=(1, 2))
        self.alone = nn.BatchNorm2d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.grouped(torch.relu(self.bn(self.depthwise(x))))
        return self.alone(torch.relu(self.same(x)))


class Sequence1d(nn.Module):
    """Conv1d, then Linear on sequences; input [3, 12]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 8, 3, padding=2, stride=2)
        self.inner, self.outer = nn.Linear(8, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(functional.gelu(self.inner(self.conv(x).transpose(1, 2))))


class Volume(nn.Module):
    """Conv3d and an inplace assignment; input [2, 4, 5, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 3, (2, 3, 3), padding=(0, 1, 1))
        self.fc = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).mean((2, 3, 4))
        out = torch.zeros(x.shape[0], 4)
        out[:, :2] = self.fc(y)[:, :2]
        return out


def with_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in evaluation mode, its BatchNorm statistics and affine parameters as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator)

    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.copy_(uniform(module.running_mean, -0.5, 0.5))
            module.running_var.copy_(uniform(module.running_var, 0.5, 2))
            module.weight.data.copy_(uniform(module.weight, 0.5, 1.5))
            module.bias.data.copy_(uniform(module.bias, -0.3, 0.3))
    return model.eval()


SHAPES: dict[type[nn.Module], tuple[int, ...]] = {
    MLP: (1, 8, 8),
    LeNet5: (1, 28, 28),
    CaffeLeNet: (1, 28, 28),
    ResNet20: (3, 32, 32),
    ViT: (3, 16, 16),
    Traps: (8,),
    Convolutions: (4, 9, 9),
    Sequence1d: (3, 12),
    Volume: (2, 4, 5, 6),
}


def build(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A model of this kind with the weights of `seed`, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return with_statistics(kind(), seed)


def inputs(kind: type[nn.Module], batch: int, seed: int = 1) -> Tensor:
    """Normally distributed inputs for a model of this kind."""
    return torch.randn(batch, *SHAPES[kind], generator=torch.Generator().manual_seed(seed))


@cache
def traced(kind: type[nn.Module]) -> Network:
    """The model of this kind as a network; once for all tests, since tracing takes longer than what most of them do."""
    return from_torch(build(kind), inputs(kind, 2))
