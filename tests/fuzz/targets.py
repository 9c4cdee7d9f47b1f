"""What can be fuzzed: seeds, damage to them, and the promises that have to hold. Each imports what it needs when it is used."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Target:
    """One parser."""

    package: str
    """The package whose coverage guides Atheris."""
    instrumented: tuple[str, ...]
    """The modules of it that are instrumented."""
    check: Callable[[], Callable[..., str]]
    """Import the function that takes a case and returns what came of it."""
    seeds: Callable[[Random, int], list[bytes]]
    parse: Callable[[bytes], Any]
    """A seed in the form in which it is damaged."""
    mutate: Callable[[Random, Any, Any], bytes]
    """A damaged case of a parsed seed, with parts of another one; the seeds stay as they are."""


def _mp4_check() -> Callable[..., str]:
    from tests.fuzz import invariants

    return invariants.check


def _mp4_seeds(rng: Random, count: int) -> list[bytes]:
    from tests.fuzz.movies import seeds

    return seeds(rng, count)


def _mp4_parse(data: bytes) -> Any:
    from tests.fuzz.box_tree import parse

    return parse(data)


def _mp4_mutate(rng: Random, nodes: Any, donor: Any) -> bytes:
    from tests.fuzz.mutator import mutate

    return mutate(rng, [node.copy() for node in nodes], donor)


def _parquet_check() -> Callable[..., str]:
    from tests.fuzz import parquet_pages

    return parquet_pages.check


def _parquet_seeds(rng: Random, count: int) -> list[bytes]:
    from tests.fuzz.parquet_pages import seeds

    return seeds(rng, count)


def _parquet_mutate(rng: Random, data: bytes, donor: bytes) -> bytes:
    from tests.fuzz.parquet_pages import mutate

    return mutate(rng, data, donor)


TARGETS = {
    "mp4": Target(
        package="episeek",
        instrumented=(
            *("mp4.boxes", "mp4.header", "mp4.video_track", "mp4.sample_boxes", "mp4.sample_description"),
            *("mp4.fragments", "mp4.sample_table", "mp4.edit_list", "mp4.description_runs", "mp4.clip_header"),
            *("mp4.window", "clip"),
        ),
        check=_mp4_check,
        seeds=_mp4_seeds,
        parse=_mp4_parse,
        mutate=_mp4_mutate,
    ),
    "parquet": Target(
        package="episeek_pipelines",
        instrumented=tuple(
            f"parquet.recovery.{name}"
            for name in ("pages.thrift", "pages.headers", "pages.levels", "pages.codecs", "pages.rows", "layout")
        ),
        check=_parquet_check,
        seeds=_parquet_seeds,
        parse=bytes,
        mutate=_parquet_mutate,
    ),
}
"""All targets, by the names that `python -m tests.fuzz --target` takes."""
