"""The value that every reader returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xbar.errors import DataError

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """images: float32 [image, channel, row, col], 0 .. 1 for the built-in kinds; labels: int64 [image]."""

    name: str
    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        problems = []
        if len(self.images) != len(self.labels):
            problems.append(
                f"{self.name}: one label per image, got {len(self.images)} images and {len(self.labels)} labels"
            )
        if len(self.images) == 0:
            problems.append(f"{self.name}: at least one image is needed, got none")
        if len(self.labels) and self.labels.min() < 0:
            problems.append(f"{self.name}: labels must be 0 or more, got {self.labels.min()}; count classes from 0")
        if not np.isfinite(self.images).all():
            problems.append(f"{self.name}: images must be finite, got NaN or infinity; clean the file")
        if problems:
            raise DataError(problems)

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int) -> Labelled:
        """The first n images (all, where there are fewer)."""
        return Labelled(self.name, self.images[:n], self.labels[:n])

    @staticmethod
    def from_bytes(name: str, images: np.ndarray, labels: np.ndarray) -> Labelled:
        """From uint8 images [image, channel, row, col], scaled to 0 .. 1."""
        return Labelled(name, images.astype(np.float32) / np.float32(255), labels.astype(np.int64))
