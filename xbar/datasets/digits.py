"""The embedded default: 1,797 images of 8x8 pixels, bundled with scikit-learn (UCI, Alpaydin & Kaynak)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xbar.datasets.labelled import Labelled, Split


def read(path: Path | None, split: Split) -> Labelled:
    """Every fifth image is the test split (360 images), the others the training split."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    test = np.arange(len(bundle.target)) % 5 == 0
    chosen = test if split == "test" else ~test
    images = (bundle.images[chosen] / 16).astype(np.float32)[:, None]
    return Labelled("digits", images, bundle.target[chosen].astype(np.int64))
