"""`xbar compare` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from digits_training import cnn, digits

from xbar.demo.train import write


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network of random weights, and the same with half of the filters of its second convolution dead."""
    folder = tmp_path_factory.mktemp("models")
    images, _ = digits("test")
    files = []
    for name in ("dense", "sparse"):
        model = cnn().eval()
        if name == "sparse":
            with torch.no_grad():
                model[2].weight[:8] = 0
        (folder / name).mkdir()
        files.append(folder / name / "model.pt2")
        write(model, images[:2], str(files[-1]))
    return files[0], files[1]


def test_two_networks_side_by_side(xbar, models: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    code, out, _ = xbar("compare", *models, "--data", "digits", "--inputs", 40, "--no-search", "--json", file)
    assert code == 0
    figures = json.loads(file.read_text())
    assert list(figures) == ["dense", "sparse"]
    assert (figures["dense"]["weights"], figures["sparse"]["weights"]) == (72 + 1152 + 640, 72 + 576 + 640)
    (line,) = [line for line in out.splitlines() if line.startswith(" weights")]
    assert line.split()[-3:] == ["1,864", "1,288", "69.10%"]
    assert "ADC bits" not in out


def test_with_a_search_and_noise_there_is_more_to_tell(xbar, models: tuple[Path, Path]) -> None:
    options = ["--data", "digits", "--inputs", 20, "--noise", "programming_10_percent", "--runs", 2]
    code, out, _ = xbar("compare", *models, *options, "--set", "crossbar.rows=32")
    assert code == 0
    for row in ("ADC bits, worst case", "ADC bits, 99.9 %", "ADC bits, smallest", "worst run"):
        assert row in out
    assert "noise programming_10_percent, 20 images" in out


def test_wrong_use_is_told(xbar, models: tuple[Path, Path], tmp_path: Path) -> None:
    assert xbar("compare", models[0], "--data", "digits")[2].count("needs at least two models, got 1") == 1
    assert "needs different models" in xbar("compare", models[0], models[0], "--data", "digits")[2]
    code, _, told = xbar("compare", *models)
    assert code == 2
    assert "--data" in told
    assert "there is no such file" in xbar("compare", models[0], tmp_path / "none.pt2", "--data", "digits")[2]
