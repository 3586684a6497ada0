"""What a network is to the simulator: matrix layers, and the exported graph that hosts them. Describes, never computes.

Three values: `Network` (float weights, from a front end), `QuantizedNetwork` (integers with scales, from
`xbar.quantize`) and the `Precision` that leads from one to the other. They compare by content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from xbar.dataflow import Dataflow
from xbar.same import same_fields, same_graph
from xbar.settings import Settings

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class Precision(Settings):
    """How weights and activations become integers (DESIGN section 5, the numbers contract).

    `weight_bits` counts the sign: 8 bits are the integers -127 .. 127. `input_bits` are unsigned (0 .. 2^b - 1) where
    calibration saw no negative value, else two's complement. `one_level` weights are -1, 0, 1: `weight_bits` is 2,
    stated or not. `input_range` is the activation that the largest integer stands for: the largest magnitude seen, the
    `percentile` of the non-zero magnitudes, or what makes the squared error smallest; larger ones are clipped.
    """

    weight_bits: int = Field(8, strict=True, ge=2, le=16)
    input_bits: int = Field(8, strict=True, ge=1, le=16)
    weights: Literal["uniform", "dynamic_fixed_point", "one_level"] = "uniform"
    granularity: Literal["layer", "channel"] = "channel"
    inputs: Literal["uniform", "dynamic_fixed_point"] = "uniform"
    input_range: Literal["max", "percentile", "mse"] = "max"
    percentile: float | None = Field(None, gt=50, le=100)

    @model_validator(mode="before")
    @classmethod
    def _one_level_is_two_bits(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("weights") == "one_level":
            return {"weight_bits": 2, **data}
        return data

    @model_validator(mode="after")
    def _nothing_inert(self) -> Precision:
        if self.input_range == "percentile" and self.percentile is None:
            raise ValueError("input_range: percentile needs `percentile`, for example percentile: 99.9")
        if self.input_range != "percentile" and self.percentile is not None:
            raise ValueError(f"percentile has no effect with input_range: {self.input_range}; remove one of the two")
        if self.weights == "one_level" and self.weight_bits != 2:
            raise ValueError(
                f"weight_bits: {self.weight_bits} has no effect with weights: one_level, whose -q, 0, +q are 2 bits; "
                "set weight_bits: 2"
            )
        return self


@dataclass(frozen=True)
class ConvShape:
    """Geometry of a convolution over N space axes; each tuple has N entries, `padding` is (before, after) per axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MatrixLayer:
    """One product with weights, as it stands at one place of the network (BatchNorm already folded in).

    weight: float32 [col_total, row] for a linear layer, [col_total, channel_per_group, *kernel] for a convolution;
        column j of the crossbar matrix of group g is `weight[g * col + j].ravel()`.
    bias: float32 [col_total] or None.
    sources: names of the matrix layers whose results reach this one; empty means the network's input.
    vectors_per_input: input vectors (MVMs) that one network input gives this layer.
    """

    name: str
    node: str
    weight: np.ndarray
    bias: np.ndarray | None
    conv: ConvShape | None
    groups: int
    sources: tuple[str, ...]
    vectors_per_input: int
    input_elements: int  # activations that one network input gives this layer (the feature map, before unrolling)
    tied_to: str | None = None  # an earlier layer that uses the same weights

    @property
    def n_rows(self) -> int:
        """Rows of the unrolled matrix of one group: the fan-in of one output."""
        return prod(self.weight.shape[1:])

    @property
    def n_cols(self) -> int:
        """Columns of the unrolled matrix of one group."""
        return self.weight.shape[0] // self.groups

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        sizes = f"{self.n_rows} x {self.n_cols}" + (f", {self.groups} groups" if self.groups > 1 else "")
        kind = "linear" if self.conv is None else f"conv {' x '.join(map(str, self.conv.kernel))}"
        vectors = f"{self.vectors_per_input:,} vector{'s' if self.vectors_per_input > 1 else ''} per input"
        return f"{sizes}, {kind}, {vectors}" + (f", weights of {self.tied_to}" if self.tied_to else "")


@dataclass(frozen=True)
class DigitalNode:
    """A node of the graph that runs in torch, with the reason in words."""

    name: str
    node: str
    op: str
    reason: str
    ops_per_input: int  # elementary operations for one network input
    kind: Literal["activation", "pooling", "other"]


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A traced network: the exported graph (the digital host), the nodes that crossbars take over, and what stays.

    bypass: nodes that hand on their first argument (BatchNorm folded into the layer before).
    fixed_batch: the batch size the graph insists on, or None where any batch runs.
    input_shape: shape of one input, without the batch axis (of the first argument).
    flow: which rows each layer and each join of branches needs from which others (`xbar.rows.dataflow`).
    input_ranges: what `quantize` takes for the input ranges of layers, by name, because training learned them.
    """

    name: str
    exported: ExportedProgram
    layers: tuple[MatrixLayer, ...]
    bypass: tuple[str, ...]
    digital: tuple[DigitalNode, ...]
    input_shape: tuple[int, ...]
    fixed_batch: int | None
    flow: Dataflow
    input_ranges: dict[str, float] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        same_values = same_fields(self, other, without=("exported",))
        return same_values and isinstance(other, Network) and same_graph(self.exported, other.exported)

    @property
    def n_parameters(self) -> int:
        """Weights and biases of the matrix layers (BatchNorm folded in); those that several layers share count once."""
        by_name, total = {layer.name: layer for layer in self.layers}, 0
        for layer in self.layers:
            first = None if layer.tied_to is None else by_name[layer.tied_to].bias
            shared = first is not None and layer.bias is not None and np.array_equal(first, layer.bias)
            total += 0 if layer.tied_to else layer.weight.size
            total += 0 if layer.bias is None or shared else layer.bias.size
        return total

    def _sizes(self) -> str:
        return f"{self.n_parameters:,} parameters in them, {len(self.digital)} digital nodes"

    def _headline(self) -> str:
        batch = "" if self.fixed_batch is None else f" in batches of {self.fixed_batch}"
        return f"{self.name}: input {list(self.input_shape)}{batch}, {len(self.layers)} matrix layers, {self._sizes()}"

    def __str__(self) -> str:
        return _listing(self._headline(), [(layer.name, str(layer)) for layer in self.layers])

    def __repr__(self) -> str:
        return f"<Network {self._headline()}>"


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """A matrix layer in integers: weight = weight_q * weight_scale, input = input_q * input_scale.

    weight_q: int32, laid out as `layer.weight`; weight_scale: float64 [1] (per layer) or [col_total] (per channel).
    """

    layer: MatrixLayer
    weight_q: np.ndarray
    weight_scale: np.ndarray
    weight_bits: int
    input_scale: float
    input_bits: int
    input_signed: bool

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        inputs = f"inputs {self.input_bits} bit {'signed' if self.input_signed else 'unsigned'}"
        return f"{self.layer}, weights {self.weight_bits} bit, {inputs} in steps of {self.input_scale:.3g}"


@dataclass(frozen=True, eq=False, repr=False)
class QuantizedNetwork:
    """A network whose matrix layers are integers; the rest of the graph is as it was."""

    network: Network
    layers: tuple[QuantizedLayer, ...]
    precision: Precision

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def _headline(self) -> str:
        p, network = self.precision, self.network
        return (
            f"{network.name}: {len(self.layers)} matrix layers in integers, {network._sizes()}; "
            f"weights {p.weight_bits} bit {p.weights} per {p.granularity}, inputs {p.input_bits} bit {p.inputs}"
        )

    def __str__(self) -> str:
        return _listing(self._headline(), [(q.layer.name, str(q)) for q in self.layers])

    def __repr__(self) -> str:
        return f"<QuantizedNetwork {self._headline()}>"


def _listing(headline: str, rows: Sequence[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join([headline, *(f"  {name:{width}}  {text}" for name, text in rows)])
