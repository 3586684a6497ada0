"""Files of NIR graphs (HDF5), which come from anywhere: read with suspicion, never written by half."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from xbar.errors import DataError, ModelError, OutputError

MOST_BYTES = 4 << 30  # of all arrays of a file
MOST_OBJECTS = 100_000


def nir_package() -> ModuleType:
    """The package `nir`; ModelError where it is not installed."""
    try:
        import nir
    except ImportError:
        raise ModelError("NIR needs the package nir; pip install 'xbar-sim[nir]'") from None
    module: ModuleType = nir
    return module


def read_nir(path: Path) -> Any:
    """The graph of a .nir file; DataError for one that is broken, or that HDF5 would follow out of itself."""
    nir = nir_package()
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        _judge(path)
        graph = nir.read(path, type_check=False)
    except DataError:
        raise
    except Exception as e:  # whatever HDF5 and the package make of wrong bytes
        told = " ".join(str(e).split())[:200] or type(e).__name__
        raise DataError(f"{path}: cannot be read as a NIR graph: {told}") from None
    if not isinstance(graph, nir.NIRGraph):
        raise DataError(f"{path}: must hold a graph, got a single {type(graph).__name__}")
    return graph


def _judge(path: Path) -> None:
    """Before anything is unpacked: no links, no data elsewhere, and arrays of a size that memory can hold."""
    import h5py

    n_bytes = n_objects = 0
    seen: set[int] = set()
    with h5py.File(path, "r") as file:
        open_ = [file]
        while open_:
            group = open_.pop()
            for key in group:
                n_objects += 1
                if n_objects > MOST_OBJECTS:
                    raise DataError(f"{path}: must hold at most {MOST_OBJECTS} objects")
                place = f"{group.name.rstrip('/')}/{key}"
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    raise DataError(f"{path}: {place}: must be in the file itself, not a link")
                item = group[key]
                number = h5py.h5o.get_info(item.id).addr
                if number in seen:
                    raise DataError(f"{path}: {place}: is there twice, or holds itself")
                seen.add(number)
                if isinstance(item, h5py.Group):
                    open_.append(item)
                elif isinstance(item, h5py.Dataset):
                    if item.external or item.is_virtual:
                        raise DataError(f"{path}: {place}: must be in the file itself, not in another")
                    n_bytes += item.size * item.dtype.itemsize if item.size else 0
        if n_bytes > MOST_BYTES:
            raise DataError(
                f"{path}: its arrays must be {MOST_BYTES >> 30} GB or less, got {n_bytes / (1 << 30):.1f} GB"
            )


def write_nir(path: Path, graph: Any) -> None:
    """Writes a graph under another name first, so that no half of it is ever there."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        nir_package().write(part, graph)
        part.replace(path)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror or e})") from None
    finally:
        with suppress(OSError):
            part.unlink()
