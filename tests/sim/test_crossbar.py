"""The layer engine against the plain reference, and against plain integer products where ADCs are lossless."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from layer_programs import layer_program, random_case
from reference import reference_multiply

from xbar.errors import ModelError
from xbar.kernels.pulses import keep_bits
from xbar.program import AdcSetting
from xbar.sim.crossbar import multiply
from xbar.sim.prepare import prepare


@pytest.mark.parametrize("seed", range(240))
def test_equals_the_reference_bit_for_bit(seed: int) -> None:
    layer, x, weight = random_case(seed)
    wanted = reference_multiply(layer, x)
    out, counts = multiply(prepare(layer), x)
    np.testing.assert_array_equal(out.numpy(), wanted.out)
    assert counts.saturations == wanted.saturations
    assert counts.unit_saturations == wanted.unit_saturations
    if layer.adc.mode == "ideal":
        np.testing.assert_array_equal(out.numpy(), np.einsum("vgr,grc->vgc", x.astype(np.int64), weight))


def test_by_hand() -> None:
    # cells 3 and 2 of the positive column, inputs 3 and 1: pulses (1, 1) and (1, 0) give sums 5 and 3
    weight = np.array([3, 2]).reshape(1, 2, 1)
    x = np.array([3, 1], np.uint8).reshape(1, 1, 2)
    size = {"weight_bits": 3, "input_bits": 2, "cell_bits": 2}
    out, counts = multiply(prepare(layer_program(weight, **size, adc=AdcSetting("clip", (2,), None, None))), x)
    assert (out.item(), counts.saturations) == (3 + 2 * 3, (1,))
    # full scale 6 with 2 bits: LSB 2, codes floor(5/2 + 1/2) = 3 and floor(3/2 + 1/2) = 2
    out, counts = multiply(prepare(layer_program(weight, **size, adc=AdcSetting("range", (2,), (6,), None))), x)
    assert (out.item(), counts.saturations) == (2 * (3 + 2 * 2), (0,))


def _clipping_case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.integers(-127, 128, (1, 300, 70)), rng.integers(0, 256, (150, 1, 300)).astype(np.uint8)


@pytest.mark.parametrize("encoding", ["differential", "offset", "offset_flipped"])
@pytest.mark.parametrize("bits", range(3, 10))
def test_large_layers_equal_the_reference_at_every_width(encoding: str, bits: int) -> None:
    weight, x = _clipping_case()
    layer = layer_program(weight, encoding=encoding, adc=AdcSetting("clip", (bits,) * 4, None, bits))
    wanted = reference_multiply(layer, x)
    out, counts = multiply(prepare(layer), x)
    np.testing.assert_array_equal(out.numpy(), wanted.out)
    assert (counts.saturations, counts.unit_saturations) == (wanted.saturations, wanted.unit_saturations)


def test_pulses_with_few_active_lines_leave_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the vectors are almost empty: their pulses go through the second product, and nothing changes."""
    weight, x = _clipping_case()
    x[::2, :, 10:] = 0
    layer = layer_program(weight, adc=AdcSetting("clip", (6,) * 4, None, None))
    products = []
    monkeypatch.setattr("xbar.sim.crossbar.keep_bits", lambda *a: (products.append(a), keep_bits(*a))[1])
    out, counts = multiply(prepare(layer), x)
    wanted = reference_multiply(layer, x)
    np.testing.assert_array_equal(out.numpy(), wanted.out)
    assert counts.saturations == wanted.saturations
    assert products


def test_sums_beyond_31_bits() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 2**15, (1, 512, 3))
    x = rng.integers(2**15, 2**16, (4, 1, 512)).astype(np.int32)
    size = {"cell_bits": 8, "rows": 512, "weight_bits": 16, "input_bits": 16, "dac_bits": 4}
    layer = layer_program(weight, **size, adc=AdcSetting("clip", (20, 20), None, None))
    assert prepare(layer).wide
    np.testing.assert_array_equal(multiply(prepare(layer), x)[0].numpy(), reference_multiply(layer, x).out)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    weight, x = _clipping_case()
    layer = layer_program(weight, adc=AdcSetting("range", (4, 5, 6, 3), (90, 300, 100, 50), None))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out, counts = multiply(prepare(layer), x)
    finally:
        torch.set_num_threads(before)
    wanted = reference_multiply(layer, x)
    np.testing.assert_array_equal(out.numpy(), wanted.out)
    assert counts.saturations == wanted.saturations


def test_a_range_without_full_scale_is_an_error() -> None:
    layer = layer_program(np.ones((1, 2, 2), int), adc=AdcSetting("range", (4,) * 4, None, None))
    with pytest.raises(ModelError, match=r"layer layer: .*calibrate_adc"):
        prepare(layer)
