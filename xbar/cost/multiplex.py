"""A network larger than a chip, on one chip: its parts take turns in the crossbars, which are written anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from xbar.cost.estimate import clock_J, estimate
from xbar.cost.expected import mean_conductance_rel
from xbar.cost.latency import analytic_pipeline
from xbar.cost.programming import LayerCells, Programming, price, why_not
from xbar.errors import CapacityError, DataError
from xbar.hardware import Chip
from xbar.outline import LayerOutline, Outline
from xbar.result import Activity, Report
from xbar.traffic import link_bits
from xbar.units import duration, si


@dataclass(frozen=True)
class Turn:
    """What the chip does between two writings.

    write_s, write_J: of its cells, once per batch. first_s: of an input in all its layers, one after another;
    compute_s: in the slowest of them; offchip_s: to load what an input brings along, and store what it leaves behind.
    """

    layers: tuple[str, ...]
    write_s: float
    write_J: float
    first_s: float
    compute_s: float
    offchip_s: float

    def time_s(self, batch: int) -> float:
        """Of a batch: writing, then the first input through all layers and the others right behind it; links work
        meanwhile."""
        first_s, period_s = max(self.first_s, self.offchip_s), max(self.compute_s, self.offchip_s)
        return self.write_s + first_s + (batch - 1) * period_s


@dataclass(frozen=True)
class Multiplexed:
    """One chip for a network that needs several. energy_J: per inference, of computing, leaking and clocks, without
    writing."""

    network: str
    chip: str
    batch: int
    turns: tuple[Turn, ...]
    energy_J: float
    inferences_until_worn: float | None
    notes: tuple[str, ...]

    @property
    def batch_s(self) -> float:
        return sum(turn.time_s(self.batch) for turn in self.turns)

    @property
    def throughput_per_s(self) -> float:
        return self.batch / self.batch_s

    @property
    def write_J(self) -> float:
        """Per inference."""
        return sum(turn.write_J for turn in self.turns) / self.batch

    @property
    def write_share(self) -> float:
        """Of the time."""
        return sum(turn.write_s for turn in self.turns) / self.batch_s

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            **asdict(self),
            "batch_s": self.batch_s,
            "throughput_per_s": self.throughput_per_s,
            "write_J": self.write_J,
            "write_share": self.write_share,
        }

    def __str__(self) -> str:
        return "\n".join(_text(self))


def multiplexed(outline: Outline, batch: int, activity: Activity | None = None) -> Multiplexed:
    """The same network on one chip, whose crossbars are written anew for each part of it.

    outline: on as many chips as it needs; what is on chip k there is turn k here. In each turn `batch` inputs go
    through its layers, and what they hand on is stored outside. Time of a turn = writing + the first input's time in
    all its layers + (batch - 1) * max(slowest layer, links); energy = events (with each bit that turns hand on crossing
    the chip's links twice), leakage of one chip and its ungated clocks for all that time, and writing.

    Raises DataError for a batch below 1, CapacityError where the network fits one chip or the chip's device does not
    say how its cells are written.
    """
    if batch < 1:
        raise DataError(f"batch: must be 1 or more, got {batch}")
    chip, reason = outline.chip, why_not(outline.chip)
    problems = [] if outline.n_chips > 1 else ["turns: the network fits one chip; use it as it is"]
    problems += [] if reason is None else [f"turns: {reason.removeprefix('not in the bill: ')}; add that section"]
    written = price(chip, (cells_of(layer, outline) for layer in outline.layers))
    if problems or written is None:
        raise CapacityError(problems)
    report = estimate(outline, activity)
    turns = tuple(_turns(outline, written))
    result = Multiplexed(
        network=outline.network,
        chip=chip.name,
        batch=batch,
        turns=turns,
        energy_J=0.0,
        inferences_until_worn=written.inferences_until_worn(batch, outline.n_chips),
        notes=(
            "a cell is taken to be written in every turn; all inputs of a batch wait outside of the chip in between",
            *written.notes,
            *report.notes,
        ),
    )
    return replace(result, energy_J=_energy_J(chip, report, result.batch_s / batch))


def _energy_J(chip: Chip, report: Report, time_s: float) -> float:
    """Per inference, of which each takes time_s of one chip."""
    spent, sums = report.by("part"), 0.0
    for row in chip.ledger():
        used = spent.get(f"{row.level}.{row.part}")
        dynamic_J = used.dynamic_J if used is not None else 0.0
        leakage_J = row.count_per_chip * row.cost.leakage_W * time_s
        sums += dynamic_J + leakage_J + clock_J(row, chip, 1, dynamic_J, time_s)
    return sums


def _turns(outline: Outline, written: Programming) -> Iterator[Turn]:
    """Layers belong to each chip that they have cores on; what they take there goes with the cores."""
    chip = outline.chip
    cores = chip.chip.tiles * chip.tile.cores
    times = {timing.name: timing.total_s for timing in analytic_pipeline(outline)}
    writing = {layer.name: layer for layer in written.layers}
    rate = chip.events_per_s("offchip_bits", "chip")
    _, bits = link_bits(outline)
    for k in range(outline.n_chips):
        held = {layer.name: _share(layer, k * cores, (k + 1) * cores) for layer in outline.layers}
        names = tuple(name for name, share in held.items() if share > 0)
        yield Turn(
            layers=names,
            write_s=max(writing[name].time_s for name in names),
            write_J=sum(writing[name].energy_J * held[name] for name in names),
            first_s=sum(times[name] for name in names),
            compute_s=max(times[name] for name in names),
            offchip_s=bits[k] / rate if rate else 0.0,
        )


def _share(layer: LayerOutline, first: int, end: int) -> float:
    """Of a layer's cores, those from `first` to `end` - 1."""
    start, stop = layer.first_core, layer.first_core + layer.n_replicas * layer.cores
    return max(0, min(stop, end) - max(start, first)) / (stop - start)


def cells_of(layer: LayerOutline, outline: Outline) -> LayerCells:
    """The cells of a layer of which the shape, and what cells hold on average, are known."""
    chip, pieces = outline.chip, layer.pieces
    levels, mean_rel = chip.device.levels_rel(), mean_conductance_rel(layer, chip) or 0.0
    unit = int(chip.encoding.kind == "offset")
    reference = int(chip.encoding.baseline_removal == "reference" and chip.device.low_rel > 0)
    weights = pieces.n_rows * pieces.n_cols // (pieces.group_end - pieces.group_first)
    cells = weights + pieces.n_rows * (unit + reference)
    word_lines = pieces.word_lines
    total_rel = layer.pieces.cells_used * mean_rel + word_lines * (unit * levels[1] + reference * levels[0])
    return LayerCells(
        name=layer.name,
        cells=int(cells.sum()) * layer.n_replicas,
        word_lines=word_lines * layer.n_replicas,
        crossbars=len(pieces) * layer.n_replicas,
        largest_cells=int(cells.max()),
        largest_word_lines=int(pieces.n_rows.max()),
        mean_rel=float(total_rel / cells.sum()),
    )


def _text(m: Multiplexed) -> Iterator[str]:
    """As lines of text."""
    yield f"{m.network} on one {m.chip}, in {len(m.turns)} turns, {m.batch:,} inputs at a time"
    yield f"  throughput         {m.throughput_per_s:,.4g} inputs/s; {m.write_share:.1%} of the time is writing"
    yield f"  energy/inference   {si(m.energy_J + m.write_J, 'J')}, of which writing {si(m.write_J, 'J')}"
    worn = m.inferences_until_worn
    yield f"  endurance          {'not known' if worn is None else f'used up after {worn:,.4g} inferences'}"
    yield f"  {'turn':<6}{'layers':>8} {'writing':>12} {'first input':>12} {'further':>12} {'links':>12}"
    for k, turn in enumerate(m.turns):
        yield (
            f"  {k:<6}{len(turn.layers):>8} {duration(turn.write_s):>12} {si(turn.first_s, 's'):>12} "
            f"{si(turn.compute_s, 's'):>12} {si(turn.offchip_s, 's'):>12}"
        )
    yield from (f"  {note}" for note in m.notes)
