"""The activity of a network of which only the shapes are known."""

from __future__ import annotations

from fractions import Fraction

from xbar.hardware import Chip
from xbar.outline import LayerOutline, Outline
from xbar.result import Activity, LayerActivity

EXPECTED = "taken for granted, as no inputs were simulated: half of the input bits are set at random, no ADC saturates"
UNWEIGHED = "taken for granted, since nobody looked at the weights: all levels of cells are equally likely"


def expected_activity(outline: Outline) -> Activity:
    """What one input causes if its bits are set with a chance of one half each.

    A word line is active in a pulse of b bits unless all of them are 0: 1 - 2^-b of the time.
    """
    return Activity(1, tuple(_expected(layer, outline.chip) for layer in outline.layers), dict(outline.host_ops))


def expectations(outline: Outline) -> tuple[str, ...]:
    """What `expected_activity` takes for granted, in words."""
    conducts = outline.chip.device.range_S is not None
    unweighed = conducts and any(layer.mean_rel is None for layer in outline.layers)
    return (EXPECTED, UNWEIGHED) if unweighed else (EXPECTED,)


def _expected(layer: LayerOutline, chip: Chip) -> LayerActivity:
    n, e = layer.vectors_per_input, layer.per_vector
    active = sum(1 - 0.5**bits for bits in _pulse_bits(layer, chip)) / layer.n_pulses
    return LayerActivity(
        name=layer.name,
        n_vectors=n,
        array_reads=n * e.array_reads,
        row_pulses=n * e.row_pulses,
        active_rows=round(active * n * e.row_pulses),
        conversions=tuple(n * c for c in e.conversions),
        saturations=(0,) * len(e.conversions),
        unit_conversions=n * e.unit_conversions,
        unit_saturations=0,
        clipped_inputs=0,
        tile_adds=n * e.tile_adds,
        buffer_read_bits=n * e.buffer_read_bits,
        buffer_write_bits=n * e.buffer_write_bits,
        bus_bits=n * e.bus_bits,
        link_bits=layer.link_bits_per_input,
        cell_reads=Fraction(n * _cell_reads(layer, chip)),
    )


def _pulse_bits(layer: LayerOutline, chip: Chip) -> tuple[int, ...]:
    """How many bits of the input each pulse carries: what does not fill a pulse, and a sign, have one of their own."""
    bits, per_pulse = layer.input_bits, chip.dac.bits
    signed = layer.n_pulses > -(-bits // per_pulse)  # where it is a pulse like others, it does not matter
    full, rest = divmod(bits - signed, per_pulse)
    return (*(per_pulse,) * full, *(rest,) * (rest > 0), *(1,) * signed)


def _cell_reads(layer: LayerOutline, chip: Chip) -> float:
    """Of one vector: every pulse a random digit; of those up to n = 2^bits - 1 the mean square is n (2 n + 1) / 6."""
    mean_rel = mean_conductance_rel(layer, chip)
    if mean_rel is None:
        return 0.0
    largest = [(1 << bits) - 1 for bits in _pulse_bits(layer, chip)]
    squares_rel = sum(n * (2 * n + 1) for n in largest) / 6 / ((1 << chip.dac.bits) - 1) ** 2
    pieces = layer.pieces
    unit_rel = chip.device.levels_rel()[1] if chip.encoding.kind == "offset" else 0.0
    reference_rel = chip.device.low_rel if chip.encoding.baseline_removal == "reference" else 0.0
    cells = layer.pieces.cells_used * mean_rel + pieces.word_lines * (unit_rel + reference_rel)
    return squares_rel * cells


def mean_conductance_rel(layer: LayerOutline, chip: Chip) -> float | None:
    """Of the cells that hold weights, over g_max; of equally likely levels where nobody looked at the weights."""
    range_S, mean_S = chip.device.range_S, chip.device.mean_conductance_S
    if range_S is None or mean_S is None:
        return None
    return mean_S / range_S[1] if layer.mean_rel is None else layer.mean_rel
