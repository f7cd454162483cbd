"""Gaussian noise that is the same everywhere: Philox4x32-10 and Box–Muller (models/README.md, "Noise").

Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011; constants and known answers as in Random123.
"""

import numpy as np

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(counter: tuple, key: tuple) -> list[np.ndarray]:
    """The four words of each block; words of `counter` (4) and `key` (2) are u32 values that broadcast together."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, np.uint64) for word in key)
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + np.uint64(WEYL[0])) & LOW, (k1 + np.uint64(WEYL[1])) & LOW
    return list(np.broadcast_arrays(c0, c1, c2, c3))


def gaussian(seeds, step: int, draw: int, width: int) -> np.ndarray:
    """Standard normal vectors f32 [B, width], one for each of `seeds` (u64 [B]), of a denoising step and a draw.

    Words of block b give the lanes 4b … 4b+3: u = (word + ½)·2⁻³², and of a pair (u0, u1) come √(−2 ln u0)·cos 2πu1 and
    √(−2 ln u0)·sin 2πu1, in f64.
    """
    seeds = np.atleast_1d(np.asarray(seeds)).astype(np.uint64)[:, None]
    blocks = np.arange(-(-width // 4), dtype=np.uint64)
    words = philox((blocks, step, draw, 0), (seeds & LOW, seeds >> HALF))
    u0, u1, u2, u3 = ((word + 0.5) * 2.0**-32 for word in words)
    lanes = np.empty((len(seeds), len(blocks), 4))
    for first, (radial, angular) in enumerate(((u0, u1), (u2, u3))):
        radius, angle = np.sqrt(-2 * np.log(radial)), 2 * np.pi * angular
        lanes[:, :, 2 * first], lanes[:, :, 2 * first + 1] = radius * np.cos(angle), radius * np.sin(angle)
    return lanes.reshape(len(seeds), -1)[:, :width].astype(np.float32)
