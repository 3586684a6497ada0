"""Networks in integers: one file per method, and the integer network that every result is measured against."""

from xbar.quantization.network import dequantize, integer_forward, quantize, quantize_input

__all__ = ["dequantize", "integer_forward", "quantize", "quantize_input"]
