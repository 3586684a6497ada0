"""The innermost loop of the crossbar engine, written in LLVM's vector types: 16 columns at a time.

Column sums of bit-packed inputs and cells are population counts, `sum_row x*w = sum_ij 2^(i+j) popcount(x_i & w_j)`,
with x_i bit i of the inputs of 32 rows in one word and w_j bit j of the cells of the same rows. LLVM turns a `ctpop`
on 16 lanes into one AVX-512 `vpopcntd` where the machine has it, and into what the machine has elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
_UNROLLED_BITS = 2  # cells of up to so many bits stay in registers where one chunk holds the block
_I32, _I64, _F64 = ir.IntType(32), ir.IntType(64), ir.DoubleType()
_V32, _V64, _VF = ir.VectorType(_I32, LANES), ir.VectorType(_I64, LANES), ir.VectorType(_F64, LANES)
_ZERO = ir.Constant(_V32, [0] * LANES)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


class _Emitter:
    """Writes the instructions of one call of `tile_codes` with a numba builder."""

    def __init__(self, builder: Any, chunk: int) -> None:
        self.b = builder
        self.chunk = chunk
        self.saturated = self.variable(_ZERO)

    def call(self, name: str, result: ir.Type, *operands: Any) -> Any:
        function_type = ir.FunctionType(result, [o.type for o in operands])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, function_type, name), operands)

    def load(self, pointer: Any, index: Any, align: int = 0) -> Any:
        value = self.b.load(self.b.gep(pointer, [index]))
        if align:
            value.align = align
        return value

    def splat(self, scalar: Any) -> Any:
        vector = ir.VectorType(scalar.type, LANES)
        undefined = ir.Constant(vector, ir.Undefined)
        one = self.b.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.b.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))

    def variable(self, start: Any) -> Any:
        slot = cgutils.alloca_once(self.b, start.type)
        self.b.store(start, slot)
        return slot

    def chunk_sums(self, inputs: Any, cells: Any, cell_bits: Any) -> Any:
        """Sum over `chunk` words of 32 rows; `cells` holds [cell bit from the top, word] vectors of 16 columns."""
        words = [self.splat(self.load(inputs, _int(q))) for q in range(self.chunk)]

        def counted(base: Any) -> Any:
            total = None
            for q, word in enumerate(words):
                both = self.b.and_(word, self.load(cells, self.b.add(base, _int(q)), 4))
                count = self.call(f"llvm.ctpop.v{LANES}i32", _V32, both)
                total = count if total is None else self.b.add(total, count)
            return total

        slot = self.variable(counted(_int(0)))
        with cgutils.for_range_slice(
            self.b, _int(self.chunk), self.b.mul(cell_bits, _int(self.chunk)), _int(self.chunk), inc=True
        ) as (base, _):
            so_far = self.b.load(slot)
            self.b.store(self.b.add(self.b.add(so_far, so_far), counted(base)), slot)
        return self.b.load(slot)

    def load_cells(self, cells: Any, cell_bits: int) -> list[list[Any]]:
        """[cell bit from the top][word] vectors of a block with one chunk."""
        indices = [[_int(j * self.chunk + q) for q in range(self.chunk)] for j in range(cell_bits)]
        return [[self.load(cells, index, 4) for index in row] for row in indices]

    def unrolled_sums(self, cells: list[list[Any]], inputs: Any, _digit_bits: Any) -> Any:
        """`chunk_sums` with the cells at hand."""
        words = [self.splat(self.load(inputs, _int(q))) for q in range(self.chunk)]
        sums = None
        for row in cells:
            part = None
            for word, cell in zip(words, row, strict=True):
                count = self.call(f"llvm.ctpop.v{LANES}i32", _V32, self.b.and_(word, cell))
                part = count if part is None else self.b.add(part, count)
            sums = part if sums is None else self.b.add(self.b.add(sums, sums), part)
        return sums

    def digit_sums(self, inputs: Any, digit_bits: Any, cells: Any, cell_bits: Any, n_chunks: Any) -> Any:
        """Column sums of a digit: those of its bits, shifted and added."""
        cell_ptr = self.b.inttoptr(cells, _V32.as_pointer())
        slot = self.variable(self.column_sums(inputs, cell_ptr, cell_bits, n_chunks))
        words_per_bit = self.b.mul(n_chunks, _int(self.chunk))
        with cgutils.for_range_slice(self.b, _int(1), digit_bits, _int(1), inc=True) as (bit, _):
            words = self.b.gep(inputs, [self.b.mul(bit, words_per_bit)])
            more = self.column_sums(words, cell_ptr, cell_bits, n_chunks)
            self.b.store(self.b.add(self.b.load(slot), self.b.shl(more, self.splat(self.b.trunc(bit, _I32)))), slot)
        return self.b.load(slot)

    def column_sums(self, inputs: Any, cells: Any, cell_bits: Any, n_chunks: Any) -> Any:
        """Sum over all words of a row block, for one bit of the inputs."""
        slot = self.variable(self.chunk_sums(inputs, cells, cell_bits))
        step = self.b.mul(cell_bits, _int(self.chunk))
        with cgutils.for_range_slice(self.b, _int(1), n_chunks, _int(1), inc=True) as (q, _):
            more = self.chunk_sums(
                self.b.gep(inputs, [self.b.mul(q, _int(self.chunk))]),
                self.b.gep(cells, [self.b.mul(q, step)]),
                cell_bits,
            )
            self.b.store(self.b.add(self.b.load(slot), more), slot)
        return self.b.load(slot)


@intrinsic
def tile_codes(
    typingctx: Any,
    chunk: Any,
    inputs: Any,
    n_chunks: Any,
    cells: Any,
    cell_bits: Any,
    segments: Any,
    n_segments: Any,
    pulses: Any,
    max_code: Any,
    gain: Any,
    shift: Any,
    rounded: Any,
    lane_factor: Any,
    columns: Any,
    dense: Any,
    out: Any,
    max_digit_bits: Any,
) -> Any:
    """Digitise 16 columns for many pulses, shift and add, and return the number of saturated conversions.

    chunk: a tuple of 1, 2 or 4 integers, whose length (a part of its type) says how many words of 32 rows are counted
    at once; a block has n_chunks * chunk words.
    inputs: address of uint32 words; pulses: address of int64 [pulse, 3] = (first word, bits of the digit, weight);
    segments: address of int64 [segment + 1, 3] = (first pulse, element of `out`, factor): the pulses of one segment are
    summed in 32 bits and then added to `out` (int64), times the factor of the segment and of the lane.
    A code is min(y, max_code), or min(floor(y * gain + shift), max_code) where `rounded` is not 0.
    dense: 1 where the 16 columns lie side by side from columns[0]; else `columns` says where each lane goes.
    """
    whole, real = types.intp, types.float64
    signature = types.int64(
        chunk,
        whole,
        whole,
        whole,
        whole,
        whole,
        whole,
        whole,
        whole,
        real,
        real,
        whole,
        whole,
        whole,
        whole,
        whole,
        whole,
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _emit_tile(_Emitter(builder, chunk.count), args[1:])

    return signature, codegen


def _emit_tile(emit: _Emitter, args: Any) -> Any:
    """The loops twice: with the cells in registers, for the commonest sizes, and for any sizes."""
    b = emit.b
    n_chunks, cell_bits, max_digit_bits = args[1], args[3], args[-1]
    simple = b.and_(b.icmp_signed("==", n_chunks, _int(1)), b.icmp_signed("==", max_digit_bits, _int(1)))
    simple = b.and_(simple, b.icmp_signed("<=", cell_bits, _int(_UNROLLED_BITS)))
    with b.if_else(simple) as (unrolled, general):
        with unrolled:
            for bits in range(1, _UNROLLED_BITS + 1):
                with b.if_then(b.icmp_signed("==", cell_bits, _int(bits))):
                    in_registers = emit.load_cells(b.inttoptr(args[2], _V32.as_pointer()), bits)
                    _emit_segments(emit, args, partial(emit.unrolled_sums, in_registers))
        with general:
            _emit_segments(emit, args, lambda words, bits: emit.digit_sums(words, bits, args[2], args[3], args[1]))
    total = emit.call(f"llvm.vector.reduce.add.v{LANES}i32", _I32, b.load(emit.saturated))
    return b.sext(total, _I64)


def _emit_segments(emit: _Emitter, args: Any, column_sums: Callable[[Any, Any], Any]) -> None:
    inputs, _, _, _, segments, n_segments, pulses, max_code, gain, shift, rounded, lane_factor, columns, dense, out = (
        args[:-1]
    )
    b = emit.b
    input_ptr = b.inttoptr(inputs, _I32.as_pointer())
    segment_ptr, pulse_ptr = b.inttoptr(segments, _I64.as_pointer()), b.inttoptr(pulses, _I64.as_pointer())
    limit = emit.splat(b.trunc(max_code, _I32))
    gains, shifts = emit.splat(gain), emit.splat(shift)
    is_rounded = b.icmp_signed("!=", rounded, _int(0))
    total, code = emit.variable(_ZERO), emit.variable(_ZERO)
    with cgutils.for_range(b, n_segments) as segment:
        row = b.mul(segment.index, _int(3))
        first, last = emit.load(segment_ptr, row), emit.load(segment_ptr, b.add(row, _int(3)))
        b.store(_ZERO, total)
        with cgutils.for_range_slice(b, first, last, _int(1), inc=True) as (pulse, _):
            at = b.mul(pulse, _int(3))
            words = b.gep(input_ptr, [emit.load(pulse_ptr, at)])
            sums = column_sums(words, emit.load(pulse_ptr, b.add(at, _int(1))))
            b.store(sums, code)
            with b.if_then(is_rounded):
                scaled = b.fadd(b.fmul(b.uitofp(sums, _VF), gains), shifts)
                b.store(b.fptosi(scaled, _V32), code)
            raw = b.load(code)
            count = b.load(emit.saturated)
            over = b.icmp_unsigned(">", raw, limit)
            b.store(b.select(over, b.add(count, ir.Constant(_V32, [1] * LANES)), count), emit.saturated)
            clipped = emit.call(f"llvm.umin.v{LANES}i32", _V32, raw, limit)
            weight = emit.splat(b.trunc(emit.load(pulse_ptr, b.add(at, _int(2))), _I32))
            b.store(b.add(b.load(total), b.mul(clipped, weight)), total)
        target = b.gep(b.inttoptr(out, _I64.as_pointer()), [emit.load(segment_ptr, b.add(row, _int(1)))])
        factor = emit.splat(emit.load(segment_ptr, b.add(row, _int(2))))
        lanes = b.load(b.inttoptr(lane_factor, _V64.as_pointer()))
        lanes.align = 8
        value = b.mul(b.mul(b.sext(b.load(total), _V64), factor), lanes)
        _emit_add(emit, value, target, columns, dense)


def _emit_add(emit: _Emitter, value: Any, target: Any, columns: Any, dense: Any) -> None:
    b = emit.b
    column_ptr = b.inttoptr(columns, _I64.as_pointer())
    with b.if_else(b.icmp_signed("!=", dense, _int(0))) as (side_by_side, scattered):
        with side_by_side:
            row = b.bitcast(b.gep(target, [emit.load(column_ptr, _int(0))]), _V64.as_pointer())
            before = b.load(row)
            before.align = 8
            b.store(b.add(before, value), row).align = 8
        with scattered:
            for lane in range(LANES):
                one = b.gep(target, [emit.load(column_ptr, _int(lane))])
                b.store(b.add(b.load(one), b.extract_element(value, ir.Constant(_I32, lane))), one)
