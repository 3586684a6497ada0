"""Noise of reads and errors of converters, by hand."""

from __future__ import annotations

import math

import numpy as np
from close import approx
from noise_examples import example

from xbar.parts.base import When
from xbar.rng import generator

G = np.array([0.0, 0.5, 1.0])


def test_white_noise() -> None:
    np.testing.assert_allclose(example("white", sigma_rel=0.02).variance(G, When()), 4e-4)
    by_value = example("white", sigma_rel=0.02, relative_to="value")
    np.testing.assert_allclose(by_value.variance(G, When()), 4e-4 * G**2)


def test_flicker_noise_grows_with_the_logarithm_of_time() -> None:
    noise = example("flicker", q=0.01, t_0_s=20, t_read_s=1e-6)
    for time_s in (0.0, 1e3, 1e7):
        sigma = 0.01 * G * math.sqrt(math.log((time_s + 20 + 1e-6) / 2e-6))
        np.testing.assert_allclose(noise.variance(G, When(time_s)), sigma**2)
    absolute = example("flicker", q=0.01, t_0_s=20, t_read_s=1e-6, relative_to="g_max")
    np.testing.assert_allclose(absolute.variance(G, When(1e3)), noise.variance(np.ones(3), When(1e3)))


def test_flicker_noise_starts_at_from_s_and_is_never_imaginary() -> None:
    late = example("flicker", q=0.01, t_0_s=0, t_read_s=1e-6, from_s="1 s")
    np.testing.assert_array_equal(late.variance(G, When(0.0)), late.variance(G, When(1.0)))
    assert late.variance(G, When(10.0))[2] > late.variance(G, When(1.0))[2] > 0
    bare = example("flicker", q=0.01, t_0_s=0, t_read_s=1e-6)
    np.testing.assert_array_equal(bare.variance(G, When(0.0)), 0)


def test_bow_of_an_adc_peaks_in_the_middle_and_ends_at_zero() -> None:
    noise = example("adc_error", offset_sigma_lsb=0, gain_sigma_rel=0, inl_sigma_lsb=2)
    c = noise.sample(255.0, 3, generator(0))
    y = np.array([0, 127.5, 255])
    error = c @ np.stack([y**0, y, y**2]) - y
    np.testing.assert_allclose(error[:, [0, 2]], 0, atol=1e-12)
    assert (np.abs(error[:, 1]) > 0.05).all()
    grid = np.linspace(0, 255, 1001)
    np.testing.assert_allclose(
        np.abs(c @ np.stack([grid**0, grid, grid**2]) - grid).max(1), np.abs(error[:, 1]), rtol=1e-9
    )
    assert math.sqrt(noise.moments(y, 255.0)[1][1]) == approx(math.hypot(2, noise.sigma_lsb))


def test_converters_differ_and_the_same_seed_gives_the_same_ones() -> None:
    for kind, arguments in (("adc_error", (255.0, 20)), ("dac_error", (20,))):
        first, again, other = (example(kind).sample(*arguments, generator(s)) for s in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
        assert len(np.unique(first, axis=0)) == 20
