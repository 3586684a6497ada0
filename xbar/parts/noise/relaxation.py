"""Retention: conductance that moves with the logarithm of time."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, final

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from xbar.parts.ageing import aged_s
from xbar.parts.base import CellNoise, Cells, Floats, Stage, When
from xbar.parts.normal import rectified
from xbar.settings import problems
from xbar.units import Second, Siemens, parse

Amount = Annotated[float, BeforeValidator(lambda value: parse(value, "S")), Field(ge=0)]


@final
class RelaxationNoise(CellNoise):
    """g(t) = max(0, g - loss ln(t / t_0) + (growth ln(t / t_0) + sigma) xi), xi normal, whatever the state.

    loss_S, growth_S and sigma_S, in S, belong to a device whose largest conductance is g_max_S and scale with the g_max
    of the chip. t_0_s is the first measurement: nothing is known before it, so that every earlier moment, right after
    programming included, is as at t_0. A cell keeps its xi as time goes on. Temperature acts as accelerated time,
    t exp(E_a / k (1 / T_ref - 1 / T)); activation_eV: 0 is none. Law: Falcone et al., arXiv 2502.04524 (CMO/HfOx).
    """

    stage: ClassVar[Stage] = "age"

    g_max_S: Siemens
    loss_S: Amount
    growth_S: Amount
    sigma_S: Amount
    t_0_s: Second
    activation_eV: float = Field(0.0, ge=0, le=10)
    reference_K: float = Field(300.0, gt=0)

    @model_validator(mode="after")
    def _sensible(self) -> RelaxationNoise:
        found: list[tuple[tuple[str | int, ...], str, object]] = []
        if self.activation_eV == 0 and self.reference_K != 300.0:
            found.append((("reference_K",), "has no effect without activation_eV; remove it", self.reference_K))
        for name, value in (("loss_S", self.loss_S), ("growth_S", self.growth_S), ("sigma_S", self.sigma_S)):
            if value > 10 * self.g_max_S:
                found.append(((name,), "must be at most 10 g_max_S; is a unit missing?", value))
        if found:
            raise problems("RelaxationNoise", found)
        return self

    @property
    def per_device(self) -> bool:
        """Never: every programming relaxes in its own way."""
        return False

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """Conductances at `when` over g_max, of the shape of `g_rel`."""
        loss, sigma = self._loss_and_sigma(when)
        return np.maximum(g_rel - loss + sigma * rng.standard_normal(g_rel.shape), 0.0)

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the rectified normal."""
        loss, sigma = self._loss_and_sigma(when)
        return rectified(g_rel - loss, np.full_like(g_rel, sigma))

    def _loss_and_sigma(self, when: When) -> tuple[float, float]:
        """Both over g_max."""
        passed = max(aged_s(when, self.activation_eV, self.reference_K), self.t_0_s)
        log_time = math.log(passed / self.t_0_s)
        return self.loss_S * log_time / self.g_max_S, (self.growth_S * log_time + self.sigma_S) / self.g_max_S
