"""What spiking kernels do with 64 neurons at once: a word of bits, of which each neuron has one, chooses among lanes.

All addresses are integers; rows of lanes begin at multiples of their element's size. Everything is an operation of
integers, the same bits on every machine.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 64
_I1, _I16, _I32, _I64 = (ir.IntType(n) for n in (1, 16, 32, 64))


class _Rows:
    """Loads and stores of some lanes from the `first` of a word on, and their bits of the word as masks."""

    def __init__(self, builder: Any, lanes: int, first: int) -> None:
        self.b, self.lanes, self.first = builder, lanes, first

    def _at(self, address: Any, element: Any) -> Any:
        offset = _int(self.first * element.width // 8)
        return self.b.inttoptr(self.b.add(address, offset), ir.VectorType(element, self.lanes).as_pointer())

    def load(self, address: Any, element: Any) -> Any:
        value = self.b.load(self._at(address, element))
        value.align = element.width // 8
        return value

    def store(self, value: Any, address: Any) -> None:
        self.b.store(value, self._at(address, value.type.element)).align = value.type.element.width // 8

    def mask(self, word: Any) -> Any:
        part = self.b.trunc(self.b.lshr(word, _int(self.first)), ir.IntType(self.lanes))
        return self.b.bitcast(part, ir.VectorType(_I1, self.lanes))

    def word(self, mask: Any) -> Any:
        part = self.b.zext(self.b.bitcast(mask, ir.IntType(self.lanes)), _I64)
        return self.b.shl(part, _int(self.first))

    def zeros(self, element: Any) -> Any:
        return ir.Constant(ir.VectorType(element, self.lanes), [0] * self.lanes)

    def splat(self, scalar: Any) -> Any:
        kind = ir.VectorType(scalar.type, self.lanes)
        one = self.b.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_I32, 0))
        return self.b.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes))

    def wide(self, value: Any) -> Any:
        return self.b.sext(value, ir.VectorType(_I32, self.lanes))

    def at_least(self, value: Any, limit: Any) -> Any:
        return self.b.select(self.b.icmp_signed(">", value, limit), value, limit)

    def at_most(self, value: Any, limit: Any) -> Any:
        return self.b.select(self.b.icmp_signed("<", value, limit), value, limit)


def _parts(builder: Any, lanes: int) -> list[_Rows]:
    """The lanes of a word in parts that the machine's registers hold several of."""
    return [_Rows(builder, lanes, first) for first in range(0, LANES, lanes)]


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """The first element of an array, to be indexed like a flat one. Unlike an array it is not counted by whom it is
    used, which takes longer than what kernels do with it; whoever calls the kernel keeps the array alive.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    element = types.uint8 if array.dtype == types.boolean else array.dtype
    return types.CPointer(element)(array), codegen


@intrinsic
def at(typingctx: Any, pointer: Any, index: Any) -> Any:
    """The address of an element."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(builder.gep(args[0], [args[1]]), _I64)

    return types.intp(pointer, types.int64), codegen


@intrinsic
def moved(typingctx: Any, pointer: Any, index: Any) -> Any:
    """A pointer to an element."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), codegen


@intrinsic
def add_row(typingctx: Any, word: Any, weight: Any, total: Any) -> Any:
    """total += weight where the word has a 1; int16 lanes at both addresses."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for rows in _parts(builder, 16):
            chosen = builder.select(rows.mask(args[0]), rows.load(args[1], _I16), rows.zeros(_I16))
            rows.store(builder.add(rows.load(args[2], _I16), chosen), args[2])
        return context.get_dummy_value()

    return types.void(types.uint64, types.intp, types.intp), codegen


@intrinsic
def add_wide(typingctx: Any, narrow: Any, total: Any) -> Any:
    """total (int32) += narrow (int16), and narrow becomes 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for rows in _parts(builder, 16):
            rows.store(builder.add(rows.load(args[1], _I32), rows.wide(rows.load(args[0], _I16))), args[1])
            rows.store(rows.zeros(_I16), args[0])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def add_counts(typingctx: Any, columns: Any, step: Any, active: Any, n_words: Any, weight: Any, total: Any) -> Any:
    """total (int32) += weight (int16) * sum over words of popcount(column AND active).

    columns: uint64 lanes of 64 neurons, one word of axons every `step` bytes; active: uint64 words of axons.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        columns, step, active, n_words, weight, total = args
        for rows in _parts(builder, 16):
            kind = ir.VectorType(_I64, rows.lanes)
            name = f"llvm.ctpop.v{rows.lanes}i64"
            popcount = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
            count = cgutils.alloca_once_value(builder, rows.zeros(_I64))
            with cgutils.for_range(builder, n_words) as loop:
                place = builder.add(active, builder.mul(loop.index, _int(8)))
                word = builder.load(builder.inttoptr(place, _I64.as_pointer()))
                column = rows.load(builder.add(columns, builder.mul(loop.index, step)), _I64)
                met = builder.call(popcount, [builder.and_(column, rows.splat(word))])
                builder.store(builder.add(builder.load(count), met), count)
            counts = builder.trunc(builder.load(count), ir.VectorType(_I32, rows.lanes))
            product = builder.mul(counts, rows.wide(rows.load(weight, _I16)))
            rows.store(builder.add(rows.load(total, _I32), product), total)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), codegen


@intrinsic
def leak_and_compare(
    typingctx: Any, potential: Any, added: Any, leak: Any, threshold: Any, floor: Any, low: Any, high: Any, stays: Any
) -> Any:
    """One tick of 64 deterministic neurons up to their resets: words (fired, fell, changed).

    v = limit(limit(potential + added) + leak); fired: v >= threshold; where `stays`, v is at least floor, else
    fell: v < floor. Stores v; changed: v is not what it was. `added` becomes 0. limit: to low .. high.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        potential, added, leak, threshold, floor, low, high, stays = args
        held = builder.trunc(stays, _I1)
        words = [_int(0)] * 3
        for rows in _parts(builder, 16):
            least, most = (rows.splat(builder.trunc(x, _I32)) for x in (low, high))
            before = rows.load(potential, _I32)
            v = rows.at_most(rows.at_least(builder.add(before, rows.load(added, _I32)), least), most)
            v = builder.add(v, rows.wide(rows.load(leak, _I16)))
            v = rows.at_most(rows.at_least(v, least), most)
            fired = builder.icmp_signed(">=", v, rows.load(threshold, _I32))
            limit = rows.load(floor, _I32)
            fell = builder.icmp_signed("<", v, limit)
            v = rows.at_least(v, builder.select(held, limit, least))  # with a scalar: a mask of lanes takes longer
            rows.store(v, potential)
            rows.store(rows.zeros(_I32), added)
            masks = fired, fell, builder.icmp_signed("!=", v, before)
            words = [builder.or_(word, rows.word(mask)) for word, mask in zip(words, masks, strict=True)]
        words[1] = builder.select(held, _int(0), words[1])
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.uint64, 3)(*[types.intp] * 8), codegen


@intrinsic
def reset_where(typingctx: Any, word: Any, keep: Any, add: Any, potential: Any) -> Any:
    """potential = (potential where keep has a 1, else 0) + add, where the word has a 1; int32 lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, keep, add, potential = args
        for rows in _parts(builder, 16):
            v = rows.load(potential, _I32)
            kept = builder.select(rows.mask(keep), v, rows.zeros(_I32))
            rows.store(builder.select(rows.mask(word), builder.add(kept, rows.load(add, _I32)), v), potential)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.intp, types.intp), codegen


@intrinsic
def popcount(typingctx: Any, word: Any) -> Any:
    """Ones of a uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.ctpop", [_I64]), args)

    return types.int64(types.uint64), codegen


@intrinsic
def lowest(typingctx: Any, word: Any) -> Any:
    """Position of the lowest 1 of a uint64 that is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(_I1, 1))

    return types.int64(types.uint64), codegen


def _prefetch(write: int) -> Any:
    @intrinsic
    def prefetch(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            options = [ir.Constant(_I32, n) for n in (write, 3, 1)]  # into the nearest cache, of data
            builder.call(function, [builder.inttoptr(args[0], byte), *options])
            return context.get_dummy_value()

        return types.void(types.intp), codegen

    return prefetch


fetch = _prefetch(0)  # an address that will be read soon
fetch_to_write = _prefetch(1)


@intrinsic
def set_bit(typingctx: Any, address: Any, bit: Any) -> Any:
    """Sets a bit of the uint64 at an address, whatever other threads do to it; 1 if it was set before, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], _I64.as_pointer())
        one = builder.shl(ir.Constant(_I64, 1), args[1])
        before = builder.atomic_rmw("or", pointer, one, "monotonic")
        return builder.and_(builder.lshr(before, args[1]), ir.Constant(_I64, 1))

    return types.int64(types.intp, types.int64), codegen


def _int(value: int) -> Any:
    return ir.Constant(_I64, value)
