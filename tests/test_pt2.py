"""Model files of strangers run no code."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import models
import pytest
import torch
from close import approx

from xbar.errors import ModelError
from xbar.frontends.torch_module import from_torch
from xbar.network import Precision
from xbar.pt2 import load_exported, load_input_ranges, save_exported
from xbar.quantization import quantize

Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Entries:
    path = tmp_path_factory.mktemp("pt2") / "mlp.pt2"
    x = models.inputs(models.MLP, 2)
    program = torch.export.export(models.build(models.MLP), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.export.save(program, path)
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def written(entries: Entries, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for name, content in entries.items():
            out.writestr(name, content)
    return path


def edited(entries: Entries, ending: str, change: Callable[[str], str]) -> Entries:
    return {n: change(c.decode()).encode() if n.endswith(ending) else c for n, c in entries.items()}


def test_what_torch_saves_is_read(archive: Entries, tmp_path: Path) -> None:
    program = load_exported(written(archive, tmp_path / "m.pt2"))
    assert [n.name for n in program.graph.nodes if n.name.startswith("linear")] == ["linear", "linear_1", "linear_2"]
    assert program.state_dict["1.weight"].shape == (32, 64)


class Bomb:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickled_weights_are_refused_unopened(archive: Entries, tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    entries = edited(
        archive, "model_weights_config.json", lambda t: t.replace('"use_pickle": false', '"use_pickle": true', 1)
    )
    bomb = pickle.dumps(Bomb(mark))
    entries = {n: bomb if n.endswith("weight_0") else c for n, c in entries.items()}
    with pytest.raises(ModelError, match="1 pickled tensors, which could run code"):
        load_exported(written(entries, tmp_path / "m.pt2"))
    assert not mark.exists()


def test_pickled_example_inputs_are_refused_unopened(archive: Entries, tmp_path: Path) -> None:
    mark, buffer = tmp_path / "exploded", io.BytesIO()
    torch.save(((Bomb(mark),), {}), buffer)
    entries = {n: buffer.getvalue() if "sample_inputs" in n else c for n, c in archive.items()}
    with pytest.raises(ModelError, match="example inputs are no plain tensors"):
        load_exported(written(entries, tmp_path / "m.pt2"))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["data/constants/opaque_obj_0", "data/aotinductor/m/m.so", "data/weights/model.pt"])
def test_objects_and_libraries_are_refused(archive: Entries, tmp_path: Path, name: str) -> None:
    top = next(iter(archive)).partition("/")[0]
    with pytest.raises(ModelError, match="no plain tensors"):
        load_exported(written({**archive, f"{top}/{name}": b""}, tmp_path / "m.pt2"))


def test_foreign_operations_are_refused(archive: Entries, tmp_path: Path) -> None:
    entries = edited(
        archive, "models/model.json", lambda t: t.replace("torch.ops.aten.relu.default", "torch.os.system", 1)
    )
    with pytest.raises(ModelError, match=r"calls what is no tensor operation: torch\.os\.system"):
        load_exported(written(entries, tmp_path / "m.pt2"))


@pytest.mark.parametrize("size", ["__import__('os').getcwd()", "eval(chr(49))", "Symbol('s0').name", "open(1)"])
def test_sizes_that_are_programs_are_refused(archive: Entries, tmp_path: Path, size: str) -> None:
    def change(text: str) -> str:
        tree = json.loads(text)
        tree["graph_module"]["graph"]["sym_int_values"] = {"x": {"as_expr": {"expr_str": size}}}
        return json.dumps(tree)

    with pytest.raises(ModelError, match="calls what is no tensor operation"):
        load_exported(written(edited(archive, "models/model.json", change), tmp_path / "m.pt2"))


def test_texts_that_torch_would_evaluate_are_dropped(archive: Entries, tmp_path: Path) -> None:
    mark = tmp_path / "exploded"

    def change(text: str) -> str:
        return json.dumps({**json.loads(text), "guards_code": [f"open({str(mark)!r}, 'w')"]})

    program = load_exported(written(edited(archive, "models/model.json", change), tmp_path / "m.pt2"))
    program.module()(models.inputs(models.MLP, 2))
    assert not mark.exists()


def test_damaged_files_give_one_clear_line(archive: Entries, tmp_path: Path) -> None:
    whole = written(archive, tmp_path / "whole.pt2").read_bytes()
    cases = {
        "half": (whole[: len(whole) // 2], "is not a readable .pt2 archive"),
        "empty": (b"", "is not a readable .pt2 archive"),
        "pickle": (pickle.dumps({"weight": 1}), "a state_dict or a pickled module is not enough"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / f"{name}.pt2"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=message) as caught:
            load_exported(path)
        assert len(caught.value.problems) == 1
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(("flag", "method"), [(1, zipfile.ZIP_STORED), (0, 99)], ids=["encrypted", "unknown method"])
def test_entries_that_cannot_be_unpacked_give_one_clear_line(tmp_path: Path, flag: int, method: int) -> None:
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/models/model.json", "{}")
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # flags, then the method, in both headers
        start = content.index(signature) + at
        content[start : start + 4] = flag.to_bytes(2, "little") + method.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is not a readable \.pt2 archive"):
        load_exported(path)


def test_a_broken_stream_gives_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/models/model.json", "{" + "1, " * 500)
    content = path.read_bytes()
    start = content.index(b"model.json") + len(b"model.json")
    path.write_bytes(content[:start] + b"\xff" * 8 + content[start + 8 :])
    with pytest.raises(ModelError, match=r"is not a readable \.pt2 archive"):
        load_exported(path)


def test_learned_input_ranges_come_with_the_file(tmp_path: Path) -> None:
    model, x = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)), torch.rand(5, 4)
    exported = torch.export.export(model.eval(), (x,))
    save_exported(exported, tmp_path / "m.pt2", {"0": 2.5, "gone": 1.0})
    assert load_input_ranges(tmp_path / "m.pt2") == {"0": 2.5, "gone": 1.0}
    network = from_torch(tmp_path / "m.pt2")
    assert network.input_ranges == {"0": 2.5}
    first, second = quantize(network, x, Precision(input_bits=8)).layers
    assert first.input_scale == approx(2.5 / 255)
    assert second.input_scale == quantize(from_torch(model, x), x, Precision(input_bits=8)).layers[1].input_scale
    given = quantize(network, x, Precision(input_bits=8), input_ranges={"0": 5.0}).layers[0]
    assert given.input_scale == approx(5 / 255)
    save_exported(exported, tmp_path / "plain.pt2")
    assert load_input_ranges(tmp_path / "plain.pt2") == {}
    for damaged in (b"[1]", b'{"0": -1}', b'{"0": "a"}', b"{"):
        torch.export.save(exported, tmp_path / "bad.pt2", extra_files={"input_ranges.json": damaged.decode()})
        with pytest.raises(ModelError, match=r"input_ranges\.json is damaged"):
            from_torch(tmp_path / "bad.pt2")


def test_damaged_entries_give_one_clear_line(archive: Entries, tmp_path: Path) -> None:
    cut = {n: c[: len(c) // 2] if n.endswith("models/model.json") else c for n, c in archive.items()}
    with pytest.raises(ModelError, match=r"models/model\.json is damaged"):
        load_exported(written(cut, tmp_path / "m.pt2"))
    missing = {n: c for n, c in archive.items() if not n.endswith("weight_0")}
    with pytest.raises(ModelError, match="cannot read this archive"):
        load_exported(written(missing, tmp_path / "m.pt2"))
    other = {n: c for n, c in archive.items() if not n.endswith("model.json")}
    with pytest.raises(ModelError, match="holds no exported program"):
        load_exported(written(other, tmp_path / "m.pt2"))


def test_absent_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        load_exported(tmp_path / "absent.pt2")
    with pytest.raises(ModelError, match="is a folder"):
        load_exported(tmp_path)
