"""Arithmetic on LLVM vectors with Python's operators, for kernels that say themselves how many columns go abreast.

A vector wider than the machine's registers becomes several independent chains of instructions side by side, which hides
the latency of each: up to twice as fast as loops that LLVM vectorises, which finish one chain before the next.
Every operation is one of IEEE 754 or of 32-bit integers, in the order written: the same bits on every machine.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

_I32, _F32, _F64 = ir.IntType(32), ir.FloatType(), ir.DoubleType()


class Lanes:
    """A vector of 32-bit integers, float32 or float64; constants are Python integers or floats."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.b = builder
        self.value = value

    @property
    def _width(self) -> int:
        return int(self.value.type.count)

    @property
    def _is_float(self) -> bool:
        return bool(self.value.type.element != _I32)

    def _of(self, element: Any) -> Any:
        return ir.VectorType(element, self._width)

    def _new(self, value: Any) -> Lanes:
        return Lanes(self.b, value)

    def _other(self, other: Lanes | int | float) -> Any:
        if isinstance(other, Lanes):
            return other.value
        if self._is_float:
            return ir.Constant(self.value.type, [float(other)] * self._width)
        return ir.Constant(self.value.type, [int(other) & 0xFFFFFFFF] * self._width)

    def __add__(self, other: Lanes | int | float) -> Lanes:
        return self._new((self.b.fadd if self._is_float else self.b.add)(self.value, self._other(other)))

    def __sub__(self, other: Lanes | int | float) -> Lanes:
        return self._new((self.b.fsub if self._is_float else self.b.sub)(self.value, self._other(other)))

    def __rsub__(self, other: int | float) -> Lanes:
        return self._new((self.b.fsub if self._is_float else self.b.sub)(self._other(other), self.value))

    def __mul__(self, other: Lanes | int | float) -> Lanes:
        return self._new((self.b.fmul if self._is_float else self.b.mul)(self.value, self._other(other)))

    def __and__(self, other: Lanes | int) -> Lanes:
        return self._new(self.b.and_(self.value, self._other(other)))

    def __or__(self, other: Lanes | int) -> Lanes:
        return self._new(self.b.or_(self.value, self._other(other)))

    def __xor__(self, other: Lanes | int) -> Lanes:
        return self._new(self.b.xor(self.value, self._other(other)))

    def __lshift__(self, bits: int) -> Lanes:
        return self._new(self.b.shl(self.value, self._other(bits)))

    def __rshift__(self, bits: int) -> Lanes:
        """Zeros come in from the left."""
        return self._new(self.b.lshr(self.value, self._other(bits)))

    def signed_shift(self, bits: int) -> Lanes:
        """Copies of the sign bit come in from the left."""
        return self._new(self.b.ashr(self.value, self._other(bits)))

    def over(self, other: Lanes | float) -> Lanes:
        """-1 where a float is above the other, else 0."""
        above = self.b.fcmp_ordered(">", self.value, self._other(other))
        return self._new(self.b.sext(above, self._of(_I32)))

    def at_least(self, other: Lanes | int) -> Lanes:
        """The greater of two signed integers."""
        limit = self._other(other)
        return self._new(self.b.select(self.b.icmp_signed(">", self.value, limit), self.value, limit))

    def at_most(self, other: Lanes | int) -> Lanes:
        """The lesser of two signed integers."""
        limit = self._other(other)
        return self._new(self.b.select(self.b.icmp_signed("<", self.value, limit), self.value, limit))

    def to_float(self) -> Lanes:
        """The nearest float32 of a signed integer."""
        return self._new(self.b.sitofp(self.value, self._of(_F32)))

    def to_double(self) -> Lanes:
        """The same values in float64."""
        return self._new(self.b.fpext(self.value, self._of(_F64)))

    def bits(self) -> Lanes:
        """The bits of floats as integers."""
        return self._new(self.b.bitcast(self.value, self._of(_I32)))

    def as_float(self) -> Lanes:
        """Integers taken as the bits of floats."""
        return self._new(self.b.bitcast(self.value, self._of(_F32)))

    def sqrt(self) -> Lanes:
        return self._call("sqrt")

    def floor(self) -> Lanes:
        return self._call("floor")

    def _call(self, name: str) -> Lanes:
        function_type = ir.FunctionType(self.value.type, [self.value.type])
        name = f"llvm.{name}.v{self._width}f32"
        return self._new(self.b.call(cgutils.get_or_insert_function(self.b.module, function_type, name), [self.value]))


class Row:
    """Values in memory, `width` at a time."""

    def __init__(self, builder: Any, address: Any, width: int, element: Any = _F32) -> None:
        self.b = builder
        self._width, self._element = width, element
        self._align = 8 if element == _F64 else 4
        self._pointer = builder.inttoptr(address, ir.VectorType(element, width).as_pointer())

    def moved(self, n_bytes: Any) -> Row:
        """The row that begins `n_bytes` further on."""
        raw = self.b.bitcast(self._pointer, ir.IntType(8).as_pointer())
        return Row(self.b, self.b.ptrtoint(self.b.gep(raw, [n_bytes]), ir.IntType(64)), self._width, self._element)

    def load(self, index: Any) -> Lanes:
        """Vector number `index`."""
        value = self.b.load(self.b.gep(self._pointer, [index]))
        value.align = self._align
        return Lanes(self.b, value)

    def store(self, index: Any, lanes: Lanes) -> None:
        """Write vector number `index`."""
        self.b.store(lanes.value, self.b.gep(self._pointer, [index])).align = self._align


def splat(builder: Any, scalar: Any, width: int) -> Lanes:
    """A scalar in every lane."""
    undefined = ir.Constant(ir.VectorType(scalar.type, width), ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return Lanes(builder, builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_I32, width), [0] * width)))


def ramp(builder: Any, step: int, width: int) -> Lanes:
    """step * lane."""
    steps = [(step * lane) & 0xFFFFFFFF for lane in range(width)]
    return Lanes(builder, ir.Constant(ir.VectorType(_I32, width), steps))
