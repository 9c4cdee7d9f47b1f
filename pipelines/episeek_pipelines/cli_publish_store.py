"""`episeek publish DST URL` where the target is a store: its options, and what it says. Nothing here prints: `cli` does."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from episeek.errors import without_password
from episeek_pipelines.cli_verify import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.prepare import Execution
    from episeek_pipelines.store_publishing import StoreOptions, StorePublication

MAX_PATHS = 40
"""Shown of a dry run; as JSON all are."""


def publish(options: argparse.Namespace, execution: "Execution", *, given: tuple[str, ...]) -> Outcome:
    """`episeek publish` into a store.

    Args:
        options: Of the command line.
        execution: Of the verification.
        given: Arguments that only repositories have, as they are written.

    Raises:
        argparse.ArgumentTypeError: An option that only repositories have was given.
    """
    from episeek_pipelines import store_publishing
    from episeek_pipelines.publication import RefusedPublicationError

    if given:
        found = f"{', '.join(given)}: found with {without_password(options.target)}"
        raise argparse.ArgumentTypeError(f"{found}; expected a repository of the Hub")
    chosen = store_publishing.StoreOptions(
        create=options.create,
        dry_run=options.dry_run,
        sidecars_only=options.sidecars_only,
        overwrite=options.overwrite,
        is_verified=not options.no_verify,
    )
    try:
        result = store_publishing.publish_to_store(
            options.source, options.target, data_root=options.data_root, options=chosen, execution=execution
        )
    except RefusedPublicationError as refusal:
        return Outcome((), True, (f"error: {refusal}",))
    if options.json:
        return Outcome((json.dumps(_document(result, chosen), indent=2),), False)
    return Outcome(() if options.quiet else tuple(_lines(result, chosen)), False)


def _lines(result: "StorePublication", options: "StoreOptions") -> Iterator[str]:
    from episeek_pipelines.summary import counted, human_bytes

    changes, base = result.changes, result.base
    yield f"verify   {_verify_line(result, options)}"
    headers = f" ({counted(base.headers_read, 'header')} compared)" if base.headers_read else ""
    yield f"base     {counted(len(base.units), 'video file')} as indexed{headers}"
    yield (
        f"change   {counted(len(changes.additions), 'file')} to add or replace, {human_bytes(changes.byte_count)}, "
        f"{len(changes.deletions):,} to delete, {changes.unchanged_count:,} unchanged"
    )
    if result.moves_rows and result.is_new:
        when = "while it is switched to" if options.dry_run else "who listed them in these seconds"
        yield f"note     rows are in other data files than before: {when}, some may be seen twice, or for a moment not at all"
    if options.dry_run:
        yield from _path_lines(result)
        yield f"done     nothing was sent (--dry-run) in {result.seconds:.1f} s"
        return
    if result.is_new or result.sent_count:
        staged = f", {result.staged_count:,} were sent before" if result.staged_count else ""
        yield f"send     {counted(result.sent_count, 'file')}, {human_bytes(result.sent_bytes)}{staged}"
        yield f"switch   {'done, from where it had stopped' if result.is_resumed else 'done'}"
    else:
        yield "send     nothing: all of it is there"
    if result.arrival is not None:
        yield f"arrival  {result.arrival.summary}"
    yield f"done     {result.url} in {result.seconds:.1f} s"


def _verify_line(result: "StorePublication", options: "StoreOptions") -> str:
    from episeek_pipelines.verify import format_counts

    if result.verification is not None:
        return format_counts(result.verification)
    return "sidecars alone: compared with the store" if options.is_verified else "left out (--no-verify)"


def _path_lines(result: "StorePublication") -> Iterator[str]:
    from episeek_pipelines.summary import human_bytes

    lines = [
        f"{'replace' if addition.path in result.replaced else 'add':<8} {addition.path}  {human_bytes(addition.size)}"
        for addition in result.changes.additions
    ]
    lines += [f"delete   {path}" for path in result.changes.deletions]
    yield from lines[:MAX_PATHS]
    if len(lines) > MAX_PATHS:
        yield f"         and {len(lines) - MAX_PATHS:,} more"


def _document(result: "StorePublication", options: "StoreOptions") -> dict[str, Any]:
    changes, verification, arrival = result.changes, result.verification, result.arrival
    return {
        "url": result.url,
        "is_new": result.is_new,
        "is_resumed": result.is_resumed,
        "dry_run": options.dry_run,
        "added": [
            {"path": addition.path, "bytes": addition.size, "sha256": addition.sha256} for addition in changes.additions
        ],
        "replaced": sorted(result.replaced),
        "deleted": list(changes.deletions),
        "unchanged": changes.unchanged_count,
        "bytes": changes.byte_count,
        "sent": result.sent_count,
        "sent_bytes": result.sent_bytes,
        "staged": result.staged_count,
        "moves_rows": result.moves_rows,
        "verification": None
        if verification is None
        else {"errors": verification.error_count, "warnings": verification.warning_count},
        "arrival": None if arrival is None else arrival.summary,
        "build_id": "" if arrival is None else arrival.build_id,
        "attempts": result.attempts,
        "seconds": result.seconds,
    }
