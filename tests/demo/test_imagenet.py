"""The ImageNet models have their published sizes and the dataflow that their papers draw."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import pytest
import torch
from torch import nn

from xbar.demo import imagenet
from xbar.frontends.torch_module import from_torch
from xbar.rows import dataflow


@pytest.mark.parametrize(
    ("make", "parameters", "side"),
    [
        (imagenet.vgg16, 138_357_544, 224),
        (imagenet.resnet18, 11_689_512, 224),
        (imagenet.resnet50, 25_557_032, 224),
        (imagenet.vit_b, 86_567_656, 224),
        (imagenet.vgg8, 12_976_266, 32),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_published_sizes(make: Callable[[], nn.Module], parameters: int, side: int) -> None:
    """torchvision's tables of its models; VGG-8 by hand: 4,576,384 in convolutions, 8,399,882 in linear layers."""
    with torch.device("meta"):
        model = make().eval()
        assert sum(p.numel() for p in model.parameters()) == parameters
        assert model(torch.empty(2, 3, side, side)).shape == (2, 10 if make is imagenet.vgg8 else 1000)


def test_module_names_are_torchvisions() -> None:
    with torch.device("meta"):
        names = {make: [n for n, _ in make().named_parameters()] for make in (imagenet.resnet50, imagenet.vit_b)}
        features = [n for n, _ in imagenet.vgg16().named_parameters()]
    assert {"layer1.0.downsample.0.weight", "layer4.2.bn3.bias", "fc.weight"} <= set(names[imagenet.resnet50])
    assert {
        "class_token",
        "conv_proj.weight",
        "encoder.pos_embedding",
        "encoder.layers.encoder_layer_11.self_attention.in_proj_weight",
        "encoder.layers.encoder_layer_0.mlp.3.weight",
        "encoder.ln.bias",
        "heads.head.weight",
    } <= set(names[imagenet.vit_b])
    assert {"features.28.weight", "classifier.0.weight", "classifier.6.bias"} <= set(features)


def test_a_resnet_flows_row_by_row() -> None:
    network = from_torch(imagenet.ResNet(imagenet.BasicBlock, (1, 1, 1, 1)), torch.zeros(1, 3, 64, 64))
    streams = network.flow.streams
    joins = [s for s in streams if s.kind == "join"]
    assert [s.rows for s in joins] == [16, 8, 4, 2]
    assert [streams[e.source].name for e in joins[1].edges] == ["layer2.0.conv2", "layer2.0.downsample.0"]
    assert [streams[e.source].kind for e in joins[0].edges] == ["layer", "layer"]
    (edge,) = next(s for s in streams if s.name == "layer1.0.conv1").edges  # pooling of 3, stride 2, padding 1
    assert (edge.n_units, edge.unit_elements) == (16, 64 * 16)
    assert edge.source_last.tolist() == list(range(1, 32, 2))
    (edge,) = next(s for s in streams if s.name == "layer2.0.downsample.0").edges  # 1x1 with stride 2
    assert edge.source_last.tolist() == list(range(0, 16, 2))


def test_a_vision_transformer_flows_vector_by_vector() -> None:
    model = imagenet.VisionTransformer(patch=16, dim=32, depth=2, heads=2, hidden=64, image=64)
    streams = from_torch(model, torch.zeros(1, 3, 64, 64)).flow.streams
    joins = [s for s in streams if s.kind == "join"]
    assert [s.rows for s in joins] == [17] * 4
    assert [streams[e.source].name for e in joins[1].edges] == [joins[0].name, "encoder.layers.encoder_layer_0.mlp.3"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "n_layers", "n_joins"),
    [(imagenet.vgg16, 16, 0), (imagenet.resnet18, 21, 8), (imagenet.resnet50, 54, 16), (imagenet.vit_b, 50, 24)],
)
def test_whole_models_flow(make: Callable[[], nn.Module], n_layers: int, n_joins: int) -> None:
    network = from_torch(make(), torch.zeros(1, 3, 224, 224))
    kinds = [s.kind for s in network.flow.streams]
    assert (kinds.count("layer"), kinds.count("join"), len(kinds)) == (n_layers, n_joins, 1 + n_layers + n_joins)
    start = perf_counter()
    assert dataflow(network) == network.flow
    assert perf_counter() - start < 5  # a second on a machine that does nothing else
