"""How a chip stores signed weights: part of its description."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xbar.settings import Settings, problems


class Encoding(Settings):
    """How signed weights become cells.

    `differential`: a positive and a negative magnitude. `offset`: w + 2^(bits - 1), and a unit column to subtract;
    `flipped` stores columns inverted whose sum could exceed half the range (ISAAC), which saves one ADC bit.
    `ternary`: -1, 0, 1 as a pair of binary cells. `layout: interleaved` puts all slices and polarities of a weight in
    neighbouring columns of one crossbar, `separate` puts each in a crossbar of its own.

    `baseline`: what removes the current that cells in HRS (g_min) carry. `pair`: the two polarities cancel it after
    their ADCs; `reference`: a column of HRS cells in every crossbar, subtracted before the ADC; `digital`: the sum of
    the digits sent, times g_min, subtracted after the ADC. By default `pair` where there are two polarities, else
    `reference`.
    """

    kind: Literal["differential", "offset", "ternary"]
    flipped: Annotated[bool, Field(strict=True)] = False
    layout: Literal["interleaved", "separate"] = "interleaved"
    baseline: Literal["pair", "reference", "digital"] | None = None

    @property
    def baseline_removal(self) -> Literal["pair", "reference", "digital"]:
        """`baseline`, or its default."""
        return self.baseline or ("reference" if self.kind == "offset" else "pair")

    @model_validator(mode="after")
    def _nothing_inert(self) -> Encoding:
        if self.baseline == "pair" and self.kind == "offset":
            rule = "needs two polarities; choose reference or digital with kind: offset"
            raise problems("Encoding", [(("baseline",), rule, self.baseline)])
        if self.flipped and self.kind != "offset":
            rule = f"has no effect with kind: {self.kind}; remove it, or set kind: offset"
            raise problems("Encoding", [(("flipped",), rule, True)])
        return self
