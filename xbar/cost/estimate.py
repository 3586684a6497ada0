"""`xbar.estimate`: program + activity -> report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from xbar.cost.area import shares
from xbar.cost.energy import dynamic_J, uncosted
from xbar.cost.expected import expectations, expected_activity
from xbar.cost.latency import analytic_pipeline
from xbar.errors import DataError
from xbar.hardware import Chip, LedgerRow
from xbar.outline import Outline, outline
from xbar.program import Program
from xbar.result import Activity, LedgerEntry, Report
from xbar.scaling import scaling_notes
from xbar.timing import Cycles

_ANALOG = {("crossbar", "array"), ("core", "dac"), ("core", "adc")}  # without a clock of their own
DIGITAL_OPS = ("activation_ops", "pooling_ops", "digital_ops")


def estimate(program: Program | Outline, activity: Activity | None = None, cycles: Cycles | None = None) -> Report:
    """The bill for running `program` as `activity` counted it.

    area: every part of the chip (of all chips), on the account of the layer that occupies it. energy per inference:
    events * energy per event, leakage of all hardware for the time from one inference to the next in the full pipeline,
    and what ungated clocks draw (`Chip.idle_clock_rel`). activity None: what inputs with half of their bits set cause
    (`xbar.cost.expected`). cycles: what `xbar.cycles` found; without it, times are those of the crossbars alone
    (`analytic_pipeline`). `Report.notes` says what the figures leave out or take for granted.

    Raises DataError where the activity is of another program or of no inputs, or the cycles are of another network,
    chip or number of copies.
    """
    sketch = program if isinstance(program, Outline) else outline(program)
    counted = expected_activity(sketch) if activity is None else activity
    problems = []
    names, found = [layer.name for layer in sketch.layers], [layer.name for layer in counted.layers]
    if names != found:
        problems.append(f"activity: must be of this program's layers ({', '.join(names)}), got {', '.join(found)}")
    if counted.n_inputs < 1:
        problems.append(f"activity: must count at least one input, got {counted.n_inputs}; simulate some inputs")
    problems += () if cycles is None else _of_another(cycles, sketch)
    if problems:
        raise DataError(problems)
    chip = sketch.chip
    timing = analytic_pipeline(sketch)
    period_s = max(t.total_s for t in timing) if cycles is None else cycles.period_s
    rows = chip.ledger()
    unpriced = uncosted(rows, counted, chip.adc_bits is None)
    by_layer, total = utilisation(sketch)
    assumed = expectations(sketch) if activity is None else ()
    time_notes = (_time_note(counted),) if cycles is None else cycles.notes
    return Report(
        network=sketch.network,
        chip=chip.name,
        adc_source=_adc_source(sketch),
        ledger=_ledger(rows, sketch, counted, period_s),
        timing=timing,
        macs=sum(layer.vectors_per_input * layer.groups * prod(layer.shape) for layer in sketch.layers),
        peak_power_W=sum(row.count_per_chip * row.cost.power_W for row in rows) * sketch.n_chips,
        n_tiles_used=sketch.n_tiles_used,
        n_tiles=chip.chip.tiles * sketch.n_chips,
        utilisation=by_layer,
        utilisation_total=total,
        uncosted=unpriced,
        notes=(*assumed, *scaling_notes(chip), *time_notes, *_leakage_notes(chip.name, rows), *map(str, unpriced)),
        cycles=cycles,
    )


def _of_another(cycles: Cycles, outline: Outline) -> Iterator[str]:
    """What shows that the cycles are not of this outline."""
    names, found = [layer.name for layer in outline.layers], [spent.name for spent in cycles.layers]
    if found != names:
        listed = f"({', '.join(names)}), got {', '.join(found)}"
        yield f"cycles: must be of this program's layers {listed}; simulate this program"
        return
    if cycles.chip != outline.chip.name:
        yield f"cycles: must be of chip {outline.chip.name}, got {cycles.chip}; simulate this program"
    for layer, spent in zip(outline.layers, cycles.layers, strict=True):
        n_cores = layer.n_replicas * layer.cores
        if spent.n_cores != n_cores:
            yield (
                f"cycles: layer {layer.name} must have {n_cores} cores, all copies together, got {spent.n_cores}; "
                "simulate this program"
            )


def _ledger(
    rows: Sequence[LedgerRow], outline: Outline, activity: Activity, period_s: float
) -> tuple[LedgerEntry, ...]:
    """One entry for each kind of part and each layer that holds or uses it; leakage and clocks for `period_s`.

    Clocks are on the account of those who hold a part, by the time in which they do not use it; what others use it
    (HOST works in the layers' tiles, layers in parts of the chip) shortens the time of all alike.
    """
    fractions = shares(outline)
    entries = []
    for row in rows:
        spent, held = dynamic_J(row, outline, activity), fractions[row.level]
        n = row.count_per_chip * outline.n_chips
        full_J = n * _full_W(row) * period_s
        idle_J = {name: max(0.0, share * full_J - spent.get(name, 0.0)) for name, share in held.items()}
        all_clocks_J = clock_J(row, outline.chip, outline.n_chips, sum(spent.values()), period_s)
        clock_rel = all_clocks_J / sum(idle_J.values()) if all_clocks_J else 0.0
        for name in dict.fromkeys([*spent, *held]):
            count = held.get(name, 0.0) * n
            area_m2, leakage_J = count * row.cost.area_m2, count * row.cost.leakage_W * period_s
            energy_J, clocks_J = spent.get(name, 0.0), clock_rel * idle_J.get(name, 0.0)
            if area_m2 or leakage_J or energy_J or clocks_J:
                entries.append(LedgerEntry(name, row.level, row.part, area_m2, energy_J, leakage_J, clocks_J))
    return tuple(entries)


def clock_J(row: LedgerRow, chip: Chip, n_chips: int, spent_J: float, time_s: float) -> float:
    """What the clocks of all parts of one kind draw in time_s, in which the parts spend spent_J on their work.

    idle_clock_rel * (energy at full activity - spent_J), so that both together stay within full activity; 0 for arrays,
    drivers and converters, which have no clock of their own.
    """
    if (row.level, row.part) in _ANALOG:
        return 0.0
    return chip.idle_clock_rel * max(0.0, n_chips * row.count_per_chip * _full_W(row) * time_s - spent_J)


def _full_W(row: LedgerRow) -> float:
    """Dynamic power of one part at full activity."""
    return row.cost.power_W - row.cost.leakage_W


def utilisation(outline: Outline) -> tuple[dict[str, float], float]:
    """Cells that hold weights / cells of the crossbars that are occupied, by layer and over all layers and replicas.

    Cells off the diagonal of a crossbar that groups share hold no weight. Unit columns count on neither side.
    """
    size = outline.chip.crossbar.rows * outline.chip.crossbar.cols
    by_layer = {layer.name: layer.pieces.cells_used / (len(layer.pieces) * size) for layer in outline.layers}
    used = sum(layer.pieces.cells_used * layer.n_replicas for layer in outline.layers)
    occupied = sum(len(layer.pieces) * size * layer.n_replicas for layer in outline.layers)
    return by_layer, used / occupied


def _time_note(activity: Activity) -> str:
    n_ops = sum(activity.host[event] for event in DIGITAL_OPS) / activity.n_inputs
    return (
        f"not in the time: {n_ops:,.10g} digital operations per inference, and buffers, bus, links and the chip's edge "
        "(taken as 0 s)"
    )


def _leakage_notes(chip: str, rows: Sequence[LedgerRow]) -> tuple[str, ...]:
    if any(row.cost.leakage_W > 0 for row in rows):
        return ()
    return (f"not in the energy: leakage, of which chip {chip} gives none; static energy is 0",)


def _adc_source(outline: Outline) -> str:
    adc, bits = outline.chip.adc, outline.chip.adc_bits
    if bits is None:
        return f"{adc.kind}: {adc.source}"
    text = str(bits[0]) if len(set(bits)) == 1 else ", ".join(map(str, bits)) + " (slice 0 first)"
    return f"{adc.kind}, {text} bits: {adc.source}"
