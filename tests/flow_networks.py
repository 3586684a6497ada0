"""Networks of a few rows for the tests of traffic and cycles; every weight is a whole number, and none is 0."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

import xbar
from xbar.network import Network, QuantizedNetwork


class Chain(nn.Module):
    """Two convolutions with a pool between them, and a linear layer; input [2, 6, 5]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, (2, 1), stride=(1, 1))
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(torch.relu(self.conv1(x)), (2, 1))
        x = torch.max_pool2d(torch.relu(self.conv2(x)), (1, 2))
        return self.fc(x.flatten(1))


class Residual(nn.Module):
    """A branch of two 3 x 3 convolutions beside a skip; input [2, 6, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(2, 3, 1)
        self.conv1, self.conv2 = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)
        self.fc = nn.Linear(72, 2)

    def forward(self, x: Tensor) -> Tensor:
        skip = torch.relu(self.conv0(x))
        x = torch.relu(skip + self.conv2(torch.relu(self.conv1(skip))))
        return self.fc(x.flatten(1))


class Vectors(nn.Module):
    """A linear residual network; input [8], or [vector, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.fc1(x))
        return self.fc3(torch.relu(x + self.fc2(x)))


class Grouped(nn.Module):
    """A depthwise and a strided convolution, a concatenation; input [4, 6, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.down = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(8, 6, 3, stride=2, padding=1)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, torch.relu(self.depth(x))], 1)
        return self.head(torch.relu(self.down(x)).mean((2, 3)))


SHAPES: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "chain": (Chain, (2, 6, 5)),
    "residual": (Residual, (2, 6, 4)),
    "vectors": (Vectors, (8,)),
    "sequence": (Vectors, (5, 8)),
    "grouped": (Grouped, (4, 6, 4)),
}


@cache
def flow_network(name: str) -> Network:
    """The network of that name, traced once."""
    make, shape = SHAPES[name]
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            signs = 2 * torch.randint(0, 2, parameter.shape) - 1
            parameter.copy_(torch.randint(1, 8, parameter.shape) * signs)
            parameter.flatten()[0] = 7
    return xbar.from_torch(model, torch.rand(2, *shape), name=name)


def quantized(name: str) -> QuantizedNetwork:
    """The same with 4-bit weights and inputs; the integer weights are those of the network."""
    torch.manual_seed(1)
    precision = xbar.Precision(weight_bits=4, input_bits=4)
    return xbar.quantize(flow_network(name), torch.rand(4, *SHAPES[name][1]), precision)
