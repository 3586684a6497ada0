"""The table of copies and spikes per frame is what runs of so many copies and spikes give."""

from __future__ import annotations

import numpy as np
import pytest

import mapping
from xbar import datasets
from xbar.errors import DataError
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.bernoulli import BernoulliLayer, BernoulliNetwork
from xbar.spiking.chip import load_spiking_chip
from xbar.spiking.copies import copies_of
from xbar.sweep.spike_copies import CopiesTable, accuracy_by_copies
from xbar.sweep.spike_inputs import image_spikes

CHIP = load_spiking_chip("truenorth_science_2014")


@pytest.fixture(scope="module")
def network() -> BernoulliNetwork:
    """64 inputs on one core of 40 neurons that vote for 10 classes, untrained."""
    drawn = np.random.default_rng(0)
    layer = BernoulliLayer(
        "votes",
        np.arange(64, dtype=np.int32)[None],
        (np.arange(64, dtype=np.uint8) % 4)[None],
        drawn.random((1, 64, 40), dtype=np.float32),
        np.tile(np.array([1, -1, 1, -1], np.int16), (1, 40, 1)),
        np.full((1, 40), -3, np.int16),
    )
    return BernoulliNetwork(64, (layer,), np.arange(40, dtype=np.int32) % 10)


def test_rows_and_columns_are_runs_of_their_own(network: BernoulliNetwork) -> None:
    images = datasets.load("digits").first(130)
    table = accuracy_by_copies(network, images, CHIP, 3, 4, seed=2)
    assert (table.accuracy.shape, table.n_images, table.n_cores) == ((3, 4), 130, 1)
    for copies, frames in ((1, 1), (3, 1), (2, 3), (3, 4)):
        program = mapping.compile_spikes(copies_of(network, copies, seed=2), CHIP)
        result = simulate_spikes(program, image_spikes(images, frames, 2).piece(0, 130), frames + program.latency)
        assert program.latency == 0
        assert program.classes is not None
        answers = result.votes(program.classes).argmax(1)
        assert table.accuracy[copies - 1, frames - 1] == (answers == images.labels).mean()


def test_it_prints_and_finds_the_fewest(network: BernoulliNetwork) -> None:
    table = CopiesTable("x", np.array([[0.5, 0.7, 0.8], [0.6, 0.8, 0.9]]), 4.0, 100, 0)
    assert (table.fewest(0.6), table.fewest(0.7), table.fewest(0.75, "frames")) == (2, None, 3)
    assert str(table).splitlines()[1:] == [
        "copies         1        2        3",
        "     1    50.00%   70.00%   80.00%",
        "     2    60.00%   80.00%   90.00%",
    ]
    assert table.to_dict()["accuracy"][1] == [0.6, 0.8, 0.9]
    assert table == CopiesTable("x", table.accuracy.copy(), 4.0, 100, 0)
    with pytest.raises(DataError, match="axis: must be"):
        table.fewest(0.5, "cores")
    with pytest.raises(DataError, match="n_copies: must be 1 or more"):
        accuracy_by_copies(network, datasets.load("digits").first(2), CHIP, 0)
