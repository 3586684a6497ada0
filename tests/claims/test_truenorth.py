"""TrueNorth's power, against what was published.

The preset is an affine model: 15.7 uW per core at rest and for its ticks, 1.5 pJ per synaptic event, 2.45 pJ per hop at
0.8 V, all times (V / 0.8 V)^2. Three points made these constants, the other five did not:

    voltage  rate     synapses  published  ours      error
    0.8 V    11.58 Hz 128       68 mW      67.9 mW   -0.1 %   fitted (Akopyan 2015, figure 17)
    0.8 V    20.07 Hz 128       71 mW      70.6 mW   -0.6 %   fitted
    0.8 V    95.93 Hz 128       94 mW      94.1 mW   +0.1 %   fitted
    0.75 V   20 Hz    128       65 mW      62.0 mW   -4.6 %
    0.775 V  20 Hz    128       72 mW      66.2 mW   -8.1 %
    0.75 V   216 Hz   256       145 mW     153.8 mW  +6.1 %   58 GSOPS at 400 GSOPS/W; the voltage is assumed
    1.05 V   200 Hz   256       323 mW     287.3 mW  -11.1 %
    0.70 V   idle               42 mW      49.2 mW   +17.2 %

The model is too high at the lowest voltage and too low at the highest: what is drawn at rest falls faster than with the
square of the voltage. Two measured voltages at rest would be needed to say by how much; there is one.
"""

from __future__ import annotations

import pytest
from close import approx

from xbar.cost.spiking import operating_point
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.report import SpikingReport

NAME = "truenorth_science_2014"
PEAK_HZ = 58e9 / (4096 * 256 * 256)  # 58 GSOPS with 256 synapses per neuron
# volt, hertz, synapses per neuron, published milliwatt, error allowed, and ours within half of the last digit
POINTS = [
    (0.8, 11.58, 128, 68, 0.01, -0.1),
    (0.8, 20.07, 128, 71, 0.01, -0.6),
    (0.8, 95.93, 128, 94, 0.01, 0.1),
    (0.75, 20, 128, 65, 0.15, -4.6),
    (0.775, 20, 128, 72, 0.15, -8.1),
    (0.75, PEAK_HZ, 256, 145, 0.15, 6.1),
    (1.05, 200, 256, 323, 0.15, -11.1),
    (0.70, 0, 0, 42, 0.20, 17.2),
]


def at(voltage_V: float) -> SpikingChip:
    return load_spiking_chip(NAME, {"energy.voltage_V": voltage_V})


def point(voltage_V: float, rate_Hz: float, synapses: int) -> SpikingReport:
    return operating_point(at(voltage_V), rate_Hz, synapses)


@pytest.mark.parametrize(("voltage_V", "rate_Hz", "synapses", "published_mW", "allowed", "told"), POINTS)
def test_power(voltage_V, rate_Hz, synapses, published_mW, allowed, told):
    ours_mW = point(voltage_V, rate_Hz, synapses).power_W * 1e3
    error = ours_mW / published_mW - 1
    print(f"{voltage_V} V, {rate_Hz:.4g} Hz, {synapses}: published {published_mW} mW, ours {ours_mW:.1f}, {error:+.1%}")
    assert abs(error) <= allowed
    assert 100 * error == pytest.approx(told, abs=0.05), "the table above is out of date"


def test_46_gsops_per_W_in_real_time():
    """Of the typical network, 20 Hz and 128 synapses (Merolla 2014): 2.68 GSOPS. With the published 65 mW at 0.75 V
    that is 41 per W, with our power 43, 6 % below 46; at 0.70 V ours is 50."""
    report = point(0.75, 20, 128)
    assert report.sops == approx(2.684e9, rel=1e-3)
    assert report.metrics()["gsops_per_W"] == approx(46, rel=0.07)
    assert point(0.70, 20, 128).metrics()["gsops_per_W"] > 46


def test_400_gsops_per_W_at_the_peak():
    assert point(0.75, PEAK_HZ, 256).metrics()["gsops_per_W"] == approx(400, rel=0.06)


def test_energy_of_a_synaptic_event_with_all_that_comes_with_it():
    """26 pJ at 0.775 V, 20 Hz, 128 synapses (Merolla 2014): total power over total events. As a price per event it
    would give 335 mW where 94 mW were measured."""
    report = point(0.775, 20, 128)
    assert report.power_W / report.sops == approx(26e-12, rel=0.06)
    busy = point(0.8, 95.93, 128)
    assert busy.sops * 26e-12 == approx(0.335, rel=2e-3)
    assert busy.power_W == approx(0.094, rel=0.01)


def test_energy_of_a_hop_and_of_a_bit_at_0_775_V():
    """2.3 pJ per hop; 2 pJ per bit from a core to the edge, 26 pJ from chip to chip."""
    price, scale = at(0.775).energy, at(0.775).energy.scale_rel
    assert price.hop_J * scale == approx(2.3e-12, rel=0.01)
    assert price.edge_bit_J * scale == approx(2e-12, rel=0.01)
    assert price.chip_to_chip_bit_J * scale == approx(26e-12, rel=0.01)


def test_size():
    """4,096 cores of 240 um x 390 um with 256 neurons each, on 4.3 cm2 (Merolla 2014)."""
    chip = at(0.8)
    assert chip.n_cores == 4096
    assert chip.n_cores * chip.core.neurons == 1_048_576
    assert chip.n_cores * chip.core.neurons * chip.core.axons == 268_435_456
    assert chip.core.area_m2 == approx(240e-6 * 390e-6)
    assert chip.area_m2 == approx(4.3e-4)
    report = point(0.8, 20, 128)
    assert report.area_m2 == approx(4.3e-4)
    assert report.used_area_m2 == approx(4096 * 240e-6 * 390e-6)
