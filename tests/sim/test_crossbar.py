"""The layer engine against the plain reference, and against plain integer products where ADCs are lossless."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference import reference_multiply
from layer_programs import layer_program, random_case

from xbar.errors import ModelError
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
    assert counts.digits == wanted.digits
    if layer.adc.mode == "ideal":
        np.testing.assert_array_equal(out.numpy(), np.einsum("vgr,grc->vgc", x.astype(np.int64), weight))
