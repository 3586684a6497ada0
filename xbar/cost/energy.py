"""Dynamic energy: events times energy per event, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from xbar.events import Event
from xbar.hardware import Chip, LedgerRow
from xbar.outline import LayerOutline, Outline
from xbar.result import HOST, Activity, LayerActivity, Uncosted

_READS: frozenset[Event] = frozenset({"array_reads", "active_rows", "cell_reads"})  # one act: a chip prices one of them


def is_adc(row: LedgerRow) -> bool:
    """Whether a row of the chip's ledger is its converters, whose energy depends on the slice."""
    return (row.level, row.part) == ("core", "adc")


def dynamic_J(row: LedgerRow, outline: Outline, activity: Activity) -> dict[str, float]:
    """Energy per inference of one kind of part, by layer and HOST."""
    if is_adc(row):
        pairs = zip(outline.layers, activity.layers, strict=True)
        return {layer.name: _adc_J(outline.chip, layer, counts) / activity.n_inputs for layer, counts in pairs}
    found = {
        layer.name: sum(layer.count(event) * energy_J for event, energy_J in row.energies) / activity.n_inputs
        for layer in activity.layers
    }
    host_J = sum(activity.host.get(event, 0) * energy_J for event, energy_J in row.energies)
    return {**found, HOST: host_J / activity.n_inputs}


def _counts(activity: Activity) -> Iterator[tuple[str, dict[Event, float]]]:
    events: tuple[Event, ...] = get_args(Event)
    for layer in activity.layers:
        yield layer.name, {event: layer.count(event) for event in events}
    yield HOST, {event: activity.host[event] for event in events if event in activity.host}


def _adc_J(chip: Chip, layer: LayerOutline, counts: LayerActivity) -> float:
    bits = layer.adc.bits
    if bits is None:
        return 0.0
    energy_J = sum(n * chip.adc.cost(b).energy_J for n, b in zip(counts.conversions, bits, strict=True))
    if layer.adc.unit_bits is not None:
        energy_J += counts.unit_conversions * chip.adc.cost(layer.adc.unit_bits).energy_J
    return energy_J


def uncosted(outline: Outline, activity: Activity) -> tuple[Uncosted, ...]:
    """Events that happened and that no part of the chip has a price for, per inference."""
    priced = {event for row in outline.chip.ledger() for event, energy_J in row.energies if energy_J > 0}
    totals: dict[Event, float] = {}
    for _, counts in _counts(activity):
        for event, n in counts.items():
            totals[event] = totals.get(event, 0) + n
    found = []
    for event, n in totals.items():
        if n == 0:
            continue
        if event == "conversions" and outline.chip.adc_bits is None:
            found.append(Uncosted(event, n / activity.n_inputs, "an ideal ADC has no price"))
        elif event not in priced and not (event in _READS and _READS & priced):
            found.append(Uncosted(event, n / activity.n_inputs, "no part of the chip has a price for it"))
    return tuple(found)
