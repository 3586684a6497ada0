"""Rates against activations: by hand, as a property, on digits; and what is refused, by name."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import mapping
import xbar
from tests.digits_training import digits
from xbar.errors import DataError, ModelError
from xbar.frontends.rate_coded import rate_coded
from xbar.parts.neurons import SUBTRACT
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork

Bools = NDArray[np.bool_]


@lru_cache
def chip(axons: int = 256) -> SpikingChip:
    return load_spiking_chip("truenorth_science_2014", {"core.axons": axons})


def weights(layer: SpikingLayer) -> NDArray[np.float64]:
    """Integer weights [line, neuron]."""
    full = layer.synapses.toarray().astype(np.int64)
    table = np.concatenate([np.zeros((layer.n_neurons, 1)), layer.neurons.weight], 1)
    return np.take_along_axis(table.T, full, 0)


def evenly(rates: NDArray[np.floating], n_ticks: int) -> Bools:
    """Spikes [tick, batch, line] as evenly spread as whole ticks allow."""
    tick = np.arange(n_ticks)[:, None, None]
    return np.floor((tick + 1) * rates + 0.5) > np.floor(tick * rates + 0.5)


def fired(network: SpikingNetwork, inputs: Bools) -> list[Bools]:
    """Spikes [tick, batch, neuron] of every layer by the neuron's own step alone.

    A layer fires one tick after the deepest of its sources; the others wait for that one.
    """
    n_ticks, n_batch, _ = inputs.shape
    spikes, depth = {INPUT: inputs}, {INPUT: 0}
    none = np.zeros(1, np.int32)
    for layer in network.layers:
        depth[layer.name] = 1 + max(depth[source] for source in layer.sources)
        lines = []
        for source, delay in zip(layer.sources, layer.delays, strict=True):
            late = delay + depth[layer.name] - max(depth[source], 1)
            lines.append(np.concatenate([np.zeros_like(spikes[source][:late]), spikes[source][: n_ticks - late]]))
        added = (np.concatenate(lines, -1) @ weights(layer)).astype(np.int32)
        potential = np.repeat(layer.neurons.initial[None], n_batch, 0)
        out = np.zeros((n_ticks, n_batch, layer.n_neurons), np.bool_)
        for tick in range(n_ticks):
            potential, out[tick] = chip().neuron.update(layer.neurons, potential, added[tick], none, none)
        spikes[layer.name] = out
    return [spikes[layer.name] for layer in network.layers]


def rates(network: SpikingNetwork, inputs: Tensor, n_ticks: int) -> list[NDArray[np.float64]]:
    """Rates [batch, neuron] of every layer over n_ticks from the tick in which its first spikes can come."""
    n_layers = len(network.layers)
    found = fired(network, evenly(inputs.flatten(1).numpy().astype(np.float64), n_ticks + n_layers))
    return [out[depth : depth + n_ticks].mean(0) for depth, out in enumerate(found)]


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight))
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


def converted(model: nn.Module, inputs: Tensor, axons: int = 256, percentile: float = 100.0) -> SpikingNetwork:
    return rate_coded(xbar.from_torch(model, inputs[:2]), inputs, chip(axons), percentile=percentile)


def activations(model: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    with torch.no_grad():
        return model.eval()(inputs).flatten(1).double().numpy()


def test_one_neuron_fires_at_the_rate_of_its_activation() -> None:
    model = nn.Sequential(linear([[0.5, -0.25]], [0.125]), nn.ReLU())
    inputs = torch.tensor([[1.0, 0.5], [0.25, 1.0], [0.0, 1.0], [1.0, 0.0]])
    network = converted(model, inputs)
    (layer,) = network.layers  # the ReLU at the end is the output
    # lambda is 0.625, so that w' = 0.8, -0.4 and b' = 0.2; 255 / 0.8 = 318.75
    assert layer.neurons.threshold.tolist() == [318]
    assert weights(layer).T.tolist() == [[254, -127]]
    assert layer.neurons.leak.tolist() == [64] or abs(layer.neurons.leak[0] - 63.6) < 1
    assert layer.neurons.reset_mode.tolist() == [SUBTRACT]
    assert layer.neurons.initial.tolist() == [159]
    expected = activations(model, inputs) / 0.625
    np.testing.assert_allclose(rates(network, inputs, 1000)[0], expected, atol=0.005)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from([32, 128, 512]))
def test_rates_are_clipped_activations_up_to_one_by_ticks(seed: int, n_ticks: int) -> None:
    """Weights of two levels and no bias leave rounding of the integers (1 in 500) and of the count alone."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.2, 1, (5, 1)) * rng.choice([-1, 1, 1, 0.5], (5, 8))
    model = nn.Sequential(linear(level.tolist(), [0.0] * 5), nn.ReLU())
    inputs = torch.from_numpy(rng.random((20, 8)).astype(np.float32))
    network = converted(model, inputs, percentile=90.0)
    real = activations(model, inputs)
    scale = np.percentile(real, 90) or real.max() or 1.0
    found = rates(network, inputs, n_ticks)[0]
    most = np.abs(level).sum(1).max() / scale  # spikes in one tick, in thresholds
    np.testing.assert_allclose(found, np.clip(real / scale, 0, 1), atol=(1.5 + 2 * most) / n_ticks + 0.02)


class Branches(nn.Module):
    """A residual block with a normalisation inside, a concatenation, ReLU6 and a pooling; input [2, 6, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.down, self.last = nn.Conv2d(6, 4, 1), nn.Linear(36, 5)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first((x - 0.25) / 0.5))
        y = functional.relu(self.second(y) + y, inplace=True)
        y = functional.relu6(self.down(torch.cat([y, x], 1)))
        y = self.drop(functional.avg_pool2d(y, 2)).view(x.shape[0], -1)
        return functional.log_softmax(self.last(y), -1)


def test_branches_shifts_and_reshapes_reach_the_right_neurons() -> None:
    torch.manual_seed(1)
    model = Branches().eval()
    inputs = torch.rand(24, 2, 6, 6)
    network = converted(model, inputs)
    assert [(layer.name, layer.sources, layer.delays) for layer in network.layers] == [
        ("first", (INPUT,), (0,)),
        ("second", ("first",), (0,)),
        ("down", (INPUT, "second"), (0, 0)),
        ("last", ("down",), (0,)),
    ]
    assert network.classes is not None
    assert network.classes.tolist() == [0, 1, 2, 3, 4]
    assert any("softmax at the end" in note for note in network.notes)
    real = functional.relu(model.first((inputs - 0.25) / 0.5))
    deeper = functional.relu(model.second(real) + real)
    down = functional.relu6(model.down(torch.cat([deeper, inputs], 1)))
    found = rates(network, inputs, 400)
    for depth, expected in enumerate((real, deeper, down)):
        goal = expected.detach().flatten(1).numpy() / expected.max().item()
        assert np.corrcoef(found[depth].ravel(), goal.ravel())[0, 1] > 0.97
        assert np.abs(found[depth] - goal).mean() < 0.05


def test_a_pooling_gets_neurons_of_its_own_where_its_product_would_not_fit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 3)
    )
    inputs = torch.rand(40, 1, 8, 8)
    folded, own = converted(model, inputs, axons=256), converted(model, inputs, axons=40)
    assert [layer.n_lines for layer in folded.layers] == [64, 144, 6]
    assert [layer.n_lines for layer in own.layers] == [64, 144, 36, 6]
    pool = own.layers[1]
    assert (np.diff(pool.synapses.indptr) == 4).all()
    assert len(set(pool.neurons.weight.ravel().tolist()) - {0}) == 1
    found = rates(own, inputs, 300)
    expected = found[0].reshape(-1, 4, 3, 2, 3, 2).mean((3, 5)).reshape(40, -1)
    ratio = (expected * found[1]).sum() / (found[1] ** 2).sum()
    np.testing.assert_allclose(found[1] * ratio, expected, atol=0.02)


def test_products_in_a_row_become_one_and_names_stay_apart() -> None:
    torch.manual_seed(0)
    shared = nn.Linear(6, 6)
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4), nn.Linear(4, 6), nn.ReLU(), shared, nn.ReLU(), shared)
    inputs = torch.rand(30, 6)
    network = converted(model, inputs)
    assert [layer.n_lines for layer in network.layers] == [6, 6, 6]
    assert len({layer.name for layer in network.layers}) == 3


def test_fewer_levels_are_less_exact_and_take_fewer_types() -> None:
    torch.manual_seed(0)
    inputs = torch.rand(50, 12)
    network = xbar.from_torch(nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 3)), inputs[:2])
    errors = []
    for levels in (1, 2, 3, 4):
        found = rate_coded(network, inputs, chip(), levels=levels)
        first = found.layers[0]
        assert max(len(set(column) - {0}) for column in weights(first).T.tolist()) == levels
        errors.append(float(found.notes[0].split("off by ")[1].split("%")[0]))
    assert errors == sorted(errors, reverse=True)


class InPairs(nn.Module):
    """Folds time into the batch, as sequence models do; input [3, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.all = nn.Linear(4, 5), nn.Linear(15, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.each(x.reshape(-1, 4)))
        return self.all(y.reshape(x.shape[0], 15))


def test_a_batch_that_holds_more_axes_is_unfolded() -> None:
    torch.manual_seed(0)
    network = converted(InPairs(), torch.rand(20, 3, 4))
    first = network.layers[0]
    assert (first.n_lines, first.n_neurons) == (12, 15)
    assert (weights(first)[:4, 5:] == 0).all()


def test_a_network_of_a_fixed_batch_is_converted_in_such_batches() -> None:
    torch.manual_seed(0)
    model = InPairs().eval()
    inputs = torch.rand(12, 3, 4)
    fixed = xbar.from_torch(torch.export.export(model, (inputs[:4],)))
    assert fixed.fixed_batch == 4
    network = rate_coded(fixed, inputs, chip())
    free = rate_coded(xbar.from_torch(model, inputs[:2]), inputs, chip())
    for a, b in zip(network.layers, free.layers, strict=True):
        np.testing.assert_array_equal(weights(a), weights(b))
    with pytest.raises(DataError, match="needs a batch of 4 calibration inputs, got 3"):
        rate_coded(fixed, inputs[:3], chip())


def test_a_dead_layer_and_silent_outputs_are_told() -> None:
    model = nn.Sequential(linear([[0.0, 0.0]], [-1.0]), nn.ReLU(), linear([[1.0]], [-0.5]))
    network = converted(model, torch.rand(10, 2))
    assert network.layers[0].synapses.nnz == 0
    assert any("silent for 100.0% of the calibration inputs" in note for note in network.notes)
    assert not rates(network, torch.rand(10, 2), 20)[1].any()


def test_every_parameter_is_in_the_range_of_the_chip() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 30), nn.ReLU(), nn.Linear(30, 4))
    for layer in (model[0], model[2]):
        layer.weight.data *= torch.logspace(-4, 4, layer.weight.shape[0])[:, None]
        layer.bias.data *= 50
    network = converted(model, torch.rand(50, 8))
    for layer in network.layers:
        values = dict(layer.neurons.items())
        assert not any(rule.broken(values[rule.name]).any() for rule in chip().neuron.rules())
        assert (layer.neurons.threshold > 0).all()
        assert layer.synapses.data.min() >= 1
        assert layer.synapses.data.max() <= 4


class Refused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(8, 8), nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.a(x))
        y = self.norm(y) * torch.softmax(self.b(x), -1)
        y = functional.max_pool1d(y, 2)
        return y + functional.leaky_relu(y)


def test_everything_without_a_rate_coded_form_is_named_with_its_remedy() -> None:
    network = xbar.from_torch(Refused(), torch.rand(2, 8))
    with pytest.raises(ModelError) as caught:
        rate_coded(network, torch.rand(4, 8) * 2 - 1, chip())
    text = str(caught.value)
    for op, remedy in (
        ("sigmoid", "use nn.ReLU"),
        ("layer_norm", "use BatchNorm"),
        ("mul", "multiplies or divides activations"),
        ("softmax", "at the very end alone"),
        ("max_pool1d", "use nn.AvgPool2d"),
        ("leaky_relu", "use nn.ReLU"),
    ):
        assert any(f": {op} has no rate-coded form; " in p and remedy in p for p in caught.value.problems), text
    assert "calibration inputs must be rates from 0 to 1" in text
    assert len(caught.value.problems) == 7, text


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        return y + y.flip(0)


class OnlyFirst(Mixed):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.a(x))[0:1] * 2


class Rewritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        torch.relu_(y.view(-1))
        return y + 1


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.a(x + y)


def test_single_refusals() -> None:
    x = torch.rand(4, 4)
    with pytest.raises(ModelError, match="keep the inputs of a batch apart"):
        rate_coded(xbar.from_torch(Mixed(), x), x, chip())
    with pytest.raises(ModelError, match="keep the inputs of a batch apart"):
        rate_coded(xbar.from_torch(OnlyFirst(), x), x, chip())
    with pytest.raises(ModelError, match="which others read; write it out of place"):
        rate_coded(xbar.from_torch(Rewritten(), x), x, chip())
    with pytest.raises(ModelError, match="must have one input, got 2"):
        rate_coded(xbar.from_torch(TwoInputs(), (x, x)), x, chip())
    two = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="is kept digital, but cores must hold every product"):
        rate_coded(xbar.from_torch(two, x, digital=["2"]), x, chip())
    with pytest.raises(DataError, match="expected shape"):
        rate_coded(xbar.from_torch(two, x), torch.rand(4, 5), chip())
    with pytest.raises(ModelError, match="percentile: must be above 0"):
        rate_coded(xbar.from_torch(two, x), x, chip(), percentile=0)
    with pytest.raises(ModelError, match="levels: must be from 1 to 4, got 5"):
        rate_coded(xbar.from_torch(two, x), x, chip(), levels=5)


def test_trained_digits_keep_their_accuracy() -> None:
    images, labels = digits("train")
    images, labels = images.reshape(-1, 1, 8, 8).float(), labels.long()
    tests, truth = digits("test")
    tests = tests.reshape(-1, 1, 8, 8).float()[:200]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(72, 32), nn.ReLU(), nn.Linear(32, 10),
        )  # fmt: skip
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(8):
            for batch in torch.randperm(len(images)).split(64):
                loss = functional.cross_entropy(model(images[batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    real = activations(model, tests).argmax(1)
    network = converted(model, images[:300], percentile=99.9)
    assert all(np.diff(layer.synapses.indptr).max() <= 256 for layer in network.layers)
    known = truth[:200].numpy()
    program = mapping.compile_spikes(network, chip())
    assert program.classes is not None
    spikes = evenly(tests.flatten(1).numpy().astype(np.float64), 128 + program.latency)
    result = simulate_spikes(program, spikes)
    votes = result.votes(program.classes).argmax(1)
    assert (real == known).mean() > 0.9
    assert (votes == known).mean() > (real == known).mean() - 0.04
    assert program.latency == len(network.layers) - 1  # then cores and plain layers are in step
    np.testing.assert_array_equal(result.outputs[:, :20], fired(network, spikes[:, :20])[-1])
