"""The dataflow of whole networks: by hand, of every reference model, and of graphs that do unusual things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import torch
from row_oracle import observed, predicted
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from xbar.dataflow import Edge, Stream
from xbar.demo.models import LeNet5
from xbar.frontends.torch_module import from_torch
from xbar.network import Network
from xbar.rows import dataflow


class Do(nn.Module):
    """A network of these modules, and what to do with them and one input."""

    def __init__(self, act: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.act = act
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self.act(self, x)


class DoTwo(Do):
    """Of two inputs."""

    def forward(self, x: Tensor, y: Tensor) -> Any:  # type: ignore[override]
        return self.act(self, x, y)


def check(network: Network) -> None:
    """What holds for the dataflow of every network."""
    flow = network.flow
    assert dataflow(network) == flow
    layers = [s for s in flow.streams if s.kind == "layer"]
    assert [s.layer for s in layers] == list(range(len(network.layers)))
    assert [s.name for s in layers] == [layer.name for layer in network.layers]
    for i, stream in enumerate(flow.streams):
        assert stream.rows > 0
        assert {"input": 0, "layer": 1}.get(stream.kind, len(stream.edges)) == len(stream.edges)
        assert stream.kind != "join" or len({e.source for e in stream.edges}) == len(stream.edges) > 1
        assert (stream.layer is None) == (stream.kind != "layer")
        at = [flow.streams[e.source].at for e in stream.edges]
        assert stream.at == (i if stream.kind == "layer" else max((a for a in at if a is not None), default=None))
        assert all(e.source < i for e in stream.edges)
        for edge in stream.edges:
            check_edge(edge, flow.streams[edge.source].rows, stream.rows)
    for edge in flow.outputs:
        check_edge(edge, flow.streams[edge.source].rows, 1)
        assert edge.need_last[0] == edge.n_units - 1
    done = [sum(s.ops[k] for s in flow.streams) for k in ("activation_ops", "pooling_ops", "digital_ops")]
    kinds = ("activation", "pooling", "other")
    assert done == [sum(d.ops_per_input for d in network.digital if d.kind == k) for k in kinds]


def check_edge(edge: Edge, n_source: int, n_rows: int) -> None:
    assert edge.n_units == len(edge.source_first) == len(edge.source_last) > 0
    assert len(edge.need_first) == len(edge.need_last) == n_rows
    assert (edge.source_first >= 0).all()
    assert (edge.source_first <= edge.source_last).all()
    assert (edge.source_last < n_source).all()
    assert (edge.need_first >= 0).all()
    assert (edge.need_first <= edge.need_last).all()
    assert (edge.need_last < edge.n_units).all()
    for rising in (edge.need_first, edge.need_last, edge.source_last):
        assert (np.diff(rising) >= 0).all()


def stream(network: Network, name: str) -> Stream:
    (found,) = [s for s in network.flow.streams if s.name == name]
    return found


def sources(network: Network) -> dict[str, list[str]]:
    names = [s.name for s in network.flow.streams]
    return {s.name: [names[e.source] for e in s.edges] for s in network.flow.streams if s.kind != "input"}


@pytest.mark.parametrize("kind", models.SHAPES, ids=lambda k: k.__name__)
def test_reference_models(kind: type[nn.Module]) -> None:
    network = from_torch(models.build(kind), models.inputs(kind, 2))
    check(network)
    x = models.inputs(kind, 1)
    axis = {2: None, 3: 2 if kind is models.Sequence1d else 1}.get(x.dim(), 2)
    seen, told = observed(network, [x], 0, axis), predicted(network.flow, 0)
    for i, s in enumerate(network.flow.streams):
        if s.kind == "layer" and s.name != "heads":  # an einsum whose result is not a list of vectors
            assert not (seen[s.name] & ~told[i]).any()
            # the class token waits for a patch, although it needs none
            first = int(kind is models.ViT and s.layer == 1)
            assert np.array_equal(seen[s.name][first:], told[i][first:])


def test_lenet_by_hand() -> None:
    network = from_torch(LeNet5(), torch.zeros(2, 1, 28, 28))
    check(network)
    names = ["input", "conv1", "conv2", "fc1", "fc2", "fc3"]
    assert [(s.name, s.rows) for s in network.flow.streams] == list(zip(names, (28, 28, 10, 1, 1, 1), strict=True))
    (edge,) = stream(network, "conv1").edges  # kernel 5, padding 2
    assert (edge.n_units, edge.unit_elements) == (28, 28)
    assert edge.need_first.tolist() == [0, 0, *range(26)]
    assert edge.need_last.tolist() == [*range(2, 28), 27, 27]
    (edge,) = stream(network, "conv2").edges  # behind pooling by 2
    assert (edge.n_units, edge.unit_elements) == (14, 6 * 14)
    assert (edge.source_first.tolist(), edge.source_last.tolist()) == (list(range(0, 28, 2)), list(range(1, 28, 2)))
    assert (edge.need_first.tolist(), edge.need_last.tolist()) == (list(range(10)), list(range(4, 14)))
    (edge,) = stream(network, "fc1").edges  # behind pooling, flattened: what each pooled row gives is sent by itself
    assert (edge.n_units, edge.unit_elements) == (5, 80)
    assert (edge.source_last.tolist(), edge.need_first.tolist(), edge.need_last.tolist()) == ([1, 3, 5, 7, 9], [0], [4])
    assert stream(network, "conv1").ops == {"activation_ops": 6 * 784, "pooling_ops": 6 * 784, "digital_ops": 0}
    (out,) = network.flow.outputs
    assert (out.source, out.n_units, out.unit_elements) == (5, 1, 10)


def test_a_stem_of_stride_two_and_overlapping_pooling_by_hand() -> None:
    """Rows of 9: kernel 3, stride 2, padding 1 gives 5; pooling 3, stride 2, padding 1 gives 3; then 1x1, stride 2."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(2, 3, 1, 2))
    network = from_torch(model, torch.zeros(2, 1, 9, 9))
    check(network)
    first, second = (stream(network, name) for name in ("0", "3"))
    (edge,) = first.edges
    assert (edge.need_first.tolist(), edge.need_last.tolist()) == ([0, 1, 3, 5, 7], [1, 3, 5, 7, 8])
    (edge,) = second.edges  # of the pooled rows 0-1, 1-3, 3-4 nobody needs the middle one
    assert (edge.n_units, edge.unit_elements) == (2, 2 * 3)
    assert (edge.source_first.tolist(), edge.source_last.tolist()) == ([0, 3], [1, 4])
    assert (edge.need_first.tolist(), edge.need_last.tolist()) == ([0, 1], [0, 1])


def test_residual_joins() -> None:
    network = from_torch(models.build(models.ResNet20), models.inputs(models.ResNet20, 2))
    made = sources(network)
    assert made["layer1.0.add"] == ["conv1", "layer1.0.conv2"]
    assert made["layer1.1.conv1"] == ["layer1.0.add"]
    assert made["layer1.1.add_1"] == ["layer1.0.add", "layer1.1.conv2"]
    assert [s.kind for s in network.flow.streams].count("join") == 9
    join = stream(network, "layer2.0.add_3")  # every second row and column of the shortcut, with channels of zeros
    shortcut, branch = join.edges
    assert (join.rows, shortcut.n_units, shortcut.unit_elements) == (16, 16, 16 * 16)
    assert shortcut.source_last.tolist() == list(range(0, 32, 2))
    assert branch.need_last.tolist() == list(range(16))
    assert network.flow.streams[join.at or 0].name == "layer2.0.conv2"
    assert join.ops == {"activation_ops": 32 * 256, "pooling_ops": 0, "digital_ops": 32 * 256}


def test_dense_connections_join_channel_by_channel() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        b = m.b(torch.relu(a))
        c = m.c(torch.cat([a, b], 1))
        return m.d(functional.avg_pool2d(torch.cat([a, b, c], 1), 2))

    conv = {name: nn.Conv2d(n, 4, 3, padding=1) for name, n in (("a", 3), ("b", 4), ("c", 8), ("d", 12))}
    network = from_torch(Do(forward, **conv), torch.zeros(2, 3, 8, 8))
    check(network)
    assert sources(network)["cat_1"] == ["a", "b", "c"]
    for edge in stream(network, "cat_1").edges:
        assert edge.need_first.tolist() == edge.need_last.tolist() == list(range(8))
        assert edge.unit_elements == 4 * 8
    (edge,) = stream(network, "d").edges
    assert edge.source_last.tolist() == [1, 3, 5, 7]


def test_an_encoder_keeps_its_vectors_apart_but_in_attention() -> None:
    network = from_torch(models.build(models.ViT), models.inputs(models.ViT, 2))
    made = sources(network)
    assert made["encoder.layers.0.add_1"] == ["patch", "encoder.layers.0.self_attn.out_proj"]
    attended, added = (stream(network, f"encoder.layers.0.{name}") for name in ("self_attn.out_proj", "add_1"))
    (edge,) = attended.edges
    assert (edge.n_units, edge.unit_elements) == (17, 32)
    assert (edge.source_first == 0).all()
    assert (edge.source_last == 16).all()
    patches, attention = added.edges
    assert (patches.n_units, patches.unit_elements) == (16, 32)  # the class token comes from no patch
    assert patches.source_last.tolist() == sorted([0, 1, 2, 3] * 4)
    assert attention.need_last.tolist() == list(range(17))
    assert stream(network, "head").edges[0].source_last.tolist() == [0]


def test_shortcuts_of_vectors_meet_rows_of_maps() -> None:
    """A ConvNeXt block: the linear layers see each position, the join each row of the map."""

    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.linear(functional.layer_norm(m.conv(x).permute(0, 2, 3, 1), (4,)))
        return m.head((x + y.permute(0, 3, 1, 2)).mean((2, 3)))

    parts = {"conv": nn.Conv2d(4, 4, 3, padding=1, groups=4), "linear": nn.Linear(4, 4), "head": nn.Linear(4, 2)}
    network = from_torch(Do(forward, **parts), torch.zeros(2, 4, 3, 5))
    check(network)
    assert [(s.name, s.rows) for s in network.flow.streams][1:] == [
        ("conv", 3),
        ("linear", 15),
        ("add", 3),
        ("head", 1),
    ]
    assert stream(network, "linear").edges[0].source_last.tolist() == sorted([0, 1, 2] * 5)
    image, result = stream(network, "add").edges
    assert (image.need_last.tolist(), result.need_last.tolist()) == ([0, 1, 2], [4, 9, 14])


def _written(m: Any, x: Tensor) -> Tensor:
    y = m.a(x)
    y += x
    out = torch.zeros(x.shape[0], 6, 4)
    out[:, :3] = functional.relu_(m.b(y))[:, :3]
    out[:, 3:] = m.c(x)[:, 3:]
    return m.d(out)


def _recurrent(m: Any, x: Tensor) -> Tensor:
    state = torch.zeros(x.shape[0], 4)
    for t in range(2):
        state = torch.tanh(m.a(x[:, t]) + m.b(state + 1))
    return m.c(state)


def _selected(m: Any, x: Tensor) -> Tensor:
    y = m.a(x)
    return m.b(y[y.sum(-1).abs() < 100])


def _dead(m: Any, x: Tensor) -> Tensor:
    m.b(x)
    m.c(x).add_(1)
    return m.a(x)


def linear(names: str) -> dict[str, nn.Module]:
    return {name: nn.Linear(4, 4) for name in names}


def test_what_is_written_into_a_tensor_reaches_its_readers() -> None:
    network = from_torch(Do(_written, **linear("abcd")), torch.randn(2, 6, 4))
    check(network)
    made = sources(network)
    assert (made["add_"], made["b"], made["d"]) == (["x", "a"], ["add_"], ["copy__1"])
    assert made["copy__1"] == ["b", "c"]


def test_a_state_of_zeros_starts_with_the_input() -> None:
    network = from_torch(Do(_recurrent, **linear("abc")), torch.randn(2, 2, 4))
    check(network)
    (edge,) = stream(network, "b").edges
    assert (edge.source, edge.n_units, edge.unit_elements) == (0, 1, 0)
    assert sources(network)["add_1"] == ["a", "b"]
    assert stream(network, "a:2").edges[0].source_last.tolist() == [1]


def test_sizes_that_only_the_data_tell() -> None:
    network = from_torch(Do(_selected, **linear("ab")), torch.ones(2, 5, 4))
    check(network)
    (edge,) = stream(network, "b").edges
    assert edge.source_last.tolist() == [4]


def test_dead_layers_are_streams_that_nobody_receives() -> None:
    network = from_torch(Do(_dead, **linear("abc")), torch.randn(2, 5, 4))
    check(network)
    assert sources(network) == {"c": ["x"], "a": ["x"]}


def test_several_inputs_and_outputs() -> None:
    def forward(m: Any, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        a, b = m.a(x), m.b(y)
        return a + b.mean(2)[:, :, None, None], b, x, torch.ones(3)

    model = DoTwo(forward, a=nn.Conv2d(3, 4, 3), b=nn.Conv1d(2, 4, 3))
    network = from_torch(model, (torch.randn(2, 3, 6, 6), torch.randn(2, 2, 9)))
    check(network)
    assert [(s.name, s.kind, s.rows) for s in network.flow.streams] == [
        ("x", "input", 6),
        ("y", "input", 9),
        ("a", "layer", 4),
        ("b", "layer", 7),
        ("add", "join", 4),
    ]
    assert sorted(network.flow.streams[e.source].name for e in network.flow.outputs) == ["add", "b", "x"]


def test_an_input_that_is_not_used_is_a_stream_too() -> None:
    network = from_torch(DoTwo(lambda m, x, y: m.a(y), a=nn.Linear(4, 4)), (torch.randn(2, 3), torch.randn(2, 4)))
    check(network)
    assert sources(network) == {"a": ["y"]}


def test_layers_kept_digital_are_operations_of_the_stream() -> None:
    parts = {"a": nn.Conv2d(1, 2, 3), "b": nn.Conv2d(2, 2, 3, 2), "up": nn.ConvTranspose2d(2, 2, 2, 2)}
    model = Do(lambda m, x: m.c(m.up(m.b(m.a(x)))), **parts, c=nn.Conv2d(2, 1, 1))
    network = from_torch(model, torch.randn(2, 1, 9, 9), digital=("b", "up"))
    check(network)
    assert sources(network) == {"a": ["x"], "c": ["a"]}
    assert stream(network, "a").ops["digital_ops"] == sum(d.ops_per_input for d in network.digital)
    (edge,) = stream(network, "c").edges  # transposed convolutions are opaque
    assert set(edge.source_last.tolist()) == {6}
    network = from_torch(model, torch.randn(2, 1, 9, 9), digital=("a", "up"))
    (edge,) = stream(network, "b").edges
    assert (edge.n_units, edge.source_last.tolist()) == (7, list(range(2, 9)))


def test_maps_of_many_images_per_input_are_rows_one_after_another() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.conv(x.flatten(0, 1)).mean((2, 3))
        return m.fc(y.view(x.shape[0], -1, 4))

    network = from_torch(Do(forward, conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(4, 4)), torch.randn(2, 5, 3, 8, 8))
    check(network)
    assert stream(network, "conv").rows == 5 * 6
    (edge,) = stream(network, "fc").edges
    assert edge.source_last.tolist() == [5, 11, 17, 23, 29]
    assert edge.need_last.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch about its own code
@pytest.mark.parametrize("kind", [models.ViT, models.Convolutions, models.Sequence1d], ids=lambda k: k.__name__)
def test_programs_of_a_fixed_batch_flow_alike(kind: type[nn.Module]) -> None:
    """Exported for a batch of 3 that nothing in them needs (and decomposed, where that maps): as with a free batch."""
    model = models.build(kind)
    free = from_torch(model, models.inputs(kind, 2)).flow
    exported = torch.export.export(model, (models.inputs(kind, 3),))
    for program in (exported, exported.run_decompositions()) if kind is models.Convolutions else (exported,):
        network = from_torch(program)
        check(network)
        for a, b in zip(network.flow.streams, free.streams, strict=True):
            assert (a.kind, a.rows, a.at, a.edges) == (b.kind, b.rows, b.at, b.edges)


def test_a_free_length_is_that_of_the_example() -> None:
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.AvgPool1d(2))
    shapes = ({0: Dim.AUTO, 2: Dim.AUTO},)
    program = torch.export.export(model, (torch.zeros(2, 2, 8),), dynamic_shapes=shapes)
    network = from_torch(program, torch.zeros(3, 2, 12))
    check(network)
    assert [s.rows for s in network.flow.streams] == [12, 10]
    assert network.flow.outputs[0].n_units == 5


def test_a_saved_program_flows_alike(tmp_path: Path) -> None:
    network = from_torch(models.build(models.ViT), models.inputs(models.ViT, 1))
    torch.export.save(network.exported, tmp_path / "host.pt2")
    assert from_torch(tmp_path / "host.pt2").flow == network.flow
