"""`xbar spike` as a user types it, spiking chips in `xbar show` and `xbar check`, one clear error for each mistake."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from close import approx
from spike_examples import three_cores

from xbar.frontends.ranc_write import save_ranc

NAME = "truenorth_science_2014"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A RANC network of three cores with its own spikes."""
    save_ranc(three_cores(), np.random.default_rng(0).random((8, 1, 2)) < 0.5, tmp_path / "net")
    return tmp_path / "net" / "input.json"


def test_a_run_is_printed_written_and_drawn(xbar, net: Path, tmp_path: Path) -> None:
    files = ("--json", tmp_path / "out.json", "--plot", tmp_path / "out.png")
    code, out, _ = xbar("spike", net, "--ticks", 12, "--set", "energy.voltage_V=0.7 V", *files)
    assert code == 0
    for words in ("12 ticks of 1 ms", "Hz per used neuron", "SOPS/W", "at 0.7 V", "3 of 4", "load of the cores"):
        assert words in out, words
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["metrics"]["energy_J"] == approx(sum(e["energy_J"] for e in data["report"]["ledger"]))
    assert data["metrics"]["spikes"] == 21
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_random_spikes_for_a_batch_are_the_same_for_a_seed(xbar, net: Path, tmp_path: Path) -> None:
    def outputs(seed: int) -> list[list[int]]:
        command = ("spike", net, "--rate", 0.2, "--ticks", 30, "--inputs", 3, "--seed", seed)
        assert xbar(*command, "--json", tmp_path / "out.json")[0] == 0
        found: list[list[int]] = json.loads((tmp_path / "out.json").read_text())["votes"]
        return found

    first = outputs(0)
    assert len(first) == 3
    assert outputs(0) == first
    assert outputs(1) != first


def _weight(document: Any) -> None:
    document["cores"][1]["neurons"][0]["weights"][2] = 300


def _delay(document: Any) -> None:
    document["cores"][0]["neurons"][1]["destination_tick"] = 15


def _type(document: Any) -> None:
    document["cores"][2]["axons"][3] = 4


def _absent(document: Any) -> None:
    document["packets"][0][0]["destination_core"] = [7, 3]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_weight, "cores[1].neurons[0].weights[2]: must be"),
        (_delay, "cores[0].neurons[1].destination_tick: must be"),
        (_type, "cores[2].axons[3]: must be"),
        (_absent, "packets[0][0].destination_core: must be the place of a core"),
    ],
)
def test_a_wrong_network_is_one_clear_error(
    xbar, net: Path, tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    document = json.loads(net.read_text())
    change(document)
    net.write_text(json.dumps(document))
    code, out, err = xbar("spike", net, "--json", tmp_path / "out.json")
    assert code == 2
    assert said in err
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in err + out
    assert not (tmp_path / "out.json").exists()


def test_what_cannot_be_read_or_held(xbar, net: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((net, "--chip", NAME, "--set", "mesh.cols=1", "--set", "mesh.rows=2"), "has 2"),
        ((net, "--chip", NAME, "--set", "core.axons=0"), "core.axons"),
        ((net, "--chip", "isaac_isca_2016"), "is a chip of crossbars"),
        ((net, "--chip", "truenorth_science"), "did you mean truenorth_science_2014?"),
        ((tmp_path / "net.txt",), "must end in .json, .nir, .pt2"),
        ((tmp_path / "none.nir", "--rate", 0.1, "--ticks", 3), "does not exist"),
        ((net, "--copies", 2), "--copies: are of a .pt2"),
        ((net, "--set", "energy.voltage_V=5 V"), "must be from 0.67 V to 1.05 V"),
        ((net, "--set", "energy"), "must be path=value"),
        ((net, "--ticks", 0), "Invalid value for '--ticks'"),
        ((net, "--rate", 1.5, "--ticks", 3), "Invalid value for '--rate'"),
    ):
        code, out, err = xbar("spike", *arguments)
        assert code == 2, arguments
        assert said in err, (arguments, err)
        assert "Traceback" not in err + out
    net.write_text(net.read_text()[:200])
    code, _, err = xbar("spike", net)
    assert (code, "error:" in err) == (2, True)
    (tmp_path / "bad.pt2").write_text("no archive")
    assert "is not a readable .pt2 archive" in xbar("spike", tmp_path / "bad.pt2", "--data", "digits")[2]


def test_all_problems_are_told_before_the_work(xbar, net: Path, tmp_path: Path) -> None:
    files = ("--plot", tmp_path / "x.bmp", "--json", "/nowhere/x.json")
    code, _, err = xbar("spike", net, *files, "--data", "digit", "--set", "core.axons=0", "--set", "x", "--chip", NAME)
    assert code == 2
    for said in ("--plot: must end in", "/nowhere/x.json: cannot be written", "--data: has no effect", "data: unknown"):
        assert said in err, said
    assert "must be path=value" in err
    assert not (tmp_path / "x.bmp").exists()


def test_spiking_chips_are_listed_shown_and_checked(xbar, tmp_path: Path) -> None:
    _, out, _ = xbar("show")
    assert f"{NAME}  4,096  256x256" in out
    assert "isaac_isca_2016" in out
    _, out, _ = xbar("show", NAME, "--set", "energy.voltage_V=0.8 V", "--set", "board.cols=4")
    for words in ("16,384 cores", "257.2 mW", "Cassidy", "-255 .. 255"):
        assert words in out, words
    assert f"{NAME} is a valid chip of spiking cores: 4,096 cores" in xbar("check", NAME)[1]
    text = (importlib.resources.files("hw_configs") / f"{NAME}.yaml").read_text()
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("max_delay: 15", "max_delay: 16").replace("weight_bits: 9", "weight_bits: 90"))
    code, _, err = xbar("check", mine)
    assert code == 2
    assert err.count(f"error: {mine}:") == 2
    assert "max_delay" in err
    assert "neuron.weight_bits" in err
    assert "did you mean truenorth_science_2014?" in xbar("show", "truenorth_science")[2]
    assert "use `xbar spike`" in xbar("run", "demo", "--chip", NAME)[2]
