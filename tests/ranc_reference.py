"""RANC's rules on RANC's own JSON, spelled out by hand in plain Python: a truth that shares nothing with xbar."""

from __future__ import annotations

from typing import Any

import numpy as np


def ranc_outputs(document: dict[str, Any], config: dict[str, Any], n_ticks: int) -> np.ndarray:
    """Rows of RANC's output file, bool [row, output]; neurons begin with row 1."""
    cores = {tuple(c["coordinates"]): c for c in document["cores"]}
    bus = tuple(document["output_bus"]["coordinates"])
    outputs = np.zeros((n_ticks, document["output_bus"]["num_outputs"]), bool)
    potential = {at: [n["current_potential"] for n in c["neurons"]] for at, c in cores.items()}
    due: set[tuple[int, tuple[int, int], int]] = set()  # (tick, core, axon)
    for k, step in enumerate(document["packets"]):
        due |= {(k + 1 + p["destination_tick"], tuple(p["destination_core"]), p["destination_axon"]) for p in step}
    for tick in range(1, n_ticks):
        sent = set()
        for at, core in cores.items():
            active = [a for a in range(config["num_axons"]) if (tick, at, a) in due]
            for n, neuron in enumerate(core["neurons"]):
                v, fires = _step(core, neuron, n, potential[at][n], active, config.get("neuron_reset_type", 0))
                potential[at][n] = v
                dx, dy = neuron["destination_core_offset"]
                to = (at[0] + dx, at[1] + dy)
                if fires and to == bus:
                    outputs[tick, neuron["destination_axon"]] = True
                elif fires:
                    sent.add((tick + 1 + neuron["destination_tick"], to, neuron["destination_axon"]))
        due |= sent
    return outputs


def _step(
    core: dict[str, Any], neuron: dict[str, Any], n: int, v: int, active: list[int], reset_type: int
) -> tuple[int, bool]:
    row, r = core["connections"][n], neuron["reset_potential"]
    high, low = neuron["positive_threshold"], neuron["negative_threshold"]
    for axon in active:
        if axon < len(row) and row[axon]:
            v += neuron["weights"][core["axons"][axon]]
    v += neuron["leak"]
    if v >= high:
        return (r if neuron["reset_mode"] == 0 else v - high), True
    if v < low or (reset_type == 1 and v == low):
        return (-r if neuron["reset_mode"] == 0 else v - low), False
    return v, False
