"""Programs on disk, and how full their crossbars are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import counted, random_weights, small_chip, small_network

import mapping
from xbar.cost import estimate
from xbar.cost.estimate import utilisation
from xbar.errors import DataError, OutputError, XbarError
from xbar.host import run
from xbar.outline import outline
from xbar.program import Program
from xbar.program_io import load_program, save_program

OFFSET = {"encoding": {"kind": "offset", "flipped": True, "layout": "separate"}, "device__cell_bits": 2}


def compiled(seed: int = 0, **changes: object) -> Program:
    return mapping.compile(small_network(random_weights([(6, 10), (3, 6)], seed=seed), 5), small_chip(**changes), 4)


@pytest.mark.parametrize(
    "changes", [{}, OFFSET, {"adc": {"kind": "ideal"}}, {"adc__mode": "range", "adc__full_scale": "worst_case"}]
)
def test_round_trip_is_equal(tmp_path, changes):
    program = compiled(**changes)
    save_program(program, tmp_path / "deep" / "folder")
    loaded = load_program(tmp_path / "deep" / "folder")
    assert loaded == program
    assert loaded.chip == program.chip
    assert loaded.layers[0].cells.dtype == np.uint8
    x = torch.rand(3, 5, 10)
    assert torch.equal(run(loaded.network, x), run(program.network, x))
    assert estimate(loaded, counted(loaded)).metrics() == estimate(program, counted(program)).metrics()


def changed_cell(program: Program) -> Program:
    first, *rest = program.layers
    cells = first.cells.copy()
    cells[0, 0, 0, 0] ^= 1
    return replace(program, layers=(replace(first, cells=cells), *rest))


def changed_type(program: Program) -> Program:
    first, *rest = program.layers
    return replace(program, layers=(replace(first, cells=first.cells.astype(np.int16)), *rest))


def changed_scale(program: Program) -> Program:
    first, *rest = program.layers
    return replace(program, layers=(replace(first, input_scale=first.input_scale * (1 + 1e-15)), *rest))


def changed_host(program: Program) -> Program:
    with torch.no_grad():
        other = compiled(seed=1).network.exported
    return replace(program, network=replace(program.network, exported=other))


def changed_chip(program: Program) -> Program:
    return replace(program, chip=small_chip(adc__bits=4))


@pytest.mark.parametrize("change", [changed_cell, changed_type, changed_scale, changed_host, changed_chip])
def test_the_smallest_difference_is_seen(change):
    program = compiled()
    assert program == compiled()
    assert program != change(program)


def test_a_program_prints_where_its_layers_are():
    """As in test_utilisation_by_hand: layer 0 in cores 0-5 of 2 to a tile, layer 1 in cores 6 and 7."""
    program = compiled()
    assert str(program).splitlines() == [
        "small on small: 2 matrix layers in 14 crossbars, 4 of 4 tiles",
        "  layer0: 10 x 6 in 3 x 4 crossbars, tiles 0 to 2",
        "  layer1: 6 x 3 in 2 x 1 crossbar, tile 3",
    ]
    assert repr(program) == "<Program small on small: 2 matrix layers in 14 crossbars, 4 of 4 tiles>"
    assert repr(program.layers[1]) == "<LayerProgram layer1: 6 x 3 in 2 x 1 crossbar, tile 3>"


def test_sidecar_is_readable_and_holds_no_arrays(tmp_path):
    program = compiled()
    save_program(program, tmp_path)
    data = json.loads((tmp_path / "program.json").read_text())
    assert data["format"] == "xbar program 3"
    assert data["program"]["layers"][0]["blocks"][0]["n_rows"] == 8
    assert data["program"]["layers"][0]["cells"] == {"array": "layers.0.cells"}
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["layers.0.cells"], program.layers[0].cells)


def test_missing_files_are_all_named(tmp_path):
    save_program(compiled(), tmp_path)
    (tmp_path / "arrays.npz").unlink()
    (tmp_path / "host.pt2").unlink()
    with pytest.raises(DataError, match=r"needs arrays.npz, host.pt2; give a folder that save_program wrote"):
        load_program(tmp_path)


@pytest.mark.parametrize("name", ["program.json", "arrays.npz", "host.pt2"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no such format" + b[20:]])
def test_damaged_files_give_one_clear_error(tmp_path, name, damage):
    save_program(compiled(), tmp_path)
    file = tmp_path / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(XbarError, match=r"damaged|not a readable"):
        load_program(tmp_path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: d.update(format="xbar program 2"), "format must be 'xbar program 3'"),
        (lambda d: d["program"]["layers"][0].pop("name"), "program.layers.0: expected the entries"),
        (lambda d: d["program"].update(n_tiles_used="two"), "program.n_tiles_used: expected int, got 'two'"),
        (lambda d: d["program"]["layers"][0]["cells"].update(array="x"), "program.layers.0.cells: expected ndarray"),
        (lambda d: d["program"]["layers"][0].update(groups=True), "program.layers.0.groups: expected int, got 'True'"),
        (lambda d: d["program"]["chip"]["adc"].update(bits=0), "whole number from 1 to 16"),
    ],
)
def test_wrong_entries_are_named_by_their_place(tmp_path, edit, words):
    save_program(compiled(), tmp_path)
    file = tmp_path / "program.json"
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))
    with pytest.raises(DataError, match="damaged") as caught:
        load_program(tmp_path)
    assert words in str(caught.value)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot save the program"):
        save_program(compiled(), tmp_path / "file" / "folder")
    (tmp_path / "taken" / "host.pt2").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot save the program"):
        save_program(compiled(), tmp_path / "taken")


def test_utilisation_by_hand():
    """10 x 6 weights of 2 cells on 4 crossbars of 64, three times; 6 x 3 on one, twice."""
    by_layer, total = utilisation(outline(compiled()))
    assert by_layer == {"layer0": 120 / 256, "layer1": 36 / 64}
    assert total == (3 * 120 + 2 * 36) / (3 * 256 + 2 * 64)


def test_rows_and_columns_left_out_are_saved(tmp_path):
    """3 of 6 columns and 8 of 10 rows hold weights; a whole layer has None in their place."""
    first, second = np.zeros((6, 10), np.int32), np.full((3, 6), 3, np.int32)
    first[np.ix_([0, 2, 5], range(1, 9))] = 3
    program = mapping.compile(small_network([first, second]), small_chip())
    save_program(program, tmp_path)
    loaded = load_program(tmp_path)
    assert loaded == program
    compacted, whole = loaded.layers
    assert compacted.kept_rows.tolist() == list(range(1, 9))
    assert compacted.kept_cols.tolist() == [0, 2, 5]
    assert (compacted.full_shape, compacted.shape, compacted.cells.shape[2:]) == ((10, 6), (10, 6), (8, 3))
    assert (whole.kept_rows, whole.kept_cols, whole.full_shape, whole.shape) == (None, None, None, (6, 3))
    assert replace(program, layers=(replace(program.layers[0], kept_cols=np.array([0, 2, 4])), whole)) != program
