"""sinh and asinh in plain arithmetic, which compilers turn into vector instructions, several times faster than calls.

For loops in kernels compiled with error_model="numpy": a division that may raise keeps a loop from being vectorised.
The plain twins are np.sinh and np.arcsinh.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_TOP = np.uint64(52)  # where the exponent of a float64 begins
_ROOT_HALF = np.uint64(0x3FE6A09E667F3BCD)  # bits of sqrt(1/2)
_WHOLE = np.uint64(0x4330000000000000)  # bits of 2^52, after which whole numbers follow each other
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@njit(inline="always")
def asinh(x):  # type: ignore[no-untyped-def]
    """asinh(x) to a few ulp, for |x| below 1e150 (beyond: that of 1e150).

    log(1 + w) with w = |x| + x^2 / (1 + sqrt(1 + x^2)); log(2^n m), m around 1, by the series of 2 atanh(f / (2 + f)),
    f = m - 1, with the minimax coefficients of fdlibm (Sun Microsystems, 1993).
    """
    z = min(abs(x), 1e150)
    w = z + z * z / (1 + np.sqrt(1 + z * z))
    y = 1 + w
    bits = np.float64(y).view(np.uint64)
    n = (bits - _ROOT_HALF) >> _TOP
    f = np.uint64(bits - (n << _TOP)).view(np.float64) - 1
    s = f / (2 + f)
    q = s * s
    r = q * (
        6.666666666666735130e-01 + q * (3.999999999940941908e-01 + q * (2.857142874366239149e-01
        + q * (2.222219843214978396e-01 + q * (1.818357216161805012e-01 + q * (1.531383769920937332e-01
        + q * 1.479819860511658591e-01)))))
    )  # fmt: skip
    n_float = np.uint64(n | _WHOLE).view(np.float64) - 4503599627370496.0
    half = 0.5 * f * f
    log = n_float * _LN2_HIGH - ((half - (s * (half + r) + n_float * _LN2_LOW)) - f)
    return np.copysign(log + (w - (y - 1)) / y, x)


@njit(inline="always")
def sinh(x):  # type: ignore[no-untyped-def]
    """sinh(x) to 1e-12 and some 1e-16 / |x|, relative, for |x| up to 700 (beyond: that of 700)."""
    z = min(abs(x), 700.0)
    n = z * 1.4426950408889634 + _ROUND
    r = z - (n - _ROUND) * _LN2_HIGH - (n - _ROUND) * _LN2_LOW
    e = 1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (
        1 / 720 + r * (1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r / 3628800)))))))))  # fmt: skip
    e = np.uint64(np.float64(e).view(np.uint64) + (np.float64(n).view(np.uint64) << _TOP)).view(np.float64)
    return np.copysign(0.5 * (e - 1 / e), x)
