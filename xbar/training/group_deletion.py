"""Group Scissor, second half: group connection deletion (Wang et al., "Group Scissor: Scaling Neuromorphic Computing
Design to Large Neural Networks", DAC 2017, arXiv 1702.03443).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError
from xbar.hardware import Chip, load_chip
from xbar.training.base import Method, Treated, find_layers
from xbar.training.masks import Mask, masks_from_state, masks_state
from xbar.training.structures import Crossbar, Tile, any_nonzero, spread, structure_problems, sum_of_norms, tile_of


@dataclass(frozen=True)
class Wires:
    """The wires between the crossbars of one matrix: one per row and one per column of each crossbar.

    block: weights [row, col] that a crossbar holds. A wire is left while any weight on it is not zero.
    """

    name: str
    rows: int
    cols: int
    block: tuple[int, int]
    left: int
    total: int

    @property
    def left_rel(self) -> float:
        """Remaining wires over all wires."""
        return self.left / self.total

    @property
    def routing_area_rel(self) -> float:
        """Routing area over that of all wires: (remaining wires / all wires)^2."""
        return self.left_rel**2


class GroupDeletion(Method):
    """Whole rows and columns of crossbars go to zero, so that their wires need no routing.

    Adds strength * sum_g ||w_g||_2 to the loss, g being every row of every crossbar and every column of every
    crossbar (no factor for sizes; gradient 0 at w_g = 0). After each step weights with |w| < threshold become 0.
    `freeze` deletes the wires whose whole group is zero: weights on a deleted wire stay 0, the others go on training,
    without penalty.
    `finish` freezes, if you did not. Only matrices larger than one crossbar are treated; `untreated` names the others.

    chip: the chip to map onto, or its name or file; or else
    crossbar: rows of a crossbar, and weights that it holds in a row. Of a chip these are its rows, and its columns over
        the neighbouring columns that a weight takes (slices and polarities when interleaved).
    cut: "mapping", as `mapping.compile` cuts: full crossbars first, the rest in the last; or "divisor", the paper's: a
        side is cut by its largest divisor that fits (500 into 50s on 64 x 64; a prime side into single rows).
    threshold: 1e-4 in the paper. A dead weight is caught only if a step moves it by less: learning rate * strength /
        (1 - momentum) / sqrt(weights in its group) with SGD, but about the learning rate with Adam.
    layers, skip: names of layers to treat, or to leave alone.

    Raises TrainingError: values out of range, no crossbar size known, no matrix larger than a crossbar, a layer that
    changed its shape after `freeze` or is no longer in the model at `finish`.
    """

    def __init__(
        self,
        strength: float,
        crossbar: Crossbar | None = None,
        chip: Chip | str | None = None,
        cut: Literal["mapping", "divisor"] = "mapping",
        threshold: float = 1e-4,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        problems = []
        if not 0 <= strength < inf:
            problems.append(f"GroupDeletion: strength: must be a finite number from 0, got {strength}; try 1e-3")
        if not 0 <= threshold < inf:
            problems.append(f"GroupDeletion: threshold: must be a finite number from 0, got {threshold}; try 1e-4")
        if cut not in ("mapping", "divisor"):
            problems.append(f"GroupDeletion: cut: must be 'mapping' or 'divisor', got {cut!r}")
        problems += _size_problems(crossbar, chip)
        if problems:
            raise TrainingError(problems)
        if chip is not None:
            chip = load_chip(chip) if isinstance(chip, str) else chip
            crossbar = chip.crossbar.rows, chip.crossbar.cols // chip.columns_per_weight
        self.strength, self.threshold, self.cut, self.layers, self.skip = strength, threshold, cut, layers, skip
        self.crossbar = crossbar or (0, 0)
        self._found: tuple[Treated, ...] = ()
        self._masks: tuple[Mask, ...] | None = None

    @property
    def treated(self) -> tuple[Treated, ...]:
        """Layers whose matrix is larger than one crossbar, with the ranks that they have now."""
        return tuple(t for t in self._found if self._is_large(t))

    @property
    def untreated(self) -> tuple[str, ...]:
        """Layers whose matrix fits one crossbar: all of it is one block, and no wire of it is deleted."""
        return tuple(t.name for t in self._found if not self._is_large(t))

    @property
    def frozen(self) -> bool:
        """Whether `freeze` has deleted what was zero."""
        return self._masks is not None

    @property
    def wires(self) -> tuple[Wires, ...]:
        """What is left of each treated matrix, by the weights as they are."""
        return tuple(self._wires(t) for t in self.treated)

    @property
    def routing_area_rel(self) -> float:
        """Mean of the routing areas of the treated matrices, as the paper has it; 1 where no matrix is large."""
        areas = [w.routing_area_rel for w in self.wires]
        return sum(areas) / len(areas) if areas else 1.0

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        self._found = find_layers("GroupDeletion", model, optimizer, self.layers, self.skip, falling_ranks=True)
        self._masks = None
        if not self.treated:
            rows, cols = self.crossbar
            raise LayerError(
                f"GroupDeletion: at least one matrix must be larger than a crossbar of {rows} x {cols} weights, got "
                + ", ".join("{} ({} x {})".format(t.name, *t.matrix().shape[1:]) for t in self._found)
                + "; there are no wires to delete, use smaller crossbars or leave this method out"
            )

    def penalty(self) -> Tensor:
        found = self._attached()
        total = found[0].parameter.new_zeros(())
        if self._masks is None:
            for t in self.treated:
                total = total + sum_of_norms(t, self._tiles(t))
        return self.strength * total

    @torch.no_grad()
    def after_step(self) -> None:
        self._attached()
        if self._masks is None:
            self._zero_small()
            return
        for mask in self._masks:
            if mask.zero.shape != mask.treated.parameter.shape:
                raise TrainingError(
                    f"GroupDeletion: layer {mask.treated.name}: must keep its shape after freeze, got "
                    f"{list(mask.treated.parameter.shape)} for {list(mask.zero.shape)}; finish rank clipping first"
                )
            mask.apply(self._optimizer)

    @torch.no_grad()
    def freeze(self) -> None:
        """Delete the wires whose weights are all zero, for good, and end the penalty."""
        self._attached()
        if self._masks is None:
            self._zero_small()
            self._masks = tuple(Mask.of(t, self._deleted(t)) for t in self.treated)

    def finish(self) -> None:
        modules = {id(m) for m in self._model.modules()} if self._attached() else set()
        gone = [t.name for t in self.treated if id(t.module) not in modules]
        if gone:
            raise TrainingError(
                f"GroupDeletion: finish: its layers must still be in the model, which has no more {', '.join(gone)}; "
                "finish rank clipping before you attach group deletion"
            )
        self.freeze()
        self.after_step()

    def state_dict(self) -> dict[str, Any]:
        return {"frozen": self.frozen, "masks": masks_state(self._masks or ())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._attached()
        if not state["frozen"]:
            self._masks = None
            return
        self._masks = masks_from_state("GroupDeletion", self.treated, state["masks"])

    def _attached(self) -> tuple[Treated, ...]:
        if not self._found:
            raise TrainingError("GroupDeletion: is not attached yet; call attach(model, optimizer) first")
        return self._found

    def _is_large(self, t: Treated) -> bool:
        _, n_rows, n_cols = t.matrix().shape
        return n_rows > self.crossbar[0] or n_cols > self.crossbar[1]

    def _zero_small(self) -> None:
        for t in self.treated:
            t.parameter.masked_fill_(t.parameter.abs() < self.threshold, 0)

    def _block(self, t: Treated) -> tuple[int, int]:
        """Weights [row, col] in one crossbar; the last crossbar of a side may hold fewer."""
        rows, cols = t.matrix().shape[1:]
        side = largest_divisor if self.cut == "divisor" else min
        return side(rows, self.crossbar[0]), side(cols, self.crossbar[1])

    def _tiles(self, t: Treated) -> tuple[Tile, Tile]:
        """The tiles of crossbar rows and of crossbar columns."""
        block = self._block(t)
        return tile_of("crossbar_row", t, block), tile_of("crossbar_column", t, block)

    def _deleted(self, t: Treated) -> Tensor:
        """Weights on a deleted wire, bool [group, row, col]."""
        matrix = t.matrix()
        rows, cols = (spread(~any_nonzero(matrix, tile), tile, matrix.shape) for tile in self._tiles(t))
        return rows | cols

    def _wires(self, t: Treated) -> Wires:
        matrix = t.matrix()
        left = [any_nonzero(matrix, tile) for tile in self._tiles(t)]
        _, n_rows, n_cols = matrix.shape
        total = sum(wires.numel() for wires in left)
        return Wires(t.name, n_rows, n_cols, self._block(t), sum(int(wires.sum()) for wires in left), total)


def largest_divisor(n: int, limit: int) -> int:
    """The largest divisor of n that is at most `limit`."""
    return max(d for d in range(1, min(n, limit) + 1) if n % d == 0)


def _size_problems(crossbar: Crossbar | None, chip: Chip | str | None) -> list[str]:
    if chip is not None:
        return [] if crossbar is None else ["GroupDeletion: chip: has crossbars of its own; leave out crossbar"]
    if crossbar is None:
        return ["GroupDeletion: no crossbar size known; give chip=, or crossbar=(rows, weights per row)"]
    return structure_problems("GroupDeletion", ["crossbar_row", "crossbar_column"], crossbar)
