"""Conductance that decays by a power of time."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field, model_validator

from xbar.parts.ageing import aged_s
from xbar.parts.base import CellNoise, Cells, Floats, Stage, When
from xbar.parts.curve import Exponent, Spread
from xbar.parts.normal import LARGEST_EXPONENT, mean_of_decay
from xbar.settings import problems
from xbar.units import Second


@final
class DriftNoise(CellNoise):
    """g(t) = g ((t + t_0) / t_0)^-nu, nu = |mu(r) + s(r) xi|, or without the bars for folded: false; r = g / g_max.

    A cell keeps its xi, so that it follows one curve as time goes on; per: device keeps it over programmings as well.
    Temperature acts as accelerated time, t exp(E_a / k (1 / T_ref - 1 / T)); activation_eV: 0 is none. The mean is g
    times the moment generating function of the folded normal at -ln((t + t_0) / t_0). Law: Nandakumar et al., ICECS
    2019 (phase-change memory); acceleration by Arrhenius as is usual for retention.
    """

    stage: ClassVar[Stage] = "age"

    nu_mean: Exponent
    nu_sigma: Spread
    t_0_s: Second
    folded: bool = Field(True, strict=True)
    per: Literal["cycle", "device"] = "device"
    activation_eV: float = Field(0.0, ge=0, le=10)
    reference_K: float = Field(300.0, gt=0)

    @model_validator(mode="after")
    def _nothing_inert(self) -> DriftNoise:
        if self.activation_eV == 0 and self.reference_K != 300.0:
            rule = "has no effect without activation_eV; remove it"
            raise problems("DriftNoise", [(("reference_K",), rule, self.reference_K)])
        return self

    @property
    def per_device(self) -> bool:
        """Whether `per` is device."""
        return self.per == "device"

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """Conductances at `when` over g_max, of the shape of `g_rel`."""
        nu = self.nu_mean(g_rel) + self.nu_sigma(g_rel) * rng.standard_normal(g_rel.shape)
        decay = -self._log_time(when) * (np.abs(nu) if self.folded else nu)
        return g_rel * np.exp(np.minimum(decay, LARGEST_EXPONENT))

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance from the moment generating function of nu."""
        log_time, mu, s = self._log_time(when), self.nu_mean(g_rel), self.nu_sigma(g_rel)
        first = mean_of_decay(mu, s, log_time, self.folded)
        second = mean_of_decay(mu, s, 2 * log_time, self.folded)
        return g_rel * first, g_rel**2 * np.maximum(second - first**2, 0.0)

    def _log_time(self, when: When) -> float:
        """ln((t + t_0) / t_0)."""
        return math.log1p(aged_s(when, self.activation_eV, self.reference_K) / self.t_0_s)
