"""How much a run of the tests tries: everything in `make test-all`, which CI runs, and a part of it in `make test`.

The part still meets every pair of values of a product, both ends of a range, and every kind of input once.
"""

import os
from collections.abc import Sequence
from typing import Final, TypeVar

import pytest

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

IS_FULL: Final = os.environ.get("EPISEEK_TEST_ALL") == "1"

full_run = pytest.mark.skipif(not IS_FULL, reason="takes long: make test-all")
"""Marks a test that takes more than a second of CPU time for something that cheaper tests come near to."""


def amount(full: int, part: int) -> int:
    """Return how many of something to try: `full` in a full run, and otherwise `part`."""
    return full if IS_FULL else part


def amount_of_repairs(whole: int, full: int, part: int) -> int:
    """Return how many of something to try: `whole` in `make test-repairs`, which takes an hour, else as `amount`."""
    return whole if os.environ.get("EPISEEK_TEST_REPAIRS") == "1" else amount(full, part)


def examples(full: int) -> int:
    """Return how many examples a property is tried on: a quarter of `full`, at least 10, unless the run is full."""
    return full if IS_FULL else min(full, max(10, full // 4))


def every(items: Sequence[T], step: int) -> list[T]:
    """Return all items in a full run, and otherwise every `step`-th and the last."""
    if IS_FULL or not items:
        return list(items)
    return [*items[: len(items) - 1 : step], items[-1]]


def first(items: Sequence[T], count: int = 1) -> list[T]:
    """Return all items in a full run, and otherwise the first `count`, which are the most telling."""
    return list(items if IS_FULL else items[:count])


def pairwise(first: Sequence[A], second: Sequence[B], third: Sequence[C]) -> list[tuple[A, B, C]]:
    """Return the product of three axes in a full run, and otherwise a Latin square of it.

    A square holds each pair of values of two axes, where the third is no longer than the first and the second.
    """
    return [
        (a, b, c)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        for k, c in enumerate(third)
        if IS_FULL or (i + j) % len(third) == k
    ]


def each_choice(first: Sequence[A], second: Sequence[B]) -> list[tuple[A, B]]:
    """Return the product of two axes in a full run, and otherwise a diagonal of it, which holds each value of both."""
    length = max(len(first), len(second))
    diagonal = [(first[number % len(first)], second[number % len(second)]) for number in range(length)]
    return [(a, b) for a in first for b in second if IS_FULL or (a, b) in diagonal]
