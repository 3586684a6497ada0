"""Every reader on files that the test writes itself, and every wrong file as one clear error."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from xbar import datasets
from xbar.errors import DataError

RNG = np.random.default_rng(0)


def _write_idx(file: Path, array: np.ndarray) -> None:
    raw = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)


def _mnist(folder: Path, end: str) -> tuple[np.ndarray, np.ndarray]:
    images = RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = np.array([7, 2, 1, 0, 4], np.uint8)
    for stem in ("train", "t10k"):
        _write_idx(folder / f"{stem}-images-idx3-ubyte{end}", images)
        _write_idx(folder / f"{stem}-labels-idx1-ubyte{end}", labels)
    return images, labels


def test_digits_split_without_overlap() -> None:
    train, test = datasets.load("digits", "train"), datasets.load("digits")
    assert (len(train), len(test)) == (1437, 360)
    assert test.images.shape == (360, 1, 8, 8)
    assert test.images.dtype == np.float32
    assert test.images.min() == 0
    assert test.images.max() == 1


@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_idx(tmp_path: Path, end: str) -> None:
    images, labels = _mnist(tmp_path, end)
    read = datasets.load(f"mnist:{tmp_path}")
    np.testing.assert_array_equal(np.round(read.images[:, 0] * 255), images)
    np.testing.assert_array_equal(read.labels, labels)


def test_the_folder_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    _mnist(tmp_path / "mnist", ".gz")
    monkeypatch.setenv("XBAR_DATA", str(tmp_path))
    assert len(datasets.load("mnist", "train")) == 5
    monkeypatch.delenv("XBAR_DATA")
    with pytest.raises(DataError, match=r"mnist needs a path; write mnist:PATH or set XBAR_DATA"):
        datasets.load("mnist")


@pytest.mark.parametrize("damage", ["short", "magic", "gzip", "missing"])
def test_damaged_mnist_is_named(tmp_path: Path, damage: str) -> None:
    _mnist(tmp_path, "")
    file = tmp_path / "t10k-images-idx3-ubyte"
    raw = file.read_bytes()
    if damage == "short":
        file.write_bytes(raw[:-3])
    elif damage == "magic":
        file.write_bytes(b"PK" + raw[2:])
    elif damage == "gzip":
        file.unlink()
        file.with_suffix(".gz").write_bytes(b"not gzip")
    else:
        file.unlink()
    with pytest.raises(DataError, match="t10k-images"):
        datasets.load(f"mnist:{tmp_path}")


def _cifar() -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8), np.array([3, 8, 0, 9], np.uint8)


def test_cifar10_binary_python_and_jpeg_agree(tmp_path: Path) -> None:
    images, labels = _cifar()
    for name in ("binary", "python", "jpeg"):
        (tmp_path / name).mkdir()
    records = np.concatenate([labels[:, None], images.reshape(4, -1)], axis=1)
    (tmp_path / "binary" / "test_batch.bin").write_bytes(records.tobytes())
    batch = {b"data": images.reshape(4, -1), b"labels": labels.tolist()}
    (tmp_path / "python" / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    for name in ("binary", "python"):
        read = datasets.load(f"cifar10:{tmp_path / name}")
        np.testing.assert_array_equal(np.round(read.images * 255), images)
        np.testing.assert_array_equal(read.labels, labels)

    image_module = pytest.importorskip("PIL.Image", reason="pillow reads JPEG; pip install 'xbar-sim[data]'")
    smooth = np.broadcast_to(np.arange(0, 128, 4, dtype=np.uint8)[:, None], (32, 32))
    code = io.BytesIO()
    image_module.fromarray(np.stack([smooth] * 3, axis=-1)).save(code, "JPEG", quality=95)
    jpeg = np.frombuffer(code.getvalue(), np.uint8)
    np.savez(tmp_path / "jpeg" / "test_jpeg.npz", jpeg=jpeg, offsets=np.array([0, len(jpeg)]), labels=np.array([5]))
    read = datasets.load(f"cifar10:{tmp_path / 'jpeg'}")
    assert read.name == "cifar10 (JPEG)"
    np.testing.assert_allclose(read.images[0, 1] * 255, smooth, atol=4)


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(DataError, match="not allowed in a data file"):
        datasets.load(f"cifar10:{tmp_path}")
    assert not (tmp_path / "ran").exists()


def test_npz_of_the_user(tmp_path: Path) -> None:
    images = RNG.normal(size=(3, 2, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.array([0, 1, 1]))
    np.testing.assert_array_equal(datasets.load(f"npz:{tmp_path / 'mine.npz'}").images, images)
    np.testing.assert_array_equal(datasets.load(f"npz:{tmp_path / 'mine.npz'}", "train").images, images)
    np.savez(tmp_path / "half.npz", images=images, labels=np.array([0, 1, 1]), train_images=images)
    with pytest.raises(DataError, match="must hold train_labels"):
        datasets.load(f"npz:{tmp_path / 'half.npz'}", "train")
    np.savez(tmp_path / "negative.npz", images=images, labels=np.array([0, -1, 1]))
    with pytest.raises(DataError, match="labels must be 0 or more, got -1"):
        datasets.load(f"npz:{tmp_path / 'negative.npz'}")
    images[0, 0, 0, 0] = np.nan
    np.savez(tmp_path / "bad.npz", images=images, labels=np.array([0, 1]))
    with pytest.raises(DataError) as caught:
        datasets.load(f"npz:{tmp_path / 'bad.npz'}")
    assert len(caught.value.problems) == 2
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match="is not an npz file"):
        datasets.load(f"npz:{tmp_path / 'text.npz'}")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("minst:x", "did you mean mnist"),
        ("digits:x", "take no path"),
        ("mnist:/no/such/folder", "does not exist"),
        ("npz", "npz needs a path"),
    ],
)
def test_wrong_specifications(spec: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        datasets.load(spec)
