from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mapping.spiking.partition import axon_codes, partition
from xbar.spiking.unroll import conv_matrix


def synapses(dense: np.ndarray) -> sparse.csc_array:
    return sparse.csc_array(dense.astype(np.uint8))


def once(matrix: sparse.csc_array) -> np.ndarray:
    return np.ones(matrix.shape[1], np.int64)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 25), st.integers(1, 6))
def test_cores_hold_every_neuron_as_often_as_asked_with_all_its_axons(seed, lines, n, n_neurons):
    rng = np.random.default_rng(seed)
    matrix = synapses(rng.integers(0, 5, (lines, n)) * (rng.random((lines, n)) < rng.random()))
    copies = rng.integers(1, 4, n)
    n_axons = max(int(np.diff(matrix.indptr).max()), 1) + int(rng.integers(0, 5))
    parts = partition(matrix, copies, n_axons, n_neurons)
    held = np.concatenate([p.neurons for p in parts])
    assert np.array_equal(np.bincount(held, minlength=n), copies)
    for part in parts:
        assert 1 <= len(part.neurons) <= n_neurons
        assert len(part.axons) <= n_axons
        assert np.array_equal(part.axons, np.unique(axon_codes(matrix[:, part.neurons])))


def test_a_convolution_is_cut_into_patches():
    """3 x 3 over 34 x 34: 16 x 16 axons serve 14 x 14 neurons, so 6 cores at best; rows of 34 would need 8 or more."""
    matrix = synapses(conv_matrix(np.ones((1, 1, 3, 3)), (1, 34, 34), (1, 1), ((0, 0), (0, 0))).toarray())
    assert matrix.shape[1] == 32 * 32
    parts = partition(matrix, once(matrix), 256, 256)
    assert len(parts) <= 7
    wide = synapses(conv_matrix(np.ones((1, 1, 3, 3)), (1, 5, 202), (1, 1), ((0, 0), (0, 0))).toarray())
    assert len(partition(wide, once(wide), 100, 256)) <= 12


def test_channels_of_a_patch_share_a_core():
    """Neurons with the same fan-in go together, although their numbers are far apart."""
    matrix = synapses(np.tile(np.kron(np.eye(4), np.ones((6, 1))), (1, 8)))
    parts = partition(matrix, once(matrix), 6, 8)
    assert [sorted(set(p.neurons % 4)) for p in parts] == [[0], [1], [2], [3]]


def test_neurons_without_axons_have_a_core_too():
    (part,) = partition(synapses(np.zeros((3, 2))), np.ones(2, np.int64), 4, 4)
    assert part.neurons.tolist() == [0, 1]
    assert len(part.axons) == 0
