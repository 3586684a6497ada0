"""Reads networks of connection probabilities from `.pt2` files of `xbar train`: tensors of the archive, no code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from xbar.errors import ModelError
from xbar.pt2 import load_exported, load_extra
from xbar.spiking.bernoulli import WEIGHTS, BernoulliLayer, BernoulliNetwork

TEA_NETWORK = "tea_network.json"  # beside the program: {"n_inputs": 784, "layers": ["layers.0"]}
_TENSORS = ("lines", "axon_type", "connection", "weight", "bias")


def load_bernoulli(path: str | Path) -> BernoulliNetwork | None:
    """The network in a `.pt2` file that `xbar train` wrote from a `TeaNetwork`; None of any other model's file.

    Raises ModelError where the file cannot be read, or holds what no chip could.
    """
    program = load_exported(path)
    structure = load_extra(path, TEA_NETWORK)
    if structure is None:
        return None
    try:
        return bernoulli_of(program.state_dict, int(structure["n_inputs"]), [str(n) for n in structure["layers"]])
    except ModelError as error:
        raise ModelError(f"{path}: {problem}" for problem in error.problems) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: its {TEA_NETWORK} is damaged ({error!r}); save the model again") from error


def bernoulli_of(tensors: Mapping[str, Any], n_inputs: int, layers: Sequence[str]) -> BernoulliNetwork:
    """From the tensors of a `TeaNetwork` by name, and the names of its layers; biases are rounded to integers.

    Raises ModelError, also for tensors that are missing.
    """
    wanted = [f"{layer}.{name}" for layer in layers for name in _TENSORS] + ["classes"]
    missing = [name for name in wanted if not isinstance(tensors.get(name), Tensor)]
    if missing:
        raise ModelError(f"network: must have the tensors of a TeaNetwork, lacks {', '.join(missing)}; save it again")

    def values(name: str) -> np.ndarray:
        found: np.ndarray = tensors[name].detach().cpu().numpy()
        if not np.isfinite(found).all():
            raise ModelError(f"network: {name} must be finite, got NaN or infinity; train again with a lower rate")
        return found

    built = []
    for layer in layers:
        lines, types, probability, weight, bias = (values(f"{layer}.{name}") for name in _TENSORS)
        leak = np.clip(np.rint(bias), WEIGHTS[0] - 1, WEIGHTS[1] + 1)  # what is out of range stays so, and is told
        built.append(
            BernoulliLayer(
                layer,
                lines.astype(np.int32),
                np.clip(types, 0, 255).astype(np.uint8),
                probability.astype(np.float32),
                np.clip(weight, WEIGHTS[0] - 1, WEIGHTS[1] + 1).astype(np.int16),
                leak.astype(np.int16),
            )
        )
    return BernoulliNetwork(n_inputs, tuple(built), values("classes").astype(np.int32))
