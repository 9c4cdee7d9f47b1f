"""The outcome of `rewrite` and `index`: lines for people, or JSON."""

import argparse
import json
from typing import TYPE_CHECKING

from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import PrepareResult


def result_outcome(result: "PrepareResult", options: argparse.Namespace) -> Outcome:
    """Return the outcome of a job that verifies nothing."""
    from episeek_pipelines.cli.lines import summary
    from episeek_pipelines.cli.prepare import result_document

    if options.json:
        return Outcome((json.dumps(result_document(result), indent=2),))
    return Outcome(() if options.quiet else (*summary.prepare_lines(result), summary.done_line(result)))
