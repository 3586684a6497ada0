"""The command as a user types it: the demo, the files it writes, and one clear error for each wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from close import approx
from torch import nn

ISAAC = "isaac_isca_2016"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for 8x8 digits in a .pt2 archive."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).eval()
    return _saved(model, tmp_path_factory.mktemp("models") / "small.pt2")


def _saved(model: nn.Module, file: Path, shape: tuple[int, ...] = (2, 1, 8, 8)) -> Path:
    batch = torch.export.Dim("batch", min=1)
    torch.export.save(torch.export.export(model, (torch.zeros(shape),), dynamic_shapes=({0: batch},)), file)
    return file


def test_the_demo_prints_the_whole_report_and_writes_json(xbar, tmp_path: Path) -> None:
    code, out, _ = xbar("run", "--inputs", 40, "--json", tmp_path / "out.json", "--plot", tmp_path / "out.png")
    assert code == 0
    for word in ("accuracy", "ADC", "area", "energy", "latency", "TOPS/W", "conv1", "fc2", "stays digital"):
        assert word in out, word
    for word in ("where the time of", "not ready", "the busiest parts", "from one input to the next"):
        assert word in out, word
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["n_inputs"] == 40
    assert report["metrics"]["accuracy"] >= 0.9
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_run_a_saved_model_with_another_adc(xbar, small: Path, tmp_path: Path) -> None:
    common = ("run", small, "--data", "digits", "--inputs", 30, "--no-search", "--set", "precision.weight_bits=8")
    for bits in (8, 4):
        assert xbar(*common, "--set", f"adc.bits={bits}", "--json", tmp_path / f"{bits}.json")[0] == 0
    eight, four = (json.loads((tmp_path / f"{bits}.json").read_text())["metrics"] for bits in (8, 4))
    assert four["saturated_rel"] > eight["saturated_rel"] == 0
    assert four["energy_J"] < eight["energy_J"]


def test_check_and_show(xbar) -> None:
    assert "valid chip" in xbar("check", ISAAC)[1]
    assert ISAAC in xbar("show")[1]
    code, out, _ = xbar("show", ISAAC)
    assert code == 0
    assert "eDRAM" in out or "edram" in out


def test_noise_models_are_shown_and_checked(xbar, tmp_path: Path) -> None:
    assert "reram_wan_2022" in xbar("show")[1]
    code, out, _ = xbar("show", "reram_wan_2022", "--set", "effects.read.sigma_rel=0.123")
    assert code == 0
    for words in ("sigma_rel: 0.123", "cells, at every read", "Wan et al., Nature 2022", "±12.30", "time_s: 1 day"):
        assert words in out, words
    assert "no effects" in xbar("show", "none")[1]
    file = tmp_path / "mine.yaml"
    file.write_text("effects:\n  faults: {kind: stuck, hrs_rate: 0.5, lrs_rate: 0.6}\n")
    code, _, err = xbar("check", file)
    assert code == 2
    assert f"{file}:2: effects.faults.hrs_rate: must not exceed 1 together with lrs_rate" in err
    file.write_text("effects:\n  faults: {kind: stuck, hrs_rate: 0.5, lrs_rate: 0.4}\n")
    assert "valid noise model: faults" in xbar("check", file)[1]
    code, _, err = xbar("show", "reram_wan_2021")
    assert code == 2
    assert "did you mean reram_wan_2022?" in err


def test_a_noisy_run_tells_every_step_and_its_spread(xbar, small: Path, tmp_path: Path) -> None:
    common = ("run", small, "--data", "digits", "--inputs", 30, "--no-search", "--chip", "generic_1t1r")
    files = ("--json", tmp_path / "out.json", "--plot", tmp_path / "out.png")
    code, out, err = xbar(
        *common, "--noise", "reram_wan_2022", "--runs", 3, "--seed", 7, "--errors", *files,
        "--set", "noise.time_s=1 day", "--set", "noise.effects.read.sigma_rel=0.05",
    )  # fmt: skip
    assert code == 0, err
    for words in (
        "float32", "integer network", "ideal cells", "real cells without noise", "95 % confidence, 3 runs, seed 7",
        "standard deviation", "worst", "read 1 day after programming at 300 K", "where errors come from", "sum / total",
    ):  # fmt: skip
        assert words in out, words
    found = json.loads((tmp_path / "out.json").read_text())
    runs, metrics = found["accuracy_of_runs"], found["metrics"]
    assert len(runs) == 3
    assert metrics["accuracy"] == approx(sum(runs) / 3)
    assert metrics["accuracy_worst"] == min(runs) == runs[found["worst_run"]]
    assert found["chip"]["noise"]["effects"]["read"]["sigma_rel"] == 0.05
    assert {row["source"] for row in found["error_sources"]["rows"]} >= {"quantization", "programming", "read", "total"}
    assert (tmp_path / "out.png").stat().st_size > 30_000
    code, out, _ = xbar(*common, "--noise", "none", "--runs", 3)
    assert code == 0
    assert "nothing is random" in out


def test_help_names_every_command(xbar) -> None:
    out = xbar("--help")[1]
    for command in ("run", "estimate", "check", "show", "sweep"):
        assert command in out


def _chip(tmp_path: Path, before: str, after: str) -> Path:
    import hw_configs

    text = (Path(hw_configs.__file__).parent / f"{ISAAC}.yaml").read_text()
    assert before in text
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(before, after, 1))
    return file


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "adc.bts=6"), ("adc.bts", "did you mean", "bits")),
        (("--set", "adc.bits=0"), ("adc.bits", "got 0")),
        (("--set", "crossbar.reference.area_m2=25 nm"), ("crossbar.reference.area_m2", "25 nm", "length")),
        (("--set", "crossbar.reference.area_m2=-1"), ("crossbar.reference.area_m2", "-1", "0 or more")),
        (("--set", "adc.bits=[8,8]"), ("adc.bits", "slice")),
        (("--set", "adc.kind=ideal"), ("adc.bits: unknown setting with kind: ideal",)),
        (("--chip", "isac_isca_2016"), ("did you mean", ISAAC)),
        (("--chip", "no/such/chip.yaml"), ("no/such/chip.yaml",)),
        (("--set", "chip.tiles=1", "--set", "core.crossbars=1", "--set", "tile.cores=1"), ("tiles", "conv2")),
        (("--json", "/no/such/folder/out.json"), ("cannot be written",)),
        (("--data", "minst"), ("did you mean mnist",)),
        (("--digital", "conv9"), ("conv9", "did you mean")),
        (("--mean", "0.5", "--std", "0"), ("std", "positive")),
        (("--mean", "0.5"), ("--std",)),
        (("--no-search", "--max-loss", "0.2"), ("--max-loss", "no effect")),
        (("--plot", "picture.foo"), ("--plot", ".png")),
        (("--noise", "reram_wan_2021"), ("noise", "did you mean reram_wan_2022?")),
        (("--noise", "no/such/noise.yaml"), ("no/such/noise.yaml", "cannot be read")),
        (("--runs", "5"), ("--runs", "no effect with ideal cells", "got 5")),
        (("--noise", "reram_wan_2022", "--same-chip"), ("--same-chip", "no effect with a single run")),
        (("--set", "noise.time_s=1 h"), ("noise.time_s", "no effect on ideal cells", "--noise")),
        (("--noise", "reram_wan_2022", "--set", "noise.time_s=-1 s"), ("noise.time_s", "before programming", "-1 s")),
        (
            ("--noise", "reram_typical", "--set", "noise.effects.faults.lrs_rate=0.95"),
            ("effects.faults.hrs_rate", "must not exceed 1", "1.0404"),
        ),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else None,
)
def test_wrong_input_is_one_clear_error(xbar, arguments: tuple[str, ...], says: tuple[str, ...]) -> None:
    code, _, err = xbar("run", *arguments, "--inputs", 2)
    assert code == 2
    assert "Traceback" not in err
    assert err.startswith("error: ")
    for word in says:
        assert word in err, err


def test_an_ideal_adc_is_searched_too(xbar, tmp_path: Path) -> None:
    code, _, err = xbar("run", "--set", "adc={kind: ideal}", "--inputs", 10, "--json", tmp_path / "out.json")
    assert code == 0, err
    assert json.loads((tmp_path / "out.json").read_text())["adc_resolution"]


def test_errors_of_a_file_name_its_line(xbar, tmp_path: Path) -> None:
    file = _chip(tmp_path, "crossbar:", "crosbar:")
    line = file.read_text().splitlines().index("crosbar:") + 1
    code, _, err = xbar("check", file)
    assert code == 2
    assert f"{file}:{line}" in err
    assert "did you mean" in err


def test_wrong_models(xbar, tmp_path: Path, small: Path) -> None:
    corrupt = tmp_path / "corrupt.pt2"
    corrupt.write_bytes(small.read_bytes()[:500])
    unmappable = nn.Sequential(nn.Unflatten(2, (8, 1)), nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        unmappable[2].weight[0, 0] = float("nan")
    nan = _saved(unmappable.eval(), tmp_path / "nan.pt2")
    pickled = tmp_path / "pickled.pt"
    torch.save(unmappable, pickled)
    cases = [
        (corrupt, "corrupt.pt2"),
        (tmp_path / "absent.pt2", "absent.pt2"),
        (nan, "NaN"),
        (pickled, "pickled.pt"),
    ]
    for file, word in cases:
        code, _, err = xbar("run", file, "--data", "digits", "--inputs", 2)
        assert (code, "Traceback" in err) == (2, False)
        assert word in err


def test_options_out_of_their_range(xbar) -> None:
    for option in (("--seed", -1), ("--runs", 0)):
        code, _, err = xbar("run", "--noise", "reram_wan_2022", *option)
        assert code == 2
        assert option[0] in err


def test_inputs_of_the_wrong_shape(xbar, tmp_path: Path) -> None:
    wide = _saved(nn.Sequential(nn.Flatten(), nn.Linear(100, 10)).eval(), tmp_path / "wide.pt2", (2, 1, 10, 10))
    code, _, err = xbar("run", wide, "--data", "digits", "--inputs", 2)
    assert code == 2
    assert "[batch, 1, 10, 10]" in err
    assert "[512, 1, 8, 8]" in err


def test_a_model_needs_data(xbar, small: Path) -> None:
    code, _, err = xbar("run", small)
    assert code == 2
    assert "--data" in err


def test_a_real_process_leaves_with_2_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xbar.cli", "run", "--set", "adc.bits=0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "adc.bits" in done.stderr


def test_sweep_prints_a_table_and_draws(xbar, tmp_path: Path) -> None:
    out = tmp_path / "sweep.jsonl"
    code, text, _ = xbar(
        "sweep", "--vary", "adc.bits=3,8", "--inputs", 20, "-o", out, "-w", 1, "-s", "precision.weight_bits=8"
    )
    assert code == 0
    assert "accuracy" in text
    assert len(out.read_text().splitlines()) == 2
    assert out.with_suffix(".png").stat().st_size > 5_000
    code, _, err = xbar("sweep", "--vary", "adc.bits=3,8", "--set", "adc.bits=3", "-o", out)
    assert code == 2
    assert "varied too" in err
    assert xbar("sweep", "--vary", "adc.bits=3,8", "--x", "nonsense", "-o", out)[0] == 2
    assert xbar("sweep", "--vary", "adc.bits=3,8", "-o", tmp_path / "picture.png")[0] == 2


def test_a_sweep_of_noise_has_a_band_and_no_front(xbar, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "noise.jsonl"
    code, text, err = xbar(
        "sweep", small, "--data", "digits", "--chip", "generic_1t1r", "--noise", "pcm_joshi_2020", "--runs", 2,
        "--vary", "noise.time_s=1 s,1 year", "--inputs", 20, "-w", 1, "-o", out,
    )  # fmt: skip
    assert code == 0, err
    assert "worst run" in text
    assert "± 95 %" in text
    assert "1 year" in text
    assert "nothing has both" not in text
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["settings"]["noise.time_s"] for line in lines] == ["1 s", "1 year"]
    assert out.with_suffix(".png").stat().st_size > 5_000


def test_a_sweep_without_a_good_point_is_an_error(xbar, tmp_path: Path) -> None:
    code, _, err = xbar("sweep", "--vary", "adc.bitz=4,5", "-o", tmp_path / "s.jsonl", "-w", 1)
    assert code == 2
    assert "adc.bitz" in err
