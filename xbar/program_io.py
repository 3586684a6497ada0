"""Programs on disk: a readable `program.json`, the arrays in `arrays.npz`, the host as `host.pt2`; no pickle.

Programs for spiking cores have no host. The state of a run of such is one `.npz` file.
"""

from __future__ import annotations

import json
import types
import typing
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xbar.errors import DataError, OutputError
from xbar.hardware import Chip
from xbar.network import Network
from xbar.program import Program
from xbar.spiking.check import check_program
from xbar.spiking.chip import SpikingChip
from xbar.spiking.program import SpikingProgram
from xbar.spiking.result import SpikeState

FORMAT = "xbar program 3"
SPIKING_FORMAT = "xbar spiking program 1"
STATE_FORMAT = "xbar spiking state 1"
_FILES = ("program.json", "arrays.npz")
HOST = "host.pt2"


def save_program(program: Program | SpikingProgram, folder: str | Path) -> None:
    """Write a program into `folder` (made if absent), as files that `load_program` reads back equal.

    Raises OutputError where the folder cannot be written.
    """
    where = Path(folder)
    arrays: dict[str, np.ndarray] = {}
    spiking = isinstance(program, SpikingProgram)
    plain = {"format": SPIKING_FORMAT if spiking else FORMAT, "program": _to_plain(program, "", arrays)}
    try:
        where.mkdir(parents=True, exist_ok=True)
        (where / "program.json").write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        np.savez(where / "arrays.npz", **arrays)  # type: ignore[arg-type]  # its stub takes names for options
        if isinstance(program, Program):
            import torch

            torch.export.save(program.network.exported, where / HOST)
    except (OSError, RuntimeError) as error:  # torch's archive writer reports a full or closed disk as RuntimeError
        raise OutputError(f"{where}: cannot save the program ({error}); choose a folder that can be written") from error


def load_program(folder: str | Path) -> Program:
    """The program for crossbars that `save_program` wrote into `folder`.

    Raises DataError where files are missing or damaged, ModelError for a host that is no plain torch.export archive.
    """
    from xbar.pt2 import load_exported

    where = Path(folder)
    _needs(where, (*_FILES, HOST))
    program = _loaded(where, Program, FORMAT, lambda: load_exported(where / HOST))
    return typing.cast(Program, program)


def load_spiking_program(folder: str | Path) -> SpikingProgram:
    """The program for spiking cores that `save_program` wrote into `folder`.

    Raises DataError where files are missing or damaged, CapacityError where it does not fit the chip it is for.
    """
    where = Path(folder)
    _needs(where, _FILES)
    program = typing.cast(SpikingProgram, _loaded(where, SpikingProgram, SPIKING_FORMAT, lambda: None))
    check_program(program)
    return program


def _loaded(where: Path, kind: type, form: str, host: Callable[[], Any]) -> Any:
    try:
        document = json.loads((where / "program.json").read_text(encoding="utf-8"))
        found = document.get("format") if isinstance(document, dict) else None
        if found != form:
            raise ValueError(f"format must be '{form}', got {found!r}")
        with (where / "arrays.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return _from_plain(kind, document["program"], "program", arrays, host())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{where}: the saved program is damaged ({reason}); compile and save it again") from error


def _needs(where: Path, files: tuple[str, ...]) -> None:
    missing = [name for name in files if not (where / name).is_file()]
    if missing:
        raise DataError(f"{where}: needs {', '.join(missing)}; give a folder that save_program wrote")


def save_state(state: SpikeState, file: str | Path) -> None:
    """Write the state of a spiking run as one `.npz` file, from which `load_state` reads it back equal.

    The file is there as a whole or not at all. Raises OutputError where it cannot be written.
    """
    where = Path(file)
    beside = where.with_name(where.name + ".new")
    try:
        with beside.open("wb") as out:
            np.savez(out, format=np.array(STATE_FORMAT), **{f.name: getattr(state, f.name) for f in fields(state)})
        beside.replace(where)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{where}: cannot save the state ({error.strerror}); choose another path") from error


def load_state(file: str | Path) -> SpikeState:
    """The state that `save_state` wrote. Raises DataError for a file that is missing, damaged or something else."""
    where = Path(file)
    names = [f.name for f in fields(SpikeState)]
    try:
        with where.open("rb") as source, np.load(source, allow_pickle=False) as stored:
            if "format" not in stored or str(stored["format"]) != STATE_FORMAT:
                raise ValueError(f"its format is not '{STATE_FORMAT}'")
            values = {name: stored[name] for name in names}
        numbers = {name: int(value) for name, value in values.items() if value.ndim == 0}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: is no saved state ({error}); give a file that save_state wrote") from error
    return SpikeState(**{**values, **numbers})


def _to_plain(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """Dataclasses as mappings, arrays by name in `arrays`; the exported graph is left out (it has its own file)."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, Chip | SpikingChip):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        plain = {}
        for field in fields(value):
            if field.name != "exported":
                plain[field.name] = _to_plain(getattr(value, field.name), f"{path}.{field.name}".strip("."), arrays)
        return plain
    if isinstance(value, tuple):
        return [_to_plain(item, f"{path}.{i}", arrays) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {key: _to_plain(item, f"{path}.{key}", arrays) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _from_plain(kind: Any, value: Any, path: str, arrays: Mapping[str, np.ndarray], exported: Any) -> Any:
    """The value of type `kind` that `_to_plain` made `value` of; ValueError names the place of anything else."""

    def inner(kind: Any, value: Any, name: str) -> Any:
        return _from_plain(kind, value, f"{path}.{name}", arrays, exported)

    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in options:
            return None
        return _from_plain(next(o for o in options if o is not type(None)), value, path, arrays, exported)
    if kind is np.ndarray and isinstance(value, dict) and value.get("array") in arrays:
        return arrays[value["array"]]
    if kind in (Chip, SpikingChip):
        return kind.model_validate(value)
    if is_dataclass(kind) and isinstance(value, dict):
        return _dataclass(kind, value, path, inner, exported)
    if origin is tuple and isinstance(value, list):
        items = (options[0],) * len(value) if options[-1] is Ellipsis else options
        if len(items) == len(value):
            return tuple(inner(item, v, str(i)) for i, (item, v) in enumerate(zip(items, value, strict=True)))
    if origin is dict and isinstance(value, dict):
        return {key: inner(options[1], item, key) for key, item in value.items()}
    if origin is typing.Literal and value in options:
        return value
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ValueError(f"{path}: expected {getattr(kind, '__name__', kind)}, got {str(value)[:60]!r}")


def _dataclass(
    kind: Any, value: dict[str, Any], path: str, inner: Callable[[Any, Any, str], Any], exported: Any
) -> Any:
    names = [field.name for field in fields(kind) if field.name != "exported"]
    if sorted(names) != sorted(value):
        raise ValueError(f"{path}: expected the entries {', '.join(names)}, got {', '.join(value)}")
    from torch.export import ExportedProgram

    hints = typing.get_type_hints(kind, localns={"ExportedProgram": ExportedProgram})
    made = {name: inner(hints[name], value[name], name) for name in names}
    return kind(**made, exported=exported) if kind is Network else kind(**made)
