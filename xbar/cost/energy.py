"""Dynamic energy: events times energy per event, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xbar.events import Event
from xbar.hardware import LedgerRow
from xbar.outline import LayerOutline, Outline
from xbar.result import Activity, LayerActivity, Uncosted

_READS: frozenset[Event] = frozenset({"array_reads", "active_rows", "cell_reads"})  # one act: a chip prices one of them


def is_adc(row: LedgerRow) -> bool:
    """Whether a row of the chip's ledger is its converters, whose energy depends on the slice."""
    return (row.level, row.part) == ("core", "adc")


def dynamic_J(row: LedgerRow, outline: Outline, activity: Activity) -> dict[str, float]:
    """Energy per inference of one kind of part, by layer and HOST."""
    if is_adc(row):
        used = {bits for layer in outline.layers for bits in (*(layer.adc.bits or ()), layer.adc.unit_bits)} - {None}
        energies = {bits: outline.chip.adc.cost(bits).energy_J for bits in used}
        pairs = zip(outline.layers, activity.layers, strict=True)
        return {layer.name: _adc_J(layer, seen, energies) / activity.n_inputs for layer, seen in pairs}
    return {
        name: sum(seen.get(event, 0) * energy_J for event, energy_J in row.energies) / activity.n_inputs
        for name, seen in activity.counts.items()
    }


def _adc_J(layer: LayerOutline, counts: LayerActivity, energies: Mapping[int | None, float]) -> float:
    """energies: of a conversion, by bits."""
    bits = layer.adc.bits
    if bits is None:
        return 0.0
    energy_J = sum(n * energies[b] for n, b in zip(counts.conversions, bits, strict=True))
    if layer.adc.unit_bits is not None:
        energy_J += counts.unit_conversions * energies[layer.adc.unit_bits]
    return energy_J


def uncosted(rows: Sequence[LedgerRow], activity: Activity, adc_is_ideal: bool) -> tuple[Uncosted, ...]:
    """Events that happened and that no part of a chip (its ledger's rows) has a price for, per inference."""
    priced = {event for row in rows for event, energy_J in row.energies if energy_J > 0}
    totals: dict[Event, float] = {}
    for by_event in activity.counts.values():
        for event, n in by_event.items():
            totals[event] = totals.get(event, 0) + n
    found = []
    for event, n in totals.items():
        if n == 0:
            continue
        if event == "conversions" and adc_is_ideal:
            found.append(Uncosted(event, n / activity.n_inputs, "an ideal ADC has no price"))
        elif event not in priced and not (event in _READS and _READS & priced):
            found.append(Uncosted(event, n / activity.n_inputs, "no part of the chip has a price for it"))
    return tuple(found)
