"""What copies (cores) and spikes per frame (time) buy: the accuracy of a deployed network for each number of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import mapping
from xbar.datasets import Labelled
from xbar.errors import DataError
from xbar.same import same_fields
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.bernoulli import BernoulliNetwork
from xbar.spiking.chip import SpikingChip
from xbar.spiking.copies import copies_of
from xbar.sweep.spike_inputs import image_spikes

_PIECE = 100  # images that run at a time


@dataclass(frozen=True, eq=False)
class CopiesTable:
    """accuracy: float64 [copy, frame]; row k, column t is that of k + 1 copies and t + 1 spikes per frame.

    n_cores: of a copy, on average; n_images: that were simulated.
    """

    network: str
    accuracy: np.ndarray
    n_cores: float
    n_images: int
    seed: int

    def fewest(self, accuracy: float, axis: str = "copies") -> int | None:
        """Fewest copies (with one spike per frame) or "frames" (with one copy) with this accuracy; None where too few.

        From there on more may fall below again by chance; the first counts.
        """
        if axis not in ("copies", "frames"):
            raise DataError(f"axis: must be copies or frames, got {axis!r}")
        reached = np.flatnonzero((self.accuracy[:, 0] if axis == "copies" else self.accuracy[0]) >= accuracy)
        return int(reached[0]) + 1 if len(reached) else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "network": self.network,
            "accuracy": self.accuracy.tolist(),
            "n_cores_per_copy": self.n_cores,
            "n_images": self.n_images,
            "seed": self.seed,
        }

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        copies, frames = ([i for i in range(n) if i + 1 in (1, 2, 4, 8, n)] for n in self.accuracy.shape)
        head = f"{self.network}: accuracy of {self.n_images:,} images by copies and spikes per frame (seed {self.seed})"
        rows = [f"{i + 1:>6} " + "".join(f"{self.accuracy[i, t]:>9.2%}" for t in frames) for i in copies]
        return "\n".join([head, "copies " + "".join(f"{t + 1:>9}" for t in frames), *rows])


def accuracy_by_copies(
    network: BernoulliNetwork,
    images: Labelled,
    chip: SpikingChip,
    n_copies: int = 16,
    spikes_per_frame: int = 16,
    *,
    seed: int = 0,
    name: str = "Tea",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CopiesTable:
    """Deploy n_copies on the chip, show each image for so many ticks, and count votes by copy and tick in one run.

    Copies do not disturb each other and neurons keep nothing, so that the first k copies and t ticks of the run are
    what a run of k copies and t spikes per frame would be. Raises XbarError where copies do not fit the chip, or the
    images not the network.
    """
    problems = [
        f"{what}: must be 1 or more, got {n}"
        for what, n in (("n_copies", n_copies), ("spikes_per_frame", spikes_per_frame))
        if n < 1
    ]
    if problems:
        raise DataError(problems)
    program = mapping.compile_spikes(copies_of(network, n_copies, seed=seed, name=name), chip, seed=seed)
    stimulus = image_spikes(images, spikes_per_frame, seed)
    n_classes, latency = int(network.classes.max()) + 1, program.latency
    if images.labels.max() >= n_classes:
        raise DataError(
            f"labels: go up to {images.labels.max()}, but {name} has {n_classes} classes; give its own data"
        )
    votes_for = np.eye(n_classes, dtype=np.float32)[network.classes]
    hits = np.zeros((n_copies, spikes_per_frame), np.int64)
    for start in range(0, len(images), _PIECE):
        progress(start, len(images))
        labels = images.labels[start : start + _PIECE]
        spikes = stimulus.piece(start, start + len(labels))
        outputs = simulate_spikes(program, spikes, spikes_per_frame + latency, seed=seed, first=start).outputs[latency:]
        by_copy = outputs.reshape(*outputs.shape[:2], n_copies, -1).astype(np.float32)
        votes = (by_copy @ votes_for).cumsum(0).cumsum(2)  # [tick, batch, copy, class]
        hits += (votes.argmax(-1) == labels[:, None]).sum(1).T
    return CopiesTable(name, hits / len(images), program.n_cores / n_copies, len(images), seed)
