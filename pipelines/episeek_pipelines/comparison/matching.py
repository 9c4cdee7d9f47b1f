"""Match the episodes of A with those of B by their contents, and by their numbers if the contents do not decide.

The contents of an episode are divided into parts, such as its length, its tasks, one column or one camera.

1. Episodes with equal contents form pairs: first those with the same number, then the others in order.
2. Among the remaining episodes, those with the most equal parts form pairs, for example if one column of an episode was changed.
   Parts that are equal in many episodes do not count.
3. Among the remaining episodes, those with the same number form pairs, for example if an episode was recorded again.
4. The remaining episodes of A were removed, and those of B were added.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MAX_SHARING: Final = 4
"""A part does not count for matching if more than this number of episodes of one dataset share it."""

Parts = Mapping[str, bytes]
"""The parts of an episode by name, each as a digest."""


@dataclass(frozen=True, slots=True)
class Matching:
    """The pairs of episodes, and the episodes without a partner, by number."""

    pairs: tuple[tuple[int, int], ...]
    """The numbers in A and in B of each pair, sorted."""
    removed: tuple[int, ...]
    """Episodes of A that are in no pair, sorted."""
    added: tuple[int, ...]
    """Episodes of B that are in no pair, sorted."""


def match_episodes(
    a: Mapping[int, Parts], b: Mapping[int, Parts], *, telling: Iterable[str], is_by_number: bool
) -> Matching:
    """Return the matched pairs of episodes, and the episodes without a partner.

    Args:
        a: The parts of each episode of A (digests of its columns, for example), by episode number.
        b: The parts of each episode of B, with the same names as the parts of A.
        telling: The names of parts that usually differ from one episode to the next.
        is_by_number: Whether only episodes with the same number may form a pair, because no part distinguishes episodes.
    """
    pairs: list[tuple[int, int]] = []
    left_a, left_b = dict(a), dict(b)

    def pair(one: int, other: int) -> None:
        pairs.append((one, other))
        del left_a[one], left_b[other]

    for number in sorted(a.keys() & b.keys()):
        if a[number] == b[number]:
            pair(number, number)
    if not is_by_number:
        for one, other in list(_same(left_a, left_b)):
            pair(one, other)
        for one, other in _alike(left_a, left_b, tuple(telling)):
            pair(one, other)
    for number in sorted(left_a.keys() & left_b.keys()):
        pair(number, number)
    return Matching(tuple(sorted(pairs)), tuple(sorted(left_a)), tuple(sorted(left_b)))


def _same(a: Mapping[int, Parts], b: Mapping[int, Parts]) -> Iterable[tuple[int, int]]:
    """Yield pairs of an episode of `a` and an episode of `b` whose parts (such as columns) are all equal, in ascending order.

    No episode is in two pairs.
    """
    waiting: dict[tuple[tuple[str, bytes], ...], list[int]] = {}
    for number in sorted(b, reverse=True):
        waiting.setdefault(_key(b[number]), []).append(number)
    for number in sorted(a):
        found = waiting.get(_key(a[number]))
        if found:
            yield number, found.pop()


def _key(parts: Parts) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted(parts.items()))


def _alike(a: Mapping[int, Parts], b: Mapping[int, Parts], telling: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return pairs of episodes that share parts (such as columns) whose names are in `telling`. No episode is in two pairs.

    Pairs that share the most such parts are chosen first.
    """
    shared: Counter[tuple[int, int]] = Counter()
    for name in telling:
        holders: dict[bytes, tuple[list[int], list[int]]] = {}
        for place, side in enumerate((a, b)):
            for number, parts in side.items():
                if name in parts:
                    holders.setdefault(parts[name], ([], []))[place].append(number)
        for ones, others in holders.values():
            if len(ones) <= MAX_SHARING and len(others) <= MAX_SHARING:
                shared.update((one, other) for one in ones for other in others)
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    found = []
    for one, other in sorted(
        shared, key=lambda pair: (-shared[pair], pair[0] != pair[1], abs(pair[0] - pair[1]), pair)
    ):
        if one not in taken_a and other not in taken_b:
            taken_a.add(one)
            taken_b.add(other)
            found.append((one, other))
    return found
