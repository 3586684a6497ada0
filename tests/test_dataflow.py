"""The values that describe a dataflow: compared by content, and printed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xbar.dataflow import Dataflow, Edge, Stream


def made() -> Dataflow:
    one, two = (np.arange(n, dtype=np.int64) for n in (1, 2))
    ops = {"activation_ops": 3, "pooling_ops": 0, "digital_ops": 0}
    image = Stream("x", "input", None, None, 2, (), dict.fromkeys(ops, 0))
    layer = Stream("fc", "layer", 0, 1, 1, (Edge(0, 2, 4, two, two, one, one + 1),), ops)
    return Dataflow((image, layer), (Edge(1, 1, 3, one, one, one, one),))


def test_dataflows_are_equal_by_content() -> None:
    flow = made()
    image, layer = flow.streams
    (edge,) = layer.edges
    assert flow == made()
    assert flow != replace(flow, outputs=())
    other = replace(edge, need_first=edge.need_first + 1)
    assert flow != replace(flow, streams=(image, replace(layer, edges=(other,))))
    assert flow != replace(flow, streams=(image, replace(layer, ops={**layer.ops, "digital_ops": 1})))


def test_a_dataflow_prints_its_streams() -> None:
    assert repr(made()) == "<Dataflow 2 streams: 1 input, 1 layer, 0 joins>"
    assert str(made()).splitlines() == [
        "2 streams: 1 input, 1 layer, 0 joins",
        "    0  x: input of 2 rows",
        "    1  fc: layer of 1 row from 0 in 2 pieces",
    ]
