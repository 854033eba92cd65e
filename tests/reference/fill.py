"""The rule that gives a parameter of the reference networks its values, from its own name."""

from __future__ import annotations

import zlib

import numpy as np


def fill_value(name: str, shape: tuple[int, ...], seed: int, gain: float = 1.0) -> np.ndarray:
    """float32 (counters: int64 zeros) of `shape`; `gain` scales the variance of convolution weights."""
    noise = np.random.default_rng((zlib.crc32(name.encode()), seed)).standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith(("running_var", "_variance")):
        values = 1 + 0.1 * np.abs(noise)
    elif name.endswith(("bias", "beta", "_mean")):
        values = 0.1 * noise
    elif tuple(shape) == (1,):  # the slope of a PReLU
        values = 0.25 + 0.05 * noise
    elif len(shape) == 1:
        values = 1 + 0.1 * noise
    else:
        values = noise * np.sqrt(gain / np.prod(shape[1:]))
    return values.astype(np.float32)
