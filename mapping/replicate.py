"""Weight duplication: copies of a layer work on different vectors, so that no layer holds the pipeline up."""

from __future__ import annotations

from collections.abc import Sequence


def replicate(vectors: Sequence[int], pulses: Sequence[int], cores: Sequence[int], core_budget: int) -> tuple[int, ...]:
    """Replicas of each layer that make the slowest layer as fast as `core_budget` cores allow.

    A layer with r replicas takes ceil(vectors / r) * pulses steps per network input. The smallest step count T that all
    layers can reach within the budget is found by bisection, and every layer gets the fewest replicas that reach T:
    r = ceil(vectors / floor(T / pulses)). So the bottleneck is as short as the budget allows, and no replica is idle.

    vectors, pulses, cores: [layer]: vectors per network input, pulses per vector, cores of one replica. The budget must
    hold one replica of each (`check` makes sure).
    """

    def needed(steps: int) -> tuple[int, ...]:
        return tuple(-(-v // (steps // p)) for v, p in zip(vectors, pulses, strict=True))

    low = max(pulses) - 1  # not reachable: less than one vector at a time
    high = max(v * p for v, p in zip(vectors, pulses, strict=True))  # one replica each
    while high - low > 1:
        middle = (low + high) // 2
        if sum(r * c for r, c in zip(needed(middle), cores, strict=True)) <= core_budget:
            high = middle
        else:
            low = middle
    return needed(high)
