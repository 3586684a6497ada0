"""From a quantized network and a chip to a program: unroll, slice, partition, place, check."""

from mapping.compiler import compile

__all__ = ["compile"]
