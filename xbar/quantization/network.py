"""From a float network to integers, and the exact integer network that every crossbar result is measured against."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xbar.errors import ConfigError, DataError, ModelError
from xbar.host import convolve, fold_back, run
from xbar.network import MatrixLayer, Network, Precision, QuantizedLayer, QuantizedNetwork
from xbar.quantization import dynamic_fixed_point, one_level, uniform
from xbar.quantization.calibration import Observed, observe


class HasPrecision(Protocol):
    """A chip, as far as quantization looks at it."""

    @property
    def precision(self) -> Precision: ...


def quantize(
    network: Network,
    calibration: Tensor | Iterable[Tensor | tuple[Tensor, ...]],
    chip: HasPrecision | Precision,
    *,
    input_ranges: Mapping[str, float] | None = None,
) -> QuantizedNetwork:
    """Integers for every matrix layer: weights by `precision.weights`, activations by their calibrated ranges.

    calibration: batches of network inputs (an iterable, or one tensor); what they do not show, the ranges do not cover.
    chip: a chip, of which only `precision` is used, or a Precision.
    input_ranges: the activation that the largest integer stands for, by layer, where it was learned (see
    `xbar.training.quantization_aware`); the name of a module stands for all places where the network uses it. The other
    layers are calibrated, or have the ranges that `network` brought with it.
    Activations are unsigned where calibration saw no negative value. A layer that received only zeros gets the step 1.
    Raises DataError for empty or broken calibration data, ConfigError for signed activations of one bit, and for ranges
    of unknown layers or not above 0.
    """
    precision = chip if isinstance(chip, Precision) else chip.precision
    given = {**network.input_ranges, **_given_ranges(network, input_ranges or {})}
    seen = observe(network, calibration, histogram=precision.input_range != "max")
    if precision.input_bits == 1 and any(o.signed for o in seen):
        raise ConfigError(
            f"precision.input_bits: layer {layer.name} receives negative values, which 1 bit cannot hold; use 2 bits"
            for layer, o in zip(network.layers, seen, strict=True)
            if o.signed
        )
    layers = tuple(
        _quantize_layer(layer, o, precision, given.get(layer.name))
        for layer, o in zip(network.layers, seen, strict=True)
    )
    return QuantizedNetwork(network, layers, precision)


def _given_ranges(network: Network, input_ranges: Mapping[str, float]) -> dict[str, float]:
    """Ranges by the names of layers; ConfigError with every name that is none and every value that is no range."""
    names, found, problems = [layer.name for layer in network.layers], dict[str, float](), []
    for wanted, value in sorted(input_ranges.items()):  # `fc` before `fc:2`, which is one of its places
        places = [n for n in names if n == wanted or n.startswith(f"{wanted}:")]
        if not places:
            near = difflib.get_close_matches(wanted, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"the layers are {', '.join(names)}"
            problems.append(f"input_ranges: must name layers of {network.name}, got {wanted}; {hint}")
        if not 0 < value < float("inf"):
            problems.append(f"input_ranges: {wanted}: must be above 0, got {value}; leave it out to calibrate it")
        found.update(dict.fromkeys(places, float(value)))
    if problems:
        raise ConfigError(problems)
    return found


def _quantize_layer(
    layer: MatrixLayer, observed: Observed, precision: Precision, given_range: float | None
) -> QuantizedLayer:
    weight_q, scale, bits = quantize_weights(layer.weight, precision)
    full_range = given_range if given_range is not None else calibrated_range(observed, precision)
    return QuantizedLayer(
        layer=layer,
        weight_q=weight_q,
        weight_scale=scale,
        weight_bits=bits,
        input_scale=input_scale(full_range, precision, observed.signed),
        input_bits=precision.input_bits,
        input_signed=observed.signed,
    )


def quantize_weights(
    weight: NDArray[np.float32], precision: Precision
) -> tuple[NDArray[np.int32], NDArray[np.float64], int]:
    """Integers laid out as `weight` [col_total, ...], their steps [1] or [col_total], and their bits, sign included."""
    per_channel = precision.granularity == "channel"
    if precision.weights == "one_level":
        level = one_level.weight_scale(weight, per_channel)
        return one_level.weight_integers(weight, level), level, 2
    method = dynamic_fixed_point if precision.weights == "dynamic_fixed_point" else uniform
    scale = method.weight_scale(weight, precision.weight_bits, per_channel)
    return uniform.weight_integers(weight, scale, precision.weight_bits), scale, precision.weight_bits


def integer_columns(
    weight: NDArray[np.float32], precision: Precision, ranges: Iterable[tuple[int, int]]
) -> Iterator[NDArray[np.int32]]:
    """The integers of `quantize_weights` for some ranges of columns at a time, int32 [col, row].

    So that a large layer takes hardly more memory than its weights (with `weights: one_level` it does).
    """
    per_channel, flat = precision.granularity == "channel", weight.reshape(len(weight), -1)
    if precision.weights == "one_level":
        integers, _, _ = quantize_weights(flat, precision)
        yield from (integers[first:last] for first, last in ranges)
        return
    method = dynamic_fixed_point if precision.weights == "dynamic_fixed_point" else uniform
    largest = np.maximum(flat.max(axis=1), -flat.min(axis=1))[:, None]  # all that a step depends on
    scale = method.weight_scale(largest, precision.weight_bits, per_channel)
    for first, last in ranges:
        own = scale[first:last] if per_channel else scale
        yield uniform.weight_integers(flat[first:last], own, precision.weight_bits)


def input_scale(full_range: float, precision: Precision, signed: bool) -> float:
    """Step of activations whose largest integer stands for `full_range`."""
    method = dynamic_fixed_point if precision.inputs == "dynamic_fixed_point" else uniform
    return method.input_scale(full_range, precision.input_bits, signed)


def calibrated_range(observed: Observed, precision: Precision) -> float:
    """The range of a layer's activations by `precision.input_range`; 0 where all were zero."""
    if precision.input_range == "percentile" and precision.percentile is not None:
        return observed.percentile(precision.percentile)
    if precision.input_range == "mse":
        return observed.least_squares(precision.input_bits, observed.signed)
    return observed.largest


def quantize_input(x: Tensor, scale: float, bits: int, signed: bool) -> tuple[Tensor, int]:
    """Activations as integers: q = clip(round(x / scale), low, high), ties to even, and how many were beyond the range.

    low, high = 0, 2^bits - 1, or -2^(bits-1), 2^(bits-1) - 1 where signed. The result is float32 holding integers, of
    x's shape. Raises DataError where x holds NaN.
    """
    low, high = -(2 ** (bits - 1)) if signed else 0, uniform.top_code(bits, signed)
    q = torch.round(x.to(torch.float32) / scale)
    if q.numel() == 0:
        return q, 0
    least, most = (float(v) for v in torch.aminmax(q))
    if least != least or most != most:
        raise DataError("an activation is NaN: the digital part of the network produced it; check weights and inputs")
    if least >= low and most <= high:
        return q, 0
    n_clipped = int(torch.count_nonzero((q < low) | (q > high)))
    return q.clamp_(low, high), n_clipped


def dequantize(
    acc: Tensor, input_scale: float, weight_scale: NDArray[np.float64], bias: NDArray[np.float32] | None
) -> Tensor:
    """Integer sums as activations: out = float32(acc * (input_scale * weight_scale)) + bias.

    acc: float64 holding integers [vector, group, col]; weight_scale: [1] or [group * col]; bias: [group * col] or None.
    The product is rounded once, from float64; the bias is added in float32. Every engine computes exactly this.
    """
    groups, cols = acc.shape[1:]
    factor = torch.from_numpy(np.asarray(weight_scale, np.float64) * float(input_scale))
    factor = factor.reshape(1, 1) if factor.numel() == 1 else factor.reshape(groups, cols)
    out = (acc * factor).to(torch.float32)
    return out if bias is None else out + torch.from_numpy(bias).reshape(groups, cols)


def integer_forward(qnet: QuantizedNetwork, inputs: Tensor | Sequence[Tensor]) -> Tensor:
    """The exact integer network: what any crossbar with lossless ADCs must equal bit for bit.

    Products run as float64 sums of integers below 2^53, which are exact whatever their order; ModelError where a
    layer's sums could be larger. Independent of slices, crossbars and unrolling.
    """
    too_large = [
        f"layer {q.layer.name}: sums may reach {bound:.3g}, beyond the 2^53 that float64 holds exactly; use fewer bits"
        for q in qnet.layers
        if (bound := _largest_sum(q)) >= 2**53
    ]
    if too_large:
        raise ModelError(too_large)

    def compute(index: int, layer: MatrixLayer, x: Tensor) -> Tensor:
        quantized = qnet.layers[index]
        q, _ = quantize_input(x, quantized.input_scale, quantized.input_bits, quantized.input_signed)
        weight = torch.from_numpy(quantized.weight_q.astype(np.float64))
        if layer.conv is None:
            acc = functional.linear(q.double(), weight).reshape(-1, 1, layer.n_cols)
        else:
            maps = convolve(q.double(), weight, None, layer.conv, layer.groups)
            channel = maps.dim() - 1 - len(layer.conv.kernel)
            acc = maps.movedim(channel, -1).reshape(-1, layer.groups, layer.n_cols)
        out = dequantize(acc, quantized.input_scale, quantized.weight_scale, layer.bias)
        return fold_back(out, x.shape, layer.conv)

    return run(qnet.network, inputs, compute)


def _largest_sum(quantized: QuantizedLayer) -> int:
    weights = np.abs(quantized.weight_q.astype(np.int64)).reshape(quantized.weight_q.shape[0], -1).sum(axis=1)
    return int(weights.max()) * 2 ** (quantized.input_bits - quantized.input_signed)
