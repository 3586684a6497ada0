"""A queue of events for numba: the earliest first, among equals the one with the smallest code; it grows by itself.

A code is a kind of event and the index of what it happens to. Letters are records of four integers that an event may
need beside its code; they are taken and given back by their number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xbar.kernels.packed import inner

Ints = NDArray[np.int64]

WORDS = 4  # of a letter
SHIFT = 40  # codes: kind << SHIFT | index
N_EVENTS, N_SPARE = 0, 1


class Queue(NamedTuple):
    """time, code: a binary heap in the first counts[N_EVENTS] places. letters: int64 [letter, 4]; spare: numbers of
    those that are free, the first counts[N_SPARE]."""

    time: Ints
    code: Ints
    letters: Ints
    spare: Ints
    counts: Ints


@inner
def new_queue(capacity):  # type: ignore[no-untyped-def]
    """An empty queue with room for `capacity` events and letters."""
    time, code, spare = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    for i in range(capacity):  # the first one is on top
        spare[i] = capacity - 1 - i
    counts = np.empty(2, np.int64)
    counts[N_EVENTS], counts[N_SPARE] = 0, capacity
    return Queue(time, code, np.empty((capacity, WORDS), np.int64), spare, counts)


@inner
def with_room(queue, n):  # type: ignore[no-untyped-def]
    """The queue, or a larger one with the same events and letters, so that n more of both find a place."""
    capacity = len(queue.time)
    if queue.counts[N_EVENTS] + n <= capacity and queue.counts[N_SPARE] >= n:
        return queue
    larger = new_queue(2 * capacity + n)
    n_events, n_spare = queue.counts[N_EVENTS], queue.counts[N_SPARE]
    for i in range(n_events):
        larger.time[i], larger.code[i] = queue.time[i], queue.code[i]
    for i in range(capacity):
        for word in range(WORDS):
            larger.letters[i, word] = queue.letters[i, word]
    added = len(larger.time) - capacity  # new_queue's spare ones end with those that are there already
    for i in range(n_spare):
        larger.spare[added + i] = queue.spare[i]
    larger.counts[N_EVENTS], larger.counts[N_SPARE] = n_events, added + n_spare
    return larger


@inner
def push(queue, when, kind, index):  # type: ignore[no-untyped-def]
    """Add an event."""
    time, code = queue.time, queue.code
    entry = (kind << SHIFT) | index
    place = queue.counts[N_EVENTS]
    queue.counts[N_EVENTS] = place + 1
    while place > 0:
        above = (place - 1) >> 1
        if time[above] < when or (time[above] == when and code[above] <= entry):
            break
        time[place], code[place] = time[above], code[above]
        place = above
    time[place], code[place] = when, entry


@inner
def pop(queue):  # type: ignore[no-untyped-def]
    """Take the first event: its time, kind and index. The queue must not be empty."""
    time, code = queue.time, queue.code
    first_time, first = time[0], code[0]
    n = queue.counts[N_EVENTS] - 1
    queue.counts[N_EVENTS] = n
    when, entry = time[n], code[n]
    place = 0
    while True:
        below = 2 * place + 1
        if below >= n:
            break
        right = below + 1
        if right < n and (time[right] < time[below] or (time[right] == time[below] and code[right] < code[below])):
            below = right
        if when < time[below] or (when == time[below] and entry <= code[below]):
            break
        time[place], code[place] = time[below], code[below]
        place = below
    time[place], code[place] = when, entry
    return first_time, first >> SHIFT, first & ((1 << SHIFT) - 1)


@inner
def take_letter(queue):  # type: ignore[no-untyped-def]
    """The number of a letter that nobody uses."""
    queue.counts[N_SPARE] -= 1
    return queue.spare[queue.counts[N_SPARE]]


@inner
def give_back(queue, letter):  # type: ignore[no-untyped-def]
    """Nobody needs the letter any more."""
    queue.spare[queue.counts[N_SPARE]] = letter
    queue.counts[N_SPARE] += 1
