"""Show a publication, onto a repository or into a store, as lines of text and as JSON. Nothing here prints."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from episeek_pipelines.cli.outcome import Outcome
from episeek_pipelines.words import counted

if TYPE_CHECKING:
    from episeek_pipelines.api import (
        Changes,
        Comparison,
        PublishResult,
        RefusedPublicationError,
        StorePublication,
        VerificationReport,
    )

MAX_PATHS = 40
"""Largest number of paths that a dry run prints as lines. With `--json`, a dry run prints all paths."""


def verify_line(verification: "VerificationReport | None", *, is_required: bool, where: str) -> str:
    """Return the line about the verification of the overlay (the prepared dataset) before its publication.

    Args:
        verification: The report of the verification; None if the overlay was not verified.
        is_required: False if `--no-verify` was given. Even without `--no-verify`, an overlay that contains only sidecars
            (the video index) is not verified.
        where: The kind of target: "repository" or "store".
    """
    from episeek_pipelines.api import format_counts

    if verification is not None:
        return f"verify   {format_counts(verification)}"
    return f"verify   {f'only sidecars: compared with the {where}' if is_required else 'skipped (--no-verify)'}"


def base_words(result: "PublishResult | StorePublication") -> str:
    """Return a phrase with the number of videos in the target that have not changed since they were indexed."""
    from episeek_pipelines.words import counted

    headers = (
        f" ({counted(result.target_check.headers_read, 'header')} compared)" if result.target_check.headers_read else ""
    )
    return f"{counted(len(result.target_check.units), 'video file')} unchanged since indexing{headers}"


def change_words(changes: "Changes") -> str:
    """Return a phrase with the numbers of files that are added or replaced, deleted, and unchanged, and with the bytes to send."""
    from episeek_pipelines.words import counted, human_bytes

    return (
        f"{counted(len(changes.additions), 'file')} to add or replace, {human_bytes(changes.byte_count)}, "
        f"{len(changes.deletions):,} to delete, {changes.unchanged_count:,} unchanged"
    )


def path_lines(changes: "Changes", replaced: frozenset[str]) -> Iterator[str]:
    """Yield a line for each of the first `MAX_PATHS` files to add, replace or delete, and a line with the number of the others."""
    from episeek_pipelines.words import human_bytes

    lines = [
        f"{'replace' if addition.path in replaced else 'add':<8} {addition.path}  {human_bytes(addition.size)}"
        for addition in changes.additions
    ]
    lines += [f"delete   {path}" for path in changes.deletions]
    yield from lines[:MAX_PATHS]
    if len(lines) > MAX_PATHS:
        yield f"         and {counted(len(lines) - MAX_PATHS, 'other file')}"


def episode_lines(comparison: "Comparison | None") -> Iterator[str]:
    """Yield the lines that show which episodes a publication would change, according to the metadata.

    Yield no lines if there is no comparison.
    """
    from episeek_pipelines.api import diff_summary

    if comparison is not None:
        first, *others = diff_summary(comparison)
        sides = "; A is the target now, B the target after the publication" if comparison.is_different else ""
        yield f"episodes {first}, according to the metadata{sides}"
        yield from (f"         {line}" for line in others[:MAX_PATHS])


def _comparison_document(comparison: "Comparison | None") -> dict[str, Any] | None:
    if comparison is None:
        return None
    return {
        "is_different": comparison.is_different,
        "equal": comparison.equal_count,
        "changed": [change.b for change in comparison.changed],
        "added": list(comparison.added),
        "removed": list(comparison.removed),
        "metadata": [change.key for change in comparison.metadata],
    }


def shared_document(result: "PublishResult | StorePublication") -> dict[str, Any]:
    """Return the keys and values that the JSON documents of publications onto repositories and into stores have in common."""
    changes, verification, arrival = result.changes, result.verification, result.arrival
    return {
        "url": result.url,
        "is_new": result.is_new,
        "added": [
            {"path": addition.path, "bytes": addition.size, "sha256": addition.sha256} for addition in changes.additions
        ],
        "replaced": sorted(result.replaced),
        "deleted": list(changes.deletions),
        "unchanged": changes.unchanged_count,
        "bytes": changes.byte_count,
        "verification": None
        if verification is None
        else {"errors": verification.error_count, "warnings": verification.warning_count},
        "arrival": None if arrival is None else arrival.summary,
        "comparison": _comparison_document(result.comparison),
        "build_id": "" if arrival is None else arrival.build_id,
        "attempts": result.attempts,
        "seconds": result.seconds,
    }


def refused_outcome(refusal: "RefusedPublicationError", *, as_json: bool) -> Outcome:
    """Return the outcome of a refused publication: the error as text and, if `as_json`, its parts as a JSON document."""
    lines = (json.dumps(_refused_document(refusal), indent=2),) if as_json else ()
    return Outcome(lines, True, (f"error: {refusal}",))


def _refused_document(refusal: "RefusedPublicationError") -> dict[str, Any]:
    from episeek_pipelines.api import format_json

    report = refusal.verification
    return {
        "refused": {
            "where": refusal.where,
            "found": refusal.found,
            "expected": refusal.expected,
            "hint": refusal.hint,
        },
        "report": None if report is None else json.loads(format_json(report)),
        "differences": [asdict(problem) for problem in refusal.problems],
    }
