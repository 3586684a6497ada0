"""What happens on a chip, by name: mapping and the engines count these events, the parts of a chip pay for them."""

from __future__ import annotations

from typing import Literal

Event = Literal[
    "array_reads",  # one crossbar, one pulse
    "row_pulses",  # word lines of used rows, driven or held at zero, in those reads (what a DAC does)
    "active_rows",  # word lines that carried a non-zero input
    "cell_reads",  # reads of cells, each weighted by (voltage / read voltage)^2 * conductance / g_max
    "conversions",  # ADC conversions, unit columns included
    "shift_adds",  # one per conversion
    "tile_adds",  # partial sums of row blocks merged
    "buffer_read_bits",
    "buffer_write_bits",
    "bus_bits",  # between a tile's buffer and its cores
    "link_bits",  # bits times links crossed between tiles
    "offchip_bits",  # over the edges of chips: inputs, as often as they are sent, outputs, and what goes between chips
    "activation_ops",
    "pooling_ops",
    "digital_ops",  # every other elementary operation of the digital host
]
