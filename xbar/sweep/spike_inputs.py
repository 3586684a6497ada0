"""Input spikes of a batch, piece by piece: from a file, at random, or from images whose pixels are chances to spike."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xbar.datasets import Labelled
from xbar.errors import DataError
from xbar.rng import generator

STREAM = "input spikes"


@dataclass(frozen=True, eq=False)
class GivenSpikes:
    """Spikes as they are, bool [tick, batch, input]; labels int64 [batch] or None."""

    source: str
    spikes: np.ndarray
    labels: np.ndarray | None = None

    @property
    def n_ticks(self) -> int:
        return len(self.spikes)

    @property
    def n_batch(self) -> int:
        return int(self.spikes.shape[1])

    @property
    def n_inputs(self) -> int:
        return int(self.spikes.shape[2])

    def piece(self, start: int, stop: int) -> np.ndarray:
        """Of inputs start .. stop - 1."""
        return self.spikes[:, start:stop]


@dataclass(frozen=True, eq=False)
class RandomSpikes:
    """In each tick each input spikes with its own chance, float32 [batch, input], 0 .. 1.

    Input b draws from the stream ("input spikes", b), tick by tick: a longer run begins with the shorter one's spikes.
    """

    source: str
    chance: np.ndarray
    n_ticks: int
    seed: int
    labels: np.ndarray | None = None

    @property
    def n_batch(self) -> int:
        return len(self.chance)

    @property
    def n_inputs(self) -> int:
        return int(self.chance.shape[1])

    def piece(self, start: int, stop: int) -> np.ndarray:
        """Of inputs start .. stop - 1, bool [tick, batch, input]."""
        shape = (self.n_ticks, self.n_inputs)
        drawn = (generator(self.seed, STREAM, b).random(shape, dtype=np.float32) for b in range(start, stop))
        return np.stack([d < self.chance[b] for b, d in enumerate(drawn, start)], axis=1)


Stimulus = GivenSpikes | RandomSpikes


def image_spikes(images: Labelled, n_ticks: int, seed: int) -> RandomSpikes:
    """Each image shown for so many ticks; pixel by pixel the chance to spike in a tick is the pixel's value."""
    pixels = images.images.reshape(len(images), -1)
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        raise DataError(
            f"{images.name}: pixels must be from 0 to 1, since they are chances to spike, got {low:g} to {high:g}; "
            "scale the images"
        )
    return RandomSpikes(images.name, pixels, n_ticks, seed, images.labels)


def uniform_spikes(rate: float, n_batch: int, n_inputs: int, n_ticks: int, seed: int) -> RandomSpikes:
    """Every input spikes with the same chance in every tick."""
    chance = np.broadcast_to(np.float32(rate), (n_batch, n_inputs))
    return RandomSpikes(f"{rate:g} spikes per tick at random", chance, n_ticks, seed)


def read_spikes(path: str) -> GivenSpikes:
    """From an npz file with `spikes`, 0 or 1 [tick, input] or [tick, batch, input], and perhaps `labels` [batch]."""
    file = Path(path.removeprefix("npz:")).expanduser()
    if not file.is_file():
        raise DataError(f"--spikes: {file} does not exist; write an npz file with numpy.savez(file, spikes=...)")
    try:
        with file.open("rb") as stream:  # np.load leaves a broken zip open
            found = np.load(stream, allow_pickle=False)
            bundle = {name: found[name] for name in found} if isinstance(found, np.lib.npyio.NpzFile) else {}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"--spikes: {file}: is no npz file of plain arrays ({error}); write it with savez") from error
    if "spikes" not in bundle:
        has = ", ".join(bundle) or "none by name"
        raise DataError(
            f"--spikes: {file}: must hold an array `spikes`, got {has}; write it with savez(file, spikes=...)"
        )
    spikes, labels = bundle["spikes"], bundle.get("labels")
    problems = []
    if spikes.ndim == 2:
        spikes = spikes[:, None]
    if spikes.ndim != 3 or 0 in spikes.shape:
        shape = list(spikes.shape)
        problems.append(f"--spikes: {file}: spikes must be [tick, input] or [tick, batch, input], got {shape}")
    elif spikes.dtype.kind not in "biuf" or not np.isin(spikes, (0, 1)).all():
        problems.append(f"--spikes: {file}: spikes must be 0 or 1, got {_odd(spikes)}; spread several over more ticks")
    elif labels is not None and not _are_classes(labels, spikes.shape[1]):
        wanted = f"a class from 0 for each of its {spikes.shape[1]} inputs"
        problems.append(f"--spikes: {file}: labels must be {wanted}, got {labels.dtype} {list(labels.shape)}")
    if problems:
        raise DataError(problems)
    return GivenSpikes(file.name, spikes.astype(np.bool_), None if labels is None else labels.astype(np.int64))


def _are_classes(labels: np.ndarray, n_batch: int) -> bool:
    return labels.shape == (n_batch,) and labels.dtype.kind in "iu" and bool((labels >= 0).all())


def _odd(spikes: np.ndarray) -> str:
    if spikes.dtype.kind not in "biuf":
        return str(spikes.dtype)
    return str(spikes[~np.isin(spikes, (0, 1))].flat[0])
