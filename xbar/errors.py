"""The one kind of error that users meet: every problem at once, each with its place, rule, value and remedy."""

from __future__ import annotations

from collections.abc import Iterable


class XbarError(Exception):
    """Something in the user's input is wrong; `problems` lists everything that is, one readable line each.

    A problem reads `where: rule, got value; what to do`. The command line prints the lines and leaves with
    exit code 2; in Python the exception shows the same text.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(XbarError):
    """A chip description breaks a rule (`file:line: dotted.path: ...`)."""


class ModelError(XbarError):
    """A network cannot be traced, holds bad numbers, or has a layer that cannot be mapped."""


class DataError(XbarError):
    """Inputs or files of data have the wrong shape, type, place or content."""


class CapacityError(XbarError):
    """A network does not fit the chip; lists every violation."""


class OutputError(XbarError):
    """A result cannot be written where the user asked."""


class ConvergenceError(XbarError):
    """A circuit has no solution that its solver can find to the stated tolerance."""


class TrainingError(XbarError):
    """A training method does not suit the model, or a training cannot go on."""


class LayerError(TrainingError):
    """A method is given layers that it does not find or cannot treat, whatever their weights."""
