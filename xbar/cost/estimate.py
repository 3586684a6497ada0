"""`xbar.estimate`: program + activity -> report."""

from __future__ import annotations

from math import prod

from xbar.cost.area import shares
from xbar.cost.energy import dynamic_J, uncosted
from xbar.cost.latency import LatencyModel, analytic_pipeline
from xbar.errors import DataError
from xbar.hardware import Chip
from xbar.program import Program, utilisation
from xbar.result import Activity, LedgerEntry, Report

DIGITAL_OPS = ("activation_ops", "pooling_ops", "digital_ops")


def estimate(program: Program, activity: Activity, latency: LatencyModel = analytic_pipeline) -> Report:
    """The bill for running `program` as `activity` counted it.

    area: every part of the chip, on the account of the layer that occupies it. energy per inference: events * energy
    per event, and leakage of the whole chip for as long as an inference takes in the full pipeline. `latency` gives the
    time of each layer. `Report.notes` says what the figures leave out.

    Raises DataError where the activity is of another program or of no inputs.
    """
    names, counted = [layer.name for layer in program.layers], [layer.name for layer in activity.layers]
    if names != counted:
        raise DataError(f"activity: must be of this program's layers ({', '.join(names)}), got {', '.join(counted)}")
    if activity.n_inputs < 1:
        raise DataError(f"activity: must count at least one input, got {activity.n_inputs}; simulate some inputs")
    chip = program.chip
    timing = latency(program)
    time_notes = (_time_note(activity),) if latency is analytic_pipeline else ()
    unpriced = uncosted(program, activity)
    by_layer, total = utilisation(program)
    return Report(
        network=program.network.name,
        chip=chip.name,
        adc_source=_adc_source(program),
        ledger=ledger(program, activity, max(t.total_s for t in timing)),
        timing=timing,
        macs=sum(layer.vectors_per_input * layer.groups * prod(layer.shape) for layer in program.layers),
        peak_power_W=chip.peak_power_W,
        n_tiles_used=program.n_tiles_used,
        n_tiles=chip.chip.tiles,
        utilisation=by_layer,
        utilisation_total=total,
        uncosted=unpriced,
        notes=(*time_notes, *_leakage_notes(chip), *map(str, unpriced)),
    )


def ledger(program: Program, activity: Activity, period_s: float) -> tuple[LedgerEntry, ...]:
    """One entry for each kind of part and each layer that holds or uses it; leakage for `period_s` per inference."""
    fractions = shares(program)
    entries = []
    for row in program.chip.ledger():
        spent = dynamic_J(row, program, activity)
        held = fractions[row.level]
        for name in dict.fromkeys([*spent, *held]):
            count = held.get(name, 0.0) * row.count_per_chip
            area_m2, leakage_J = count * row.cost.area_m2, count * row.cost.leakage_W * period_s
            energy_J = spent.get(name, 0.0)
            if area_m2 or leakage_J or energy_J:
                entries.append(LedgerEntry(name, row.level, row.part, area_m2, energy_J, leakage_J))
    return tuple(entries)


def _time_note(activity: Activity) -> str:
    n_ops = sum(activity.host[event] for event in DIGITAL_OPS) / activity.n_inputs
    return (
        f"not in the time: {n_ops:,.10g} digital operations per inference, and buffers, bus, links and the chip's edge "
        "(taken as 0 s)"
    )


def _leakage_notes(chip: Chip) -> tuple[str, ...]:
    if chip.total().leakage_W > 0:
        return ()
    return (f"not in the energy: leakage, of which chip {chip.name} gives none; static energy is 0",)


def _adc_source(program: Program) -> str:
    adc, bits = program.chip.adc, program.chip.adc_bits
    if bits is None:
        return f"{adc.kind}: {adc.source}"
    text = str(bits[0]) if len(set(bits)) == 1 else ", ".join(map(str, bits)) + " (slice 0 first)"
    return f"{adc.kind}, {text} bits: {adc.source}"
