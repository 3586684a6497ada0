"""A chip in another technology: digital parts and memories by published factors, ADCs by their survey law.

Source: Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device performance from 180 nm to
7 nm", Integration 58, 74 (2017): areas of the ITRS, delay and energy as polynomials of the supply voltage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from xbar.errors import ConfigError
from xbar.hardware import Chip, Parts
from xbar.parts.adc.survey import LAW, node_factors
from xbar.parts.base import Component
from xbar.parts.scale import Scale
from xbar.units import parse, si

_KEPT = "not scaled with the technology: cells do not follow CMOS"
_OFF_CHIP = "not scaled with the technology: links off the chip do not follow CMOS logic"


@dataclass(frozen=True)
class Node:
    """One node of the paper, high performance (HP) where it has two kinds, in the paper's units: only ratios count.

    area: the numbers whose ratios round to all 110 factors that the paper prints (with two digits; computed).
    delay_of_V, energy_of_V: coefficients of the polynomials, the highest power first.
    supply_V: the nominal voltage of the Predictive Technology Model that the paper simulated.
    """

    area: float
    delay_of_V: tuple[float, float, float, float]
    energy_of_V: tuple[float, float, float]
    supply_V: float

    def delay(self, supply_V: float) -> float:
        """Delay at a supply voltage."""
        return _polynomial(self.delay_of_V, supply_V)

    def energy(self, supply_V: float) -> float:
        """Energy of an operation at a supply voltage."""
        return _polynomial(self.energy_of_V, supply_V)


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    value = 0.0
    for c in coefficients:
        value = value * x + c
    return value


NODES: dict[float, Node] = {  # by nm; from 32 to 20 nm, planar to fins, the paper's gates get slower at these voltages
    180: Node(40.45831, (0, 97.09, -356.7, 406.5), (0, 24.64, -17.98), 1.8),
    130: Node(13.87365, (-76.65, 334.9, -493.4, 275.8), (7.171, -6.709, 2.904), 1.3),
    90: Node(6.14585, (-60.34, 262.5, -384.2, 210.9), (4.762, -4.781, 2.092), 1.2),
    65: Node(3.25406, (-53.3, 230.4, -333.9, 178.6), (3.755, -4.398, 1.975), 1.1),
    45: Node(2.16260, (-501.6, 1567, -1619, 566.1), (1.018, -0.3107, 0.1539), 1.0),
    32: Node(1.0, (-1047, 2982, -2797, 873.5), (0.8367, -0.4341, 0.1701), 0.9),
    20: Node(0.46051, (0, 34.63, -66.37, 41.15), (0.373, -0.1582, 0.04104), 0.9),
    16: Node(0.41057, (0, 24.8, -47.52, 28.87), (0.2958, -0.1241, 0.03024), 0.85),
    14: Node(0.37550, (-40.66, 109.2, -100.6, 35.92), (0.2363, -0.09675, 0.02239), 0.8),
    10: Node(0.22145, (-34.95, 93.65, -85.99, 30.4), (0.2068, -0.09311, 0.02375), 0.75),
    7: Node(0.12827, (-28.58, 76.6, -70.26, 24.69), (0.1776, -0.09097, 0.02447), 0.7),
}


def scaled(chip: Chip, technology_m: float | str) -> Chip:
    """The chip in the node `technology_m`, a number in m or a text such as "20 nm"; the chip itself in its own node.

    Digital parts, memories, routers and DACs follow `cmos_scale`, ADCs `adc_scale`. Crossbars and cells do not follow
    CMOS and stay, and so do parts that answer nothing but offchip_bits. The `source` of every part ends with what was
    done, that of an ideal ADC apart; the name of the chip says the node. Raises ConfigError for nodes outside 7 nm to
    180 nm.
    """
    try:
        to_m = parse(technology_m, "m")
    except ValueError as error:
        raise ConfigError(f"technology_m: {error}, got {technology_m}; for example 20 nm") from error
    from_m = chip.technology_m
    if _nm(from_m) == _nm(to_m):
        return chip
    own_m = chip.scaled_from_m or from_m
    cmos, adc = cmos_scale(from_m, to_m), adc_scale(from_m, to_m)

    def moved(parts: Parts) -> Parts:
        return {name: _moved(part, cmos) for name, part in parts.items()}

    core, tile, top = chip.core, chip.tile, chip.chip
    return chip.model_copy(
        update={
            "name": f"{chip.name.removesuffix(_at(from_m))}{_at(to_m)}",
            "technology_m": to_m,
            "scaled_from_m": None if _nm(own_m) == _nm(to_m) else own_m,
            "crossbar": chip.crossbar.changed(_KEPT),
            "device": chip.device.changed(_KEPT),
            "dac": chip.dac.scaled(cmos),
            "adc": chip.adc.scaled(adc),
            "core": core.model_copy(update={"parts": moved(core.parts)}),
            "tile": tile.model_copy(update={"parts": moved(tile.parts)}),
            "chip": top.model_copy(update={"parts": moved(top.parts)}),
        }
    )


def scaling_notes(chip: Chip) -> tuple[str, ...]:
    """What was done to bring a chip to its technology, in words."""
    if chip.scaled_from_m is None:
        return ()
    ends = chip.scaled_from_m, chip.technology_m
    adcs = () if chip.adc_bits is None else (f"ADCs are {adc_scale(*ends).note}",)
    clock = "" if chip.cycle_s is None else f", and a clock's cycle stays {si(chip.cycle_s, 's')}"
    kept = f"crossbars, cells and links off the chip are not scaled{clock}"
    return (f"digital parts, memories, routers and DACs are {cmos_scale(*ends).note}", *adcs, kept)


def _moved(part: Component, by: Scale) -> Component:
    """One component; its note tells the rule for leakage where it has any."""
    if {event for event, _ in part.energies()} == {"offchip_bits"}:
        return part.changed(_OFF_CHIP)
    leaks = part.cost().leakage_W > 0
    return part.scaled(replace(by, note=f"{by.note}, leakage as power (assumed)") if leaks else by)


def cmos_scale(from_m: float, to_m: float) -> Scale:
    """Factors of digital parts between two nodes at their nominal supply voltages: area, energy and delay by the paper.

    Rates go with 1 / delay. Leakage keeps its share of the power at full activity, so that it goes with energy / delay
    (assumed: the paper has none). Between two of its nodes each figure f is interpolated, ln f over ln node (assumed),
    and the note says so. Raises ConfigError outside 7 nm to 180 nm.
    """
    outside = [m for m in (from_m, to_m) if not min(NODES) <= _nm(m) <= max(NODES)]
    if outside:
        known = ", ".join(f"{nm:g}" for nm in NODES)
        rule = f"must be from 7 nm to 180 nm to be scaled: Stillmaker and Baas 2017 give {known} nm"
        raise ConfigError(f"technology_m: {rule}, got {_nm(m):g} nm; choose a node in between" for m in outside)
    area_rel = _ratio(lambda node: node.area, from_m, to_m)
    energy_rel = _ratio(lambda node: node.energy(node.supply_V), from_m, to_m)
    time_rel = _ratio(lambda node: node.delay(node.supply_V), from_m, to_m)
    between = [m for m in (from_m, to_m) if _nm(m) not in NODES]
    how = f" ({' and '.join(f'{_nm(m):g} nm' for m in between)} interpolated)" if between else ""
    note = f"scaled from {_nm(from_m):g} nm to {_nm(to_m):g} nm by Stillmaker and Baas 2017{how}"
    return Scale(from_m, to_m, area_rel, energy_rel, time_rel, energy_rel / time_rel, note)


def adc_scale(from_m: float, to_m: float) -> Scale:
    """Factors of converters between two nodes: energy and area by the ADC survey law, the conversion time is kept.

    The ratio is the same at all bits and rates, since the node has powers of its own in the law.
    """
    energy_rel, area_rel = node_factors(from_m, to_m)
    law = f"scaled from {_nm(from_m):g} nm to {_nm(to_m):g} nm by the {LAW}, conversion time kept"
    return Scale(from_m, to_m, area_rel, energy_rel, 1.0, energy_rel, law)


def _ratio(figure: Callable[[Node], float], from_m: float, to_m: float) -> float:
    return _interpolated(figure, _nm(to_m)) / _interpolated(figure, _nm(from_m))


def _interpolated(figure: Callable[[Node], float], nm: float) -> float:
    """A figure at a node: the paper's, or between those of its neighbours."""
    if nm in NODES:
        return figure(NODES[nm])
    above, below = next((a, b) for a, b in pairwise(NODES) if a > nm > b)
    share = math.log(nm / below) / math.log(above / below)
    return math.exp(share * math.log(figure(NODES[above])) + (1 - share) * math.log(figure(NODES[below])))


def _nm(metres: float) -> float:
    """Nodes are whole nanometres, or nearly; a float in m is not."""
    return round(metres * 1e9, 6)


def _at(technology_m: float) -> str:
    return f" at {_nm(technology_m):g} nm"
