"""One description of every kind of noise, and the same kind with nothing left of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from xbar.config import from_data, validate
from xbar.parts.base import Cells, Floats, Noise
from xbar.parts.kinds import part_class

N_LEVELS = 5
LOW_REL = 0.1
_LINEAR = [LOW_REL + (1 - LOW_REL) * level / (N_LEVELS - 1) for level in range(N_LEVELS)]

# large enough that results are cut at 0 where the law says so
NOISES: dict[str, dict[str, Any]] = {
    "gaussian": {"sigma_rel": 0.2, "relative_to": "range"},
    "lognormal": {"sigma_ln": 0.2},
    "polynomial": {
        "g_max_S": "40 uS",
        "measured": [
            {"coefficients_S": ["2 uS", "8 uS", "-4 uS"], "time_s": "1 s"},
            {"coefficients_S": ["4 uS", "12 uS", "-6 uS"], "time_s": "1e5 s"},
        ],
    },
    "table": {
        "g_max_S": 40e-6,
        "measured": [
            {"level": i, "mean_S": 40e-6 * g * 0.95, "sigma_S": 1e-6 * (i + 2)} for i, g in enumerate(_LINEAR)
        ],
    },
    "write_verify": {"sigma_rel": 0.3, "tolerance_rel": 0.15, "max_writes": 2, "relative_to": "range"},
    "drift": {
        "nu_mean": {"ln": -0.0155, "polynomial": [0.0244], "low": 0.049, "high": 0.1},
        "nu_sigma": 0.06,
        "t_0_s": "20 s",
        "activation_eV": 0.3,
    },
    "relaxation": {"g_max_S": "88 uS", "loss_S": "0.5 uS", "growth_S": "0.9 uS", "sigma_S": "4 uS", "t_0_s": "1 s"},
    "telegraph": {"amplitude_rel": 0.3, "probability": 0.2},
    "stuck": {"hrs_rate": 0.09, "lrs_rate": 0.05},
    "white": {"sigma_rel": 0.01, "relative_to": "g_max"},
    "flicker": {
        "q": {"factor": 0.0088, "exponent": -0.65, "high": 0.2},
        "relative_to": "value",
        "t_0_s": "20 s",
        "t_read_s": "250 ns",
    },
    "adc_error": {"offset_sigma_lsb": 0.7, "gain_sigma_rel": 0.01, "inl_sigma_lsb": 1.5, "noise_sigma_lsb": 0.4},
    "dac_error": {"gain_sigma_rel": 0.03, "noise_sigma_rel": 0.02},
}
# what turns each into no noise at all
SILENT: dict[str, dict[str, Any]] = {
    "gaussian": {"sigma_rel": 0},
    "lognormal": {"sigma_ln": 0},
    "polynomial": {"measured": [{"coefficients_S": [0]}]},
    "table": {"measured": [{"level": i, "mean_S": 40e-6 * g, "sigma_S": 0} for i, g in enumerate(_LINEAR)]},
    "write_verify": {"sigma_rel": 0},
    "drift": {"nu_mean": 0, "nu_sigma": 0},
    "relaxation": {"loss_S": 0, "growth_S": 0, "sigma_S": 0},
    "telegraph": {"probability": 0},
    "stuck": {"hrs_rate": 0, "lrs_rate": 0},
    "white": {"sigma_rel": 0},
    "flicker": {"q": 0},
    "adc_error": dict.fromkeys(NOISES["adc_error"], 0),
    "dac_error": dict.fromkeys(NOISES["dac_error"], 0),
}


def example(kind: str, **changes: Any) -> Any:
    """The noise of that kind with some settings changed."""
    return validate(part_class(Noise, kind), from_data({**NOISES[kind], **changes}, kind))  # type: ignore[type-abstract]


def cells_of(n: int = 1) -> Cells:
    """`n` cells of every level, [n, level]."""
    level = np.broadcast_to(np.arange(N_LEVELS, dtype=np.uint8), (n, N_LEVELS))
    return Cells(level, np.array(_LINEAR)[level], LOW_REL, N_LEVELS)


def agrees(draws: Floats, mean: Floats, variance: Floats, confidence: float = 0.999) -> bool:
    """Whether draws [draw, case] have that mean and variance [case]; true mean and variance pass with `confidence`.

    Two intervals per case, each of 1 - (1 - confidence) / (2 cases), so that all hold together with `confidence`
    (Bonferroni): for the mean a z-test with the given variance, for the variance a normal interval of the sample
    variance, whose standard error sqrt((m_4 - s^4) / n) takes the fourth moment, and so the kurtosis, from the draws.
    Where the variance is 0 all draws must be the mean, to rounding.
    """
    from scipy.stats import norm

    n, n_cases = draws.shape
    limit = norm.isf((1 - confidence) / (2 * 2 * n_cases))
    centred = draws - draws.mean(0)
    found = (centred**2).mean(0) * n / (n - 1)
    error = np.sqrt(np.maximum((centred**4).mean(0) - found**2, 0) / n)
    fixed = variance <= 1e-24
    mean_ok = np.abs(draws.mean(0) - mean) <= np.where(fixed, 1e-12, limit * np.sqrt(variance / n))
    variance_ok = np.abs(found - variance) <= np.where(fixed, 1e-24, limit * error)
    return bool(mean_ok.all() and variance_ok.all())
