"""Lines and JSON of every publication, onto a repository or into a store. Nothing here prints."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from episeek_pipelines.cli.outcome import Outcome

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
"""Paths that a dry run shows; its JSON has all of them."""


def verify_line(verification: "VerificationReport | None", *, is_required: bool, where: str) -> str:
    """Return the line about the verification of the overlay.

    Args:
        verification: The report; None where the overlay was not verified.
        is_required: Whether the overlay has to pass a verification.
        where: The kind of target, which sidecars alone are compared with.
    """
    from episeek_pipelines.api import format_counts

    if verification is not None:
        return f"verify   {format_counts(verification)}"
    return f"verify   {f'sidecars alone: compared with the {where}' if is_required else 'skipped (--no-verify)'}"


def base_words(result: "PublishResult | StorePublication") -> str:
    """Return what the sidecars were compared with, in words."""
    from episeek_pipelines.words import counted

    headers = (
        f" ({counted(result.target_check.headers_read, 'header')} compared)" if result.target_check.headers_read else ""
    )
    return f"{counted(len(result.target_check.units), 'video file')} as indexed{headers}"


def change_words(changes: "Changes") -> str:
    """Return how much differs, in words."""
    from episeek_pipelines.words import counted, human_bytes

    return (
        f"{counted(len(changes.additions), 'file')} to add or replace, {human_bytes(changes.byte_count)}, "
        f"{len(changes.deletions):,} to delete, {changes.unchanged_count:,} unchanged"
    )


def path_lines(changes: "Changes", replaced: frozenset[str]) -> Iterator[str]:
    """Yield a line for each file of a dry run."""
    from episeek_pipelines.words import human_bytes

    lines = [
        f"{'replace' if addition.path in replaced else 'add':<8} {addition.path}  {human_bytes(addition.size)}"
        for addition in changes.additions
    ]
    lines += [f"delete   {path}" for path in changes.deletions]
    yield from lines[:MAX_PATHS]
    if len(lines) > MAX_PATHS:
        yield f"         and {len(lines) - MAX_PATHS:,} more"


def episode_lines(comparison: "Comparison | None") -> Iterator[str]:
    """Yield lines about the episodes that a dry run would change, by the metadata of the target and of the overlay."""
    from episeek_pipelines.api import diff_summary

    if comparison is not None:
        first, *others = diff_summary(comparison)
        sides = "; A is the target, B what will be there" if comparison.is_different else ""
        yield f"episodes {first}, as far as metadata tells{sides}"
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
    """Return the keys that the JSON of every publication has."""
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
    """Return the outcome of a refused publication: the error, and its parts as JSON with `--json`."""
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
