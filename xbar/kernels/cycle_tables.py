"""What the cycle model runs on: the tables of a chip with a network on it. Times are in femtoseconds.

Words. A *stream* makes rows: the network's input, a matrix layer, a join (digital work on several streams), and at last
the *sink* outside of the chip. An *edge* carries rows of a stream to another one in *units*; a unit is made of a few
rows of its source and goes to every *inbox* of the edge, one in each tile of the receiver. A *site* is a receiver in a
tile. A *lane* is the share of a layer's copy that is in one tile: crossbars that read the same vectors at the same
time. A *copy* (replica) has a lane in each of its tiles; copies take the vectors of an input in turns. A *channel*
brings a lane's partial sums to the tile where the outputs of those columns are put together, a *home* of the copy. A
*flow* is what one message carries: bits along a *path* of links, with drops at inboxes or channels on the way.

`ptr` arrays have one entry more than what they divide: entries ptr[i] .. ptr[i + 1] - 1 belong to i.
"""

from __future__ import annotations

from enum import IntEnum

# kinds of streams
INPUT, LAYER, JOIN, SINK = 0, 1, 2, 3
# digital units of a tile that a result passes one after another
ADD, ACTIVATE, POOL, DIGITAL = 0, 1, 2, 3
N_UNITS = 4
# how a lane spends its time
READ, ADC, INPUT_WAIT, BUFFER_FULL, OUTPUT_WAIT, BUS_WAIT, FETCH, IDLE = 0, 1, 2, 3, 4, 5, 6, 7
N_SPENT = 8
NO_LIMIT = 1 << 40  # slots of an inbox that is never full


class T(IntEnum):
    """See the module. What is not said to be a time counts things.

    [stream] stream_kind, stream_rows (per input), stream_staging: complete rows that may wait to be released, more
        than a unit is made of;
        stream_parts: pieces in which a row is made (vectors of a layer, sites of a join; 0 of an input or a sink);
        stream_edge_ptr: edges that leave it, in `out_edge`; stream_site_ptr: its sites;
        stream_copy_ptr: its copies.
    [edge] edge_source, edge_units (per input), edge_inbox_ptr, edge_flow_ptr; unit_ptr into [unit] unit_first,
        unit_last: the rows of the source that a unit is made of (none if first > last).
    [inbox] inbox_edge, inbox_site, inbox_slots: units that it holds at a time, inbox_flows: messages that bring a unit
        (none where only its being sent counts); inbox_unit_bits, inbox_last_bits: what it takes in the buffer,
        (units - 1) * unit + last; need_ptr into [row] need_first, need_last: units that each row of the receiver needs;
        rising.
    [site] site_stream, site_tile, site_inbox_ptr into site_inbox, site_lane_ptr into site_lane; site_fs: digital work
        of a join's row there.
    [lane] lane_site, lane_copy, lane_index: which of the copies, lane_port_fs, lane_bus_fs: what a vector's fetch takes
        of the buffer's port and of the bus, lane_read_fs, lane_convert_fs, lane_pulses, lane_add_fs: latency of the
        last shift-and-add, lane_sums_fs: what its sums take of the bus, lane_channel_ptr.
    [copy] copy_stream, copy_lane_ptr, copy_home_ptr.
    [home] home_tile, home_fs [home, digital unit]: work on each vector.
    [channel] channel_copy, channel_flow: the flow that brings a vector's sums, -1 if they are there already.
    [flow] flow_bits, flow_path_ptr into [step] path: a link, or -1 - inbox, or -1 - n_inboxes - channel.
    [link] link_flit_bits, link_flit_fs: time of a flit, which is also that of a hop.
    [tile] tile_ports, tile_word_bits, tile_word_fs: of the buffer; word_fs 0: takes no time.
    vectors, vectors_per_row [stream]: of a layer, per input and per row. cycle_fs: digital stages take whole cycles; 0:
    any. unit_server [digital unit]: the unit with which it takes turns, since one part does the work of both; mostly
    itself.
    """

    stream_kind = 0
    stream_rows = 1
    stream_staging = 2
    stream_parts = 3
    stream_edge_ptr = 4
    out_edge = 5
    stream_site_ptr = 6
    stream_copy_ptr = 7
    vectors = 8
    vectors_per_row = 9
    edge_source = 10
    edge_units = 11
    edge_inbox_ptr = 12
    edge_flow_ptr = 13
    unit_ptr = 14
    unit_first = 15
    unit_last = 16
    inbox_edge = 17
    inbox_site = 18
    inbox_slots = 19
    inbox_flows = 20
    inbox_unit_bits = 21
    inbox_last_bits = 22
    need_ptr = 23
    need_first = 24
    need_last = 25
    site_stream = 26
    site_tile = 27
    site_inbox_ptr = 28
    site_inbox = 29
    site_lane_ptr = 30
    site_lane = 31
    site_fs = 32
    lane_site = 33
    lane_copy = 34
    lane_index = 35
    lane_port_fs = 36
    lane_bus_fs = 37
    lane_read_fs = 38
    lane_convert_fs = 39
    lane_pulses = 40
    lane_add_fs = 41
    lane_sums_fs = 42
    lane_channel_ptr = 43
    copy_stream = 44
    copy_lane_ptr = 45
    copy_home_ptr = 46
    home_tile = 47
    home_fs = 48
    channel_copy = 49
    channel_flow = 50
    flow_bits = 51
    flow_path_ptr = 52
    path = 53
    link_flit_bits = 54
    link_flit_fs = 55
    tile_ports = 56
    tile_word_bits = 57
    tile_word_fs = 58
    cycle_fs = 59
    unit_server = 60
