"""Bit-slice L1: weights whose bit slices are mostly empty, so that column sums are small and ADCs need few bits.

Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for Efficient ReRAM-Based Deployment" (arXiv
1909.08496), and its public code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.training.base import Method, Treated, find_layers
from xbar.training.straight_through import SeenWeights, check_detached, straight_through

_SMALLEST = 2.0**-100  # a layer with smaller weights only is one of zeros: its step would leave float32


class BitSliceL1(Method):
    """Trains with weights in dynamic fixed point and an L1 penalty on each of their bit slices.

    Quantizer, per layer: step = 2^(ceil(log2 max|w|) - n), code = min(round(|w| / step), 2^n - 1), w_q = sign(w) code
    step, with n = weight_bits - 1 magnitude bits (weight_bits counts the sign, as `Precision.weight_bits`; the paper's
    n = 8 are 9 bits). Gradients pass straight through. The optimizer's weights stay float; `finish` leaves w_q.

    Penalty: strength * sum over weights and slices of B_k / (S N), with code = sum_k 2^(cell_bits k) B_k, S slices and
    the N weights of all layers. Its gradient, each slice straight-through: strength / (S N) * sign(w) / step *
    sum_k [B_k > 0] / 2^(cell_bits k); an empty slice exerts no force. Strength 0.5 in the public code, after
    pre-training with `L1(10)` and `MagnitudePruning(threshold=0.01)`, which is composed with this.

    On hardware, these are the weights of a chip with precision.weights dynamic_fixed_point, precision.granularity
    layer, precision.weight_bits and device.cell_bits as here and encoding.kind differential. Biases, which no crossbar
    holds, and activations are left alone (the public code quantizes both). A BatchNorm that `from_torch` folds into the
    layer changes its weights by channel: zeros survive, other slices may not.
    """

    def __init__(
        self,
        strength: float,
        cell_bits: int = 2,
        weight_bits: int = 9,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        problems = []
        if not 0 < strength < float("inf"):
            problems.append(f"BitSliceL1: strength: must be a positive number, got {strength}; 0.5 is usual")
        if weight_bits not in range(3, 17):
            problems.append(
                f"BitSliceL1: weight_bits: must be a whole number from 3 to 16 (the sign counts), got {weight_bits}; "
                "9 is usual"
            )
        if cell_bits not in range(1, 9):
            problems.append(f"BitSliceL1: cell_bits: must be a whole number from 1 to 8, got {cell_bits}; 2 is usual")
        if problems:
            raise TrainingError(problems)
        self.strength, self.cell_bits, self.weight_bits = strength, int(cell_bits), int(weight_bits)
        self._layers, self._skip = layers, skip
        self._found: tuple[Treated, ...] = ()
        self._seen: SeenWeights | None = None
        self._by_code: tuple[Tensor, Tensor] | None = None

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    @property
    def n_slices(self) -> int:
        return -(-(self.weight_bits - 1) // self.cell_bits)

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        check_detached("BitSliceL1", self._seen)
        self._found = find_layers("BitSliceL1", model, optimizer, self._layers, self._skip)
        self._seen = SeenWeights(model, self._found, lambda treated: self._quantized)

    def _quantized(self, weight: Tensor, training: bool) -> Tensor:
        """The weight as the product sees it, in training and in evaluation."""
        codes, step = fixed_point_codes(weight, self.weight_bits - 1)
        return straight_through(weight, codes.mul_(step))

    def penalty(self) -> Tensor:
        self._attached()
        bad = [t.name for t in self._found if not bool(torch.isfinite(t.parameter.detach()).all())]
        if bad:
            raise TrainingError(
                f"BitSliceL1: layer {name}: weights must be finite, got NaN or infinity; go back to a checkpoint and "
                "lower the learning rate"
                for name in bad
            )
        n = sum(t.parameter.numel() for t in self._found)
        bits = self.weight_bits - 1
        sums = [_SliceSum.apply(t.parameter, bits, *self._tables(t.parameter)) for t in self._found]
        return torch.stack(sums).sum() * (self.strength / (self.n_slices * n))

    def _tables(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """For each signed code from -top up, the sum of its slices and the gradient of that, in units of 1 / step."""
        if self._by_code is None or self._by_code[0].device != like.device or self._by_code[0].dtype != like.dtype:
            top, level = (1 << self.weight_bits - 1) - 1, (1 << self.cell_bits) - 1
            codes = torch.arange(-top, top + 1, device=like.device)
            total, slope = torch.zeros_like(codes, dtype=like.dtype), torch.zeros_like(codes, dtype=like.dtype)
            for shift in range(0, self.weight_bits - 1, self.cell_bits):
                levels = (codes.abs() >> shift) & level
                total += levels
                slope += (levels > 0) * 2.0**-shift
            self._by_code = total, slope * codes.sign()
        return self._by_code

    def after_step(self) -> None:
        pass

    @torch.no_grad()
    def finish(self) -> None:
        self._attached()
        for t in self._found:
            t.parameter.copy_(_projected(t.parameter, self.weight_bits - 1))
        assert self._seen is not None
        self._seen.remove()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass

    def _attached(self) -> None:
        if not self._found:
            raise TrainingError("BitSliceL1: is not attached; call attach(model, optimizer) first")


def fixed_point_codes(weight: Tensor, magnitude_bits: int) -> tuple[Tensor, Tensor]:
    """The weights in signed integers, float laid out as `weight`, and their step, a scalar; see `BitSliceL1`.

    The same integers as `xbar.quantize` gives with dynamic fixed point per layer. A layer of zeros has the step 1.
    """
    weight = weight.detach()
    largest = torch.linalg.vector_norm(weight, torch.inf)
    below = torch.nextafter(largest, torch.zeros_like(largest))  # so that a power of two is its own ceiling
    mantissa, _ = torch.frexp(below)  # below = mantissa * 2^exponent with 1/2 <= mantissa < 1
    step = torch.where(largest > _SMALLEST, below * 2.0**-magnitude_bits / mantissa, 1.0)  # exact, unlike pow
    top = 2.0**magnitude_bits - 1
    return (weight / step).round_().clamp_(-top, top), step


class _SliceSum(torch.autograd.Function):
    """The sum of all slices of all weights of a layer, with each slice's straight-through gradient."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, magnitude_bits: int, total: Tensor, slope: Tensor) -> Tensor:
        codes, step = fixed_point_codes(weight, magnitude_bits)
        words = codes.add_(2.0**magnitude_bits - 1).to(torch.int32).flatten()
        ctx.save_for_backward(slope[words].div_(step).reshape(weight.shape))
        return total[words].sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None, None


def _projected(weight: Tensor, magnitude_bits: int) -> Tensor:
    """The quantized weights, such that their own largest one leads to the same step again.

    Where the largest code is 2^(n-1), the weights' range would be taken for half of what it is; it becomes one more.
    """
    codes, step = fixed_point_codes(weight, magnitude_bits)
    half = 2.0 ** (magnitude_bits - 1)
    lonely = (codes.abs() == half) & (codes.abs().amax() == half)
    codes = torch.where(lonely, codes + codes.sign(), codes)
    return torch.where(codes == 0, 0.0, codes * step)
