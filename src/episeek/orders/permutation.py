"""Permutations of [0, n) that are defined by a key. Any single value can be computed without the others.

A permutation is a Feistel network on Z_a x Z_b, where a and b are close to the root of n and a * b is hardly larger than n.
Results outside [0, n) go through the network again ("cycle walking"; Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
CT-RSA 2002). The rounds use the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
Generators", OOPSLA 2014). A permutation does not depend on the release of numpy or on the machine.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

_ROUND_PAIRS: Final = 8
_WEYL: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def key_of(*numbers: int) -> int:
    """Return a key of 64 bits that depends on the given whole numbers, of any size and sign, and on their order."""
    key = len(numbers)
    for number in numbers:
        rest, sign = abs(number), number < 0
        while True:
            key = _mix_integer(key ^ _mix_integer((rest & _MASK) + sign))
            rest >>= 64
            if not rest:
                break
    return key


def keys_of(key: int, numbers: npt.ArrayLike) -> UInt64Array:
    """Return a key of 64 bits for each number in an array. Each key depends on `key` and on its number, which is 0 or more."""
    values = np.asarray(numbers).astype(np.uint64)
    # at least one dimension, since numpy warns when scalars wrap around
    return _hash(values.reshape(-1), np.uint64(key & _MASK)).reshape(values.shape)


def permute(positions: npt.ArrayLike, n: npt.ArrayLike, key: npt.ArrayLike) -> Int64Array:
    """Return the values of permutations of [0, n) at positions.

    The arguments are broadcast against each other, so that each position may belong to a different permutation.

    Args:
        positions: Whole numbers in [0, n).
        n: Number of values of each permutation, less than 2^62.
        key: Keys of 64 bits, as `key_of` and `keys_of` return them. Equal keys give equal permutations.

    Raises:
        IndexError: A position is not in [0, n).
    """
    return _walk(positions, n, key, _forward)


def positions_of(values: npt.ArrayLike, n: npt.ArrayLike, key: npt.ArrayLike) -> Int64Array:
    """Return the positions at which permutations have these values: the inverse of `permute` for the same `n` and `key`."""
    return _walk(values, n, key, _backward)


def _walk(
    arguments: npt.ArrayLike, n: npt.ArrayLike, key: npt.ArrayLike, step: Callable[..., UInt64Array]
) -> Int64Array:
    x, sizes, keys = np.broadcast_arrays(np.asarray(arguments, np.int64), np.asarray(n, np.int64), _as_keys(key))
    shape = x.shape
    if x.size and ((x < 0) | (x >= sizes)).any():
        raise IndexError(f"found positions {x.min()} to {x.max()}; expected positions within [0, {sizes.max()})")
    result, sizes, keys = x.reshape(-1).astype(np.uint64), sizes.reshape(-1).astype(np.uint64), keys.reshape(-1)
    a = _roots(sizes)
    b = np.maximum((sizes + a - np.uint64(1)) // a, np.uint64(1))
    remaining = np.arange(len(result))
    while len(remaining):
        result[remaining] = step(result[remaining], a[remaining], b[remaining], keys[remaining])
        remaining = remaining[result[remaining] >= sizes[remaining]]
    return result.astype(np.int64).reshape(shape)


def _forward(x: UInt64Array, a: UInt64Array, b: UInt64Array, keys: UInt64Array) -> UInt64Array:
    left, right = x % a, x // a
    for number in range(_ROUND_PAIRS):
        left = (left + _round(right, keys, 2 * number) % a) % a
        right = (right + _round(left, keys, 2 * number + 1) % b) % b
    return left + right * a


def _backward(x: UInt64Array, a: UInt64Array, b: UInt64Array, keys: UInt64Array) -> UInt64Array:
    left, right = x % a, x // a
    for number in reversed(range(_ROUND_PAIRS)):
        right = (right + b - _round(left, keys, 2 * number + 1) % b) % b
        left = (left + a - _round(right, keys, 2 * number) % a) % a
    return left + right * a


def _round(half: UInt64Array, keys: UInt64Array, number: int) -> UInt64Array:
    return _hash(half, keys + np.uint64(number * _WEYL & _MASK))


def _roots(sizes: UInt64Array) -> UInt64Array:
    """Return, for each size, the smallest whole number whose square is not less than the size; at least 1."""
    # the root of a float may be wrong by 1
    roots = np.sqrt(sizes.astype(np.float64)).astype(np.uint64)
    roots = np.where(roots * roots < sizes, roots + np.uint64(1), roots)
    less = np.maximum(roots, np.uint64(1)) - np.uint64(1)
    return np.maximum(np.where(less * less >= sizes, less, roots), np.uint64(1))


def _as_keys(key: npt.ArrayLike) -> UInt64Array:
    return np.asarray(key, np.uint64)


def _hash(values: UInt64Array, keys: UInt64Array | np.uint64) -> UInt64Array:
    return _mix(_mix(values + keys) ^ keys)


def _mix(z: UInt64Array) -> UInt64Array:
    z = z + np.uint64(_WEYL)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _mix_integer(z: int) -> int:
    z = (z + _WEYL) & _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)
