"""A part from another package, by `kind: module:Class`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from close import approx

from xbar.errors import ConfigError
from xbar.hardware import Chip, load_chip

FLASH = '''
from typing import final

from xbar.parts.base import Cost, FiniteAdc
from xbar.units import Joule


@final
class FlashAdc(FiniteAdc):
    """One comparator per code."""

    comparator_J: Joule

    def cost(self, bits):
        energy_J = (2**bits - 1) * self.comparator_J
        return Cost((2**bits - 1) * 1e-11, energy_J * 1e9, energy_J, 1e-9)

    def scaled(self, by):
        return self.changed(by.note, comparator_J=self.comparator_J * by.energy_rel)


class NotAnAdc:
    pass
'''


@pytest.fixture
def flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "flash_for_test.py").write_text(FLASH)
    (tmp_path / "broken_for_test.py").write_text("def (")
    monkeypatch.syspath_prepend(tmp_path)
    yield "flash_for_test"
    sys.modules.pop("flash_for_test", None)


def test_an_outsiders_adc_is_used_and_saved(flash: str) -> None:
    adc = {"kind": f"{flash}:FlashAdc", "bits": 3, "comparator_J": "10 fJ", "source": "mine"}
    chip = load_chip("isaac_isca_2016", {"adc": adc})
    (row,) = [row for row in chip.ledger() if row.part == "adc"]
    assert row.kind == "flash_for_test:FlashAdc"
    assert dict(row.energies)["conversions"] == approx(70e-15)
    assert Chip.from_dict(chip.to_dict()) == chip


def test_its_settings_are_checked_like_ours(flash: str) -> None:
    adc = {"kind": f"{flash}:FlashAdc", "bits": 3, "comparator": "10 fJ", "source": "mine"}
    with pytest.raises(ConfigError, match=r"--set adc\.comparator: unknown setting .* did you mean comparator_J\?"):
        load_chip("isaac_isca_2016", {"adc": adc})


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("flash_for_test:NotAnAdc", "has no class NotAnAdc that implements all of"),
        ("flash_for_test:Absent", "has no class Absent"),
        ("no_such_package:FlashAdc", "cannot import no_such_package"),
        (":FlashAdc", "must name a module and a class"),
        ("flash_for_test:", "must name a module and a class"),
        ("broken_for_test:FlashAdc", "cannot import broken_for_test"),
    ],
)
def test_wrong_outsiders_are_explained(flash: str, kind: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        load_chip("isaac_isca_2016", {"adc.kind": f"'{kind}'"})
