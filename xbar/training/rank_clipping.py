"""Group Scissor, first half: rank clipping (Wang et al., "Group Scissor: Scaling Neuromorphic Computing Design to Large
Neural Networks", DAC 2017, arXiv 1702.03443).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError
from xbar.training.base import RANK_FALLS, Method, Treated, find_layers
from xbar.training.factors import Factors, factorise, replace_module, replace_parameters, unsuited


class RankClipping(Method):
    """Layers become two of lower rank, W [row, col] = U V^T, whose rank falls while they are trained.

    `attach` puts `nn.Sequential(u=..., v=...)` in the place of each layer, at full rank K = min(N, M) of W (N x M):
    U = W E [row, rank], V = E [col, rank] with E the eigenvectors of W^T W (uncentred PCA). A linear layer becomes
    Linear(N, K, no bias) and Linear(K, M, bias), a convolution one with K filters and a 1x1 one; their names end in
    `.u` and `.v`. The optimizer gets the new weights in the same group, without state.

    Every `every` steps, for each layer: the eigenvalues lambda of U^T U, the smallest K with

        1 - sum_{k <= K} lambda_k / sum lambda <= eps,

    and if it is below the present rank, U <- U E_K, V <- V E_K. The optimizer's momentum turns with the weights (see
    `Factors.turn`): it stays the mean of the same gradients.

    `finish` puts a layer whose factors would not hold fewer cells, K (N + M) >= N M, back as one, with its old name and
    W = U V^T, without a further clipping. What is left is plain torch.

    eps: largest part of the squared norm of U that a clipping discards, 0 <= eps < 1.
    every: steps between clippings.
    layers, skip: names of layers to treat, or to leave alone; the paper leaves the classifier whole, so name it.

    With other methods: attach this one first. `L1`, `GroupLasso` and `GroupDeletion` until it freezes act on factors
    while their ranks fall; all others need weights that keep their shape, so `finish` this one before. A factor that is
    put back into one layer takes whatever acts on it along: finish that first.

    To go on after a kill: build the model and the optimizer, attach, then load the states of method, model and
    optimizer in this order. The method's gives both the shapes that theirs have.

    Raises TrainingError: values out of range; layers that cannot be two (groups, subclasses, shared weights, hooks);
    weights that became NaN.
    """

    def __init__(
        self, eps: float = 0.03, every: int = 60, layers: Sequence[str] | None = None, skip: Sequence[str] = ()
    ) -> None:
        problems = []
        if not 0 <= eps < 1:
            problems.append(f"RankClipping: eps: must be at least 0 and below 1, got {eps}; the paper has 0.03")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            problems.append(f"RankClipping: every: must be a whole number of steps from 1, got {every}")
        if problems:
            raise TrainingError(problems)
        self.eps, self.every, self.layers, self.skip = eps, every, layers, skip
        self._factors: tuple[Factors, ...] = ()
        self._steps = 0
        self._finished = False

    @property
    def treated(self) -> tuple[Treated, ...]:
        """Both factors of every layer; after `finish`, layers that were put back as one."""
        return tuple(layer for f in self._factors for layer in self._layers(f))

    @property
    def ranks(self) -> dict[str, int]:
        """Rank of each layer, by the name that the layer had."""
        return {f.name: f.rank for f in self._factors}

    @property
    def whole(self) -> tuple[str, ...]:
        """Layers that `finish` put back as one, or would now, since their factors hold no fewer cells."""
        return tuple(f.name for f in self._factors if not f.pays)

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        if self._factors:
            raise TrainingError("RankClipping: is attached already; make another one for another model")
        found = find_layers("RankClipping", model, optimizer, self.layers, self.skip)
        problems = list(unsuited("RankClipping", model, found, optimizer))
        if problems:
            raise LayerError(problems)
        self._model, self._optimizer = model, optimizer
        self._factors = tuple(factorise(t) for t in found)
        for t, factors in zip(found, self._factors, strict=True):
            replace_module(model, factors.whole, factors.pair)
            replace_parameters(optimizer, [t], factors.layers)
            for weights in (factors.u, factors.v):
                setattr(weights, RANK_FALLS, True)

    def penalty(self) -> Tensor:
        """0: the loss stays as it is."""
        return self._attached()[0].u.new_zeros(())

    def after_step(self) -> None:
        factors = self._attached()
        if self._finished:
            return
        self._steps += 1
        if self._steps % self.every == 0:
            self._clip(factors)

    def finish(self) -> None:
        factors = self._attached()
        if self._finished:
            return
        for f in factors:
            if not f.pays:
                f.merge()
                self._put_back(f)
        self._settle()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps, "finished": self._finished, "ranks": self.ranks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Gives model and optimizer the shapes of the state; load theirs afterwards, first the model's."""
        factors, ranks = self._attached(), state["ranks"]
        problems = []
        if ranks.keys() != self.ranks.keys():
            problems.append(
                f"RankClipping: state: must be of the layers {', '.join(self.ranks)}, got {', '.join(ranks)}; "
                "make the method with the same layers and skip"
            )
        if self._finished and not state["finished"]:
            problems.append(
                "RankClipping: state: is from before finish, and the method is finished; load it into one that was "
                "attached to a new model"
            )
        if problems:
            raise TrainingError(problems)
        self._steps = state["steps"]
        for f in factors:
            f.resize(ranks[f.name], self._optimizer)
            if state["finished"] and not self._finished and not f.pays:
                self._put_back(f)
        if state["finished"]:
            self._settle()

    def _settle(self) -> None:
        """Shapes no longer change."""
        self._finished = True
        for f in self._factors:
            for weights in (f.u, f.v):
                setattr(weights, RANK_FALLS, False)

    def _clip(self, factors: tuple[Factors, ...]) -> None:
        """Every layer to the smallest rank that eps allows."""
        bad = [f.name for f in factors if not torch.isfinite(f.u).all() or not torch.isfinite(f.v).all()]
        if bad:
            raise TrainingError(
                f"RankClipping: step {self._steps}: weights must be finite, got NaN or infinity in {', '.join(bad)}; "
                "lower the learning rate"
            )
        for f in factors:
            eigenvalues, vectors = f.spectrum()
            rank = smallest_rank(eigenvalues, self.eps)
            if rank < f.rank:
                f.turn(vectors[:, :rank], self._optimizer)

    def _put_back(self, f: Factors) -> None:
        f.whole.train(f.pair.training)
        replace_module(self._model, f.pair, f.whole)
        replace_parameters(self._optimizer, f.layers, [self._one(f)])

    def _layers(self, f: Factors) -> tuple[Treated, ...]:
        return (self._one(f),) if self._finished and not f.pays else f.layers

    @staticmethod
    def _one(f: Factors) -> Treated:
        return Treated(f.name, f.whole, f.weight)

    def _attached(self) -> tuple[Factors, ...]:
        if not self._factors:
            raise TrainingError("RankClipping: is not attached yet; call attach(model, optimizer) first")
        return self._factors


def smallest_rank(eigenvalues: Tensor, eps: float) -> int:
    """Smallest K >= 1 with sum_{k > K} lambda_k <= eps sum lambda. eigenvalues: [k], falling, none negative."""
    # left[K] is what rank K discards, its small values added up first
    left = torch.cat([eigenvalues.flip(0).cumsum(0).flip(0), eigenvalues.new_zeros(1)])
    enough = left <= eps * left[0]
    return min(max(int(enough.int().argmax()), 1), len(eigenvalues))
