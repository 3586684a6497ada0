"""Where the error of each matrix layer comes from: its sources are switched on one at a time.

Every layer gets the activations that it has in the exact integer network, so that errors of one layer do not reach the
next. What its outputs (before the bias) are, y, is found for the float product, for the integer product, and for real
crossbars; the *base* are the chip's real cells without noise, with ideal ADCs and ideal wires. Then

    quantization         integer product - float product
    conductance limits   base - integer product: the levels that the devices have
    ADC                  all but errors of ADCs - the same with ideal ADCs: rounding, and saturation at both ends
    IR drop              base and the chip's wires (and the cells' I-V law) - base
    an effect of noise   base and the effect - base; errors of ADCs: with the ADCs, less base with the ADCs
    total                everything at once - float product

and the signal-to-noise ratio of each is 10 log10(mean y^2 / mean error^2), y being the float product. An effect draws
the same random numbers alone as with the others. Errors interact (an error of a cell may saturate an ADC), so that
their separate powers do not add up to that of the total exactly: `LayerErrors.sum_over_total` says how far.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from xbar.errors import DataError
from xbar.host import Host
from xbar.noise import NoiseModel, load_noise
from xbar.parts.base import Floats
from xbar.program import Program
from xbar.same import same_fields
from xbar.sim.cells import Draw
from xbar.sim.error_bench import Bench, Crossbars, Source, Tally, walk_exactly
from xbar.sim.simulate import Progress, physics_of

TOTAL = "total"


@dataclass(frozen=True, eq=False)
class LayerErrors:
    """Errors of one layer's outputs, averaged over vectors and runs, by output channel.

    signal: mean square of the float product, float64 [channel]. sources: mean square error by source, [channel] each;
    total: with all sources at once.
    """

    name: str
    signal: Floats
    sources: Mapping[str, Floats]
    total: Floats

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def power(self, source: str) -> float:
        """Mean square error over all channels of a source, or of `total`."""
        return float((self.total if source == TOTAL else self.sources[source]).mean())

    def snr_dB(self, source: str = TOTAL) -> float | None:
        """Signal-to-noise ratio of a source, or of all together; None where there is no error (or no signal)."""
        power, signal = self.power(source), float(self.signal.mean())
        return 10 * math.log10(signal / power) if power > 0 and signal > 0 else None

    @property
    def sum_over_total(self) -> float | None:
        """The separate error powers added up over that of all together; None without any error."""
        total = self.power(TOTAL)
        return sum(self.power(source) for source in self.sources) / total if total > 0 else None


@dataclass(frozen=True)
class ErrorSources:
    """What `error_sources` finds, by layer. noise: name of the noise model; n_runs: that errors are averaged over."""

    noise: str
    n_inputs: int
    n_runs: int
    seed: int
    layers: tuple[LayerErrors, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in the order in which they act."""
        return tuple(self.layers[0].sources)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per layer and source (and `total`), for tables: error power and signal-to-noise ratio."""
        return [
            {"layer": layer.name, "source": s, "error_power": layer.power(s), "snr_dB": layer.snr_dB(s)}
            for layer in self.layers
            for s in (*self.sources, TOTAL)
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "noise": self.noise,
            "n_inputs": self.n_inputs,
            "n_runs": self.n_runs,
            "seed": self.seed,
            "rows": self.rows(),
            "sum_over_total": {layer.name: layer.sum_over_total for layer in self.layers},
        }

    def __str__(self) -> str:
        width = max(12, *(len(layer.name) + 1 for layer in self.layers))
        columns = (*self.sources, TOTAL)
        lines = [
            f"signal-to-noise ratio in dB, each source alone (noise: {self.noise}; {self.n_inputs} inputs)",
            f"{'layer':<{width}}" + "".join(f"{s:>{max(7, len(s) + 2)}}" for s in columns) + "  sum/total",
        ]
        for layer in self.layers:
            ratios = "".join(f"{snr_text(layer.snr_dB(s)):>{max(7, len(s) + 2)}}" for s in columns)
            lines.append(f"{layer.name:<{width}}{ratios}{ratio_text(layer.sum_over_total):>11}")
        return "\n".join(lines)


def snr_text(snr_dB: float | None) -> str:
    """A ratio in a table; `exact` where there is no error."""
    return "exact" if snr_dB is None else f"{snr_dB:.1f}"


def ratio_text(ratio: float | None) -> str:
    """`LayerErrors.sum_over_total` in a table."""
    return "" if ratio is None else f"{ratio:.2f}"


def error_sources(
    program: Program,
    inputs: Tensor | Sequence[Tensor],
    noise: NoiseModel | str | Path | None = None,
    seed: int = 0,
    n_runs: int = 1,
    layers: Sequence[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> ErrorSources:
    """Measure each source of error of each layer on data, as the module says. Some dozens of inputs are enough.

    noise, seed: as in `xbar.simulate`. n_runs: over which errors that are random are averaged. layers: names of those
    to look at, all by default. progress(done, total) hears how many inputs are done (of all runs). Crossbars whose
    circuit is solved for every input (gated or curved cells on resistive wires) take long: give few inputs.
    Raises DataError for inputs of a wrong shape and unknown layers, ModelError for an ADC range not calibrated.
    """
    if n_runs < 1:
        raise DataError(f"n_runs: must be at least 1, got {n_runs}")
    model = load_noise(noise) if isinstance(noise, (str, Path)) else noise
    physics = physics_of(program, model) or NoiseModel()
    sources = tuple(_sources_of(program, physics))
    chosen = _chosen(program, layers)
    host, tallies = Host(program.network), {i: Tally() for i in chosen}
    n_runs = n_runs if physics.effects else 1
    n_inputs = 0
    for run in range(n_runs):
        measured = sources if run == 0 else tuple(s for s in sources if s.is_random)
        bench = Bench(program, physics, Draw(seed, run), measured, tallies)

        def told(done: int, total: int, run: int = run) -> None:
            progress(run * total + done, n_runs * total)

        n_inputs = walk_exactly(bench, host, inputs, told)
    found = tuple(_errors(program.layers[i].name, tallies[i], sources) for i in chosen)
    return ErrorSources(physics.name or "none", n_inputs, n_runs, seed, found)


def _errors(name: str, tally: Tally, sources: tuple[Source, ...]) -> LayerErrors:
    *separate, total = sources
    return LayerErrors(name, tally.mean_signal(), {s.name: tally.mean(s) for s in separate}, tally.mean(total))


def _sources_of(program: Program, noise: NoiseModel) -> Iterator[Source]:
    """What can go wrong on this chip, in the order in which it happens, and all together at the end."""
    chip, base, everything = program.chip, Crossbars(), tuple(noise.effects)
    others = tuple(name for name in everything if name not in noise.of_adcs)
    has_adcs = any(layer.adc.bits is not None for layer in program.layers)
    has_wires = chip.crossbar.circuit(chip.device) is not None
    yield Source("quantization", "integer", "float")
    fixed = [
        (chip.device.range_S is not None, Source("conductance limits", base, "integer")),
        (has_wires, Source("IR drop", Crossbars(wires=True), base)),
        (has_adcs, Source("ADC", Crossbars(True, has_wires, others), Crossbars(False, has_wires, others))),
    ]
    yield from (source for exists, source in fixed if exists)
    names = {"quantization", TOTAL, *(source.name for _, source in fixed)}
    for effect in (*noise.of_cells, *noise.of_reads, *noise.of_dacs, *noise.of_adcs):
        adcs = effect in noise.of_adcs
        name = f"{effect} (noise)" if effect in names else effect
        yield Source(name, Crossbars(adcs, False, (effect,)), Crossbars(adcs))
    yield Source(TOTAL, Crossbars(has_adcs, has_wires, everything), "float")


def _chosen(program: Program, layers: Sequence[str] | None) -> tuple[int, ...]:
    """Indices of the layers to look at, in the order of the program."""
    known = [layer.name for layer in program.layers]
    problems = []
    for name in layers or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the layers are {', '.join(known)}"
            problems.append(f"layers: must be layers on crossbars, got {name}; {hint}")
    if layers is not None and not layers:
        problems.append("layers: must name at least one, got none; leave it out for all")
    if problems:
        raise DataError(problems)
    return tuple(i for i, name in enumerate(known) if layers is None or name in layers)
