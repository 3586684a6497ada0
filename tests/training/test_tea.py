"""Tea learning: the chance that a neuron fires, networks of cores, and what leaves training for the chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from close import approx
from digits_training import digits, step
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xbar.demo.train import write
from xbar.errors import LayerError, TrainingError
from xbar.frontends.tea_model import load_bernoulli
from xbar.spiking.bernoulli import BernoulliNetwork
from xbar.training.base import Method, Together
from xbar.training.tea import Tea, tea_structure, to_bernoulli
from xbar.training.tea_network import TeaLayer, TeaNetwork, alternating, balanced, merged, patches
from xbar.training.truenorth_bias import TrueNorthBias


def small(scale: float = 40.0) -> TeaNetwork:
    """8x8 digits on four cores of 25 axons x 40 neurons, then one of 160 x 60."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = TeaLayer(patches((1, 8, 8), 5, 3), *balanced(4, 25, 40, 10))
        second = TeaLayer(np.arange(160, dtype=np.int32)[None], *balanced(1, 160, 60, 10, seed=1))
        return TeaNetwork(64, [first, second], merged(60, 10), scale)


def fitted(method: Method, epochs: int = 6) -> TeaNetwork:
    model, (images, labels) = small(), digits("train")
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    method.attach(model, optimizer)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=order).split(50):
            step(model, optimizer, method, images[chosen], labels[chosen])
    method.finish()
    return model


def fired(network: BernoulliNetwork, images: Tensor, seed: int, copy: int = 0) -> np.ndarray:
    """Spikes [image, output] of a sampled copy, as a chip counts them: inputs spike as often as they are large."""
    drawn = np.random.default_rng([seed, copy])
    spikes = (drawn.random((len(images), network.n_inputs)) < images.flatten(1).numpy()).astype(np.float64)
    for layer, synapses in zip(network.layers, network.sample(seed, copy), strict=True):
        heard = np.pad(spikes, ((0, 0), (0, 1)))[:, layer.lines].transpose(1, 0, 2)  # [core, image, axon]
        potential = layer.leak[:, None] + heard @ (synapses * layer.strengths()).astype(np.float64)  # exact: integers
        spikes = (potential >= 0).transpose(1, 0, 2).reshape(len(images), -1).astype(np.float64)
    return spikes


def votes(network: BernoulliNetwork, spikes: np.ndarray) -> np.ndarray:
    return np.stack([spikes[:, network.classes == k].sum(1) for k in range(10)], 1)


def test_a_hand_sized_neuron_fires_with_its_gaussian_chance() -> None:
    layer = TeaLayer(np.array([[0, 1, -1]]), np.array([[0, 1, 0]]), np.array([[[2, -1, 0, 0]]]))
    layer.connection.data = torch.tensor([[[0.5], [0.25], [1.0]]])
    layer.bias.data = torch.tensor([[-0.5]])
    mean = -0.5 + 0.8 * 0.5 * 2 - 0.4 * 0.25
    variance = 0.4 * 0.6 * 4 + 0.1 * 0.9
    expected = 0.5 * (1 + torch.erf(torch.tensor((mean + 0.5) / (2 * (variance + 1 / 12)) ** 0.5)))
    torch.testing.assert_close(layer(torch.tensor([[0.8, 0.4]])), expected.reshape(1, 1))


def test_the_chance_is_that_of_sampled_neurons_and_the_half_matters() -> None:
    images, model = digits("test")[0][:100], small()
    network, first = to_bernoulli(model), model.layers[0]
    one = BernoulliNetwork(64, network.layers[:1], np.zeros(160, np.int32))
    rates = np.mean([fired(one, images, seed=3, copy=copy) for copy in range(200)], 0)
    told = first(images.flatten(1)).detach().numpy()
    assert np.abs(told - rates).mean() < 0.03  # 0.035 is the error of 200 draws of a half
    first.bias.data -= 0.5
    assert np.abs(first(images.flatten(1)).detach().numpy() - rates).mean() > 0.06


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([1, 7, 255]))
def test_outputs_are_chances_with_finite_slopes_even_where_all_is_certain(seed: int, certain: bool, large: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    types, weight = balanced(2, 6, 5, 5, seed)
    layer = TeaLayer(np.arange(12).reshape(2, 6), types, weight * large)
    x, c = torch.rand(3, 12, generator=drawn), torch.rand(2, 6, 5, generator=drawn)
    x, layer.connection.data = (x.round(), c.round()) if certain else (x, c)
    out = layer(x)
    assert out.shape == (3, 10)
    assert bool(((out >= 0) & (out <= 1)).all())
    out.sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in layer.parameters())
    if certain:
        network = BernoulliNetwork(12, to_bernoulli(TeaNetwork(12, [layer], merged(10, 5))).layers, merged(10, 5))
        assert np.array_equal(fired(network, x, 0), out.detach().numpy() >= 0.5)


def test_logits_are_scaled_means_of_the_votes() -> None:
    model = small(scale=8.0)
    x = digits("test")[0][:5]
    fires = model.layers[1](model.layers[0](x.flatten(1)))
    torch.testing.assert_close(model(x), 8 * fires.reshape(5, 6, 10).mean(1))


def test_patches_cover_the_image_in_cores() -> None:
    lines = patches((2, 28, 28), 16, 12)
    assert lines.shape == (4, 512)
    assert lines[0, :17].tolist() == [*range(16), 28]
    assert lines[3, -1] == 2 * 28 * 28 - 1
    assert set(lines.ravel().tolist()) == set(range(2 * 28 * 28))
    for wrong in ((16, 13), (29, 1), (4, 6), (0, 1)):
        with pytest.raises(TrainingError, match="must cover an image of 28 x 28"):
            patches((1, 28, 28), *wrong)


def test_types_and_weights_of_both_ways() -> None:
    types, weight = alternating(2, 6, 3)
    assert types.tolist() == [[0, 1, 2, 3, 0, 1]] * 2
    assert weight.shape == (2, 3, 4)
    assert set(map(tuple, weight.reshape(-1, 4))) == {(1, -1, 1, -1)}
    types, weight = balanced(2, 8, 60, 10)
    assert [np.bincount(core).tolist() for core in types] == [[2] * 4] * 2
    assert not weight.sum(2).any()
    for k in range(10):  # of the 120 neurons, each class has twelve: every way twice
        assert len({tuple(w) for w in weight.reshape(-1, 4)[merged(120, 10) == k]}) == 6


def test_training_learns_and_the_deployed_network_is_as_good() -> None:
    model = fitted(Tea())
    images, labels = digits("test")
    with torch.no_grad():
        score = float((model(images).argmax(1) == labels).double().mean())
    assert score > 0.9
    network = to_bernoulli(model)
    copies = np.cumsum([votes(network, fired(network, images, 0, copy)) for copy in range(16)], 0)
    alone, together = (float((copies[n].argmax(1) == labels.numpy()).mean()) for n in (0, 15))
    assert score - 0.08 < together
    assert alone < together
    for layer in model.layers:
        assert bool(((layer.connection >= 0) & (layer.connection <= 1)).all())
        assert torch.equal(layer.bias, layer.bias.round())


def test_certain_synapses_need_fewer_copies() -> None:
    """The reduced twin of the claim of Wen et al.: at one copy and one spike per frame the penalty is ahead."""
    images, labels = digits("test")

    def alone(method: Method) -> float:
        network = to_bernoulli(fitted(method, epochs=12))
        hits = [votes(network, fired(network, images, seed)).argmax(1) == labels.numpy() for seed in range(5)]
        return float(np.mean(hits))

    assert alone(Together(TrueNorthBias(1.0), Tea())) > alone(Tea()) + 0.01


def test_steps_stay_in_range_and_finish_rounds() -> None:
    model, method = small(), Tea()
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    assert [t.name for t in method.treated] == ["layers.0", "layers.1"]
    layer = model.layers[0]
    layer.connection.data.add_(10)
    layer.bias.data[0, :2] = torch.tensor([300.0, -1.6])
    method.after_step()
    assert bool((layer.connection == 1).all())
    assert layer.bias[0, :2].tolist() == approx([255.0, -1.6])
    method.finish()
    assert layer.bias[0, 1].item() == -2.0
    assert float(method.penalty()) == 0.0


def test_a_file_of_a_trained_network_holds_what_the_chip_needs(tmp_path: Path) -> None:
    model, file = small(), tmp_path / "model.pt2"
    model.layers[0].bias.data.normal_(0, 3)
    write(model.eval(), torch.rand(2, 1, 8, 8), str(file), None, tea_structure(model))
    assert load_bernoulli(file) == to_bernoulli(model)
    assert tea_structure(nn.Linear(2, 2)) == {}


def test_layers_that_are_none_or_not_optimized_are_told() -> None:
    plain = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(LayerError, match="at least one TeaLayer is needed, got none; train a TeaNetwork"):
        Tea().attach(plain, torch.optim.SGD(plain.parameters(), 0.1))
    model = small()
    with pytest.raises(LayerError, match=r"layer layers\.0: the optimizer does not have"):
        Tea().attach(model, torch.optim.SGD(model.layers[1].parameters(), 0.1))
    with pytest.raises(TrainingError, match="call attach"):
        Tea().penalty()


def test_structures_that_no_core_has_are_told_at_once() -> None:
    lines, (types, weight) = np.arange(4)[None], alternating(1, 4, 3)
    with pytest.raises(TrainingError) as caught:
        TeaLayer(lines, types + 2, weight * 300)
    assert [p.split(":")[1].strip() for p in caught.value.problems] == ["axon_type", "weight"]
    with pytest.raises(TrainingError, match=r"lines: must be \[core, axon\]"):
        TeaLayer(np.arange(4), types, weight)
    layer = TeaLayer(lines, types, weight)
    with pytest.raises(TrainingError) as caught:
        TeaNetwork(3, [layer], merged(4, 2), scale=-1)
    told = "\n".join(caught.value.problems)
    assert "hears line 3, but its source has 3 outputs" in told
    assert "the class of each of 3 neurons" in told
    assert "scale: must be a positive number, got -1" in told
    with pytest.raises(TrainingError, match="at least one is needed"):
        TeaNetwork(3, [], merged(4, 2))
