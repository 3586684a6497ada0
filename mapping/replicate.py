"""Weight duplication: copies of a layer work on different vectors, so that no layer holds the pipeline up."""

from __future__ import annotations

from collections.abc import Sequence


def replicate(
    vectors: Sequence[int], vector_times: Sequence[int], cores: Sequence[int], core_budget: int
) -> tuple[int, ...]:
    """Replicas of each layer that make the slowest layer as fast as `core_budget` cores allow.

    A layer with r replicas takes ceil(vectors / r) * vector_time per network input. The shortest time T that all layers
    can reach within the budget is found by bisection, and every layer gets the fewest replicas that reach T:
    r = ceil(vectors / floor(T / vector_time)). So the bottleneck is as short as the budget allows, no replica is idle,
    and cores that cannot shorten the bottleneck stay unused.

    vectors, vector_times, cores: [layer]: vectors per network input, time that one replica takes for a vector (in
    whole numbers of any unit), cores of one replica. The budget must hold one replica of each (`check` makes sure).
    """

    def needed(limit: int) -> tuple[int, ...]:
        return tuple(-(-v // (limit // t)) for v, t in zip(vectors, vector_times, strict=True))

    low = max(vector_times) - 1  # not reachable: less than one vector at a time
    high = max(v * t for v, t in zip(vectors, vector_times, strict=True))  # one replica each
    while high - low > 1:
        middle = (low + high) // 2
        if sum(r * c for r, c in zip(needed(middle), cores, strict=True)) <= core_budget:
            high = middle
        else:
            low = middle
    return needed(high)
