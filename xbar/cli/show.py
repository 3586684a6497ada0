"""`xbar show` and `xbar check`: what chips and noise models there are, what they hold, and what is wrong with yours.

Chips are of crossbars or of spiking cores; a file with a `neuron` is one of spiking cores.
"""

from __future__ import annotations

import difflib
from typing import Annotated

import typer
from rich.markup import escape

from xbar.cli.options import Set, out
from xbar.errors import ConfigError


def check(
    name: Annotated[str, typer.Argument(help="The YAML file of a chip or a noise model, or the name of one.")],
) -> None:
    """Check the description of a chip or a noise model: every broken rule at once, with file and line."""
    from xbar.hardware import load_chip
    from xbar.noise import load_noise
    from xbar.spiking.chip import load_spiking_chip
    from xbar.units import si

    if _is_spiking(name):
        spiking = load_spiking_chip(name)
        out.print(
            f"[green]{escape(spiking.name)}[/green] is a valid chip of spiking cores: "
            f"{spiking.n_cores:,} cores, {si(spiking.area_m2, 'm2')}, {si(spiking.idle_power_W, 'W')} at rest"
        )
        return
    if _is_noise(name):
        model = load_noise(name)
        effects = ", ".join(model.effects) or "no effects"
        out.print(f"[green]{escape(model.name or name)}[/green] is a valid noise model: {escape(effects)}")
        return
    found = load_chip(name)
    out.print(
        f"[green]{escape(found.name)}[/green] is a valid chip: "
        f"{si(found.area_m2, 'm2')}, {si(found.peak_power_W, 'W')} peak"
    )


def show(
    name: Annotated[
        str | None, typer.Argument(help="Name or file of a chip or a noise model; without it, the list of them.")
    ] = None,
    set_: Set = None,
) -> None:
    """Show a chip part by part, or a noise model effect by effect, with sources; or list chips and noise models."""
    from xbar.hardware import list_chips, list_spiking_chips, load_chip
    from xbar.noise import list_noises, load_noise
    from xbar.spiking.chip import load_spiking_chip
    from xbar.sweep.grid import settings_of
    from xbar.tables.chips import print_chip, print_chips, print_spiking_chip, print_spiking_chips
    from xbar.tables.noises import print_noise, print_noises

    settings = settings_of(set_ or [])
    if name is None:
        print_chips([load_chip(chip) for chip in list_chips()], out)
        print_spiking_chips([load_spiking_chip(chip) for chip in list_spiking_chips()], out)
        print_noises([load_noise(noise) for noise in list_noises()], out)
        out.print("xbar show NAME lists the parts of a chip, or the effects of a noise model")
    elif _is_spiking(name):
        print_spiking_chip(load_spiking_chip(name, settings), out)
    elif _is_noise(name):
        print_noise(load_noise(name, settings), out)
    else:
        print_chip(load_chip(name, settings), out)


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name


def _is_spiking(name: str) -> bool:
    """Whether this names a chip of spiking cores, or a file of one."""
    from xbar.config import load_yaml
    from xbar.hardware import is_spiking, list_spiking_chips

    return is_spiking(load_yaml(name)) if _is_file(name) else name in list_spiking_chips()


def _is_noise(name: str) -> bool:
    """Whether this names a noise model: by its name, or because the file holds nothing that only chips have."""
    from xbar.config import load_yaml
    from xbar.hardware import Chip, list_chips, list_spiking_chips
    from xbar.noise import NoiseModel, list_noises

    if _is_file(name):
        of_chips = set(Chip.model_fields) - set(NoiseModel.model_fields)
        return not of_chips & set(load_yaml(name).data)
    noises = ("none", *list_noises())
    known = [*list_chips(), *list_spiking_chips(), *noises]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the names are {', '.join(known)}"
        raise ConfigError(f"{name}: is neither a chip nor a noise model nor a .yaml file; {hint}")
    return name in noises
