"""Reading `.pt2` files (torch.export archives) without running what they carry.

torch.export.load unpickles whatever an archive declares to be pickled, loads compiled libraries that it carries,
evaluates its symbolic sizes as Python, and resolves operations to any attribute of torch: a stranger's file could run
code. `load_exported` reads the archive itself first, refuses all of that, and hands torch only what it has checked.
"""

from __future__ import annotations

import io
import json
import logging
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from xbar.errors import ModelError

_RANGES = "input_ranges.json"
_HARMLESS = re.compile(
    r"(models/model\.json|archive_format|archive_version|byteorder|\.data/(version|serialization_id)|\.format_version"
    r"|\.storage_alignment|data/weights/(weight_\d+|model_weights_config\.json)|extra/.*"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt)"
)
_OPERATION = re.compile(
    r"torch\.ops\.\w+\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\._?sym_\w+|torch\._C\._functorch\.\w+"
)
_SYMBOL = re.compile(r"Symbol\('\w+'(, \w+=(True|False))*\)")
_WORD = re.compile(r"[A-Za-z_]\w*")
# functions that torch prints for sizes (sympy's own and torch.utils._sympy.functions)
_SIZE_FUNCTION = re.compile(
    r"""Integer | Float | Rational | Add | Mul | Pow | Max | Min | (Python)?Mod | FloorDiv | CeilDiv | CleanDiv
    | ModularIndexing | PowByNatural | (Int|Float)TrueDiv | FloatPow | ToFloat | (Trunc|Floor|Ceil|Round)To(Int|Float)
    | Identity | Where | (Une|E)quality | (Strict)?(Less|Greater)Than | Eq | Ne | L[te] | G[te] | And | Or | Not
    | [Tt]rue | [Ff]alse | precision | [LR]Shift | (int_)?oo | [su]\d+""",
    re.VERBOSE,
)


def load_exported(path: str | Path) -> ExportedProgram:
    """The program in a `.pt2` file written by torch.export.save.

    Raises ModelError where the file is absent, damaged, of another version, or holds pickled objects or code.
    """
    file = Path(path)
    where = f"{file}"
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "there is no such file"
        raise ModelError(f"{where}: {what}; give the path of a file written by torch.export.save")
    try:
        entries = _entries(file)
    # RuntimeError: encrypted, or packed in a way that zipfile does not know
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{where}: is not a readable .pt2 archive ({error}); save the model again with torch.export.save "
            f"(a state_dict or a pickled module is not enough)"
        ) from error
    problems = [f"{where}: {problem}" for problem in _problems(entries)]
    if problems:
        raise ModelError(problems)
    return _load(where, entries)


def save_exported(
    program: ExportedProgram,
    path: str | Path,
    input_ranges: Mapping[str, float] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """torch.export.save, with the input ranges that training learned, by module, for `load_input_ranges`.

    extra: more for `load_extra`, what JSON can say by the name of its entry.
    """
    files = {_RANGES: dict(input_ranges)} if input_ranges else {}
    written = {name: json.dumps(value) for name, value in {**files, **(extra or {})}.items()}
    torch.export.save(program, path, extra_files=written)


def load_input_ranges(path: str | Path) -> dict[str, float]:
    """The input ranges in a file of `save_exported`, by module; none in other files.

    Of a file that `load_exported` has read. Raises ModelError where they are no numbers above 0.
    """
    found = load_extra(path, _RANGES)
    try:
        ranges = {str(name): float(value) for name, value in ({} if found is None else found).items()}
        if not all(0 < value < math.inf for value in ranges.values()):
            raise ValueError("ranges must be above 0 and finite")
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: its {_RANGES} is damaged ({error}); save the model again") from error
    return ranges


def load_extra(path: str | Path, name: str) -> Any:
    """What an extra entry of `save_exported` says, None where a file has no such entry.

    Of a file that `load_exported` has read. Raises ModelError where it is no JSON.
    """
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.namelist() if entry.partition("/")[2] == f"extra/{name}"]
        content = archive.read(entries[0]) if entries else b"null"
    try:
        return json.loads(content)
    except ValueError as error:
        raise ModelError(f"{path}: its {name} is damaged ({error}); save the model again") from error


def _entries(file: Path) -> dict[str, bytes]:
    """Contents by name, without the archive's top folder."""
    with zipfile.ZipFile(file) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(set(names)) != len(names):
            raise ValueError("two entries have the same name")
        return {name.partition("/")[2] or name: archive.read(name) for name in names}


def _problems(entries: dict[str, bytes]) -> Iterator[str]:
    if "models/model.json" not in entries:
        yield "holds no exported program (models/model.json); write it with torch.export.save of torch 2.9 or later"
        return
    odd = sorted(name for name in entries if not _HARMLESS.fullmatch(name))
    if odd:
        yield (
            f"holds entries that are no plain tensors ({', '.join(odd[:5])}), which could run code when loaded; "
            "export the model without custom objects or compiled libraries"
        )
    for name in entries:
        if name.endswith(".json"):
            yield from _json_problems(name, entries[name])
    sample = entries.get("data/sample_inputs/model.pt")
    if sample:
        try:
            torch.load(io.BytesIO(sample), weights_only=True)
        except Exception as error:  # whatever damage or foreign class it trips over, the file is refused
            yield f"its example inputs are no plain tensors ({_first_line(error)}); export the model with tensor inputs"


def _json_problems(name: str, content: bytes) -> Iterator[str]:
    try:
        tree = json.loads(content)
    except ValueError as error:
        yield f"{name} is damaged ({error}); save the model again with torch.export.save"
        return
    pickled, strange = 0, set()
    for key, value in _pairs(tree):
        if key == "use_pickle" and value:
            pickled += 1
        elif (
            key in ("target", "as_operator") and isinstance(value, str) and "." in value and name.startswith("models/")
        ):
            if _is_call(value) and not _OPERATION.fullmatch(value):
                strange.add(value)
        elif key == "expr_str" and not _is_size(str(value)):
            strange.add(str(value)[:80])
    if pickled:
        yield f"{name} holds {pickled} pickled tensors, which could run code when loaded; save plain tensors only"
    if strange:
        yield f"{name} calls what is no tensor operation: {', '.join(sorted(strange)[:5])}; the file is refused"


def _is_call(target: str) -> bool:
    """Whether torch would resolve the text to a Python object; parameters' paths are `target`s too and stay text."""
    return target.startswith(("torch", "_operator", "math", "#"))


def _is_size(expression: str) -> bool:
    plain = _SYMBOL.sub("", expression)
    if re.fullmatch(r"[su]\d+|\d+", plain):
        return True
    return not re.search(r"[^\w\s(),+\-*/=']|__", plain) and all(
        _SIZE_FUNCTION.fullmatch(word) for word in _WORD.findall(plain)
    )


def _pairs(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key, value
            yield from _pairs(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _pairs(value)


def _load(where: str, entries: dict[str, bytes]) -> ExportedProgram:
    """Torch reads a fresh archive of the checked entries, so that it cannot see others than were checked."""
    program = json.loads(entries["models/model.json"])
    program["guards_code"] = []  # Python text that torch would evaluate; the host checks shapes itself
    checked = io.BytesIO()
    with zipfile.ZipFile(checked, "w") as archive:
        for name, content in entries.items():
            data = json.dumps(program).encode() if name == "models/model.json" else content
            archive.writestr(f"checked/{name}", data)
    checked.seek(0)
    try:
        with quiet():
            return torch.export.load(checked)
    except Exception as error:  # torch fails in many ways on damaged archives; each becomes one clear line
        reason = (
            error.__context__ if error.__context__ is not None and isinstance(error, RuntimeError | KeyError) else error
        )
        raise ModelError(
            f"{where}: torch {torch.__version__} cannot read this archive ({_first_line(reason)}); save the model "
            "again with torch.export.save of this torch version"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's warnings and logged tracebacks, which precede its errors and bury their reason."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
