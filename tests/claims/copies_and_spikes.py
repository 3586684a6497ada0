"""Accuracy by copies and spikes per frame: python tests/claims/copies_and_spikes.py PLAIN.pt2 PENALTY.pt2 FIGURES.json.

Two networks of connection probabilities on the real MNIST (XBAR_DATA names its folder), all 10,000 test images, 1 to 16
copies and 1 to 16 spikes per frame on TrueNorth's cores; the means over two seeds of copies and input spikes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from xbar import datasets
from xbar.frontends.tea_model import load_bernoulli
from xbar.spiking.chip import load_spiking_chip
from xbar.sweep.spike_copies import accuracy_by_copies

SEEDS = (0, 1)


def main() -> None:
    test, chip = datasets.load("mnist", "test"), load_spiking_chip("truenorth_science_2014")
    found = {}
    for name, file in zip(("plain", "penalty"), sys.argv[1:3], strict=True):
        network = load_bernoulli(file)
        if network is None:
            sys.exit(f"{file} is no network of connection probabilities")
        tables = [accuracy_by_copies(network, test, chip, seed=seed, name=name) for seed in SEEDS]
        print(*tables, sep="\n")
        accuracy = np.mean([t.accuracy for t in tables], axis=0)
        found[name] = {"accuracy": accuracy.round(6).tolist(), "n_cores_per_copy": tables[0].n_cores}
    Path(sys.argv[3]).write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
