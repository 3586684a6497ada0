"""Networks side by side on one chip: what a training method, or anything else that changes a network, saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mapping
from xbar.errors import DataError
from xbar.result import HOST, UNUSED, Report
from xbar.sim import AdcResolution
from xbar.sim.slices import nonzero_slices
from xbar.sweep.outcome import Outcome
from xbar.units import si

if TYPE_CHECKING:
    import pandas as pd

BY_SLICE = ("adc_bits_lossless", "adc_bits_p999", "adc_bits_smallest", "nonzero_slices_rel")


@dataclass(frozen=True)
class Row:
    """A figure in words: its title, a text for each network, and how the later ones compare with the first."""

    title: str
    values: tuple[str, ...]
    compared: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Outcomes by name, the first of which is what the others are compared with; all on the same chip and images.

    Raises DataError where they are not, or fewer than two.
    """

    outcomes: Mapping[str, Outcome]

    def __post_init__(self) -> None:
        if len(self.outcomes) < 2:
            raise DataError(f"Comparison: at least two outcomes are needed, got {len(self.outcomes)}")
        first, *others = self.outcomes.items()
        problems = []
        for name, outcome in others:
            for what, of in (("chip", _chip_of), ("number of images", _images_of), ("runs", _runs_of)):
                if of(outcome) != of(first[1]):
                    problems.append(f"Comparison: {name}: must have the same {what} as {first[0]}; evaluate both alike")
        if problems:
            raise DataError(problems)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Of each network, SI units in the names; those of `BY_SLICE` are lists, the least significant slice first.

        accuracy...: as in `Outcome.metrics`. adc_bits...: the largest of all layers, see `xbar.sim.SliceResolution`;
        left out where no resolution was searched. nonzero_slices_rel: see `nonzero_slices`. crossbars, cells, weights,
        wires, routing_area_rel, wire_length_m: see `mapping.routing`. layers...: of the hardware that the layers
        occupy, its leakage included, without what serves the whole network and what is unused. adc...: of its ADCs.
        """
        return {name: _figures(outcome) for name, outcome in self.outcomes.items()}

    def frame(self) -> pd.DataFrame:
        """A row for each figure (those by slice as text), a column for each network."""
        import pandas as pd

        figures = self.figures()
        for own in figures.values():
            own.update({name: in_words(own[name]) for name in BY_SLICE if name in own})
        return pd.DataFrame(figures, dtype=object)

    def rows(self) -> list[Row]:
        """The figures in words. Accuracies compare by their difference, amounts by what is left of the first."""
        first, *others = self.figures().values()
        found = []
        for name, (title, write, compare) in _ROWS.items():
            if name in first:
                values = [own[name] for own in (first, *others)]
                compared = (compare(value, values[0]) for value in values[1:])
                found.append(Row(title, tuple(map(write, values)), tuple(compared)))
        return found

    @property
    def title(self) -> str:
        """On what the networks are compared."""
        name, outcome = next(iter(self.outcomes.items()))
        noise = f", noise {outcome.noise_name}" if outcome.noise_name else ""
        return (
            f"on {outcome.program.chip.name}{noise}, {outcome.n_inputs:,} images; figures by slice begin "
            f"with slice 0, the least significant; behind each figure: the difference to {name}, or what is left of it"
        )

    def __str__(self) -> str:
        names = list(self.outcomes)
        lines = [["", names[0], *(cell for name in names[1:] for cell in (name, ""))]]
        for row in self.rows():
            pairs = (cell for pair in zip(row.values[1:], row.compared, strict=True) for cell in pair)
            lines.append([row.title, row.values[0], *pairs])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = ("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)
        return "\n".join([self.title, *(text.rstrip() for text in texts)])


def in_words(by_slice: list[float]) -> str:
    """Values by slice, the least significant first: bits as they are, shares in percent."""
    return "/".join(str(v) if isinstance(v, int) else f"{100 * v:.3g}" for v in by_slice)


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _count(value: float) -> str:
    return f"{value:,}"


def _quantity(unit: str) -> Callable[[float], str]:
    return lambda value: si(value, unit)


def _difference(value: float, first: float) -> str:
    return f"{100 * (value - first):+.2f}"


def _left(value: float, first: float) -> str:
    return f"{value / first:.2%}" if first else ""


def _nothing(value: Any, first: Any) -> str:
    return ""


# what a row is called, how its values are written, how they compare
_ROWS: dict[str, tuple[str, Callable[[Any], str], Callable[[Any, Any], str]]] = {
    "accuracy_float": ("accuracy, float32", _percent, _difference),
    "accuracy_quantized": ("accuracy, integers", _percent, _difference),
    "accuracy_ideal_cells": ("accuracy, ideal cells", _percent, _difference),
    "accuracy": ("accuracy on hardware", _percent, _difference),
    "accuracy_worst": ("  worst run", _percent, _difference),
    "adc_bits_lossless": ("ADC bits, worst case", in_words, _nothing),
    "adc_bits_p999": ("ADC bits, 99.9 %", in_words, _nothing),
    "adc_bits_smallest": ("ADC bits, smallest", in_words, _nothing),
    "nonzero_slices_rel": ("non-zero slices, %", in_words, _nothing),
    "crossbars": ("crossbars", _count, _left),
    "cells": ("cells", _count, _left),
    "weights": ("weights on crossbars", _count, _left),
    "wires": ("wires", _count, _left),
    "routing_area_rel": ("routing area", _percent, _nothing),
    "wire_length_m": ("wire length", _quantity("m"), _left),
    "layers_area_m2": ("area of the layers", _quantity("m2"), _left),
    "layers_power_W": ("  power", _quantity("W"), _left),
    "layers_energy_J": ("  energy per inference", _quantity("J"), _left),
    "adc_area_m2": ("  area, ADCs", _quantity("m2"), _left),
    "adc_energy_J": ("  energy, ADCs", _quantity("J"), _left),
    "latency_s": ("latency", _quantity("s"), _left),
}


def _figures(outcome: Outcome) -> dict[str, Any]:
    report, routing = outcome.report, mapping.routing(outcome.program)
    accuracies = {name: value for name, value in outcome.metrics().items() if name.startswith("accuracy")}
    return {
        **accuracies,
        **({} if outcome.adc is None else _adc_bits(outcome.adc)),
        "nonzero_slices_rel": list(nonzero_slices(outcome.program)),
        "crossbars": routing.crossbars,
        "cells": routing.cells,
        "weights": routing.weights,
        "wires": routing.wires,
        "routing_area_rel": routing.area_rel,
        "wire_length_m": routing.wire_length_m,
        **_of_layers(report),
        "latency_s": report.latency_s,
    }


def _adc_bits(found: AdcResolution) -> dict[str, list[int]]:
    n_slices = 1 + max(s.slice for s in found.slices)
    fields = {"lossless": "lossless_bits", "p999": "p999_bits", "smallest": "smallest_bits"}
    return {
        f"adc_bits_{name}": [max(getattr(s, field) for s in found.slices if s.slice == k) for k in range(n_slices)]
        for name, field in fields.items()
    }


def _of_layers(report: Report) -> dict[str, float]:
    entries = [e for e in report.ledger if e.layer not in (HOST, UNUSED)]
    adcs = [e for e in entries if e.part == "adc"]
    energy_J = sum(e.energy_J for e in entries)
    return {
        "layers_area_m2": sum(e.area_m2 for e in entries),
        "layers_power_W": energy_J * report.throughput_per_s,
        "layers_energy_J": energy_J,
        "adc_area_m2": sum(e.area_m2 for e in adcs),
        "adc_energy_J": sum(e.energy_J for e in adcs),
    }


def _chip_of(outcome: Outcome) -> object:
    return outcome.program.chip


def _images_of(outcome: Outcome) -> object:
    return outcome.n_inputs


def _runs_of(outcome: Outcome) -> object:
    return outcome.seed, len(outcome.results)
