"""The queue of the cycle model against `heapq`; letters against a stack."""

from __future__ import annotations

import heapq

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.kernels.event_queue import Q, give_back, new_queue, pop, push, take_letter, with_room
from xbar.kernels.packed import get, put, size

PUSH, POP, TAKE, GIVE = range(4)


@numba.njit
def play(moves, capacity, room):  # type: ignore[no-untyped-def]
    """What each move [move, (what, time, kind, index)] finds: an event or a letter; and the capacity at the end."""
    found = np.full((len(moves), 4), -1)
    queue = new_queue(capacity)
    for i in range(len(moves)):
        queue = with_room(queue, room)
        what, when, kind, index = moves[i, 0], moves[i, 1], moves[i, 2], moves[i, 3]
        if what == PUSH:
            push(queue, when, kind, index)
        elif what == POP:
            found[i, 0], found[i, 1], found[i, 2] = pop(queue)
        elif what == TAKE:
            letter = take_letter(queue)
            put(queue, Q.what, letter, when)
            put(queue, Q.unit, letter, kind)
            put(queue, Q.place, letter, index)
            put(queue, Q.tail, letter, i)
            found[i, 0] = letter
        else:
            found[i, 0], found[i, 1] = get(queue, Q.what, index), get(queue, Q.unit, index)
            found[i, 2], found[i, 3] = get(queue, Q.place, index), get(queue, Q.tail, index)
            give_back(queue, index)
    return found, size(queue, Q.time)


def moves_and_finds(n: int, rng: np.random.Generator) -> tuple[list[list[int]], list[list[int]]]:
    """Moves that are possible, and what they find according to `heapq` and a stack."""
    moves, finds = [], []
    heap: list[tuple[int, ...]] = []
    taken: dict[int, list[int]] = {}
    spare: list[int] = []
    top, more = int(rng.choice([1, 4, 10**15])), rng.uniform(0.3, 0.9)
    for i in range(n):
        when, kind, index = int(rng.integers(0, top + 1)), int(rng.integers(0, 12)), int(rng.integers(0, 5))
        what = int(rng.choice([PUSH, TAKE] if rng.random() < more else [POP, GIVE]))
        find = [-1] * 4
        if what == PUSH or (what == POP and not heap):
            what = PUSH
            heapq.heappush(heap, (when, kind, index))
        elif what == POP:
            find[:3] = heapq.heappop(heap)
        elif what == TAKE or not taken:
            what = TAKE
            letter = spare.pop() if spare else len(taken)
            taken[letter] = [when, kind, index, i]
            find[0] = letter
        else:
            index = int(rng.choice(list(taken)))
            find = taken.pop(index)
            spare.append(index)
        moves.append([what, when, kind, index])
        finds.append(find)
    return moves, finds


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.integers(1, 20), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_like_heapq_and_a_stack_while_it_grows(n: int, capacity: int, room: int, seed: int) -> None:
    moves, finds = moves_and_finds(n, np.random.default_rng(seed))
    found, _ = play(np.array(moves, np.int64).reshape(-1, 4), capacity, room)
    assert found.tolist() == finds


def test_it_grows_only_when_it_must() -> None:
    events = np.array([[PUSH, when, 3, 7] for when in range(9, -1, -1)] + [[POP, 0, 0, 0]] * 10)
    found, capacity = play(events, 11, 1)
    assert found[10:, 0].tolist() == list(range(10))
    assert capacity == 11
    assert play(events, 10, 1)[1] == 2 * 10 + 1
    assert play(events[:1], 1, 5)[1] == 2 * 1 + 5


def test_large_times_and_indices_come_back() -> None:
    event = [1 << 62, 11, (1 << 40) - 1]
    found, _ = play(np.array([[PUSH, *event], [POP, 0, 0, 0]]), 1, 1)
    assert found[1, :3].tolist() == event
