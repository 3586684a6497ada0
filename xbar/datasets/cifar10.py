"""CIFAR-10 (Krizhevsky 2009): binary version, python version, or JPEG-coded npz, whichever the folder holds."""

from __future__ import annotations

import io
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xbar.datasets.labelled import Labelled, Split
from xbar.errors import DataError

_BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
_RECORD = 1 + 3 * 32 * 32


def read(path: Path | None, split: Split) -> Labelled:
    """Images [image, 3, 32, 32]. `path` is the folder of the files (or the one above its usual sub-folder)."""
    given = Path(path or ".")
    for folder in (given, given / "cifar-10-batches-bin", given / "cifar-10-batches-py"):
        if all((folder / f"{b}.bin").is_file() for b in _BATCHES[split]):
            return _joined([_binary(folder / f"{b}.bin") for b in _BATCHES[split]], "cifar10")
        if all((folder / b).is_file() for b in _BATCHES[split]):
            return _joined([_python(folder / b) for b in _BATCHES[split]], "cifar10")
        if (folder / f"{split}_jpeg.npz").is_file():
            return _joined([_jpeg(folder / f"{split}_jpeg.npz")], "cifar10 (JPEG)")
    names = ", ".join(_BATCHES[split])
    raise DataError(
        f"cifar10: no {split} files in {given}; looked for {names} (.bin or python version) and {split}_jpeg.npz"
    )


def _joined(parts: list[tuple[np.ndarray, np.ndarray]], name: str) -> Labelled:
    return Labelled.from_bytes(name, np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))


def _binary(file: Path) -> tuple[np.ndarray, np.ndarray]:
    raw = np.fromfile(file, np.uint8)
    if len(raw) == 0 or len(raw) % _RECORD:
        raise DataError(f"{file}: size must be a multiple of {_RECORD} bytes, got {len(raw)}; download it again")
    records = raw.reshape(-1, _RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


class _OnlyArrays(pickle.Unpickler):
    """The python version is a pickle; it may name numpy's array constructors only, so no code of a file runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if name == "_reconstruct" and module in {"numpy.core.multiarray", "numpy._core.multiarray"}:
            from numpy._core import multiarray

            return multiarray._reconstruct
        if (module, name) == ("_codecs", "encode"):
            import codecs

            return codecs.encode
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a data file")


def _python(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with file.open("rb") as stream:
            batch = _OnlyArrays(stream, encoding="bytes").load()
        return np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32), np.asarray(batch[b"labels"], np.uint8)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{file}: is not a batch of CIFAR-10's python version ({error}); download it again") from error


def _jpeg(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(f"{file}: JPEG-coded images need pillow; pip install 'xbar-sim[data]'") from error
    with np.load(file, allow_pickle=False) as bundle:
        missing = {"jpeg", "offsets", "labels"} - set(bundle)
        if missing:
            raise DataError(f"{file}: must hold jpeg, offsets and labels, got no {', '.join(sorted(missing))}")
        code, offsets, labels = bundle["jpeg"].tobytes(), bundle["offsets"], bundle["labels"]
    pixels = [np.asarray(Image.open(io.BytesIO(code[a:b]))) for a, b in pairwise(offsets)]
    return np.stack(pixels).transpose(0, 3, 1, 2), labels
