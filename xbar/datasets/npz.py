"""Your own data: an npz file with `images` [image, ...] and `labels` [image]; bytes are scaled to 0 .. 1."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from xbar.datasets.labelled import Labelled, Split
from xbar.errors import DataError


def read(path: Path | None, split: Split) -> Labelled:
    """The split `test` is `images`, `labels`; `train` is `train_images`, `train_labels`.

    A file without training images is calibrated on its own images: `train` is then `images`, `labels` too.
    """
    file = Path(path or ".")
    try:
        with np.load(file, allow_pickle=False) as bundle:
            prefix = "train_" if split == "train" and {"train_images", "train_labels"} & set(bundle) else ""
            missing = [k for k in (f"{prefix}images", f"{prefix}labels") if k not in bundle]
            if missing:
                raise DataError(f"{file}: must hold {' and '.join(missing)}, got {', '.join(bundle) or 'nothing'}")
            images, labels = bundle[f"{prefix}images"], bundle[f"{prefix}labels"]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{file}: is not an npz file of plain arrays ({error}); write it with numpy.savez") from error
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{file}: labels must be whole numbers [image], got {labels.dtype} {list(labels.shape)}")
    if images.dtype == np.uint8:
        return Labelled.from_bytes(file.stem, images, labels)
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"{file}: images must be bytes or floats, got {images.dtype}")
    return Labelled(file.stem, images.astype(np.float32), labels.astype(np.int64))
