"""Plain torch networks, written without a thought of crossbars: the demo's CNN, and those that the papers train."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

CHECKPOINT = Path(__file__).with_name("digits_cnn.safetensors")


class DigitsCnn(nn.Sequential):
    """8x8 digits: two convolutions with BatchNorm, two linear layers; 13,802 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(128, 64)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(64, 10)


class LeNet5(nn.Sequential):
    """28x28 digits (LeCun et al. 1998, with ReLU and max pooling): 61,706 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(400, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, 10)


class MLP(nn.Sequential):
    """Fully connected: 64-32-16-10 by default."""

    def __init__(self, sizes: tuple[int, ...] = (64, 32, 16, 10)) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for i, (a, b) in enumerate(pairwise(sizes)):
            layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i < len(sizes) - 2 else [])
        super().__init__(*layers)


class CaffeLeNet(nn.Module):
    """The LeNet of Caffe's MNIST example: 431,080 parameters; input [1, 28, 28]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.conv1(x), 2)
        x = functional.max_pool2d(self.conv2(x), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class CaffeConvNet(nn.Module):
    """Caffe's cifar10_full without its local normalization: 89,578 parameters; input [3, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 5, padding=2), nn.Conv2d(32, 32, 5, padding=2)
        self.conv3 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc = nn.Linear(1024, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(functional.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True))
        x = functional.avg_pool2d(torch.relu(self.conv2(x)), 3, 2, ceil_mode=True)
        x = functional.avg_pool2d(torch.relu(self.conv3(x)), 3, 2, ceil_mode=True)
        return self.fc(x.flatten(1))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut (option A: subsample and pad with zero channels)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.extra:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra // 2, self.extra // 2))
        return functional.relu(y + x)


class ResNet20(nn.Module):
    """ResNet-20 for CIFAR-10 (He 2016, section 4.2); input [3, 32, 32]. `width` 16 is the published one."""

    def __init__(self, width: int = 16, blocks: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for i, outputs in enumerate((width, 2 * width, 4 * width)):
            stage = []
            for j in range(blocks):
                stage.append(BasicBlock(inputs, outputs, 2 if i > 0 and j == 0 else 1))
                inputs = outputs
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)  # type: ignore[operator]
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def digits_cnn() -> nn.Module:
    """The demo's network with its trained weights."""
    from safetensors.torch import load_file

    model = DigitsCnn()
    model.load_state_dict(load_file(CHECKPOINT))
    return model.eval()


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of the images whose largest output is the label, in float32."""
    model.eval()
    with torch.no_grad():
        hits = sum(
            int((model(x).argmax(1) == y).sum()) for x, y in zip(images.split(500), labels.split(500), strict=True)
        )
    return hits / len(labels)
