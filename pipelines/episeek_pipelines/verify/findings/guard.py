"""Functions that run rules so that an exception of one rule, from bad input or its own defect, becomes a finding.

The other rules still run.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from episeek.errors import MissingFileError, ReadError, first_line
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import CRASHED, MISSING_FILE, UNREADABLE

P = ParamSpec("P")


@contextmanager
def guarded(findings: list[Finding], name: str, location: Location) -> Iterator[None]:
    """Append a finding at `location` if the `with` block raises an exception, and suppress the exception.

    Args:
        findings: The list to append to.
        name: Name of the rule, for the message.
        location: The place of the finding.
    """
    try:
        yield
    except MissingFileError as error:
        findings.append(finding(MISSING_FILE, error.found, "a file that the metadata refers to", location))
    except ReadError as error:
        findings.append(unreadable(error, location))
    except Exception as error:
        # Any exception is caught, since the other rules have to run in any case.
        findings.append(
            finding(CRASHED, f"{name}: {type(error).__name__}: {first_line(error)}", "a completed check", location)
        )


def unreadable(error: ReadError, location: Location) -> Finding:
    """Return VER001 for a file that could not be read."""
    return finding(UNREADABLE, f"{error.where}: {error.found}", error.expected, location)


def run_rules(
    rules: Iterable[Callable[P, Iterable[Finding]]], location: Location, *args: P.args, **kwargs: P.kwargs
) -> list[Finding]:
    """Return the findings of all rules, called with the same arguments.

    A rule that raises an exception keeps the findings that it had yielded, and adds a finding at `location` for the exception.
    """
    findings: list[Finding] = []
    for rule in rules:
        with guarded(findings, getattr(rule, "__name__", "rule"), location):
            findings.extend(rule(*args, **kwargs))
    return findings
