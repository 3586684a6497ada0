"""A queue of events for numba: the earliest first, among equals the one with the smallest code; it grows by itself.

A code is a kind of event and the index of what it happens to. Letters are records of four numbers that an event may
need beside its code; they are taken and given back by their index. All is packed (`xbar.kernels.packed`) by `Q`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from xbar.kernels.packed import add, get, inner, put, size

SHIFT = 40  # codes: kind << SHIFT | index


class Q(IntEnum):
    """time, code: a binary heap in the first n_events places. what, unit, place, tail: words of the letters; spare:
    letters that nobody uses, the first n_spare, of which the last one is taken next."""

    n_events = 0
    n_spare = 1
    time = 2
    code = 3
    what = 4
    unit = 5
    place = 6
    tail = 7
    spare = 8


_N_ARRAYS = len(Q)


@inner
def new_queue(capacity):  # type: ignore[no-untyped-def]
    """An empty queue with room for `capacity` events and letters."""
    start = _N_ARRAYS + 1
    queue = np.empty(start + 2 + (_N_ARRAYS - 2) * capacity, np.int64)
    for name in range(_N_ARRAYS):
        queue[name] = start
        start += 1 if name <= Q.n_spare else capacity
    queue[_N_ARRAYS] = start
    put(queue, Q.n_events, 0, 0)
    put(queue, Q.n_spare, 0, capacity)
    for i in range(capacity):
        put(queue, Q.spare, i, capacity - 1 - i)
    return queue


@inner
def with_room(queue, n):  # type: ignore[no-untyped-def]
    """The queue, or a larger one with the same events and letters, so that n more of both find a place."""
    capacity, n_events, n_spare = size(queue, Q.time), get(queue, Q.n_events, 0), get(queue, Q.n_spare, 0)
    if n_events + n <= capacity and n_spare >= n:
        return queue
    larger = new_queue(2 * capacity + n)
    for name in range(Q.time, Q.spare):
        for i in range(capacity):
            put(larger, name, i, get(queue, name, i))
    added = size(larger, Q.time) - capacity
    for i in range(n_spare):  # on top, so that indices do not depend on the room
        put(larger, Q.spare, added + i, get(queue, Q.spare, i))
    put(larger, Q.n_events, 0, n_events)
    put(larger, Q.n_spare, 0, added + n_spare)
    return larger


@inner
def push(queue, when, kind, index):  # type: ignore[no-untyped-def]
    """Add an event."""
    entry, place = (kind << SHIFT) | index, get(queue, Q.n_events, 0)
    add(queue, Q.n_events, 0, 1)
    while place > 0:
        above = (place - 1) >> 1
        time, code = get(queue, Q.time, above), get(queue, Q.code, above)
        if not _before(when, entry, time, code):
            break
        put(queue, Q.time, place, time)
        put(queue, Q.code, place, code)
        place = above
    put(queue, Q.time, place, when)
    put(queue, Q.code, place, entry)


@inner
def pop(queue):  # type: ignore[no-untyped-def]
    """Take the first event: its time, kind and index. The queue must not be empty."""
    first_time, first = get(queue, Q.time, 0), get(queue, Q.code, 0)
    add(queue, Q.n_events, 0, -1)
    n = get(queue, Q.n_events, 0)
    when, entry = get(queue, Q.time, n), get(queue, Q.code, n)
    place, below = 0, 1
    while below < n:
        time, code = get(queue, Q.time, below), get(queue, Q.code, below)
        if below + 1 < n and _before(get(queue, Q.time, below + 1), get(queue, Q.code, below + 1), time, code):
            below += 1
            time, code = get(queue, Q.time, below), get(queue, Q.code, below)
        if not _before(time, code, when, entry):
            break
        put(queue, Q.time, place, time)
        put(queue, Q.code, place, code)
        place, below = below, 2 * below + 1
    put(queue, Q.time, place, when)
    put(queue, Q.code, place, entry)
    return first_time, first >> SHIFT, first & ((1 << SHIFT) - 1)


@inner
def _before(time, code, other_time, other_code):  # type: ignore[no-untyped-def]
    return time < other_time or (time == other_time and code < other_code)


@inner
def take_letter(queue):  # type: ignore[no-untyped-def]
    """The number of a letter that nobody uses."""
    add(queue, Q.n_spare, 0, -1)
    return get(queue, Q.spare, get(queue, Q.n_spare, 0))


@inner
def give_back(queue, letter):  # type: ignore[no-untyped-def]
    """Nobody needs the letter any more."""
    put(queue, Q.spare, get(queue, Q.n_spare, 0), letter)
    add(queue, Q.n_spare, 0, 1)
