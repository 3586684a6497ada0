"""Equality by content."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from small import random_weights, small_network

from xbar.network import Precision
from xbar.same import same


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (np.arange(3), np.arange(3), True),
        (np.arange(3), np.arange(4), False),
        (np.arange(3), np.arange(3.0), False),
        (np.zeros(1), np.zeros((1, 1)), False),
        (np.zeros(1), 0.0, False),
        (np.zeros(2), None, False),
        (None, np.zeros(2), False),
        ((1, np.ones(2)), (1, np.ones(2)), True),
        ((1, np.ones(2)), (1, np.zeros(2)), False),
        ((1,), (1, 1), False),
        ({"a": np.ones(2)}, {"a": np.ones(2)}, True),
        ({"a": np.ones(2)}, {"b": np.ones(2)}, False),
        ({"a": np.ones(2)}, {"a": np.zeros(2)}, False),
        (1, 1.0, True),
        ("a", "b", False),
    ],
)
def test_values(a, b, equal):
    assert same(a, b) is equal


def quantized(seed: int = 0):
    return small_network(random_weights([(6, 10), (3, 6)], seed=seed))


def other_weight(q):
    weight_q = q.layers[0].weight_q.copy()
    weight_q[0, 0] += 1
    return replace(q, layers=(replace(q.layers[0], weight_q=weight_q), *q.layers[1:]))


def other_float_weight(q):
    first, *rest = q.network.layers
    changed = replace(first, weight=first.weight + np.float32(1))
    return replace(q, network=replace(q.network, layers=(changed, *rest)))


def other_stored_tensor(q):
    return replace(q, network=replace(q.network, exported=quantized(1).network.exported))


def other_graph(q):
    with torch.no_grad():
        deeper = small_network(random_weights([(6, 10), (6, 6), (3, 6)]))
    return replace(q, network=replace(q.network, exported=deeper.network.exported))


def other_precision(q):
    return replace(q, precision=Precision(weight_bits=4, input_bits=5))


def other_name(q):
    return replace(q, network=replace(q.network, name="other"))


@pytest.mark.parametrize(
    "change", [other_weight, other_float_weight, other_stored_tensor, other_graph, other_precision, other_name]
)
def test_networks_made_alike_are_equal_until_something_changes(change):
    a, b = quantized(), quantized()
    assert a == b
    assert a.network == b.network
    assert a.layers[0] == b.layers[0]
    assert a != change(a)
    assert a != a.network


def test_what_is_equal_by_content_has_no_hash():
    """A hash by identity would tell equal values apart."""
    q = quantized()
    for value in (q, q.network, q.layers[0], q.network.layers[0]):
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)


def test_another_class_with_the_same_fields_is_not_equal():
    q = quantized()

    @dataclass(frozen=True)
    class Twin:
        network: object
        layers: object
        precision: object

    assert q != Twin(q.network, q.layers, q.precision)
