"""Baselines: lists of findings that were accepted, so that only new findings count.

A baseline is a JSON file that is committed next to a dataset or in a project. It lists one finding per line in a fixed order, so
that a change of one finding changes one line:

    {
    "format": "episeek-baseline",
    "version": 1,
    "level": "layout",
    "findings": [
    {"fingerprint": "0f3c...", "code": "ROW019", "count": 1, "location": {"file": "data/chunk-000/file-000.parquet"}},
    {"fingerprint": "9a41...", "code": "VID039", "count": 3, "location": {"file": "...", "camera": "top"}}
    ] }

`level` is the level of the verification whose findings were accepted. A fingerprint is `Finding.fingerprint`, which depends on the
rule and the location, not on what was found. `count` is the number of findings of that rule at that location, including those that
`Finding.more` counts. A baseline never contains VER000 or VER001: these findings report that something could not be checked.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from episeek.errors import EpiseekError, first_line
from episeek_pipelines.verify.findings.findings import Finding, Location, finding, finding_count
from episeek_pipelines.verify.findings.quoting import as_json
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.rules import COMPARISONS, LEVELS, RULES, SHARDS, WORKER_SHARDS, Level, includes
from episeek_pipelines.verify.settings.rule_codes import ALWAYS_COUNTED, WHY_ALWAYS_COUNTED

FORMAT: Final = "episeek-baseline"
VERSION: Final = 1

_NEED_OPTIONS: Final = frozenset(rule.code for rule in (SHARDS, WORKER_SHARDS))
"""Codes of the rules that are applied only if a number of ranks is given."""

_HINT: Final = "write the baseline again with `episeek verify --write-baseline`"

_LOCATION_TYPES: Final = {"file": str, "episode": int, "camera": str, "row": int, "column": str}


class BaselineError(EpiseekError, ValueError):
    """The error for a file that is not a valid baseline."""


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """The accepted findings of one rule at one location."""

    fingerprint: str
    code: str
    count: int
    location: Location

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Return a key that sorts entries by code and location."""
        return (self.code, self.location.sort_key, self.fingerprint)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A list of accepted findings."""

    entries: tuple[BaselineEntry, ...] = ()
    """The entries, sorted by code and location; each fingerprint occurs once."""
    level: Level = "layout"
    """Level of the verification whose findings were accepted."""


def baseline_of(report: VerificationReport) -> Baseline:
    """Return a baseline that accepts every finding of a report except VER000 and VER001."""
    entries = [
        BaselineEntry(fingerprint, same[0].code, finding_count(same), same[0].location)
        for fingerprint, same in _by_fingerprint(report.findings).items()
        if same[0].code not in ALWAYS_COUNTED
    ]
    return Baseline(tuple(sorted(entries, key=lambda entry: entry.sort_key)), report.level)


def write_baseline(report: VerificationReport) -> str:
    """Return the text of a baseline that accepts the findings of a report. Equal reports give equal texts."""
    return format_baseline(baseline_of(report))


def format_baseline(baseline: Baseline) -> str:
    """Return a baseline as the text of a JSON file, which `parse_baseline` reads."""
    lines = [
        json.dumps(
            {
                "fingerprint": entry.fingerprint,
                "code": entry.code,
                "count": entry.count,
                "location": entry.location.as_dict(),
            }
        )
        for entry in baseline.entries
    ]
    head = [f'"format": "{FORMAT}",', f'"version": {VERSION},', f'"level": "{baseline.level}",', '"findings": [']
    return "\n".join(["{", *head, *([",\n".join(lines)] if lines else []), "]", "}", ""])


def parse_baseline(text: str, where: str) -> Baseline:
    """Return the baseline that the text of a file contains.

    Args:
        text: Text of the file.
        where: Path or URL of the file, for messages.

    Raises:
        BaselineError: The text is not a baseline, has another version, or has an invalid entry. An entry whose fingerprint does
            not match its code and location is invalid, since it would accept a different finding than the entry shows.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BaselineError(where, first_line(error), "a baseline that `episeek verify` wrote") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BaselineError(where, "another document", f'a JSON object with "format": "{FORMAT}"')
    version, level, listed = (document.get(key) for key in ("version", "level", "findings"))
    if type(version) is not int or version != VERSION:
        raise BaselineError(where, f"version {as_json(version)}", f"version {VERSION}", _HINT)
    if level not in LEVELS:
        raise BaselineError(f"{where}, level", as_json(level), f"one of {', '.join(LEVELS)}")
    if not isinstance(listed, list):
        raise BaselineError(f"{where}, findings", as_json(listed), "an array")
    entries: dict[str, BaselineEntry] = {}
    for position, values in enumerate(listed):
        place = f"{where}, finding {position}"
        entry = _parse_entry(values, place)
        if entry.fingerprint in entries:
            raise BaselineError(
                place, f"a second entry for {entry.code} at {entry.location}", "each finding once", _HINT
            )
        entries[entry.fingerprint] = entry
    return Baseline(tuple(sorted(entries.values(), key=lambda entry: entry.sort_key)), cast(Level, level))


def apply_baseline(
    report: VerificationReport, baseline: Baseline
) -> tuple[VerificationReport, tuple[BaselineEntry, ...]]:
    """Return a report without its accepted findings, and the baseline entries whose findings no longer occur.

    Apply the baseline before a policy. Otherwise findings that the policy ignores look like findings that no longer occur.

    Returns:
        First the report. If a rule has at most as many findings at a location as the baseline accepts, these findings are removed
        and added to `accepted_count`. If the rule has more findings there, all of them stay, with a remark, because accepted and
        new findings cannot be distinguished.

        Then the entries with accepted findings that no longer occur, in order. The `count` of each entry is the number of these
        findings. An entry is left out if this verification could have missed its findings: the level is lower, a check failed, a
        file could not be read, or the rule needs a source and none was given. Entries of rules that depend on a number of ranks
        are always left out.
    """
    accepted = {entry.fingerprint: entry for entry in baseline.entries if entry.code not in ALWAYS_COUNTED}
    current = _by_fingerprint(report.findings)
    kept: list[Finding] = []
    accepted_count = 0
    for fingerprint, same in current.items():
        entry, count = accepted.get(fingerprint), finding_count(same)
        if entry is None:
            kept += same
        elif count <= entry.count:
            accepted_count += count
        else:
            note = f"{count} such findings occur here, but the baseline accepts only {entry.count}"
            kept += (replace(found, found=f"{found.found} ({note})") for found in same)
    gone = [
        replace(entry, count=entry.count - finding_count(current.get(entry.fingerprint, ())))
        for entry in baseline.entries
        if _would_be_seen(entry, baseline, report)
    ]
    return (
        replace(report, findings=tuple(sorted(kept)), accepted_count=report.accepted_count + accepted_count),
        tuple(entry for entry in gone if entry.count > 0),
    )


def _would_be_seen(entry: BaselineEntry, baseline: Baseline, report: VerificationReport) -> bool:
    if any(found.code in ALWAYS_COUNTED for found in report.findings) or not includes(report.level, baseline.level):
        return False
    return entry.code not in _NEED_OPTIONS and (entry.code not in COMPARISONS or report.against is not None)


def _by_fingerprint(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for found in findings:
        groups.setdefault(found.fingerprint, []).append(found)
    return groups


def _parse_entry(listed: object, where: str) -> BaselineEntry:
    if not isinstance(listed, dict):
        raise BaselineError(where, as_json(listed), "an object")
    fingerprint, code, count = (listed.get(key) for key in ("fingerprint", "code", "count"))
    if not isinstance(code, str):
        raise BaselineError(f"{where}, code", as_json(code), "the code of a rule")
    if code in ALWAYS_COUNTED:
        raise BaselineError(
            f"{where}, code", code, "the code of another rule", f"remove the entry: {WHY_ALWAYS_COUNTED}"
        )
    if type(count) is not int or count < 1:
        raise BaselineError(f"{where}, count", as_json(count), "a whole number, 1 or more")
    location = _parse_location(listed.get("location"), f"{where}, location")
    if not isinstance(fingerprint, str):
        raise BaselineError(f"{where}, fingerprint", as_json(fingerprint), "32 hex digits")
    # A removed rule has no findings, so the entry is kept, and its findings are later reported as no longer occurring.
    rule = RULES.get(code)
    if rule is not None and finding(rule, "", "", location).fingerprint != fingerprint:
        expected = f"the fingerprint of {code} at {location}"
        raise BaselineError(f"{where}, fingerprint", as_json(fingerprint), expected, _HINT)
    return BaselineEntry(fingerprint, code, count, location)


def _parse_location(listed: object, where: str) -> Location:
    if not isinstance(listed, dict):
        raise BaselineError(where, as_json(listed), "an object")
    for name, value in cast(Mapping[str, object], listed).items():
        if name not in _LOCATION_TYPES:
            raise BaselineError(f"{where}, {name}", "an unknown key", f"one of {', '.join(_LOCATION_TYPES)}")
        if type(value) is not _LOCATION_TYPES[name]:
            expected = "a text" if _LOCATION_TYPES[name] is str else "a whole number"
            raise BaselineError(f"{where}, {name}", as_json(value), expected)
    return Location(**listed)
