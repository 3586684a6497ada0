"""The innermost loop of analog conversions, written in LLVM's vector types: WIDTH columns at a time, row by row."""

from __future__ import annotations

from itertools import product
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from xbar.kernels.lanes import Lanes, Row, splat

WIDTH = 16
SILENT, BY_ROW, BY_SUM = range(3)  # what the variance of the noise depends on
WHOLE, WIDE, IDEAL = range(3)  # codes whose totals float32 holds, other codes, and z itself
_I32, _I64, _F32, _F64 = ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()


@intrinsic
def digitise(
    typingctx: Any, mode: Any, size: Any, sums: Any, variances: Any, normals: Any, of_rows: Any, adc: Any,
    adc_variance: Any, totals: Any, over: Any,
) -> Any:  # fmt: skip
    """Convert sums and add each code times its row's weight to its column's total.

        z = c1 s + c0 + (c2 s) s + sqrt(v gain + adc_variance) xi,    code = min(max(floor(z), 0), max_code)

    mode: (noise, codes, bent): the kinds named above, and whether any c2 is not 0.
    size: (rows, columns / WIDTH).
    sums, variances, normals: (address of float32, bytes from row to row).
    of_rows: addresses of variance and weight, float32 [row], and of room for sigmas, float32 [row, WIDTH].
    adc: addresses of c0, c1, c2, gain, max_code, float32 [col], and of alike, int32 [col / WIDTH]: 1 where `gain` is
    that of the WIDTH columns before (which must not be others than those of this call).
    totals: addresses of float32 [col], for WHOLE codes, and of float64 [col], for others.
    over: address of int32 [col], which becomes one less for every code below 0 or above its largest.
    """
    whole = types.intp
    pair, three, six = (types.UniTuple(whole, n) for n in (2, 3, 6))
    signature = types.void(three, pair, pair, pair, pair, three, six, types.float32, pair, whole)

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kinds = [b.extract_value(args[0], i) for i in range(2)]
        for mode in product((SILENT, BY_ROW, BY_SUM), (WHOLE, WIDE, IDEAL)):
            same = [b.icmp_signed("==", kind, ir.Constant(_I64, m)) for kind, m in zip(kinds, mode, strict=True)]
            with b.if_then(b.and_(*same)):
                _Conversion(b, args, *mode).emit()
        return context.get_dummy_value()

    return signature, codegen


class _Conversion:
    """Writes the loops for one kind of noise and one kind of codes."""

    def __init__(self, b: Any, args: Any, noise: int, codes: int) -> None:
        mode, size, sums, variances, normals, of_rows, adc, adc_variance, totals, over = args
        self.b, self.noise, self.codes = b, noise, codes
        self.bent = b.icmp_signed("!=", b.extract_value(mode, 2), ir.Constant(_I64, 0))
        self.n_rows, self.n_vectors = b.extract_value(size, 0), b.extract_value(size, 1)
        self.sums, self.variances, self.normals = self.rows(sums), self.rows(variances), self.rows(normals)
        self.variance, self.weight = (b.inttoptr(b.extract_value(of_rows, i), _F32.as_pointer()) for i in range(2))
        self.sigmas = Row(b, b.extract_value(of_rows, 2), WIDTH)
        self.columns = [Row(b, b.extract_value(adc, i), WIDTH) for i in range(5)]
        self.alike = b.inttoptr(b.extract_value(adc, 5), _I32.as_pointer())
        self.adc_variance = splat(b, adc_variance, WIDTH)
        self.totals = Row(b, b.extract_value(totals, 0), WIDTH)
        if codes != WHOLE:
            self.totals = Row(b, b.extract_value(totals, 1), WIDTH, _F64)
        self.over = Row(b, over, WIDTH, _I32)

    def rows(self, place: Any) -> tuple[Row, Any]:
        return Row(self.b, self.b.extract_value(place, 0), WIDTH), self.b.extract_value(place, 1)

    def of_row(self, pointer: Any, r: Any) -> Lanes:
        return splat(self.b, self.b.load(self.b.gep(pointer, [r])), WIDTH)

    def emit(self) -> None:
        b = self.b
        with cgutils.for_range(b, self.n_vectors) as loop:
            i = loop.index
            c0, c1, c2, gain, max_code = (column.load(i) for column in self.columns)
            if self.noise == BY_ROW:
                self.emit_sigmas(i, gain)
            total = cgutils.alloca_once_value(b, self.totals.load(i).value)
            count = cgutils.alloca_once_value(b, self.over.load(i).value)
            with cgutils.for_range(b, self.n_rows) as row:
                z = self.analog(row.index, i, (c0, c1, c2), gain)
                if self.codes != IDEAL:
                    z = z.floor()
                    beyond = z.over(max_code) + (z * -1.0).over(0.0)  # either end of the range
                    b.store((Lanes(b, b.load(count)) + beyond).value, count)
                    z = z.bits().at_least(0).at_most(max_code.bits()).as_float()  # from 0 up, bits are in order
                by = self.of_row(self.weight, row.index)
                term = z * by if self.codes == WHOLE else z.to_double() * by.to_double()
                b.store((Lanes(b, b.load(total)) + term).value, total)
            self.totals.store(i, Lanes(b, b.load(total)))
            self.over.store(i, Lanes(b, b.load(count)))

    def emit_sigmas(self, i: Any, gain: Lanes) -> None:
        """A square root takes as long as all the rest, and neighbouring columns mostly have the same."""
        b = self.b
        anew = b.icmp_signed("==", b.load(b.gep(self.alike, [i])), ir.Constant(_I32, 0))
        with b.if_then(anew), cgutils.for_range(b, self.n_rows) as row:
            variance = self.of_row(self.variance, row.index)
            self.sigmas.store(row.index, (variance * gain + self.adc_variance).sqrt())

    def analog(self, r: Any, i: Any, coefficients: tuple[Lanes, Lanes, Lanes], gain: Lanes) -> Lanes:
        """z of row r and the columns of vector i."""
        b = self.b
        c0, c1, c2 = coefficients
        s = self.part(self.sums, r, i)
        straight = c1 * s + c0
        slot = cgutils.alloca_once_value(b, straight.value)
        with b.if_then(self.bent):
            b.store((straight + c2 * s * s).value, slot)
        z = Lanes(b, b.load(slot))
        if self.noise == BY_ROW:
            return z + self.sigmas.load(r) * self.part(self.normals, r, i)
        if self.noise == BY_SUM:
            sigma = (self.part(self.variances, r, i) * gain + self.adc_variance).sqrt()
            return z + sigma * self.part(self.normals, r, i)
        return z

    def part(self, rows: tuple[Row, Any], r: Any, i: Any) -> Lanes:
        """Vector i of row r."""
        return rows[0].moved(self.b.mul(r, rows[1])).load(i)
