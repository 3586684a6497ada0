"""Layer programs of random sizes and encodings, built without `mapping`."""

from __future__ import annotations

import itertools

import numpy as np

from xbar.program import AdcSetting, LayerProgram, VectorEvents

EVENTS = VectorEvents(1, 1, (1,), 0, 0, 0, 0, 0)


def layer_program(
    weight: np.ndarray,
    *,
    encoding: str = "differential",
    cell_bits: int = 2,
    rows: int = 128,
    weight_bits: int = 8,
    input_bits: int = 8,
    input_signed: bool = False,
    dac_bits: int = 1,
    adc: AdcSetting | None = None,
) -> LayerProgram:
    """Integer weights [group, row, col] on crossbars of `rows` word lines; encodings as in DESIGN section 5."""
    groups, n_rows, cols = weight.shape
    edges = (*range(0, n_rows, rows), n_rows)
    blocks = list(itertools.pairwise(edges))
    weight = weight.astype(np.int64)
    unit_coef = None
    if encoding in ("differential", "ternary"):
        n_slices = -(-(weight_bits - 1) // cell_bits)
        magnitudes, signs = [np.maximum(weight, 0), np.maximum(-weight, 0)], [1, -1]
        flip = np.zeros((2 * n_slices, len(blocks), groups, cols), bool)
    else:
        n_slices = -(-weight_bits // cell_bits)
        magnitudes, signs = [weight + 2 ** (weight_bits - 1)], [1]
        unit_coef = np.full((len(blocks), groups, cols), -(2 ** (weight_bits - 1)), np.int64)
        flip = np.zeros((n_slices, len(blocks), groups, cols), bool)
    top = 2**cell_bits - 1
    planes, plane_slice, plane_sign = [], [], []
    for magnitude, sign in zip(magnitudes, signs, strict=True):
        for s in range(n_slices):
            planes.append((magnitude >> (cell_bits * s)) & top)
            plane_slice.append(s)
            plane_sign.append(np.full((len(blocks), groups, cols), sign))
    cells, sign = np.stack(planes), np.stack(plane_sign)
    if encoding == "offset_flipped":
        for k, s in enumerate(plane_slice):
            for b, (first, last) in enumerate(blocks):
                part = cells[k, :, first:last]
                flip[k, b] = part.sum(axis=1) * 2 > top * (last - first)
                cells[k, :, first:last] = np.where(flip[k, b][:, None, :], top - part, part)
                sign[k, b][flip[k, b]] *= -1
                unit_coef[b][flip[k, b]] += top << (cell_bits * s)
    return LayerProgram(
        name="layer", node="layer", conv=None, groups=groups, sources=(), vectors_per_input=1, weight_bits=weight_bits,
        weight_scale=np.ones(1), bias=None, input_bits=input_bits, input_signed=input_signed, input_scale=1.0,
        cell_bits=cell_bits, dac_bits=dac_bits, encoding=encoding, cells=cells.astype(np.uint8),
        plane_slice=tuple(plane_slice), plane_sign=sign.astype(np.int8), unit_coef=unit_coef, row_edges=edges,
        adc=adc or AdcSetting("ideal", None, None, None), blocks=(), n_replicas=1, replica_tiles=(), per_vector=EVENTS,
        link_bits_per_input=0,
    )  # fmt: skip


def random_case(seed: int) -> tuple[LayerProgram, np.ndarray, np.ndarray]:
    """A random layer, integer inputs [vector, group, row] and its weights [group, row, col]."""
    rng = np.random.default_rng(seed)
    encoding = ("differential", "offset", "offset_flipped", "ternary")[seed % 4]
    cell_bits = 1 if encoding == "ternary" else int(rng.integers(1, 5))
    weight_bits = 2 if encoding == "ternary" else int(rng.integers(2, 9))
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    n_rows, cols, vectors = int(rng.integers(1, 200)), int(rng.integers(1, 40)), int(rng.integers(1, 40))
    limit = 2 ** (weight_bits - 1) - 1
    spread = rng.choice([1.0, 0.2])
    weight = np.clip(np.rint(rng.normal(size=(groups, n_rows, cols)) * limit * spread), -limit, limit).astype(np.int64)
    input_signed = bool(rng.integers(2))
    input_bits = int(rng.integers(1 + input_signed, 10))
    low, high = (-(2 ** (input_bits - 1)), 2 ** (input_bits - 1)) if input_signed else (0, 2**input_bits)
    x = rng.integers(low, high, (vectors, groups, n_rows))
    if rng.random() < 0.5:
        x = np.where(rng.random(x.shape) < rng.choice([0.1, 0.5]), x, 0)
    shape = {
        "encoding": encoding, "cell_bits": cell_bits, "weight_bits": weight_bits,
        "rows": int(rng.choice([8, 27, 32, 50, 64, 128])), "dac_bits": int(rng.choice([1, 1, 2, 3, 4])),
        "input_bits": input_bits, "input_signed": input_signed,
    }  # fmt: skip
    n_slices = layer_program(weight, **shape).n_slices
    mode = str(rng.choice(["clip", "clip", "range", "ideal"]))
    bits = tuple(int(b) for b in rng.integers(1, 10, n_slices))
    unit_bits = int(rng.integers(1, 9))
    if mode == "ideal":
        adc = AdcSetting("ideal", None, None, None)
    elif mode == "clip":
        adc = AdcSetting("clip", bits, None, unit_bits)
    else:
        adc = AdcSetting("range", bits, tuple(int(f) for f in rng.integers(1, 600, n_slices)), unit_bits)
    kind = (
        np.int8 if input_signed and input_bits <= 8 else np.uint8 if input_bits <= 8 and not input_signed else np.int32
    )
    return layer_program(weight, **shape, adc=adc), x.astype(kind), weight
