"""MNIST in its own idx format (LeCun, Cortes, Burges), gzip or plain: the files that every MNIST loader reads."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from xbar.datasets.labelled import Labelled, Split
from xbar.errors import DataError

_STEMS = {"train": "train", "test": "t10k"}


def read(path: Path | None, split: Split) -> Labelled:
    """Images [image, 1, 28, 28] from the folder `path`."""
    folder = Path(path or ".")
    images = _idx(_find(folder, f"{_STEMS[split]}-images", "idx3-ubyte"), n_axes=3)
    labels = _idx(_find(folder, f"{_STEMS[split]}-labels", "idx1-ubyte"), n_axes=1)
    return Labelled.from_bytes("mnist", images[:, None], labels)


def _find(folder: Path, stem: str, kind: str) -> Path:
    names = [f"{stem}{sep}{kind}{end}" for sep in "-." for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"mnist: no {stem} file in {folder}; looked for {', '.join(names)}")


def _idx(file: Path, n_axes: int) -> np.ndarray:
    """An idx file of unsigned bytes: magic 0x0000 08 n_axes, big-endian 32-bit sizes, data."""
    try:
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: cannot be read ({error}); download it again") from error
    head = 4 + 4 * n_axes
    if len(raw) < head or raw[:4] != bytes([0, 0, 8, n_axes]):
        raise DataError(
            f"{file}: must start as an idx file of bytes with {n_axes} axes, got {raw[:4].hex(' ') or 'nothing'}"
        )
    shape = struct.unpack(f">{n_axes}I", raw[4:head])
    if len(raw) - head != int(np.prod(shape)):
        raise DataError(f"{file}: {int(np.prod(shape))} bytes announced, got {len(raw) - head}; download it again")
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape)
