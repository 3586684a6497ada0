"""Whole networks: equal to the integer network with lossless ADCs, to the plain reference otherwise, with counts."""

from __future__ import annotations

from dataclasses import replace

import models
import numpy as np
import pytest
import torch
from reference import reference_multiply
from small import random_weights, small_chip, small_network
from torch import Tensor, nn

import mapping
from xbar.errors import DataError, ModelError
from xbar.frontends.torch_module import from_torch
from xbar.host import Host
from xbar.network import QuantizedNetwork
from xbar.program import Program
from xbar.quantization import integer_forward, quantize
from xbar.sim import simulate
from xbar.sim.crossbar import Counts
from xbar.sim.simulate import walk

ENCODINGS = {
    "differential": {"kind": "differential"},
    "offset": {"kind": "offset"},
    "flipped": {"kind": "offset", "flipped": True},
    "separate": {"kind": "differential", "layout": "separate"},
}


def _chip(encoding: dict[str, object], adc: dict[str, object] | None = None, **precision: object):  # type: ignore[no-untyped-def]
    return small_chip(
        encoding={"layout": "interleaved", **encoding}, adc=adc or {"kind": "ideal"}, chip__tiles=100_000,
        precision={"weight_bits": 8, "input_bits": 8, **precision}, device__cell_bits=2, crossbar__rows=32,
        crossbar__cols=32,
    )  # fmt: skip


def _sar(**settings: object) -> dict[str, object]:
    return {
        "kind": "sar", "source": "made up", "bits": 5, **settings,
        "reference": {"bits": 8, "power_W": 1e-3, "area_m2": 1e-9, "rate_Hz": 1e9},
    }  # fmt: skip


def _program(kind: type[nn.Module], chip) -> tuple[Program, QuantizedNetwork, Tensor]:  # type: ignore[no-untyped-def]
    x = models.inputs(kind, 5)
    qnet = quantize(models.traced(kind), x, chip)
    return mapping.compile(qnet, chip), qnet, x


def _by_reference(program: Program, x: Tensor):  # type: ignore[no-untyped-def]
    def multiply(index: int, rows: np.ndarray, first_vector: int) -> tuple[Tensor, Counts]:
        found = reference_multiply(program.layers[index], rows)
        return torch.from_numpy(found.out), Counts(found.saturations, found.unit_saturations)

    return walk(program, Host(program.network), x, multiply)


KINDS = (models.MLP, models.LeNet5, models.ViT, models.Traps, models.Convolutions, models.Sequence1d, models.Volume)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_lossless_equals_the_integer_network_bit_for_bit(kind: type[nn.Module], encoding: str) -> None:
    program, qnet, x = _program(kind, _chip(ENCODINGS[encoding]))
    result = simulate(program, x)
    assert torch.equal(result.outputs, integer_forward(qnet, x))
    assert not any(sum(layer.saturations) for layer in result.activity.layers)


def test_one_level_weights_in_ternary_cells() -> None:
    chip = small_chip(
        encoding={"kind": "ternary"}, adc={"kind": "ideal"}, chip__tiles=1000, device__cell_bits=1,
        precision={"weight_bits": 2, "input_bits": 6, "weights": "one_level"},
    )  # fmt: skip
    program, qnet, x = _program(models.MLP, chip)
    assert torch.equal(simulate(program, x).outputs, integer_forward(qnet, x))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", [models.MLP, models.Convolutions, models.ViT], ids=lambda k: k.__name__)
def test_clipping_networks_equal_the_reference_with_all_counts(kind: type[nn.Module], encoding: str) -> None:
    program, _, x = _program(kind, _chip(ENCODINGS[encoding], _sar(bits=4)))
    result, wanted = simulate(program, x), _by_reference(program, x)
    assert torch.equal(result.outputs, wanted.outputs)
    assert result.activity == wanted.activity
    assert sum(sum(layer.saturations) for layer in result.activity.layers) > 0


def test_range_mode_with_bits_per_slice_equals_the_reference() -> None:
    adc = _sar(bits=[5, 4, 3, 2], mode="range", full_scale="worst_case")
    program, _, x = _program(models.MLP, _chip(ENCODINGS["differential"], adc))
    result, wanted = simulate(program, x), _by_reference(program, x)
    assert torch.equal(result.outputs, wanted.outputs)
    assert result.activity == wanted.activity


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_the_batch_size_changes_nothing(batch_size: int) -> None:
    program, _, x = _program(models.Sequence1d, _chip(ENCODINGS["flipped"], _sar(bits=4)))
    one, other = simulate(program, x), simulate(program, x, batch_size)
    assert torch.equal(one.outputs, other.outputs)
    assert one.activity == other.activity


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    program, _, x = _program(models.LeNet5, _chip(ENCODINGS["offset"], _sar(bits=5)))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result = simulate(program, x[:2])
    finally:
        torch.set_num_threads(before)
    wanted = simulate(program, x[:2])
    assert torch.equal(result.outputs, wanted.outputs)
    assert result.activity == wanted.activity


def test_events_by_hand() -> None:
    # one layer, 8 rows and 2 columns in 2 slices of 3 bits and 2 polarities; inputs of 4 bits in 4 pulses
    qnet = small_network([np.full((2, 8), 5, np.int32)], vectors=3)
    program = mapping.compile(qnet, small_chip(precision={"weight_bits": 4, "input_bits": 4}))
    x = torch.zeros(2, 3, 8)
    x[0, 0, :2] = torch.tensor([3.0, 8.0])
    x[1, 2, 7] = 20.0  # beyond the range: read as 15
    result = simulate(program, x)
    layer, events = result.activity.layers[0], program.layers[0].per_vector
    assert result.outputs[1, 2].tolist() == [75, 75]
    assert (layer.n_vectors, layer.clipped_inputs) == (6, 1)
    assert layer.active_rows == 2 + 1 + 4
    assert layer.array_reads == 6 * events.array_reads
    assert layer.conversions == tuple(6 * n for n in events.conversions)
    assert layer.link_bits == 2 * program.layers[0].link_bits_per_input
    assert result.activity.host == {name: 2 * n for name, n in program.host_ops.items()}


class FixedBatch(nn.Module):
    """Insists on four inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)).reshape(4, 5))


def test_filling_a_fixed_batch_is_not_counted() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 6)
    network = from_torch(FixedBatch().eval(), x[:4])
    assert network.fixed_batch == 4
    chip = _chip(ENCODINGS["differential"], _sar(bits=3))
    qnet = quantize(network, [x[:4]], chip)
    program = mapping.compile(qnet, chip)
    result = simulate(program, x)
    assert torch.equal(result.outputs[4:], simulate(program, x[4:]).outputs)
    whole, parts = result.activity, simulate(program, x[:4]).activity + simulate(program, x[4:]).activity
    assert whole == parts
    assert [layer.n_vectors for layer in whole.layers] == [6, 6]


def test_progress_hears_every_batch() -> None:
    program = mapping.compile(small_network(random_weights([(3, 8)])), small_chip())
    heard: list[tuple[int, int]] = []
    simulate(program, torch.ones(5, 1, 8), 2, lambda done, total: heard.append((done, total)))
    assert heard == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(5, 1, 7), "expected shape"),
        (torch.full((2, 1, 8), float("nan")), "NaN"),
        (torch.ones(0, 1, 8), "at least one input"),
        (torch.ones(5, 1, 8, dtype=torch.float64), "float32"),
        (np.ones((5, 1, 8)), "tensor"),
        (torch.tensor(1.0), "expected shape"),
    ],
)
def test_wrong_inputs(x: object, message: str) -> None:
    program = mapping.compile(small_network(random_weights([(3, 8)])), small_chip())
    with pytest.raises(DataError, match=message):
        simulate(program, x)  # type: ignore[arg-type]


def test_wrong_batch_size_and_missing_full_scale() -> None:
    program = mapping.compile(small_network(random_weights([(3, 8)])), small_chip())
    with pytest.raises(DataError, match="batch_size"):
        simulate(program, torch.ones(5, 1, 8), 0)
    layer = program.layers[0]
    open_range = replace(layer.adc, mode="range", full_scale=None)
    with pytest.raises(ModelError, match="calibrate"):
        simulate(replace(program, layers=(replace(layer, adc=open_range),)), torch.ones(5, 1, 8))


def test_every_crossbar_has_a_unit_column_that_saturates() -> None:
    """20 columns of 4 cells fill three crossbars of 32 columns; 32 driven word lines exceed what 4 bits can say."""
    chip = _chip(ENCODINGS["offset"], _sar(bits=4))
    qnet = quantize(from_torch(nn.Linear(32, 20), torch.ones(2, 32)), torch.ones(2, 32), chip)
    (layer,) = simulate(mapping.compile(qnet, chip), torch.ones(3, 32)).activity.layers
    assert layer.unit_conversions == 3 * 8 * 3
    assert layer.unit_saturations == layer.unit_conversions
