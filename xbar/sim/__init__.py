"""Simulation of programs on crossbars, and what their ADCs need."""

from xbar.sim.adc import calibrate_adc, column_sum_histograms
from xbar.sim.resolution import AdcResolution, SliceResolution, adc_resolution
from xbar.sim.simulate import simulate

__all__ = [
    "AdcResolution",
    "SliceResolution",
    "adc_resolution",
    "calibrate_adc",
    "column_sum_histograms",
    "simulate",
]
