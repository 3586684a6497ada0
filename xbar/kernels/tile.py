"""The innermost loop of the crossbar engine, in LLVM's vector types: 32 columns abreast, four rows at a step.

A bit of the inputs of four rows has 16 possible values, so that a column of four cells has 16 possible sums. They are
written out once for a tile of 32 columns; from then on every four rows cost one look-up and one addition of bytes,
whatever the inputs are (the method of the four Russians: Arlazarov, Dinic, Kronrod and Faradzev 1970).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32
PART_BITS = 3  # bits of a cell that are added up as bytes: 32 rows, which one word holds, sum to 7 * 32 at most
ROWS_PER_STEP = 4
_STEPS = 32 // ROWS_PER_STEP  # of a word
_SUMS = 1 << ROWS_PER_STEP
TABLE_BYTES = _STEPS * _SUMS * LANES  # of one word and part
_MAX_WORDS = 256  # whose sums fit in 16 bits: 256 * 7 * 32 < 2^16
_I8, _I16, _I32, _I64, _F64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.DoubleType()


def _vector(element: Any) -> ir.VectorType:
    return ir.VectorType(element, LANES)


def _half(element: Any) -> ir.VectorType:
    return ir.VectorType(element, LANES // 2)


_V8 = _vector(_I8)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


class _Emitter:
    """Writes instructions with a numba builder."""

    def __init__(self, builder: Any) -> None:
        self.b = builder

    def call(self, name: str, result: ir.Type, *operands: Any) -> Any:
        function_type = ir.FunctionType(result, [o.type for o in operands])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, function_type, name), operands)

    def at(self, address: Any, element: ir.Type, index: Any) -> Any:
        """Pointer to element number `index` after an address."""
        return self.b.gep(self.b.inttoptr(address, element.as_pointer()), [index])

    def load(self, address: Any, element: ir.Type, index: Any) -> Any:
        value = self.b.load(self.at(address, element, index))
        value.align = 8 if element in (_I64, _vector(_I64)) else 4
        return value

    def splat(self, scalar: Any, lanes: int) -> Any:
        undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
        one = self.b.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.b.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))

    def constant(self, value: int, element: Any) -> Any:
        return ir.Constant(_half(element), [value] * (LANES // 2))

    def variable(self, start: Any) -> Any:
        slot = cgutils.alloca_once(self.b, start.type)
        self.b.store(start, slot)
        return slot

    def zeros(self, element: Any) -> list[Any]:
        """Variables for the even and the odd lanes of a tile."""
        return [self.variable(self.constant(0, element)) for _ in range(2)]

    def loaded(self, slots: list[Any]) -> list[Any]:
        return [self.b.load(slot) for slot in slots]

    def add_to(self, slots: list[Any], values: list[Any]) -> None:
        for slot, value in zip(slots, values, strict=True):
            self.b.store(self.b.add(self.b.load(slot), value), slot)

    def in_order(self, halves: list[Any]) -> Any:
        """The even and the odd lanes as one vector."""
        order = [half * (LANES // 2) + lane for lane in range(LANES // 2) for half in range(2)]
        return self.b.shuffle_vector(*halves, ir.Constant(_vector(_I32), order))

    def loop(self, first: Any, last: Any, body: Callable[[Any], None]) -> None:
        with cgutils.for_range_slice(self.b, first, last, _int(1), inc=True) as (index, _):
            body(index)

    def word_sums(self, words: Any, table: Any, index: Any) -> list[Any]:
        """Column sums of one word of 32 rows: bytes, of which the even and the odd ones are widened to 16 bits."""
        b = self.b
        word = b.zext(self.load(words, _I32, index), _I64)
        here = b.add(table, b.mul(index, _int(TABLE_BYTES)))
        total = None
        for step in range(_STEPS):
            subset = b.and_(b.lshr(word, _int(ROWS_PER_STEP * step)), _int(_SUMS - 1))
            sums = self.load(here, _V8, b.add(subset, _int(step * _SUMS)))
            total = sums if total is None else b.add(total, sums)
        pairs = b.bitcast(total, _half(_I16))
        return [b.and_(pairs, self.constant(0xFF, _I16)), b.lshr(pairs, self.constant(8, _I16))]

    def column_sums(self, words: Any, table: Any, first: Any, last: Any) -> list[Any]:
        """Column sums over some words, in 16 bits, for one bit of the inputs and one part of the cells."""
        total = self.zeros(_I16)
        self.loop(first, last, lambda word: self.add_to(total, self.word_sums(words, table, word)))
        return self.loaded(total)

    def digit_sums(self, words: Any, digit_bits: Any, table: Any, n_parts: Any, n_words: Any) -> list[Any]:
        """Column sums of a digit in 32 bits: those of its bits and of the parts of the cells, shifted and added."""
        b = self.b
        total = self.zeros(_I32)
        n_stretches = b.sdiv(b.add(n_words, _int(_MAX_WORDS - 1)), _int(_MAX_WORDS))

        def add(part: Any, bit: Any, stretch: Any) -> None:
            bit_words = b.add(words, b.mul(b.mul(bit, n_words), _int(4)))
            part_table = b.add(table, b.mul(b.mul(part, n_words), _int(TABLE_BYTES)))
            first = b.mul(stretch, _int(_MAX_WORDS))
            end = b.add(first, _int(_MAX_WORDS))
            last = b.select(b.icmp_signed("<", end, n_words), end, n_words)
            shift = self.splat(b.trunc(b.add(b.mul(part, _int(PART_BITS)), bit), _I32), LANES // 2)
            sums = self.column_sums(bit_words, part_table, first, last)
            self.add_to(total, [b.shl(b.zext(half, _half(_I32)), shift) for half in sums])

        def add_part(part: Any) -> None:
            def add_bit(bit: Any) -> None:
                self.loop(_int(0), n_stretches, lambda stretch: add(part, bit, stretch))

            self.loop(_int(0), digit_bits, add_bit)

        self.loop(_int(0), n_parts, add_part)
        return self.loaded(total)


@intrinsic
def write_sums(typingctx: Any, cells: Any, n_words: Any, table: Any) -> Any:
    """Write the table of a tile: bytes [word, step, subset of 4 rows, lane] from cells, bytes [word, row, lane].

    All arguments are integers, `cells` and `table` addresses.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cells, n_words, table = args
        emit = _Emitter(builder)

        def of_step(step: Any) -> None:
            row, first = builder.mul(step, _int(ROWS_PER_STEP)), builder.mul(step, _int(_SUMS))
            rows = [emit.load(cells, _V8, builder.add(row, _int(r))) for r in range(ROWS_PER_STEP)]
            sums = [ir.Constant(_V8, [0] * LANES)]
            for one in rows:
                sums += [builder.add(so_far, one) for so_far in sums]
            for subset, value in enumerate(sums):
                builder.store(value, emit.at(table, _V8, builder.add(first, _int(subset)))).align = 4

        emit.loop(_int(0), builder.mul(n_words, _int(_STEPS)), of_step)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def tile_codes(
    typingctx: Any,
    inputs: Any,
    n_words: Any,
    table: Any,
    n_parts: Any,
    segments: Any,
    n_segments: Any,
    pulses: Any,
    max_code: Any,
    gain: Any,
    shift: Any,
    rounded: Any,
    narrow: Any,
    lane_factor: Any,
    columns: Any,
    dense: Any,
    out: Any,
) -> Any:
    """Digitise 32 columns for many pulses, shift and add, and return the number of saturated conversions.

    inputs: address of uint32 words; table: address of `write_sums`' table of n_parts * n_words words, part by part;
    pulses: address of int64 [pulse, 3] = (first word, bits of the digit, weight);
    segments: address of int64 [segment + 1, 3] = (first pulse, element of `out`, factor): the pulses of one segment are
    summed in 32 bits and then added to `out` (int64), times the factor of the segment and of the lane.
    A code is min(y, max_code), or min(floor(y * gain + shift), max_code) where `rounded` is not 0.
    narrow: not 0 in the commonest case, which is the fastest: digits of one bit, cells of one part, nothing rounded,
    segments whose sums fit in 16 bits with their sign (in 32 after the factor of the lane) and whose factor is 1.
    dense: 1 where the 32 columns lie side by side from columns[0]; else `columns` says where each lane goes.
    """
    whole, real = types.intp, types.float64
    signature = types.int64(*[whole] * 8, real, real, *[whole] * 6)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = _Emitter(builder)
        count = emit.variable(_int(0))
        *rest, is_narrow, lane_factor, columns, dense, out = args
        with builder.if_else(builder.icmp_signed("!=", is_narrow, _int(0))) as (narrow, wide):
            for branch, element in ((narrow, _I16), (wide, _I32)):
                with branch:
                    builder.store(_emit_tile(emit, element, rest, lane_factor, columns, dense, out), count)
        return builder.load(count)

    return signature, codegen


def _emit_tile(emit: _Emitter, element: Any, args: Any, lane_factor: Any, columns: Any, dense: Any, out: Any) -> Any:
    """The loops over segments and pulses with codes and their sums in `element`; returns the saturated conversions."""
    inputs, n_words, table, n_parts, segments, n_segments, pulses, max_code, gain, shift, rounded = args
    b = emit.b
    lanes = LANES // 2
    limit = emit.splat(b.trunc(max_code, element), lanes)
    factors = emit.load(lane_factor, _vector(_I64), _int(0))
    if element == _I16:
        factors = b.trunc(factors, _vector(_I32))
    saturated, total = emit.zeros(element), emit.zeros(element)

    def digitised(sums: Any) -> Any:
        code = emit.variable(sums)
        with b.if_then(b.icmp_signed("!=", rounded, _int(0))):
            scaled = b.fadd(b.fmul(b.uitofp(sums, _half(_F64)), emit.splat(gain, lanes)), emit.splat(shift, lanes))
            b.store(b.fptosi(scaled, _half(_I32)), code)
        return b.load(code)

    def of_pulse(pulse: Any) -> None:
        first_word, digit_bits, weight = (
            emit.load(pulses, _I64, b.add(b.mul(pulse, _int(3)), _int(field))) for field in range(3)
        )
        words = b.add(inputs, b.mul(first_word, _int(4)))
        if element == _I16:
            codes = emit.column_sums(words, table, _int(0), n_words)
        else:
            codes = [digitised(half) for half in emit.digit_sums(words, digit_bits, table, n_parts, n_words)]
        over = [b.icmp_signed(">", code, limit) for code in codes]
        emit.add_to(saturated, [b.zext(half, _half(element)) for half in over])
        clipped = [b.select(half, limit, code) for half, code in zip(over, codes, strict=True)]
        weights = emit.splat(b.trunc(weight, element), lanes)
        emit.add_to(total, [b.mul(code, weights) for code in clipped])

    with cgutils.for_range(b, n_segments) as segment:
        row = b.mul(segment.index, _int(3))
        first, place, factor, last = (emit.load(segments, _I64, b.add(row, _int(field))) for field in range(4))
        for slot in total:
            b.store(ir.Constant(_half(element), [0] * lanes), slot)
        emit.loop(first, last, of_pulse)
        sums = emit.in_order(emit.loaded(total))
        if element == _I16:
            value = b.sext(b.mul(b.sext(sums, _vector(_I32)), factors), _vector(_I64))
        else:
            value = b.mul(b.mul(b.sext(sums, _vector(_I64)), factors), emit.splat(factor, LANES))
        _emit_add(emit, value, b.add(out, b.mul(place, _int(8))), columns, dense)
    counts = b.zext(emit.in_order(emit.loaded(saturated)), _vector(_I64))
    return emit.call(f"llvm.vector.reduce.add.v{LANES}i64", _I64, counts)


def _emit_add(emit: _Emitter, value: Any, target: Any, columns: Any, dense: Any) -> None:
    b = emit.b
    with b.if_else(b.icmp_signed("!=", dense, _int(0))) as (side_by_side, scattered):
        with side_by_side:
            start = b.add(target, b.mul(emit.load(columns, _I64, _int(0)), _int(8)))
            row = emit.at(start, _vector(_I64), _int(0))
            b.store(b.add(emit.load(start, _vector(_I64), _int(0)), value), row).align = 8
        with scattered:
            for lane in range(LANES):
                one = emit.at(target, _I64, emit.load(columns, _I64, _int(lane)))
                b.store(b.add(b.load(one), b.extract_element(value, ir.Constant(_I32, lane))), one)
