"""Pictures of errors: which source, which layer, which output channel; and where ADCs saturate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from xbar.result import Activity
from xbar.sim.error_sources import TOTAL, ErrorSources, snr_text

_FLOOR_dB = -80.0  # of error maps
_MOST_TEXTS = 120  # cells of a map with their numbers in them; of more, colours alone


def error_shares(errors: ErrorSources, ax: Axes) -> Axes:
    """Share of each source in the summed error power of each layer; the signal-to-noise ratio of all together above."""
    places = np.arange(len(errors.layers))
    sums = np.array([sum(layer.power(s) for s in errors.sources) for layer in errors.layers])
    bottom = np.zeros(len(places))
    for i, source in enumerate(errors.sources):
        powers = np.array([layer.power(source) for layer in errors.layers])
        shares = np.divide(powers, sums, out=np.zeros_like(sums), where=sums > 0)
        color = "0.75" if i == 0 else colormaps["tab10"]((i - 1) % 10)
        ax.bar(places, shares, 0.75, bottom=bottom, label=source, color=color)
        bottom += shares
    for place, layer in zip(places, errors.layers, strict=True):
        ax.annotate(snr_text(layer.snr_dB()), (float(place), 1.01), ha="center", va="bottom", fontsize="small")
    many = len(places) > 8
    names = [layer.name for layer in errors.layers]
    ax.set_xticks(places, names, fontsize="x-small" if many else "small", rotation=90 if many else 0)
    ax.set_ylim(0, 1.1)
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_ylabel("share of the error power")
    ax.set_title("where errors come from; above: SNR of all together, dB", fontsize="medium")
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.1 - 0.1 * many), ncols=4, frameon=False)
    return ax


def error_maps(errors: ErrorSources, axes: Sequence[Axes]) -> Sequence[Axes]:
    """Error power of each output channel (across) and source (down), one map per layer, all on one scale.

    In dB over the mean signal power of the layer; white is exact. axes: one for each layer, of one figure.
    """
    names = [*errors.sources, TOTAL]
    for layer, ax in zip(errors.layers, axes, strict=True):
        powers = np.array([*layer.sources.values(), layer.total])
        signal = float(layer.signal.mean())
        level_dB = np.full(powers.shape, np.nan)
        if signal > 0:
            np.log10(powers / signal, out=level_dB, where=powers > 0)
        shown = ax.imshow(10 * level_dB, aspect="auto", cmap="magma_r", vmin=_FLOOR_dB, vmax=0, interpolation="nearest")
        first = _is_leftmost(ax)
        ax.set_yticks(range(len(names)), names if first else [], fontsize="x-small")
        ax.set_xlabel("output channel", fontsize="x-small")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.tick_params(axis="x", labelsize="x-small")
        ax.set_title(layer.name, fontsize="small")
    bar = axes[0].figure.colorbar(shown, ax=list(axes))
    bar.set_label("error / signal, dB", fontsize="x-small")
    bar.ax.tick_params(labelsize="x-small")
    return axes


def _is_leftmost(ax: Axes) -> bool:
    """Whether nothing stands left of these axes in their grid."""
    place = ax.get_subplotspec()
    return place is None or place.is_first_col()


def saturation(activity: Activity, ax: Axes) -> Axes:
    """Share of saturated conversions by layer (down) and slice (across; `unit`: unit columns), in percent."""
    n_slices = max(len(layer.conversions) for layer in activity.layers)
    shares = np.full((len(activity.layers), n_slices + 1), np.nan)
    for i, layer in enumerate(activity.layers):
        counts = [*zip(layer.saturations, layer.conversions, strict=True)]
        for s, (saturated, conversions) in enumerate(counts):
            shares[i, s] = saturated / conversions if conversions else 0.0
        if layer.unit_conversions:
            shares[i, n_slices] = layer.unit_saturations / layer.unit_conversions
    with_units = bool(np.isfinite(shares[:, n_slices]).any())
    shares = shares[:, : n_slices + with_units]
    top = max(float(np.nanmax(shares)), 1e-4)
    image = ax.imshow(100 * shares, aspect="auto", cmap="Reds", vmin=0, vmax=100 * top, interpolation="nearest")
    if shares.size <= _MOST_TEXTS:
        for (i, s), share in np.ndenumerate(shares):
            if np.isfinite(share):
                color = "white" if share > 0.6 * top else "black"
                text = f"{100 * share:.2g}"
                ax.annotate(text, (s, i), ha="center", va="center", fontsize="x-small", color=color)
    ax.set_yticks(range(len(activity.layers)), [layer.name for layer in activity.layers], fontsize="small")
    ax.set_xticks(range(shares.shape[1]), [*map(str, range(n_slices)), *["unit"] * with_units], fontsize="small")
    ax.set_xlabel("slice (0 = least significant)")
    ax.set_title("saturated conversions, %", fontsize="medium")
    if shares.size > _MOST_TEXTS:
        ax.figure.colorbar(image, ax=ax)
    return ax
