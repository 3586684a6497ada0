"""One level for the weights of all layers: python tests/claims/naive_one_level.py MODEL.pt2 FIGURES.json.

The accuracy of an MLP 784-500-300-10 on MNIST (XBAR_DATA names its folder), for some levels.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import torch

from xbar import datasets
from xbar.demo.models import MLP
from xbar.training.base import find_layers
from xbar.training.one_level import naive_one_level
from xbar.training.trainer import accuracy

LEVELS = (0.02, 0.05, 0.1, 0.2)


def main() -> None:
    model = MLP((784, 500, 300, 10))
    model.load_state_dict(torch.export.load(sys.argv[1]).state_dict)
    test = datasets.load("mnist", "test")
    images, labels = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    found = {}
    for level in LEVELS:
        naive = copy.deepcopy(model)
        naive_one_level(find_layers("naive", naive, torch.optim.SGD(naive.parameters(), 0.1)), level)
        found[str(level)] = accuracy(naive, images, labels)
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
