"""Functions that run rules and turn an exception into a finding, so that the other rules still run.

A rule may raise an exception because of bad input or because of a defect in the rule.
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
        # Every exception is caught, since the other rules have to run in any case.
        findings.append(
            finding(CRASHED, f"{name}: {type(error).__name__}: {first_line(error)}", "a completed check", location)
        )


def unreadable(error: ReadError, location: Location) -> Finding:
    """Return the finding VER001 for a file that could not be read."""
    return finding(UNREADABLE, f"{error.where}: {error.found}", error.expected, location)


def run_rules(
    rules: Iterable[Callable[P, Iterable[Finding]]], location: Location, *args: P.args, **kwargs: P.kwargs
) -> list[Finding]:
    """Call all rules with the same arguments, and return their findings.

    If a rule raises an exception, the findings that it has yielded are kept, and a finding at `location` reports the exception.
    """
    findings: list[Finding] = []
    for rule in rules:
        with guarded(findings, getattr(rule, "__name__", "rule"), location):
            findings.extend(rule(*args, **kwargs))
    return findings
