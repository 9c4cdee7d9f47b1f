"""`episeek publish` with the URL of a store as its target: the call of the API, and its output. Nothing here prints."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from episeek.errors import without_password
from episeek_pipelines.cli.lines.publication import (
    base_words,
    change_words,
    episode_lines,
    path_lines,
    refused_outcome,
    shared_document,
    verify_line,
)
from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import Execution, StoreOptions, StorePublication


def publish(options: argparse.Namespace, execution: "Execution", *, given: tuple[str, ...]) -> Outcome:
    """Run `episeek publish` into a store, and return what to print.

    Args:
        options: The options of the command line.
        execution: Scheduler, workers and progress of the verification.
        given: Names of options on the command line that apply only to repositories of the Hub.

    Raises:
        argparse.ArgumentTypeError: `given` is not empty, so an option was given that a store does not support.
    """
    from episeek_pipelines import api

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
    except api.RefusedPublicationError as refusal:
        return refused_outcome(refusal, as_json=options.json)
    if options.json:
        return Outcome((json.dumps(_document(result, chosen), indent=2),), False)
    return Outcome(() if options.quiet else tuple(_lines(result, chosen)), False)


def _lines(result: "StorePublication", options: "StoreOptions") -> Iterator[str]:
    from episeek_pipelines.words import counted, human_bytes

    yield verify_line(result.verification, is_required=options.is_verified, where="store")
    yield f"base     {base_words(result)}"
    yield f"change   {change_words(result.changes)}"
    if result.moves_rows and result.is_new:
        seen = "readers may see" if options.dry_run else "readers may have seen"
        yield f"note     rows move to other data files; during the switch, {seen} some rows twice or not at all"
    if options.dry_run:
        yield from episode_lines(result.comparison)
        yield from path_lines(result.changes, result.replaced)
        yield f"done     nothing was sent (--dry-run) in {result.seconds:.1f} s"
        return
    if result.is_new or result.sent_count:
        staged = f", {result.staged_count:,} of them sent by an earlier run" if result.staged_count else ""
        yield f"send     {counted(result.sent_count, 'file')}, {human_bytes(result.sent_bytes)}{staged}"
        yield f"switch   {'done, after an earlier run had begun it' if result.is_resumed else 'done'}"
    else:
        yield "send     nothing: the store already contains all files"
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
