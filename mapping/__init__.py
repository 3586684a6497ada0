"""From a quantized network and a chip to a program: unroll, slice, partition, place, check."""

from mapping.compiler import compile  # noqa: A004  (the word of the design: mapping.compile)

__all__ = ["compile"]
