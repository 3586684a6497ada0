"""From a quantized network and a chip to a program: unroll, compact, encode, partition, place, check, route."""

from mapping.compiler import compile  # noqa: A004  (the word of the design: mapping.compile)
from mapping.levels import weighed
from mapping.outline import outline
from mapping.routing import LayerRouting, Routing, routing
from mapping.spiking.compiler import compile_spikes

__all__ = ["LayerRouting", "Routing", "compile", "compile_spikes", "outline", "routing", "weighed"]
