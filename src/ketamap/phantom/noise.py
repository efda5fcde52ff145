"""Random numbers that depend on a voxel's place and a seed, and on nothing else.

A generator with a state gives a voxel another value as soon as a volume is cut
differently.  Here the index of the voxel in the whole volume is hashed with the seed, so
that every block of every chunking, in any order and on any worker, sees the same noise.
"""

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from ketamap.core.space import Zyx

_BYTE_SUM_MEAN = 8 * 127.5
"""Mean of the sum of eight uniform bytes."""

_BYTE_SUM_SD = float(np.sqrt(8 * (256**2 - 1) / 12))
"""Standard deviation of the sum of eight uniform bytes."""

LARGEST_NORMAL = _BYTE_SUM_MEAN / _BYTE_SUM_SD
"""The approximate normal never leaves plus or minus this (4.88)."""


@njit(nogil=True, cache=True, inline="always")
def hash64(key: np.uint64) -> np.uint64:
    """Scramble a 64-bit number: the finaliser of SplitMix64.

    References
    ----------
    Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators,
    OOPSLA; constants of variant 13 in Stafford (2011), "Better bit mixing".
    """
    x = uint64(key)
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@njit(nogil=True, cache=True, inline="always")
def keyed_hash(seed: int, index: int) -> np.uint64:
    """Hash a place with a seed; different seeds give unrelated sequences.

    Parameters
    ----------
    seed
        An already scrambled seed, see `stream_seed`.
    index
        Number of the voxel in the whole volume, raster order.
    """
    return hash64(uint64(seed) + uint64(index) * uint64(0x9E3779B97F4A7C15))


@njit(nogil=True, cache=True, inline="always")
def normal_from_hash(h: np.uint64) -> np.float32:
    """Turn 64 random bits into one approximately standard normal number.

    The sum of the eight bytes, centred and scaled: mean 0, variance 1, excess kurtosis
    -0.15 (Irwin-Hall with n = 8), never beyond `LARGEST_NORMAL`.
    """
    even = uint64(0x00FF00FF00FF00FF)
    pairs = (uint64(h) & even) + ((uint64(h) >> uint64(8)) & even)
    total = (pairs * uint64(0x0001000100010001)) >> uint64(48)
    return (np.float32(np.int32(total)) - np.float32(_BYTE_SUM_MEAN)) * np.float32(
        1.0 / _BYTE_SUM_SD
    )


def stream_seed(*words: int) -> int:
    """Combine a seed and stream numbers (animal, channel, ...) into one scrambled seed.

    Returns
    -------
    int
        Below 2**63, so that numba takes it as a signed integer everywhere.
    """
    # the length comes first: a SeedSequence cannot tell (3,) from (3, 0)
    entropy = [len(words), *(int(w) for w in words)]
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


@njit(nogil=True, cache=True)
def normal_block(
    seed: int, start: Zyx[int], stop: Zyx[int], shape: Zyx[int]
) -> NDArray[np.float32]:
    """Return the standard normal noise of one block.

    Parameters
    ----------
    seed
        From `stream_seed`.
    start, stop
        The block, (z, y, x) voxels of the whole volume.
    shape
        Of the whole volume.

    Returns
    -------
    ndarray of float32
        Shape ``stop - start``.  Equal to the same part of the whole volume's noise.
    """
    nz, ny, nx = stop[0] - start[0], stop[1] - start[1], stop[2] - start[2]
    out = np.empty((nz, ny, nx), dtype=np.float32)
    for k in range(nz):
        for j in range(ny):
            first = ((start[0] + k) * shape[1] + start[1] + j) * shape[2] + start[2]
            for i in range(nx):
                out[k, j, i] = normal_from_hash(keyed_hash(seed, first + i))
    return out
