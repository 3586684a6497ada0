"""The cycle model against schedules that are worked out by hand, in whole cycles of 100 ns."""

from __future__ import annotations

import numpy as np
import torch
from small import random_weights, small_network
from timed_chips import CYCLE_S, part, timed_chip
from torch import Tensor, nn

import mapping
import xbar
from xbar.cost.cycles import cycles
from xbar.timing import KINDS, WAYS, Cycles, Trace, period_s

Schedule = dict[tuple[str, str, str], list[tuple[int, int]]]


def label(trace: Trace, i: int) -> str:
    """The kind of an interval; for whom a buffer or a digital unit works."""
    kind, stream = KINDS[trace.kind[i]], trace.streams[trace.stream[i]]
    return {"write": f"rows for {stream}", "digital": stream}.get(kind, kind)


def schedule(result: Cycles) -> Schedule:
    """{(process, thread, label): begins and ends in cycles}, all of them whole."""
    trace = result.trace
    assert trace is not None
    assert trace.n_lost == 0
    begin, end = trace.begin_s / CYCLE_S, (trace.begin_s + trace.duration_s) / CYCLE_S
    np.testing.assert_allclose([begin, end], np.rint([begin, end]), atol=1e-6)
    found: Schedule = {}
    for i in np.lexsort((end, begin)).tolist():
        key = trace.processes[trace.process[i]], trace.threads[trace.thread[i]], label(trace, i)
        found.setdefault(key, []).append((round(begin[i]), round(end[i])))
    return found


def spent(result: Cycles, name: str) -> dict[str, int]:
    """How the crossbars of a layer or a tile spend the run, in cycles; what takes none is left out."""
    (one,) = (s for s in (*result.layers, *result.tiles) if s.name == name)
    assert set(one.seconds) == set(WAYS)
    return {way: round(seconds / CYCLE_S) for way, seconds in one.seconds.items() if seconds > 0}


def lasting(length: int, *begins: int) -> list[tuple[int, int]]:
    return [(begin, begin + length) for begin in begins]


def two_layers() -> Cycles:
    """4 -> 4 in tile 0, 4 -> 16 in tile 1, two inputs of four vectors each, buffers of one vector."""
    parts = {"bus": part("bus_bits", 8), "activation": part("activation_ops", 4)}
    chip = timed_chip(2, 2, parts, core__crossbars=4)
    program = mapping.compile(small_network(random_weights([(4, 4), (16, 4)]), vectors=4), chip)
    return cycles(program, 2, max_trace=1000)


def test_two_layers_in_two_tiles_cycle_by_cycle():
    """Vectors of 4 numbers of 4 bits: a word of the buffer, two cycles of the bus, four flits, or one outside.

    Layer 0 has 8 columns in a crossbar: 2 for each converter, a cycle. Its 4 sums of 4 + 4 + 2 bits take the bus for 5
    cycles, its 4 ReLUs a cycle. Layer 1 has 32 columns in 4 crossbars: 8 for each converter, 4 cycles, so that a sample
    waits for the one before it. Its 16 sums take the bus for 20 cycles, its 64 bits of results take 16 flits to tile 0.
    A buffer has a place for one vector; it leaves when the crossbars begin with it.

    layer 0      in     write  fetch    reads    added  sums     ReLU     | a new vector comes in when the one before
    vector 0     0-1    1-2    2-4      4-8      10     10-15    15-16    |   begins. The bus takes who asks first:
    vector 1     4-5    5-6    6-8      8-12     14     17-22    22-23    |   the sums of 0 at 10, before the fetch of 2
    vector 2     8-9    9-10   15-17    17-21    23     24-29    29-30    |   at 10; the fetch of 2 before the sums of 1
    vector 3     17-18  18-19  22-24    24-28    30     31-36    36-37    |   at 14, and so on.
    vector 4     24-25  25-26  29-31    31-35    37     38-43    43-44    |
    vector 5     31-32  32-33  36-38    38-42    44     45-50    50-51    | added: reads + conversion + shift-and-add
    vector 6     38-39  39-40  43-45    45-49    51     51-56    56-57    |
    vector 7     45-46  46-47  107-109  109-113  115    115-120  120-121  | waits from 47 on, see below

    layer 1      to 1     write    fetch    reads    added  sums     to 0     out
    vector 0     16-20    20-21    21-23    23-36    41     41-61    61-77    62-78    | samples at 24, 28, 32, 36
    vector 1     23-27    27-28    28-30    36-52    57     63-83    83-99    84-100   | at 40, when converters are
    vector 2     36-40    40-41    61-63    63-76    81     85-105   105-121  106-122  |   free, 44, 48, 52
    vector 3     63-67    67-68    83-85    85-98    103    107-127  127-143  128-144  | 4 + 9 cycles from here on
    vector 4     85-89    89-90    105-107  107-120  125    129-149  149-165  150-166  |
    vector 5     107-111  111-112  127-129  129-142  147    151-171  171-187  172-188  |
    vector 6     129-133  133-134  149-151  151-164  169    173-193  193-209  194-210  |
    vector 7     151-155  155-156  171-173  173-186  191    193-213  213-229  214-230  |

    The bus of tile 1 has 22 cycles of work for a vector, and so it is the bottleneck: the fetch of a vector waits for
    the sums of the one before last. A vector goes to tile 1 when the one before it begins there. At 44 vectors 3 and 4
    of layer 0 wait to go, at 51 and 57 also 5 and 6, which were begun before: vector 7 must wait till only one is
    left, when 5 goes at 107.
    """
    result = two_layers()
    t0, t1 = "tile 0", "tile 1"
    sums0 = [10, 17, 24, 31, 38, 45, 51, 115]
    reads0, reads1 = [4, 8, 17, 24, 31, 38, 45, 109], [63, 85, 107, 129, 151, 173]
    converted0 = [begin + 1 for begin in reads0]
    results = [61, 83, 105, 127, 149, 171, 193, 213]
    assert schedule(result) == {
        ("links", "link into the chip", "message"): lasting(1, 0, 4, 8, 17, 24, 31, 38, 45),
        (t0, "buffer port 0", "rows for layer0"): lasting(1, 1, 5, 9, 18, 25, 32, 39, 46),
        (t0, "layer0: input", "fetch"): lasting(2, 2, 6, 15, 22, 29, 36, 43, 107),
        (t0, "layer0", "reads"): lasting(4, *reads0),
        (t0, "layer0: conversion", "convert"): lasting(4, *converted0),
        (t0, "layer0: shift-and-add", "shift-and-add"): lasting(1, *(begin + 4 for begin in converted0)),
        (t0, "layer0: sums", "sums"): lasting(5, *sums0),
        (t0, "activation units", "layer0"): lasting(1, *(begin + 5 for begin in sums0)),
        ("links", "tile 0 -> 1", "message"): lasting(4, 16, 23, 36, 63, 85, 107, 129, 151),
        (t1, "buffer port 0", "rows for layer1"): lasting(1, 20, 27, 40, 67, 89, 111, 133, 155),
        (t1, "layer1: input", "fetch"): lasting(2, 21, 28, 61, 83, 105, 127, 149, 171),
        (t1, "layer1", "reads"): [(23, 36), (36, 52), *lasting(13, *reads1)],
        (t1, "layer1: conversion", "convert"): lasting(16, 24, 40, *(begin + 1 for begin in reads1)),
        (t1, "layer1: shift-and-add", "shift-and-add"): lasting(1, 40, 56, *(begin + 17 for begin in reads1)),
        (t1, "layer1: sums", "sums"): lasting(20, 41, 63, 85, 107, 129, 151, 173, 193),
        ("links", "tile 1 -> 0", "message"): lasting(16, *results),
        ("links", "link out of the chip", "message"): lasting(16, *(begin + 1 for begin in results)),
    }


def test_how_the_two_layers_spend_their_time():
    """The gaps of the schedule above: layer 0 waits for its first vector till 2, for the bus 12-15 and in the first
    cycle of 21-24, 28-31, 35-38 and 42-45, for room 49-107. Layer 1 waits for its first vector till 21, and for the bus
    52-61, then 7 cycles five times; its converters hold samples up for 9 cycles of every vector, 12 of vector 1."""
    result = two_layers()
    layer0 = {"read": 32, "input not ready": 2, "bus busy": 3 + 4, "fetch": 7 * 2, "buffer full": 58, "idle": 117}
    layer1 = {"read": 32, "ADC busy": 7 * 9 + 12, "input not ready": 21, "bus busy": 9 + 35, "fetch": 14, "idle": 44}
    assert spent(result, "layer0") == spent(result, "tile 0") == layer0
    assert spent(result, "layer1") == spent(result, "tile 1") == layer1


def test_what_the_two_layers_come_to():
    """Input 0 is vectors 0 to 3, input 1 the others."""
    result = two_layers()
    np.testing.assert_allclose(np.array([result.begin_s, result.end_s]) / CYCLE_S, [[0, 24], [144, 230]])
    assert result.latency_s == result.end_s[0]
    np.testing.assert_allclose(period_s(result.end_s, result.begin_s) / CYCLE_S, 86)
    np.testing.assert_allclose([result.period_s / CYCLE_S, result.run_s / CYCLE_S], [88, 230])  # of the bus of tile 1
    np.testing.assert_allclose(result.occupancy, (144 + 230 - 24) / 230)
    assert [(b.tile, b.high_bytes, b.capacity_bytes) for b in result.buffers] == [(0, 2, 2), (1, 2, 2)]
    assert {link.label: (link.bits, round(link.busy_s / CYCLE_S)) for link in result.links} == {
        "link into the chip": (8 * 16, 8),
        "tile 0 -> 1": (8 * 16, 8 * 4),
        "tile 1 -> 0": (8 * 64, 8 * 16),
        "link out of the chip": (8 * 64, 8 * 16),
    }
    busy = {use.name: round(2 * use.busy_s / CYCLE_S) for use in result.uses}
    assert busy["bus of tile 1"] == 8 * 22
    assert busy["crossbars of layer1"] == 13 * 7 + 16
    assert busy["activation units of tile 0"] == 8
    assert result.bits_sent == result.bits_arrived == 8 * (16 + 16 + 64)
    assert result.bottleneck.startswith("bus of tile 1, taken 100% of the time; a wider bus helps")


class Skip(nn.Module):
    """8 -> 4, and 4 -> 4 beside a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        return x + self.second(x)


def residual() -> Cycles:
    """One input of two vectors on crossbars of 4 rows, one to a tile: first in tiles 0 and 1, second in 2."""
    chip = timed_chip(
        8,
        4,
        {
            "bus": part("bus_bits", 4),
            "adder": part("tile_adds", 4),
            "activation": part("activation_ops", 2),
            "ALU": part("digital_ops", 2),
        },
        core__crossbars=1,
        crossbar__rows=4,
    )
    network = xbar.from_torch(Skip().eval(), torch.rand(2, 2, 8))
    return cycles(mapping.outline(network, chip), 1, max_trace=1000)


def test_a_residual_join_cycle_by_cycle():
    """Each half of the 8 rows of `first` is in a tile; both get all 32 bits, 2 words: handed from tile 0 to 1, 8 flits.
    They fetch 16 bits, 4 cycles of the bus, and put 4 sums of 4 + 4 + 3 bits on it for 11 cycles. Those of tile 1 take
    11 flits to tile 0, where 4 additions take a cycle and 4 ReLUs two. Rows of 16 bits, 4 flits, go to tile 2 twice: to
    `second`, whose sums of 4 + 4 + 2 bits take the bus for 10 cycles, and to the join, where they wait for it. The join
    takes two cycles. A buffer of 64 bits holds two vectors in tiles 0 and 1; in tile 2 one of each edge.

    in tile 0    in     write  fetch  reads  sums     | add    ReLU      once the sums of tile 1 are there, too
    vector 0     0-1    1-3    5-9    9-13   15-26    | 45-46  46-48     the fetch, at 3, finds the port taken till 5
    vector 1     1-2    3-5    9-13   13-17  26-37    | 56-57  57-59     the sums, at 19, the bus till 26

    in tile 1    0 -> 1  write  fetch  reads  sums    1 -> 0
    vector 0     1-9     9-11   11-15  15-19  23-34   34-45     the sums, at 21, wait for the bus: the fetch of
    vector 1     9-17    17-19  19-23  23-27  34-45   45-56     vector 1 came at 19

    second       0 -> 2   write    fetch    reads    sums     write for join
    vector 0     48-52    52-53    53-57    57-61    63-73    74-75            its fetch at 73 takes the port first
    vector 1     59-63    63-64    73-77    77-81    83-93    93-94            the bus is free at 73

    skip         0 -> 2   write    | join     2 -> 0   out
    row 0        52-56    56-57    | 75-77    77-81    78-82     the link is taken till 52
    row 1        77-81    81-82    | 94-96    96-100   97-101    its place is free when row 0 is joined, at 77
    """
    result = residual()
    t0, t1, t2 = "tile 0", "tile 1", "tile 2"
    assert schedule(result) == {
        ("links", "link into the chip", "message"): lasting(1, 0, 1),
        (t0, "buffer port 0", "rows for first"): lasting(2, 1, 3),
        (t0, "first: input", "fetch"): lasting(4, 5, 9),
        (t0, "first", "reads"): lasting(4, 9, 13),
        (t0, "first: conversion", "convert"): lasting(4, 10, 14),
        (t0, "first: shift-and-add", "shift-and-add"): lasting(1, 14, 18),
        (t0, "first: sums", "sums"): lasting(11, 15, 26),
        ("links", "tile 0 -> 1", "message"): lasting(8, 1, 9),
        (t1, "buffer port 0", "rows for first"): lasting(2, 9, 17),
        (t1, "first: input", "fetch"): lasting(4, 11, 19),
        (t1, "first", "reads"): lasting(4, 15, 23),
        (t1, "first: conversion", "convert"): lasting(4, 16, 24),
        (t1, "first: shift-and-add", "shift-and-add"): lasting(1, 20, 28),
        (t1, "first: sums", "sums"): lasting(11, 23, 34),
        ("links", "tile 1 -> 0", "message"): lasting(11, 34, 45),
        (t0, "adders", "first"): lasting(1, 45, 56),
        (t0, "activation units", "first"): lasting(2, 46, 57),
        ("links", "tile 0 -> 2", "message"): lasting(4, 48, 52, 59, 77),
        (t2, "buffer port 0", "rows for second"): lasting(1, 52, 63),
        (t2, "second: input", "fetch"): lasting(4, 53, 73),
        (t2, "second", "reads"): lasting(4, 57, 77),
        (t2, "second: conversion", "convert"): lasting(4, 58, 78),
        (t2, "second: shift-and-add", "shift-and-add"): lasting(1, 62, 82),
        (t2, "second: sums", "sums"): lasting(10, 63, 83),
        (t2, "buffer port 0", "rows for add"): lasting(1, 56, 74, 81, 93),
        (t2, "add", "join"): lasting(2, 75, 94),
        ("links", "tile 2 -> 0", "message"): lasting(4, 77, 96),
        ("links", "link out of the chip", "message"): lasting(4, 78, 97),
    }
    assert (round(result.begin_s[0] / CYCLE_S), round(result.end_s[0] / CYCLE_S)) == (0, 101)


def test_how_the_residual_network_spends_its_time():
    """The gaps of the schedule above; of `first` both tiles count half."""
    result = residual()
    assert spent(result, "tile 0") == {"input not ready": 3, "bus busy": 2, "fetch": 4, "read": 8, "idle": 84}
    assert spent(result, "tile 1") == {"input not ready": 11, "fetch": 8, "read": 8, "idle": 74}
    assert spent(result, "tile 2") == {"input not ready": 56, "bus busy": 9, "fetch": 8, "read": 8, "idle": 20}
    first = {"input not ready": 7, "bus busy": 1, "fetch": 6, "read": 8, "idle": 79}
    assert spent(result, "first") == first
    assert spent(result, "second") == spent(result, "tile 2")
    assert [(b.tile, b.high_bytes) for b in result.buffers] == [(0, 8), (1, 8), (2, 6)]
    assert result.bits_sent == result.bits_arrived == 2 * (2 * 32 + 44 + 2 * 16 + 16 + 16)
