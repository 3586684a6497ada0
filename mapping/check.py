"""Does the network fit the chip? Every violation, each with its remedy, before anything is built."""

from __future__ import annotations

import numpy as np

from xbar.hardware import Chip
from xbar.network import QuantizedNetwork


def precision_problems(qnet: QuantizedNetwork, chip: Chip) -> list[str]:
    """Rules about numbers: the network's precision against the chip's, weights against the encoding."""
    problems = []
    for name in ("weight_bits", "input_bits"):
        got, want = getattr(qnet.precision, name), getattr(chip.precision, name)
        if got != want:
            problems.append(
                f"precision.{name}: the network must be quantized as chip {chip.name} says ({want}), got {got}; "
                f"quantize it for this chip, or set precision.{name} of the chip to {got}"
            )
    top = (1 << (chip.precision.weight_bits - 1)) - 1
    for q in qnet.layers:
        largest = int(np.abs(q.weight_q).max(initial=0))
        if largest > top:
            fix = (
                "quantize with precision.weights: one_level, or use encoding.kind: differential"
                if chip.encoding.kind == "ternary"
                else "quantize again with the chip's weight_bits"
            )
            problems.append(
                f"layer {q.layer.name}: encoding {chip.encoding.kind} holds weights from -{top} to {top}, "
                f"got magnitude {largest}; {fix}"
            )
    if not qnet.layers:
        problems.append(f"network {qnet.network.name}: at least one matrix layer is needed, got none")
    return problems


def budget_problems(
    tiles_needed: int,
    layers: list[tuple[str, int, int]],
    chip: Chip,
    n_chips: int,
    tile_budget: int | None,
    area_budget_m2: float | None,
    tile_area_m2: float,
) -> list[str]:
    """One replica of each layer must fit the chip and the budgets. layers: [(name, crossbars, cores)]."""
    largest = sorted(layers, key=lambda item: -item[1])[:3]
    names = ", ".join(f"{name} {crossbars} crossbars in {cores} cores" for name, crossbars, cores in largest)
    available = n_chips * chip.chip.tiles
    chips = f"chip {chip.name}" if n_chips == 1 else f"{n_chips} chips {chip.name}"
    enough = -(-tiles_needed // chip.chip.tiles)
    problems = []
    if tiles_needed > available:
        problems.append(
            f"{chips}: the network needs {tiles_needed} tiles, got {available} (largest layers: {names}); "
            f"spread it over {enough} chips, set chip.tiles to {tiles_needed} or more, or use larger crossbars or more "
            "bits per cell"
        )
    if tile_budget is not None and tile_budget < tiles_needed:
        problems.append(
            f"tile_budget: one replica of each layer needs {tiles_needed} tiles, got {tile_budget} "
            f"(largest layers: {names}); raise the budget"
        )
    if tile_budget is not None and tile_budget > available:
        problems.append(
            f"tile_budget: at most the {available} tiles of {chips}, got {tile_budget}; "
            f"lower the budget or set chip.tiles to {tile_budget}"
        )
    if area_budget_m2 is not None and tile_area_m2 == 0:
        problems.append(
            f"area_budget_m2: has no effect, since no part of a tile of chip {chip.name} has an area; remove it"
        )
    elif area_budget_m2 is not None and not area_budget_m2 >= tiles_needed * tile_area_m2:
        problems.append(
            f"area_budget_m2: one replica of each layer needs {tiles_needed} tiles of {tile_area_m2:.4g} m2, together "
            f"{tiles_needed * tile_area_m2:.4g}, got {area_budget_m2}; raise the budget"
        )
    return problems
