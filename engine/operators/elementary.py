"""exp and log in float32 without libm, after Cephes: the same bits as tb_expf and tb_logf."""

import numpy as np

from engine.operators.fixed_point import Float32


def exp(x: Float32) -> Float32:
    """e^x for x ≤ 0 (Cephes expf without libm); 0 below −87."""
    f = np.float32
    kept = np.maximum(x, f(-87.0))
    n = np.trunc(kept * f(1.44269504) - f(0.5)).astype(np.int32)
    power = n.astype(np.float32)
    r = kept - power * f(0.693359375)
    r = r - power * f(-2.12194440e-4)
    p = np.full_like(r, f(1.9875691500e-4))
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + f(c)
    p = p * (r * r)
    p = p + r
    p = p + f(1.0)
    scale = ((n + 127) << 23).astype(np.int32).view(np.float32)
    result: Float32 = np.where(x < f(-87.0), f(0.0), p * scale)
    return result


def log(x: Float32) -> Float32:
    """Natural logarithm for x ≥ 1 (Cephes logf without libm)."""
    f = np.float32
    mantissa, exponent = np.frexp(x)
    small = mantissa < f(0.707106781)
    m = np.where(small, (mantissa + mantissa) - f(1.0), mantissa - f(1.0))
    e = (exponent - small).astype(np.float32)
    z = m * m
    y = np.full_like(m, f(7.0376836292e-2))
    for c in (
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ):
        y = y * m + f(c)
    y = y * m
    y = y * z
    y = y + f(-2.12194440e-4) * e
    y = y + f(-0.5) * z
    result: Float32 = (m + y) + f(0.693359375) * e
    return result
