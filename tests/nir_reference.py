"""NIR graphs in plain floats, node by node and tick by tick: a truth that shares nothing with xbar."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def nir_outputs(graph: Any, inputs: np.ndarray, dt_s: float, subtract: bool = False) -> np.ndarray:
    """Spikes of the Output node, bool [tick, batch, element], from spikes [tick, batch, element] at the Input."""
    before = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
    order: list[str] = []
    while len(order) < len(graph.nodes):
        order += [n for n in graph.nodes if n not in order and all(b in order for b in before[n])]
    past: dict[str, list[np.ndarray]] = {name: [] for name in graph.nodes}  # signals by tick
    state: dict[str, Any] = {}
    for spikes in inputs.astype(float):
        for name in order:
            node = graph.nodes[name]
            if type(node).__name__ == "Input":
                signal = spikes.reshape(len(spikes), *np.ravel(node.input_type["input"]))
            else:
                drive = sum(past[b][-1] for b in before[name])
                waited = [sum(tick) for tick in zip(*(past[b] for b in before[name]), strict=True)]
                signal = _through(node, drive, waited, state.setdefault(name, {}), dt_s, subtract)
            past[name].append(signal)
    output = next(n for n in order if type(graph.nodes[n]).__name__ == "Output")
    return np.stack([s.reshape(len(s), -1) for s in past[output]]) > 0.5


def _through(node: Any, x: np.ndarray, waited: list, state: dict, dt_s: float, subtract: bool) -> np.ndarray:
    kind = type(node).__name__
    t = torch.tensor(x)
    if kind in ("Linear", "Affine"):
        return x @ node.weight.T.astype(float) + (node.bias if kind == "Affine" else 0)
    if kind in ("Conv1d", "Conv2d"):
        conv = getattr(torch.nn.functional, kind.lower())
        padding = node.padding if isinstance(node.padding, str) else _whole(node.padding)
        weight, bias = (torch.tensor(np.asarray(v, float)) for v in (node.weight, node.bias))
        return conv(t, weight, bias, _whole(node.stride), padding, _whole(node.dilation), int(node.groups)).numpy()
    if kind in ("SumPool2d", "AvgPool2d"):
        kernel = _whole(node.kernel_size)
        mean = torch.nn.functional.avg_pool2d(t, kernel, _whole(node.stride), _whole(node.padding)).numpy()
        return mean * (np.prod(kernel) if kind == "SumPool2d" else 1)
    if kind == "Flatten":
        return x.reshape(len(x), -1)
    if kind == "Scale":
        return x * node.scale
    if kind == "Delay":
        ticks = np.broadcast_to(np.rint(node.delay / dt_s).astype(int), x.shape[1:])
        old = np.zeros_like(x)
        for place in np.ndindex(*x.shape[1:]):
            if ticks[place] < len(waited):
                old[:, *place] = waited[-1 - ticks[place]][:, *place]
        return old
    if kind == "Output":
        return x
    return _spikes(node, x, state, dt_s, subtract)


def _spikes(node: Any, x: np.ndarray, state: dict, dt_s: float, subtract: bool) -> np.ndarray:
    kind = type(node).__name__
    if kind == "Threshold":
        return (x > node.threshold).astype(float)
    v = state.get("v", np.zeros_like(x))
    v = v + dt_s * node.r * x if kind == "IF" else v + dt_s / node.tau * (node.v_leak - v + node.r * x)
    fires = v > node.v_threshold
    state["v"] = np.where(fires, v - node.v_threshold if subtract else np.broadcast_to(node.v_reset, v.shape), v)
    return fires.astype(float)


def _whole(value: Any) -> Any:
    return tuple(int(v) for v in np.ravel(value))
