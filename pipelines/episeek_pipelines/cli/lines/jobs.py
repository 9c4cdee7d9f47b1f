"""The outcome of `rewrite` and `index`, as lines for people or as JSON, and the JSON of every job."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import PrepareResult


def result_outcome(result: "PrepareResult", options: argparse.Namespace) -> Outcome:
    """Return the outcome of a job without a verification: `rewrite` or `index`."""
    from episeek_pipelines.cli.lines import summary

    if options.json:
        return Outcome((json.dumps(result_document(result), indent=2),))
    return Outcome(() if options.quiet else (*summary.prepare_lines(result), summary.done_line(result)))


def result_document(result: "PrepareResult") -> dict[str, Any]:
    """Return the JSON of a job's result, without the findings of the verification."""
    parts = {name: getattr(result, name) for name in ("rewrite", "packing", "index", "copies")}
    return {
        "destination": result.destination,
        "seconds": result.seconds,
        "is_resumed": result.is_resumed,
        "is_current": result.is_current,
        "copied_files": result.copied_files,
        **{name: asdict(part) for name, part in parts.items() if part is not None},
    }
