"""Weight duplication: copies of a layer work on different vectors, so that no layer holds the pipeline up."""

from __future__ import annotations

from collections.abc import Sequence

from xbar.hardware import Chip
from xbar.outline import LayerOutline, pulse_time_s


def core_budget(chip: Chip, n_chips: int, tile_budget: int | None, area_budget_m2: float | None) -> int | None:
    """Cores that copies may take, None where there is no budget; of two budgets the smaller counts."""
    if tile_budget is None and area_budget_m2 is None:
        return None
    tiles = [n_chips * chip.chip.tiles]
    if tile_budget is not None:
        tiles.append(tile_budget)
    if area_budget_m2 is not None:
        tiles.append(int(min(area_budget_m2 / chip.total("tile").area_m2, tiles[0])))
    return min(tiles) * chip.tile.cores


def copies(layers: Sequence[LayerOutline], chip: Chip, budget: int | None) -> tuple[int, ...]:
    """Copies of each layer within a budget of cores, one of each without."""
    if budget is None:
        return (1,) * len(layers)
    # whole attoseconds, so that times that are equal but for rounding count as equal
    times = [round(layer.n_pulses * pulse_time_s(layer, chip) * 1e18) for layer in layers]
    return replicate([layer.vectors_per_input for layer in layers], times, [layer.cores for layer in layers], budget)


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
