"""Running rules: a rule that fails, because of bad input or its own defect, becomes a finding, and the others still run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from episeek.errors import MissingFileError, ReadError, first_line
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import CRASHED, MISSING_FILE, UNREADABLE

P = ParamSpec("P")


@contextmanager
def guarded(findings: list[Finding], name: str, location: Location) -> Iterator[None]:
    """Turn an exception of the block into a finding at `location`; earlier findings stay."""
    try:
        yield
    except MissingFileError as error:
        findings.append(finding(MISSING_FILE, error.found, "a file that the metadata refers to", location))
    except ReadError as error:
        findings.append(unreadable(error, location))
    except Exception as error:
        # The other rules have to run in any case.
        findings.append(
            finding(CRASHED, f"{name}: {type(error).__name__}: {first_line(error)}", "a completed check", location)
        )


def unreadable(error: ReadError, location: Location) -> Finding:
    """Return the finding for bytes that the store did not deliver."""
    return finding(UNREADABLE, f"{error.where}: {error.found}", error.expected, location)


def run_rules(
    rules: Iterable[Callable[P, Iterable[Finding]]], location: Location, *args: P.args, **kwargs: P.kwargs
) -> list[Finding]:
    """Return the findings of all rules. A rule that raises adds VER000 to the findings that it had."""
    findings: list[Finding] = []
    for rule in rules:
        with guarded(findings, getattr(rule, "__name__", "rule"), location):
            findings.extend(rule(*args, **kwargs))
    return findings
