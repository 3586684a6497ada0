"""Untrained networks in ImageNet shape (input [3, 224, 224], 1000 classes), named as in torchvision; and VGG-8."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Vgg(nn.Module):
    """Convolutions of 3x3 with ReLU, halved by max pooling (Simonyan and Zisserman 2015), then linear layers.

    widths: output channels of each convolution; 0 stands for the pooling. hidden: widths of the hidden linear layers.
    """

    def __init__(self, widths: tuple[int, ...], hidden: tuple[int, ...], space: int, n_classes: int) -> None:
        super().__init__()
        features: list[nn.Module] = []
        channels = 3
        for width in widths:
            if width:
                features += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            else:
                features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        classifier: list[nn.Module] = []
        inputs = channels * space * space
        for width in hidden:
            classifier += [nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Dropout()]
            inputs = width
        self.classifier = nn.Sequential(*classifier, nn.Linear(inputs, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He 2016), projected where its shape changes."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the stride is in the 3x3, as in torchvision's ResNet-50 (v1.5)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """A 7x7 stem, four stages of blocks, global average pooling (He 2016, table 1)."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for i, depth in enumerate(depths):
            width, stage = 64 << i, []
            for j in range(depth):
                stage.append(block(inputs, width, 2 if i > 0 and j == 0 else 1))
                inputs = block.expansion * width
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))
        self.fc = nn.Linear(inputs, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)  # type: ignore[operator]
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class EncoderBlock(nn.Module):
    """Attention and two linear layers, each behind a LayerNorm and beside a shortcut."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(0.0), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    """Patches, class token, encoder blocks, a head on the token's result (Dosovitskiy 2021)."""

    def __init__(self, patch: int, dim: int, depth: int, heads: int, hidden: int, image: int = 224) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, dim, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.randn(1, (image // patch) ** 2 + 1, dim) * 0.02)
        self.encoder.layers = nn.Sequential()
        for i in range(depth):
            self.encoder.layers.add_module(f"encoder_layer_{i}", EncoderBlock(dim, heads, hidden))
        self.encoder.ln = nn.LayerNorm(dim, eps=1e-6)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(dim, 1000))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.encoder.pos_embedding  # type: ignore[operator]
        return self.heads(self.encoder.ln(self.encoder.layers(x))[:, 0])  # type: ignore[operator]


def vgg16() -> nn.Module:
    """VGG-16 (configuration D): 138,357,544 parameters."""
    widths = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
    return Vgg(widths, (4096, 4096), 7, 1000)


def resnet18() -> nn.Module:
    """ResNet-18: 11,689,512 parameters."""
    return ResNet(BasicBlock, (2, 2, 2, 2))


def resnet50() -> nn.Module:
    """ResNet-50: 25,557,032 parameters."""
    return ResNet(Bottleneck, (3, 4, 6, 3))


def vit_b() -> nn.Module:
    """ViT-B/16: 86,567,656 parameters."""
    return VisionTransformer(patch=16, dim=768, depth=12, heads=12, hidden=3072)


def vgg8() -> nn.Module:
    """VGG-8 for CIFAR-10, input [3, 32, 32], of the layers that DNN+NeuroSim V2.0 maps: 12,976,266 parameters."""
    return Vgg((128, 128, 0, 256, 256, 0, 512, 512, 0), (1024,), 4, 10)
