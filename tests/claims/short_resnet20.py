"""ResNet-20 on CIFAR-10 in a short training for CPUs: python tests/claims/short_resnet20.py OUT --seed 0.

The first 10,000 training images (XBAR_DATA names the folder of cifar10/), six epochs without a method, then four more
from there: without, with bit-slice L1, and with ADMM (half of the shape columns of every convolution but the first).
Accuracies are far below those of a full training; the drops between them are what this is for.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import torch
from torch import nn

from xbar import datasets
from xbar.demo.models import ResNet20
from xbar.demo.train import write
from xbar.training.admm import Admm
from xbar.training.base import Method
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.recipe import AugmentSettings
from xbar.training.stages import Stage
from xbar.training.trainer import Data, Training, accuracy, zero_share

IMAGES, BATCH = 10_000, 64
AUGMENT = AugmentSettings(shift_px=4, mirror=True)


def _train(model: nn.Module, methods: dict[str, Method], stages: list[Stage], data: Data, seed: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), stages[0].lr, momentum=0.9, weight_decay=5e-4)
    training = Training(model, optimizer, methods, stages, batch=BATCH, seed=seed, augment=AUGMENT)
    training.run(data, None, lambda epoch: print(epoch, flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train, test = datasets.load("cifar10", "train").first(IMAGES), datasets.load("cifar10", "test")
    everything = tuple(map(torch.from_numpy, (train.images, train.labels, test.images, test.labels)))
    images, labels, test_images, test_labels = everything
    data = Data(images, labels, test_images[:1000], test_labels[:1000])  # the whole test only at the end
    torch.manual_seed(arguments.seed)
    first = ResNet20()
    start = time.perf_counter()
    _train(first, {}, [Stage(epochs=6, lr=0.05)], data, arguments.seed)
    convolutions = [n for n, m in first.named_modules() if isinstance(m, nn.Conv2d) and n != "conv1"]
    ways: dict[str, tuple[dict[str, Method], list[Stage]]] = {
        "plain": ({}, [Stage(epochs=4, lr=0.02, lr_every=1)]),
        "bit_slice_l1": (
            {"slices": BitSliceL1(strength=0.5)},
            [Stage(epochs=4, lr=0.02, lr_every=1, attach=("slices",))],
        ),
        "admm": (
            {"admm": Admm(dict.fromkeys(convolutions, 0.5), "shape_column", rho=2e-3, every=len(images) // BATCH)},
            [
                Stage(epochs=2, lr=0.02, attach=("admm",)),
                Stage(epochs=2, lr=0.01, lr_every=1, call=("admm.map",)),
            ],
        ),
    }
    found = {}
    for name, (methods, stages) in ways.items():
        model = copy.deepcopy(first)
        _train(model, methods, stages, data, arguments.seed + 1)
        model.eval()
        found[name] = {"accuracy": accuracy(model, test_images, test_labels), "zeros": zero_share(model)}
        print(name, found[name], flush=True)
        (arguments.out / name).mkdir(parents=True, exist_ok=True)
        write(model, test_images[:2], str(arguments.out / name / "model.pt2"))
    found["seconds"] = {"all": round(time.perf_counter() - start)}
    (arguments.out / "training.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
