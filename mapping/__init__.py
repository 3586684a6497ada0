"""From a quantized network and a chip to a program: unroll, compact, encode, partition, place, check, route."""

from mapping.compiler import compile  # noqa: A004  (the word of the design: mapping.compile)
from mapping.routing import LayerRouting, Routing, routing

__all__ = ["LayerRouting", "Routing", "compile", "routing"]
