"""Trains the embedded CNN, or LeNet-5 on MNIST: `python -m xbar.demo.train --help`.

`python -m xbar.demo.train digits` rewrites the checkpoint of the package;
`python -m xbar.demo.train mnist:PATH lenet5.pt2` writes an exported LeNet-5, ready for `xbar run lenet5.pt2`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from xbar import datasets
from xbar.demo.models import CHECKPOINT, DigitsCnn, LeNet5, accuracy
from xbar.errors import ModelError, OutputError, XbarError
from xbar.pt2 import save_exported


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int, seed: int = 0) -> None:
    """Cross entropy, Adam with one cosine cycle from 2e-3 to 0, batches of 64 shifted by at most one pixel each way."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    n_steps = epochs * -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for epoch in range(epochs):
        model.train()
        total = torch.zeros(())
        for chosen in torch.randperm(len(images), generator=generator).split(64):
            down, right = (int(torch.randint(-1, 2, (1,), generator=generator)) for _ in range(2))
            shifted = nn.functional.pad(images[chosen], (1 + right, 1 - right, 1 + down, 1 - down))[..., 1:-1, 1:-1]
            loss = nn.functional.cross_entropy(model(shifted), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(chosen)
        print(f"epoch {epoch + 1:2d}/{epochs}: loss {float(total) / len(images):.4f}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m xbar.demo.train", description=__doc__.split("\n")[0])
    parser.add_argument("data", help="digits, mnist:PATH, or mnist with XBAR_DATA set")
    parser.add_argument(
        "out", nargs="?", help="an exported model (.pt2); digits: by default the package's own checkpoint"
    )
    parser.add_argument("--epochs", type=int, default=None, help="passes over the data (digits 40, mnist 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of the order of the batches")
    args = parser.parse_args(arguments)
    try:
        model, example = fitted(args.data, args.epochs, args.seed)
        write(model, example, args.out)
    except XbarError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def fitted(data: str, epochs: int | None = None, seed: int = 0) -> tuple[nn.Module, torch.Tensor]:
    """A network trained on `data` (digits or mnist), and two images as the example input of an export."""
    sets = [datasets.load(data, "train"), datasets.load(data, "test")]
    (x, y), (x_test, y_test) = ((torch.from_numpy(s.images), torch.from_numpy(s.labels)) for s in sets)
    torch.manual_seed(seed)
    digits = sets[0].name == "digits"
    model: nn.Module = DigitsCnn() if digits else LeNet5()
    train(model, x, y, epochs or (40 if digits else 10), seed)
    print(f"float32 accuracy on {len(y_test)} test images: {accuracy(model, x_test, y_test):.2%}")
    return model.eval(), x_test[:2]


def write(
    model: nn.Module,
    example: torch.Tensor,
    out: str | None,
    input_ranges: Mapping[str, float] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """The model as an archive at `out` (see `save_exported`); without `out`, the demo's weights into the package."""
    try:
        if out is not None:
            save_exported(_exported(model, example), out, input_ranges, extra)
        elif isinstance(model, DigitsCnn):
            from safetensors.torch import save_file

            save_file(model.state_dict(), CHECKPOINT)
        else:
            raise OutputError("out: this model needs a file to be written to, got none; add for example lenet5.pt2")
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{out or CHECKPOINT}: cannot be written ({error})") from error


def check_exportable(model: nn.Module, example: torch.Tensor) -> None:
    """ModelError where `write` could not make an archive of the model; the model stays as it was."""
    was_training = model.training
    try:
        _exported(model.eval(), example)
    except Exception as error:  # torch.export has as many errors as it has passes
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"model: torch.export cannot trace it ({reason}); forward must not depend on the values of its inputs"
        ) from error
    finally:
        model.train(was_training)


def _exported(model: nn.Module, example: torch.Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))


if __name__ == "__main__":
    sys.exit(main())
