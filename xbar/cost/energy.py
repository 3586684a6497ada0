"""Dynamic energy: events times energy per event, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from xbar.events import Event
from xbar.hardware import Chip, LedgerRow
from xbar.program import LayerProgram, Program
from xbar.result import HOST, Activity, LayerActivity, Uncosted

# the same act seen twice: a chip prices one of them
_ALTERNATIVES: dict[Event, Event] = {"array_reads": "active_rows", "active_rows": "array_reads"}


def is_adc(row: LedgerRow) -> bool:
    """Whether a row of the chip's ledger is its converters, whose energy depends on the slice."""
    return (row.level, row.part) == ("core", "adc")


def dynamic_J(row: LedgerRow, program: Program, activity: Activity) -> dict[str, float]:
    """Energy per inference of one kind of part, by layer and HOST."""
    if is_adc(row):
        pairs = zip(program.layers, activity.layers, strict=True)
        return {layer.name: _adc_J(program.chip, layer, counts) / activity.n_inputs for layer, counts in pairs}
    found = {}
    for name, count in _counts(activity):
        found[name] = sum(count.get(event, 0) * energy_J for event, energy_J in row.energies) / activity.n_inputs
    return found


def _counts(activity: Activity) -> Iterator[tuple[str, dict[Event, int]]]:
    events: tuple[Event, ...] = get_args(Event)
    for layer in activity.layers:
        yield layer.name, {event: layer.count(event) for event in events}
    yield HOST, {event: activity.host[event] for event in events if event in activity.host}


def _adc_J(chip: Chip, layer: LayerProgram, counts: LayerActivity) -> float:
    bits = layer.adc.bits
    if bits is None:
        return 0.0
    energy_J = sum(n * chip.adc.cost(b).energy_J for n, b in zip(counts.conversions, bits, strict=True))
    if layer.adc.unit_bits is not None:
        energy_J += counts.unit_conversions * chip.adc.cost(layer.adc.unit_bits).energy_J
    return energy_J


def uncosted(program: Program, activity: Activity) -> tuple[Uncosted, ...]:
    """Events that happened and that no part of the chip has a price for, per inference."""
    priced = {event for row in program.chip.ledger() for event, energy_J in row.energies if energy_J > 0}
    totals: dict[Event, int] = {}
    for _, counts in _counts(activity):
        for event, n in counts.items():
            totals[event] = totals.get(event, 0) + n
    found = []
    for event, n in totals.items():
        if n == 0:
            continue
        if event == "conversions" and program.chip.adc_bits is None:
            found.append(Uncosted(event, n / activity.n_inputs, "an ideal ADC has no price"))
        elif event not in priced and _ALTERNATIVES.get(event) not in priced:
            found.append(Uncosted(event, n / activity.n_inputs, "no part of the chip has a price for it"))
    return tuple(found)
