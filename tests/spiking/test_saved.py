"""Programs and states of spiking cores on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from random_programs import random_inputs, random_program

from xbar.errors import CapacityError, DataError, OutputError
from xbar.program_io import load_program, load_spiking_program, load_state, save_program, save_state
from xbar.sim.spiking import simulate_spikes


def test_a_program_is_read_back_equal(tmp_path: Path) -> None:
    program = random_program(4, axons=70, neurons=66)
    save_program(program, tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["arrays.npz", "program.json"]
    loaded = load_spiking_program(tmp_path)
    assert loaded == program
    inputs = random_inputs(4, program, 20, 2)
    assert simulate_spikes(loaded, inputs) == simulate_spikes(program, inputs)
    with pytest.raises(DataError, match=r"needs host\.pt2"):
        load_program(tmp_path)


def test_a_damaged_program_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs program\.json, arrays\.npz"):
        load_spiking_program(tmp_path)
    save_program(random_program(4), tmp_path)
    file = tmp_path / "program.json"
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match="the saved program is damaged"):
        load_spiking_program(tmp_path)
    document = json.loads(text)
    document["program"]["chip"]["mesh"]["cols"] = document["program"]["chip"]["mesh"]["rows"] = 1
    file.write_text(json.dumps(document))
    with pytest.raises(CapacityError, match="needs 3 cores, but truenorth_science_2014 has 1"):
        load_spiking_program(tmp_path)
    document["program"]["chip"]["mesh"]["cols"] = 0
    file.write_text(json.dumps(document))
    with pytest.raises(DataError, match="the saved program is damaged"):
        load_spiking_program(tmp_path)


def test_a_state_is_read_back_equal_and_gone_on_from(tmp_path: Path) -> None:
    program = random_program(9)
    inputs = random_inputs(9, program, 30, 2)
    before = simulate_spikes(program, inputs[:11], seed=5, first=3)
    save_state(before.state, tmp_path / "state.npz")
    loaded = load_state(tmp_path / "state.npz")
    assert loaded == before.state
    assert [f.name for f in tmp_path.iterdir()] == ["state.npz"]
    whole = simulate_spikes(program, inputs, seed=5, first=3)
    assert np.array_equal(simulate_spikes(program, inputs[11:], state=loaded).outputs, whole.outputs[11:])


def test_what_is_no_state_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no saved state"):
        load_state(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(DataError, match="is no saved state"):
        load_state(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", tick=np.array(3))
    with pytest.raises(DataError, match="its format is not 'xbar spiking state 1'"):
        load_state(tmp_path / "other.npz")
    with pytest.raises(OutputError, match="cannot save the state"):
        save_state(simulate_spikes(random_program(1), n_ticks=1).state, tmp_path / "no" / "state.npz")
