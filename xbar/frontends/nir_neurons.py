"""Integer neurons of TrueNorth from NIR's: IF and Threshold exactly where weights allow it, LIF approximately.

NIR has continuous time; with dt seconds per tick and r I the drive (I: weighted spikes and bias) its neurons are

    IF:         v += dt r I;                                spike if v > theta, then v = v_reset
    LIF:        v += dt / tau (v_leak - v + r I);           as IF
    Threshold:  spike if I > theta, no memory
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from xbar.frontends.nir_maps import SNAP, Floats, Shape, spread
from xbar.frontends.weight_levels import best_levels
from xbar.parts.neurons import N_TYPES, SUBTRACT, TO_RESET, Neurons
from xbar.spiking.chip import SpikingChip
from xbar.spiking.network import by_weight

Ints = NDArray[np.int64]
Reset = Literal["v_reset", "subtract"]
MOST_CELLS = 1 << 21  # numbers that a table of `best_levels` holds at once


@dataclass(frozen=True)
class Rules:
    """How a reader wants neurons: see `from_nir`."""

    chip: SpikingChip
    dt_s: float
    reset: Reset
    max_error: float
    approximate: bool

    def limit(self, name: str) -> int:
        """Largest value of a parameter on the chip."""
        return {rule.name: rule.high for rule in self.chip.neuron.rules()}[name]

    @property
    def floor(self) -> int:
        """The lowest negative threshold: potentials of NIR have no floor."""
        return min(self.limit("negative_threshold"), -self.chip.neuron.potential_range[0])


@dataclass(frozen=True, eq=False)
class Made:
    """Synapses by axon type + 1, uint8 [line, neuron], their neurons, and what was approximated, a sentence each."""

    synapses: sparse.csc_array
    neurons: Neurons
    notes: list[str]


def neurons_of(node: Any, shape: Shape, weights: sparse.csc_array, bias: Floats, wait: int, rules: Rules) -> Made:
    """The neurons of a spiking node; weights float [line, neuron], bias [neuron], as they come to the node.

    wait: ticks that the neurons live before the first spikes can reach them. ValueError tells what cannot be had.
    """
    kind = type(node).__name__
    if kind == "Threshold":
        return _forgetful(weights, bias, spread(node, "threshold", shape), rules)
    r, theta, v_reset = (spread(node, name, shape) for name in ("r", "v_threshold", "v_reset"))
    if kind == "IF":
        gain = rules.dt_s * r
        return _integrating(_scaled(weights, gain), bias * gain, theta, v_reset, wait, rules)
    tau, v_leak = spread(node, "tau", shape), spread(node, "v_leak", shape)
    if (tau <= 0).any() or (rules.dt_s > tau * (1 + SNAP)).any():
        raise ValueError(f"tau must be dt_s ({rules.dt_s:g} s) or more, got {tau.min():g} s; take a smaller dt_s")
    decay = rules.dt_s / tau
    if (np.abs(decay - 1) <= SNAP).all():  # v = v_leak + r I: nothing is left of the tick before
        return _forgetful(_scaled(weights, r), bias * r + v_leak, theta, rules)
    if not rules.approximate:
        raise ValueError(
            "LIF's exponential leak can only be approximated, by a constant one towards the rest; approximate=True "
            "(--approximate) allows it and reports the error"
        )
    rest = v_leak + r * bias
    return _leaking(_scaled(weights, decay * r), theta - rest, v_reset - rest, -rest, decay, rules)


def _scaled(weights: sparse.csc_array, by: Floats) -> sparse.csc_array:
    return sparse.csc_array(weights @ sparse.diags_array(by))


def _integrating(w: sparse.csc_array, drive: Floats, theta: Floats, v_reset: Floats, wait: int, rules: Rules) -> Made:
    """IF. In units of a step, V = v - v_reset: spikes at V > theta - v_reset, that is V >= floor(...) + 1."""
    subtracts = rules.reset == "subtract"
    base = np.zeros_like(v_reset) if subtracts else v_reset
    _must_rise(theta - base, "the threshold" if subtracts else "v_threshold - v_reset", strictly=subtracts)
    whole = _whole(w, drive, theta if subtracts else None, theta - base, rules)
    high = (theta - base) / whole.step
    notes = whole.notes
    if subtracts:  # V is one less than the potential, so that V >= alpha is v > theta and alpha is what is subtracted
        alpha = np.rint(high).astype(np.int64)
        off = np.abs(high - alpha) / np.maximum(alpha, 1)
        if off.max(initial=0) > SNAP:
            notes = [*notes, f"its thresholds are off by at most {_percent(off.max())}"]
        _refuse_above(off, rules, "thresholds")
        initial = np.full(len(alpha), -1)
    else:
        alpha = _floor(high) + 1
        initial = _floor(high) - _floor(theta / whole.step)
    _must_fit(alpha, rules)
    early = (whole.drive < 0) & (-(wait - 1) * whole.drive + initial >= alpha) & (wait > 0)
    if early.any():
        k = int(np.flatnonzero(early)[0])
        notes = [*notes, f"neuron {k} may spike before its first input: its bias is large and negative"]
    neurons = Neurons.of(
        len(alpha),
        weight=whole.table,
        leak=whole.drive,
        threshold=alpha,
        reset_mode=SUBTRACT if subtracts else TO_RESET,
        negative_threshold=rules.floor,
        initial=np.clip(initial - wait * whole.drive, *rules.chip.neuron.potential_range),
    )
    return Made(whole.synapses, neurons, notes)


def _forgetful(w: sparse.csc_array, drive: Floats, theta: Floats, rules: Rules) -> Made:
    """Threshold: a history-free neuron (threshold 0, floor 0), with bias and threshold in its leak."""
    whole = _whole(w, drive - theta, None, np.abs(theta), rules, strict=True)
    return Made(whole.synapses, Neurons.of(len(drive), weight=whole.table, leak=whole.drive, threshold=0), whole.notes)


def _leaking(w: sparse.csc_array, theta: Floats, v_reset: Floats, start: Floats, decay: Floats, rules: Rules) -> Made:
    """LIF around its rest, potentials as differences to it: decay * V per tick is decay * theta / 2 towards 0."""
    _must_rise(theta, "v_threshold - (v_leak + r * bias)", strictly=True)
    subtracts = rules.reset == "subtract"
    if subtracts and start.any():
        raise ValueError("reset='subtract' needs v_leak + r * bias to be 0")
    leak = decay * theta / 2
    whole = _whole(w, leak, None, theta, rules, finest=True)
    taken = whole.drive
    alpha = _floor(theta / whole.step) + 1
    _must_fit(alpha, rules)
    reset = np.rint(v_reset / whole.step).astype(np.int64) * (not subtracts)
    nearest = _nearest_reset(reset, rules)
    held = taken * whole.step
    off = np.maximum(np.abs(decay * theta - held), held) / theta
    notes = [
        *whole.notes,
        f"LIF's exponential leak is a constant one, off by at most {_percent(off.max())} of the threshold per tick",
    ]
    if (nearest != reset).any():
        wrong = np.abs(nearest - reset) / alpha
        notes.append(f"its reset potentials are off by at most {_percent(wrong.max())} of the threshold")
    low, high = rules.chip.neuron.potential_range
    neurons = Neurons.of(
        len(alpha),
        weight=whole.table,
        leak=-taken,
        leak_reversal=True,
        threshold=alpha,
        reset_mode=SUBTRACT if subtracts else TO_RESET,
        reset=nearest,
        negative_threshold=rules.floor,
        initial=np.clip(np.rint(start / whole.step), low, high).astype(np.int64),
    )
    return Made(whole.synapses, neurons, notes)


@dataclass(frozen=True, eq=False)
class _Whole:
    """Whole numbers: synapses and weight table, drive [neuron], in units of step [neuron]."""

    synapses: sparse.csc_array
    table: NDArray[np.int16]
    drive: Ints
    step: Floats
    notes: list[str]


def _whole(
    w: sparse.csc_array,
    drive: Floats,
    also: Floats | None,
    theta: Floats,
    rules: Rules,
    strict: bool = False,
    finest: bool = False,
) -> _Whole:
    """Weights and drive as whole numbers of a step each neuron, exactly where some step allows it.

    also: further numbers that should be whole. theta: thresholds, which keep the step from being too small. strict:
    the drive is rounded down to what is below it, for `I > theta` is `I + drive > 0`, not >= 0. finest: the drive need
    not be whole, and small steps are better.
    """
    limit = rules.limit("weight")
    w = sparse.csc_array(w)
    w.eliminate_zeros()
    w.sort_indices()
    n = w.shape[1]
    neuron = np.repeat(np.arange(n), np.diff(w.indptr))
    distinct = _clustered(neuron, w.data)
    few = np.bincount(distinct[0].astype(np.int64), minlength=n) <= N_TYPES
    bias = np.zeros_like(drive) if finest or strict else drive
    bounded = np.concatenate([distinct[:, few[distinct[0].astype(np.int64)]], [np.flatnonzero(few), bias[few]]], 1)
    step = _exact_steps(bounded, np.zeros((2, 0)), n, limit)
    if also is not None:
        with_also = _exact_steps(bounded, np.stack([np.arange(n), also])[:, few], n, limit)
        step = np.where(np.isfinite(with_also), with_also, step)
    step = np.where(few, step, np.inf)
    least = np.maximum(np.abs(drive) / (rules.limit("leak") - 1), np.abs(theta) / (rules.limit("threshold") - 1))
    exact = np.isfinite(step) & (least <= step * (1 + SNAP))
    largest = _largest(w, n)
    if finest:  # as far as weights and limits allow, for the drive's sake
        room = limit * step / np.maximum(largest, 1e-300)
        finer = np.minimum(room, step / np.maximum(least, 1e-300))
        step = np.where(exact, step / np.maximum(np.floor(finer * (1 + SNAP)), 1), step)
    coarse = np.maximum(largest / limit, least)
    step = np.where(exact, step, np.where(coarse > 0, coarse, 1.0))
    levels = w if exact.all() else _few(w, exact, rules.chip.core.axons)
    whole = sparse.csc_array(levels @ sparse.diags_array(1 / step))
    whole.data = np.clip(np.rint(whole.data), -limit, limit).astype(np.int64)
    whole = sparse.csc_array(whole.astype(np.int64))
    notes = _errors(w, whole, step, rules)
    ratio = drive / step
    taken = _ceil(ratio) - 1 if strict else np.rint(ratio).astype(np.int64)
    off = np.abs(ratio - taken) * step / np.maximum(np.abs(theta), step)
    if not (strict or finest):
        _refuse_above(off, rules, "biases, by their thresholds")
        if off.max(initial=0) > SNAP:
            notes.append(f"its biases are off by at most {_percent(off.max())} of the threshold per tick")
    synapses, table = by_weight(whole)
    return _Whole(synapses, table, taken, step, notes)


def _exact_steps(bounded: Floats, free: Floats, n: int, limit: int) -> Floats:
    """The largest step of each neuron of which all its numbers are whole multiples, inf where there is none.

    bounded, free: [2, number] of (neuron, value); bounded ones must be at most `limit` steps. One step for all neurons
    where there is one, since neurons of the same weights share axons.
    """
    values = [bounded, free]
    together = [_clustered(np.zeros(v.shape[1], np.int64), v[1]) for v in values]
    if together[0].shape[1] <= 2 * limit + 1:
        shared = _search(together, 1, limit)[0]
        if np.isfinite(shared):
            return np.full(n, shared)
    return _search(values, n, limit)


def _clustered(owner: Ints, number: Floats) -> Floats:
    """[2, kept] of (owner, number), of numbers that are the same but for rounding one only, in rising order."""
    order = np.lexsort((number, owner))
    owner, number = owner[order], number[order]
    largest = np.zeros(int(owner.max(initial=0)) + 1)
    np.maximum.at(largest, owner, np.abs(number))
    new = np.ones(len(owner), np.bool_)
    new[1:] = (np.diff(owner) != 0) | (np.diff(number) > SNAP * largest[owner[1:]])
    return np.stack([owner[new].astype(np.float64), number[new]])


def _search(values: list[Floats], n: int, limit: int) -> Floats:
    owner, number = (np.concatenate([v[i] for v in values]) for i in (0, 1))
    owner = owner.astype(np.int64)
    largest = np.zeros(n)
    np.maximum.at(largest, values[0][0].astype(np.int64), np.abs(values[0][1]))
    step = np.full(n, np.inf)
    open_ = largest > 0
    for k in range(1, limit + 1):
        mine = open_[owner]
        owner, number = owner[mine], number[mine]
        if not owner.size:
            break
        multiple = number * (k / largest[owner])
        off = np.abs(multiple - np.rint(multiple)) > SNAP * np.maximum(k, np.abs(multiple))
        fits = open_.copy()
        fits[owner[off]] = False
        step[fits] = largest[fits] / k
        open_ &= ~fits
    return step


def _largest(w: sparse.csc_array, n: int) -> Floats:
    return np.asarray(abs(w).max(axis=0).toarray(), np.float64).reshape(-1) if w.nnz else np.zeros(n)


def _few(w: sparse.csc_array, exact: NDArray[np.bool_], n_axons: int) -> sparse.csc_array:
    """The nearest weights of which each neuron without exact ones has at most four."""
    data, sizes = w.data.copy(), np.diff(w.indptr)
    wide = np.where(exact, 0, sizes)
    if wide.max(initial=0) > n_axons:
        k = int(wide.argmax())
        raise ValueError(f"neuron {k} hears {wide[k]} lines, but a core has {n_axons} axons; give it fewer inputs")
    for size in np.unique(sizes[~exact & (sizes > N_TYPES)]):
        columns = np.flatnonzero(~exact & (sizes == size))
        step = max(1, MOST_CELLS // (int(size) + 1) ** 2)
        for first in range(0, len(columns), step):
            where = w.indptr[columns[first : first + step], None] + np.arange(size)
            rows, which = np.unique(w.data[where], axis=0, return_inverse=True)  # a convolution's neurons are alike
            data[where] = best_levels(rows, np.ones(rows.shape), N_TYPES)[np.ravel(which)]
    return sparse.csc_array((data, w.indices, w.indptr), shape=w.shape)


def _errors(w: sparse.csc_array, whole: sparse.csc_array, step: Floats, rules: Rules) -> list[str]:
    held = whole @ sparse.diags_array(step)
    size = np.asarray(abs(w).sum(axis=0)).reshape(-1)
    off = np.asarray(abs(w - held).sum(axis=0)).reshape(-1) / np.where(size > 0, size, 1)
    worst = int(off.argmax())
    count = len(np.unique(w.data[w.indptr[worst] : w.indptr[worst + 1]]))
    _refuse_above(off, rules, f"weights ({count} different ones; it can hold {N_TYPES})")
    if off.max(initial=0) <= SNAP:
        return []
    return [f"its weights are off by at most {_percent(off.max())}, {_percent(off.mean())} on average"]


def _refuse_above(off: Floats, rules: Rules, what: str) -> None:
    if off.max(initial=0) > max(rules.max_error, SNAP):
        worst = int(off.argmax())
        raise ValueError(
            f"neuron {worst} would be off by {_percent(off[worst])} in its {what}, but max_error is "
            f"{_percent(rules.max_error)}; quantize the network to few weights, or allow more"
        )


def _must_rise(gap: Floats, what: str, strictly: bool) -> None:
    if (gap < 0).any() or (strictly and (gap == 0).any()):
        rule = "above 0" if strictly else "0 or more"
        raise ValueError(f"{what} must be {rule}, got {gap.min():g} (neuron {int(gap.argmin())})")


def _must_fit(alpha: Ints, rules: Rules) -> None:
    high = rules.limit("threshold")
    if alpha.max(initial=0) > high:
        k = int(alpha.argmax())
        raise ValueError(f"neuron {k}: its threshold must be at most {high} times its smallest weight step")


def _nearest_reset(reset: Ints, rules: Rules) -> Ints:
    """What the chip can store: any, or plus or minus (2^n - 1)."""
    rule = next(rule for rule in rules.chip.neuron.rules() if rule.name == "reset")
    clipped = np.clip(reset, rule.low, rule.high)
    if not rule.power_of_two:
        return clipped
    values = (1 << np.arange(max(1, rule.high.bit_length()))) - 1
    at = np.abs(np.abs(clipped)[:, None] - values).argmin(1)
    return np.sign(clipped) * values[at]


def _floor(x: Floats) -> Ints:
    """Largest whole number not above; what is whole but for rounding stays it."""
    near = np.rint(x)
    return np.where(np.abs(x - near) <= SNAP * np.maximum(1, np.abs(x)), near, np.floor(x)).astype(np.int64)


def _ceil(x: Floats) -> Ints:
    return -_floor(-x)


def _percent(rel: float) -> str:
    return f"{rel:.2%}"
