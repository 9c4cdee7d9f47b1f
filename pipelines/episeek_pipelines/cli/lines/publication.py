"""What is said of any publication, onto a repository or into a store. Nothing here prints: `cli` does."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from episeek_pipelines.api import Changes, PublishResult, StorePublication, VerificationReport

MAX_PATHS = 40
"""Shown of a dry run; as JSON all are."""


def verify_line(verification: "VerificationReport | None", *, is_required: bool, where: str) -> str:
    """How the overlay was verified.

    Args:
        verification: None where it was not.
        is_required: Whether it has to pass.
        where: What sidecars alone are compared with.
    """
    from episeek_pipelines.api import format_counts

    if verification is not None:
        return f"verify   {format_counts(verification)}"
    return f"verify   {f'sidecars alone: compared with the {where}' if is_required else 'left out (--no-verify)'}"


def base_words(result: "PublishResult | StorePublication") -> str:
    """What the sidecars were compared with."""
    from episeek_pipelines.words import (
        counted,
    )

    headers = (
        f" ({counted(result.target_check.headers_read, 'header')} compared)" if result.target_check.headers_read else ""
    )
    return f"{counted(len(result.target_check.units), 'video file')} as indexed{headers}"


def change_words(changes: "Changes") -> str:
    """How much differs."""
    from episeek_pipelines.words import (
        counted,
        human_bytes,
    )

    return (
        f"{counted(len(changes.additions), 'file')} to add or replace, {human_bytes(changes.byte_count)}, "
        f"{len(changes.deletions):,} to delete, {changes.unchanged_count:,} unchanged"
    )


def path_lines(changes: "Changes", replaced: frozenset[str]) -> Iterator[str]:
    """The files of a dry run, a line each."""
    from episeek_pipelines.words import (
        human_bytes,
    )

    lines = [
        f"{'replace' if addition.path in replaced else 'add':<8} {addition.path}  {human_bytes(addition.size)}"
        for addition in changes.additions
    ]
    lines += [f"delete   {path}" for path in changes.deletions]
    yield from lines[:MAX_PATHS]
    if len(lines) > MAX_PATHS:
        yield f"         and {len(lines) - MAX_PATHS:,} more"


def shared_document(result: "PublishResult | StorePublication") -> dict[str, Any]:
    """What the JSON of both has."""
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
        "build_id": "" if arrival is None else arrival.build_id,
        "attempts": result.attempts,
        "seconds": result.seconds,
    }
