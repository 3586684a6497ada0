"""Any torch model becomes a network: traps that other tools miss, and errors that say what to do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from xbar import host
from xbar.errors import ModelError
from xbar.frontends.torch_module import from_torch
from xbar.network import Network


def layer_names(network: Network) -> list[str]:
    return [layer.name for layer in network.layers]


@cache
def trace(kind: type[nn.Module], **options: object) -> Network:
    return from_torch(models.build(kind), models.inputs(kind, 1), **options)  # type: ignore[arg-type]


def test_the_reference_models_have_their_published_sizes() -> None:
    count = {kind: sum(p.numel() for p in kind().parameters()) for kind in (models.LeNet5, models.CaffeLeNet)}
    assert count == {models.LeNet5: 61_706, models.CaffeLeNet: 431_080}
    weights = sum(p.numel() for n, p in models.ResNet20().named_parameters() if "bn" not in n)
    assert weights == 268_346  # the 0.27 M of He 2016, table 6


def test_layers_carry_the_users_module_paths() -> None:
    assert layer_names(trace(models.ResNet20))[:4] == ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1"]
    assert layer_names(trace(models.ViT))[:5] == [
        "patch",
        "encoder.layers.0.self_attn.in_proj",
        "encoder.layers.0.self_attn.out_proj",
        "encoder.layers.0.linear1",
        "encoder.layers.0.linear2",
    ]


def test_shortcuts_show_in_the_sources() -> None:
    sources = {layer.name: layer.sources for layer in trace(models.ResNet20).layers}
    assert sources["conv1"] == ()
    assert sources["layer1.0.conv2"] == ("layer1.0.conv1",)
    assert sources["layer1.1.conv1"] == ("conv1", "layer1.0.conv2")


def test_batch_norms_are_folded_and_bypassed() -> None:
    network = trace(models.ResNet20)
    assert len(network.bypass) == 19
    assert not [d for d in network.digital if "norm" in d.op]
    network = trace(models.Convolutions)
    assert len(network.bypass) == 1
    (alone,) = [d for d in network.digital if "norm" in d.op]
    assert (alone.name, alone.ops_per_input) == ("alone", 5 * 32)
    assert "no single matrix layer before it" in alone.reason


def test_batch_norm_folding_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.5)).eval()
    for parameter, value in zip(model.parameters(), (3.0, 2.0, 5.0, 7.0), strict=True):
        parameter.data.fill_(value)
    model[1].running_mean.fill_(1.0)  # type: ignore[operator]
    model[1].running_var.fill_(3.5)  # type: ignore[operator]
    (layer,) = from_torch(model, torch.ones(2, 1)).layers
    assert layer.weight == 3 * 5 / 2
    assert layer.bias == (2 - 1) * 5 / 2 + 7


def test_a_product_with_a_second_reader_keeps_its_batch_norm_digital() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.bn = nn.Linear(3, 3), nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x)
            return self.bn(y) + y

    model = models.with_statistics(Twice())
    network, x = from_torch(model, torch.randn(2, 3)), torch.randn(4, 3)
    assert network.bypass == ()
    torch.testing.assert_close(host.run(network, x), model(x).detach())


def test_shared_and_repeated_weights_are_tied_layers() -> None:
    tied = {layer.name: layer.tied_to for layer in trace(models.Traps).layers}
    assert tied == {
        "sub": None,
        "first": None,
        "first:2": "first",
        "second": "first",
        "packed": None,
        "packed:2": None,
        "normed": None,
        "kernel": None,
        "heads": None,
    }


def test_one_weight_with_different_batch_norms_folded_in_is_not_tied() -> None:
    fc, norm = nn.Linear(3, 3), nn.BatchNorm1d(3, eps=3.0)
    model = nn.Sequential(fc, nn.BatchNorm1d(3), fc, norm, fc, norm).eval()
    tied = {layer.name: layer.tied_to for layer in from_torch(model, torch.ones(2, 3)).layers}
    assert tied == {"0": None, "2": None, "4": "2"}


def test_slices_of_a_weight_are_its_rows() -> None:
    model = models.build(models.Traps)
    network = trace(models.Traps)
    weights = {layer.name: layer.weight for layer in network.layers}
    packed = model.packed.detach().numpy()  # type: ignore[operator, union-attr]
    assert np.array_equal(weights["packed"], packed[:10])
    assert np.array_equal(weights["packed:2"], packed[10:])


@pytest.mark.parametrize("training", [True, False])
def test_the_users_model_stays_as_it_was(training: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).train(training)
    model[2].train(not training)
    modes = [m.training for m in model.modules()]
    before, fast = copy.deepcopy(model.state_dict()), torch.backends.mha.get_fastpath_enabled()
    network = from_torch(model, torch.randn(1, 3))
    assert [m.training for m in model.modules()] == modes
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    x = torch.randn(5, 3)
    first = host.run(network, x)
    torch.nn.init.zeros_(model[0].weight)  # type: ignore[arg-type]
    model[1].running_mean.fill_(9.0)  # type: ignore[operator]
    assert torch.equal(host.run(network, x), first)


@pytest.mark.parametrize("kind", [models.MLP, models.ResNet20, models.ViT, models.Traps], ids=lambda k: k.__name__)
def test_saved_programs_keep_their_node_names(kind: type[nn.Module], tmp_path: Path) -> None:
    network = trace(kind)
    torch.export.save(network.exported, tmp_path / "host.pt2")
    again = from_torch(tmp_path / "host.pt2")
    assert again.name == "host"
    assert [n.name for n in again.exported.graph.nodes] == [n.name for n in network.exported.graph.nodes]
    assert [(a.name, a.node, a.tied_to, a.sources, a.vectors_per_input) for a in again.layers] == [
        (a.name, a.node, a.tied_to, a.sources, a.vectors_per_input) for a in network.layers
    ]
    assert all(np.array_equal(a.weight, b.weight) for a, b in zip(again.layers, network.layers, strict=True))
    assert (again.digital, again.bypass, again.fixed_batch) == (network.digital, network.bypass, network.fixed_batch)
    x = models.inputs(kind, 3)
    assert torch.equal(host.run(again, x), host.run(network, x))


def test_a_program_exported_for_one_input_takes_any_batch() -> None:
    model, x = models.build(models.ResNet20), models.inputs(models.ResNet20, 3)
    network = from_torch(torch.export.export(model, (x[:1],)))
    assert network.fixed_batch is None
    torch.testing.assert_close(host.run(network, x), model(x).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch about its own code
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_decomposed_programs_map_too() -> None:
    model, x = models.build(models.Convolutions), models.inputs(models.Convolutions, 3)
    core = torch.export.export(model, (x,)).run_decompositions()
    network = from_torch(core)
    assert layer_names(network) == ["depthwise", "grouped", "same"]
    assert len(network.bypass) == 2  # the BatchNorm and what unpacks its result
    torch.testing.assert_close(host.run(network, x), model(x).detach(), rtol=1e-4, atol=1e-4)


class Unmappable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.rnn = nn.ConvTranspose2d(2, 3, 2), nn.GRU(9, 4, batch_first=True)
        self.batch = nn.Parameter(torch.randn(3, 4, 5))
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.rnn(self.up(x).flatten(2))[0]
        return self.fc(torch.matmul(y.unsqueeze(2), self.batch).squeeze(2))


def test_what_cannot_be_mapped_is_named_all_at_once() -> None:
    model, x = Unmappable().eval(), torch.randn(2, 2, 2, 2)
    with pytest.raises(ModelError) as caught:
        from_torch(model, x)
    problems = caught.value.problems
    assert [p.split(" ")[2] for p in problems] == ["up", "rnn", "batch"]
    assert "transposed convolution" in problems[0]
    assert "digital=('rnn',)" in problems[1]
    network = from_torch(model, x, digital=("up", "rnn", "batch"))
    assert layer_names(network) == ["fc"]
    reasons = {d.name: d.reason for d in network.digital}
    assert reasons["rnn"].startswith("kept digital by the user (the recurrent loop")
    torch.testing.assert_close(host.run(network, x), model(x).detach())


def test_users_keep_layers_and_whole_modules_digital() -> None:
    network = trace(models.ViT, digital=("encoder.layers.0", "head"))
    assert layer_names(network) == ["patch", *(n for n in layer_names(trace(models.ViT)) if "layers.1" in n)]
    kept = {d.name: d.ops_per_input for d in network.digital if d.reason == "kept digital by the user"}
    assert kept["head"] == 2 * 32 * 10
    assert kept["encoder.layers.0.self_attn.in_proj"] == 2 * 17 * 32 * 96


def test_unknown_digital_names_are_all_told_with_a_suggestion() -> None:
    with pytest.raises(ModelError) as caught:
        trace(models.LeNet5, digital=("conv_1", "zzz"))
    assert caught.value.problems[0] == "LeNet5: digital: there is no layer 'conv_1'; did you mean 'conv1'?"
    assert "the layers are conv1, conv2, fc1, fc2, fc3" in caught.value.problems[1]


def test_operations_of_the_digital_part() -> None:
    ops = {(d.op, d.kind): d.ops_per_input for d in trace(models.LeNet5).digital}
    assert ops[("max_pool2d", "pooling")] == 16 * 10 * 10
    assert ops[("relu", "activation")] == 84
    attention = [d for d in trace(models.ViT).digital if d.op == "scaled_dot_product_attention"]
    assert [d.ops_per_input for d in attention] == [2 * 4 * 17 * 17 * (8 + 8)] * 2
    assert not [d for d in trace(models.ViT).digital if d.op in ("dropout", "transpose", "view")]


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_models_that_cannot_be_exported_are_explained() -> None:
    with pytest.raises(ModelError, match=r"Branches: torch\.export cannot trace it .*torch\.where") as caught:
        from_torch(Branches(), torch.randn(2, 2))
    assert "\n" not in caught.value.problems[0]
    with pytest.raises(ModelError, match="check the shape of the example input"):
        from_torch(models.build(models.MLP), torch.randn(2, 7))


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (nn.ReLU(), torch.randn(2, 2), "has no product with weights"),
        (nn.Linear(2, 2), None, "tracing needs an example input"),
        (nn.Linear(2, 2), "text", "expected a tensor or a tuple of arguments, got str"),
        (3, None, r"expected a torch\.nn\.Module.*got int"),
        ("absent.pt2", None, "there is no such file"),
    ],
)
def test_wrong_arguments(model: nn.Module, example: Tensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_torch(model, example)


def test_everything_digital_is_no_network() -> None:
    with pytest.raises(ModelError, match="keep fewer layers digital"):
        trace(models.MLP, digital=("1", "3", "5"))


def test_broken_weights_are_named_layer_by_layer() -> None:
    model = models.build(models.LeNet5)
    model.conv1.weight.data[0, 0, 0] = float("nan")  # type: ignore[operator, union-attr]
    model.fc2.bias.data[3] = float("inf")  # type: ignore[operator, union-attr]
    with pytest.raises(ModelError) as caught:
        from_torch(model, models.inputs(models.LeNet5, 1))
    assert [p.split(";")[0] for p in caught.value.problems] == [
        "LeNet5: layer conv1: 5 of its weights are NaN or infinite",
        "LeNet5: layer fc2: 1 of its biases are NaN or infinite",
    ]


def test_a_broken_digital_parameter_is_named_by_its_path() -> None:
    model = models.build(models.ViT)
    model.position.data[0, 3] = float("nan")  # type: ignore[operator, union-attr]
    with pytest.raises(ModelError, match="parameter position: holds NaN"):
        from_torch(model, models.inputs(models.ViT, 1))


def test_a_program_exported_in_training_mode_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    with pytest.raises(ModelError, match=r"training mode; call model\.eval"):
        from_torch(torch.export.export(model, (torch.randn(2, 1, 4, 4),)))


def test_an_example_of_another_shape_than_the_programs() -> None:
    program = torch.export.export(models.build(models.MLP), (models.inputs(models.MLP, 2),))
    with pytest.raises(ModelError, match=r"traced with \[2, 1, 8, 8\] of torch.float32, got \[2, 3\]"):
        from_torch(program, torch.randn(2, 3))


def test_no_grad_blocks_hide_no_layers() -> None:
    class NoGrad(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.a(x)
            return self.b(x)

    model, x = NoGrad(), torch.randn(2, 3)
    assert layer_names(from_torch(model, x)) == ["a", "b"]
    with pytest.raises(ModelError, match="it lies inside a wrap_with_set_grad_enabled"):
        from_torch(torch.export.export(model, (x,)))


class Forms(nn.Module):
    """Every way of writing a product with a constant matrix."""

    FORMS = ("left", "vector", "addmm", "summed", "swapped", "implicit", "batched")
    # a stack of one matrix is one matrix
    FORMS += ("one", "one_on_vectors", "one_on_stacks", "one_left", "one_left_of_vector", "one_bmm", "one_baddbmm")

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.w, self.b = form, nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4))
        self.cube = nn.Parameter(torch.randn(4, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        match self.form:
            case "left":
                return torch.matmul(self.w[:3], x.unsqueeze(-1).expand(-1, -1, 2))
            case "vector":
                return x @ self.w[0]
            case "addmm":
                return torch.addmm(self.b, x, self.w, beta=0.5, alpha=2.0)
            case "summed":
                return torch.einsum("ij,bj->bi", self.w, x)
            case "swapped":
                return torch.einsum("hbi,iko->kbho", x.reshape(1, -1, 4), self.cube)
            case "one":
                return x @ self.w[None, :, :3]
            case "one_on_vectors":
                return x[0] @ self.w[None, None, :, :3] + x.sum()
            case "one_on_stacks":
                return x.reshape(-1, 1, 1, 4) @ self.w[None, :, :3]
            case "one_left":
                return self.w[None, :3] @ x.unsqueeze(-1)
            case "one_left_of_vector":
                return self.w[None, None, :3] @ x[0] + x.sum()
            case "one_bmm":
                return torch.bmm(x[None], self.w[None, :, :3])
            case "one_baddbmm":
                return torch.baddbmm(self.b, x[None], self.w[None], beta=0.5, alpha=2.0)
            case "implicit":
                return torch.einsum("bj,jk", x, self.w)
            case _:
                return torch.einsum("...j,jk->...k", x.unsqueeze(1), self.w[:, 1:])


@pytest.mark.parametrize("form", Forms.FORMS)
def test_every_way_to_write_a_product_maps(form: str) -> None:
    model, x = Forms(form), torch.randn(5, 4)
    network = from_torch(model, torch.randn(2, 4))
    assert len(network.layers) == 1
    torch.testing.assert_close(host.run(network, x), model(x).detach())


@pytest.mark.parametrize("product", [torch.bmm, torch.matmul, lambda x, w: torch.baddbmm(x[:, :, :3], x, w)])
def test_a_stack_of_several_matrices_is_refused(product: Callable[[Tensor, Tensor], Tensor]) -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(2, 4, 3))

        def forward(self, x: Tensor) -> Tensor:
            return product(x.reshape(2, -1, 4), self.w)

    with pytest.raises(ModelError, match=r"layer w .*: a different matrix for every batch entry"):
        from_torch(Stack(), torch.randn(6, 4))


def test_an_einsum_that_spreads_a_single_row_is_refused() -> None:
    class Spread(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(1, 3))

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("bj,jk->bk", x, self.w)

    with pytest.raises(ModelError, match=r"layer w .*einsum 'bj,jk->bk' is not one matrix"):
        from_torch(Spread(), torch.randn(2, 4))
    assert len(from_torch(Spread(), torch.randn(2, 1)).layers) == 1


def test_products_of_activations_are_no_layers() -> None:
    class Gram(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x)
            return functional.softmax(torch.einsum("bij,bkj->bik", y, x), -1) @ x

    network = from_torch(Gram(), torch.randn(2, 5, 3))
    assert layer_names(network) == ["fc"]
    assert [d.op for d in network.digital] == ["einsum", "softmax", "matmul"]
    assert [d.ops_per_input for d in network.digital] == [2 * 25 * 3, 25, 2 * 15 * 5]


def test_embeddings_are_lookups() -> None:
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 2))
    network = from_torch(model, torch.tensor([[1, 2, 3]]))
    assert layer_names(network) == ["1"]
    assert [(d.op, d.reason) for d in network.digital] == [("embedding", "a lookup, not a product")]
    x = torch.tensor([[0, 6, 3], [1, 1, 2]])
    torch.testing.assert_close(host.run(network, x), model(x).detach())


def test_compiled_and_parallel_models_are_unwrapped() -> None:
    model, x = nn.Sequential(nn.Linear(3, 2)), torch.randn(2, 3)
    for wrapped in (torch.compile(model, backend="eager"), nn.DataParallel(model)):
        network = from_torch(wrapped, x)
        assert (network.name, layer_names(network)) == ("Sequential", ["0"])


def test_a_model_for_one_input_at_a_time() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(x).view(1, -1))

    model, x = One(), torch.randn(3, 1, 4, 4)
    network = from_torch(model, x[:1])
    assert network.fixed_batch == 1
    torch.testing.assert_close(host.run(network, x), torch.cat([model(x[i : i + 1]) for i in range(3)]).detach())


def test_fused_attention_operations_are_refused_by_name() -> None:
    class Fused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.fc = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            a = self.attention
            y, _ = torch.ops.aten._native_multi_head_attention(
                x, x, x, 8, 2, a.in_proj_weight, a.in_proj_bias, a.out_proj.weight, a.out_proj.bias, None, False
            )
            return self.fc(y)

    with pytest.raises(ModelError, match=r"attention\.in_proj .*fused attention hides its projections"):
        from_torch(Fused(), torch.randn(2, 5, 8))


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.loop = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.loop(x)[0][:, -1])


@pytest.mark.filterwarnings("ignore:The tensor attributes self.loop:UserWarning")  # of torch's own export
def test_a_recurrent_loop_for_a_fixed_batch_is_not_run_on_another() -> None:
    """torch reads beyond the hidden state, and may crash, where its batch is not that of the input."""
    model = _Recurrent().eval()
    exported = torch.export.export(model, (torch.zeros(2, 4, 8),))
    network = from_torch(exported, digital=("loop",))
    assert network.fixed_batch == 2
    x = torch.randn(5, 4, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(host.run(network, x), model(x).detach())
