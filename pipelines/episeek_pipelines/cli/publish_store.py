"""`episeek publish DST URL` where the target is a store: its options, and what it says. Nothing here prints: `cli` does."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from episeek.errors import without_password
from episeek_pipelines.cli.lines.publication import (
    base_words,
    change_words,
    path_lines,
    shared_document,
    verify_line,
)
from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import (
        Execution,
        StoreOptions,
        StorePublication,
    )


def publish(options: argparse.Namespace, execution: "Execution", *, given: tuple[str, ...]) -> Outcome:
    """`episeek publish` into a store.

    Args:
        options: Of the command line.
        execution: Of the verification.
        given: Arguments that only repositories have, as they are written.

    Raises:
        argparse.ArgumentTypeError: An option that only repositories have was given.
    """
    from episeek_pipelines import api
    from episeek_pipelines.api import (
        RefusedPublicationError,
    )

    if given:
        found = f"{', '.join(given)}: found with {without_password(options.target)}"
        raise argparse.ArgumentTypeError(f"{found}; expected a repository of the Hub")
    chosen = api.StoreOptions(
        create=options.create,
        dry_run=options.dry_run,
        sidecars_only=options.sidecars_only,
        overwrite=options.overwrite,
        is_verified=not options.no_verify,
    )
    try:
        result = api.publish_to_store(
            options.source, options.target, data_root=options.data_root, options=chosen, execution=execution
        )
    except RefusedPublicationError as refusal:
        return Outcome((), True, (f"error: {refusal}",))
    if options.json:
        return Outcome((json.dumps(_document(result, chosen), indent=2),), False)
    return Outcome(() if options.quiet else tuple(_lines(result, chosen)), False)


def _lines(result: "StorePublication", options: "StoreOptions") -> Iterator[str]:
    from episeek_pipelines.words import (
        counted,
        human_bytes,
    )

    yield verify_line(result.verification, is_required=options.is_verified, where="store")
    yield f"base     {base_words(result)}"
    yield f"change   {change_words(result.changes)}"
    if result.moves_rows and result.is_new:
        when = "while it is switched to" if options.dry_run else "who listed them in these seconds"
        yield f"note     rows are in other data files than before: {when}, some may be seen twice, or for a moment not at all"
    if options.dry_run:
        yield from path_lines(result.changes, result.replaced)
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


def _document(result: "StorePublication", options: "StoreOptions") -> dict[str, Any]:
    return {
        **shared_document(result),
        "is_resumed": result.is_resumed,
        "dry_run": options.dry_run,
        "sent": result.sent_count,
        "sent_bytes": result.sent_bytes,
        "staged": result.staged_count,
        "moves_rows": result.moves_rows,
    }
