"""Labelled images from the files that users already have: `load("mnist:PATH")`, one reader per file.

A specification is a kind, or `kind:PATH`. Without a path the folder comes from the environment variable `XBAR_DATA`
(`$XBAR_DATA/mnist`, `$XBAR_DATA/cifar10`); `digits` is bundled with scikit-learn and needs neither.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from xbar.datasets.labelled import Labelled, Split
from xbar.errors import DataError

__all__ = ["KINDS", "Labelled", "Split", "load", "place_of"]

KINDS: dict[str, str] = {
    "digits": "scikit-learn's bundled 8x8 digits",
    "mnist": "MNIST as idx files, gzip or not",
    "cifar10": "CIFAR-10: binary version, python version, or JPEG-coded npz",
    "npz": "your own file: npz with `images` and `labels`, optionally `train_images` and `train_labels`",
}


def load(spec: str, split: Split = "test") -> Labelled:
    """Images and labels of one split; raises DataError with the files that were looked for."""
    place = place_of(spec)
    reader: Callable[[Path | None, Split], Labelled] = import_module(f"xbar.datasets.{spec.partition(':')[0]}").read
    return reader(place, split)


def place_of(spec: str) -> Path | None:
    """The file or folder that a specification means, None for bundled data; DataError where there is none."""
    kind, _, path = spec.partition(":")
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "use one of " + ", ".join(KINDS)
        raise DataError(f"data: unknown kind of data, got {kind!r}; {hint}")
    if kind == "digits":
        if path:
            raise DataError(f"data: digits are bundled and take no path, got {path!r}; write just `digits`")
        return None
    if path:
        found = Path(path).expanduser()
    elif kind != "npz" and os.environ.get("XBAR_DATA"):
        found = Path(os.environ["XBAR_DATA"]).expanduser() / kind
    else:
        raise DataError(
            f"data: {kind} needs a path; write {kind}:PATH or set XBAR_DATA to the folder that holds {kind}/"
        )
    if not found.exists():
        raise DataError(f"data: {found} does not exist; give the path of the {kind} files")
    return found
