"""The parameters of spiking neurons, as arrays: what programs hold, and what a `Neuron` part judges and steps."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from xbar.same import same_fields

N_TYPES = 4  # axon types
TO_RESET, SUBTRACT, KEEP = 0, 1, 2  # reset modes: to R, by the threshold (linear), none

_DTYPES = {
    "weight": np.int16,
    "stochastic_weight": np.bool_,
    "leak": np.int16,
    "stochastic_leak": np.bool_,
    "leak_reversal": np.bool_,
    "threshold": np.int32,
    "noise_bits": np.uint8,
    "negative_threshold": np.int32,
    "negative_saturates": np.bool_,
    "reset_mode": np.uint8,
    "reset": np.int32,
    "initial": np.int32,
}
_DEFAULTS = {"threshold": 1, "negative_saturates": True}


@dataclass(frozen=True, eq=False)
class Neurons:
    """Parameters of neurons; every array has the same shape [..., neuron], but for [..., neuron, type] of the weights.

    weight: S, what a spike of an axon of this type adds; stochastic_weight: b, it adds sgn(S) with probability
        (|S| + 1) / 256 instead.
    leak: lambda, added every tick; stochastic_leak: c; leak_reversal: epsilon, the leak's direction follows sgn(V).
    threshold: alpha; noise_bits: TM, a random number of 0 .. 2^TM - 1 is added to it every tick.
    negative_threshold: beta; negative_saturates: kappa, V stays at -beta, else it is reset as at the threshold.
    reset_mode: gamma, 0 to `reset` (R), 1 by the threshold (linear), 2 none. initial: V before the first tick.
    """

    weight: np.ndarray
    stochastic_weight: np.ndarray
    leak: np.ndarray
    stochastic_leak: np.ndarray
    leak_reversal: np.ndarray
    threshold: np.ndarray
    noise_bits: np.ndarray
    negative_threshold: np.ndarray
    negative_saturates: np.ndarray
    reset_mode: np.ndarray
    reset: np.ndarray
    initial: np.ndarray

    @staticmethod
    def of(shape: int | tuple[int, ...], **values: Any) -> Neurons:
        """Neurons [..., neuron] with these values (numbers or arrays that broadcast); the rest at its default.

        Defaults: no weight, no leak, threshold 1, reset to 0, and a potential that saturates at 0. ValueError for a
        value that its array cannot hold; ranges of the chip are judged later.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        unknown = sorted(set(values) - set(_DTYPES))
        if unknown:
            raise ValueError(f"unknown parameters {', '.join(unknown)}; they are {', '.join(_DTYPES)}")
        made = {}
        for name, dtype in _DTYPES.items():
            given = values.get(name, _DEFAULTS.get(name, 0))
            full = (*shape, N_TYPES) if name.endswith("weight") else shape
            made[name] = _array(name, given, np.dtype(dtype), full)
        return Neurons(**made)

    @property
    def shape(self) -> tuple[int, ...]:
        """[..., neuron]."""
        return self.leak.shape

    def items(self) -> list[tuple[str, np.ndarray]]:
        """(name, array) of every parameter."""
        return [(f.name, getattr(self, f.name)) for f in fields(self)]

    def take(self, chosen: Any) -> Neurons:
        """Those that an index of the leading axes chooses."""
        return Neurons(**{name: array[chosen] for name, array in self.items()})

    @property
    def is_random(self) -> np.ndarray:
        """Whether a neuron draws random numbers, bool [..., neuron]."""
        return np.asarray(self.stochastic_weight.any(-1) | self.stochastic_leak | (self.noise_bits > 0))

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


def joined(parts: list[Neurons]) -> Neurons:
    """Neurons [neuron] one after the other."""
    names = [f.name for f in fields(Neurons)]
    return Neurons(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _array(name: str, given: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Numbers as an array of this type and shape; ValueError where it cannot hold them."""
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    wanted = "0 or 1" if dtype.kind == "b" else f"a whole number from {low} to {high}"
    try:
        value = np.asarray(given)
    except ValueError as error:  # lists of several lengths
        raise ValueError(f"{name}: must be numbers {list(shape)}, got lists of several lengths") from error
    if value.dtype.kind not in "biuf":
        raise ValueError(f"{name}: must be {wanted}, got {given!r}")
    wrong = ~np.isfinite(value) | (value < low) | (value > high) | (np.floor(value) != value)
    if wrong.any():
        raise ValueError(f"{name}: must be {wanted}, got {value[wrong].flat[0]}")
    try:
        return np.ascontiguousarray(np.broadcast_to(value.astype(dtype), shape))
    except ValueError as error:
        raise ValueError(f"{name}: must be one number, or {list(shape)} of them, got {list(value.shape)}") from error
