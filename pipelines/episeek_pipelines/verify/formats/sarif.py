"""Write a report as SARIF 2.1.0 (OASIS), in the form that GitHub's code scanning accepts.

A row of a Parquet file is not a line of text, so no location has a region. Episode, camera, row and column form a logical location,
and the message repeats them. Code scanning refuses a whole report if one result has no file or an absolute URI, if it has more than
25,000 results, or if its compressed size is more than 10 MB. It resolves relative URIs against the repository and ignores
`originalUriBaseIds`.
"""

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes

from episeek.stores.kinds import is_local, local_path
from episeek.version import __version__
from episeek_pipelines.verify.findings.findings import Finding, Location, finding_count
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.formats.grouping import and_more, place_in_file
from episeek_pipelines.verify.formats.json_document import dump_json
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.verify.rules import HOLES, RULES, Rule
from episeek_pipelines.words import counted
from episeek_schemas.layout import INFO_PATH

SCHEMA_URI: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MAX_RESULTS: Final = 25_000
MAX_GZIP_BYTES: Final = 10_000_000
FINGERPRINT: Final = "episeekFinding/v1"
LEFT_OUT: Final = "LEFT_OUT"
"""The rule id of the last result of a report that is too long. This result says how many findings are left out."""
_DATASET: Final = "DATASET"
_SOURCE: Final = "SOURCE"
_MAX_LENGTH: Final = 4000
_RULE_INDEX: Final = {code: index for index, code in enumerate(sorted(RULES))}


def format_sarif(report: VerificationReport) -> str:
    """Return a SARIF log with one run, all rules, and all findings up to the limits of code scanning."""
    return format_sarif_all([report])


def format_sarif_all(reports: Sequence[VerificationReport]) -> str:
    """Return a SARIF log with a single run that contains the findings of all reports, errors first.

    A run for each report is impossible, since code scanning accepts at most 20 runs, and only one run per category. Each dataset
    has its own `uriBaseId` (`DATASET`, `DATASET2`, ...). With several reports, the root of the dataset is part of each fingerprint.
    """
    findings = [(number, found) for number, report in enumerate(reports) for found in report.findings]
    if len(reports) > 1:
        # "error" sorts before "warning".
        findings.sort(key=lambda item: item[1].severity)
    results = _results(reports, findings)
    for count in _fewer_and_fewer(len(findings)):
        text = dump_json(_log(reports, results[:count], [found for _, found in findings[count:]]), indent=None)
        if len(text) <= MAX_GZIP_BYTES // 4 or _gzip_byte_count(text) <= MAX_GZIP_BYTES:
            break
    return text


def _fewer_and_fewer(count: int) -> Iterable[int]:
    """Yield numbers of results to try: as many as allowed, then half as many each time, and at last 0, which always fits."""
    # A report that leaves out findings has one more result, which counts the missing findings.
    count = count if count <= MAX_RESULTS else MAX_RESULTS - 1
    while count:
        yield count
        count //= 2
    yield 0


def _gzip_byte_count(text: str) -> int:
    # Level 6 is the default of the `gzip` command.
    return len(gzip.compress(text.encode(), 6))


def _log(
    reports: Sequence[VerificationReport], results: Sequence[dict[str, Any]], left_out: Sequence[Finding]
) -> dict[str, Any]:
    rules = [_rule(RULES[code]) for code in sorted(RULES)]
    if left_out:
        rules.append(_left_out_rule())
        results = [*results, _left_out_result(left_out)]
    return {
        "$schema": SCHEMA_URI,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "episeek", "version": __version__, "rules": rules}},
                "invocations": [_invocation(report) for report in reports],
                "originalUriBaseIds": _base_ids(reports),
                "columnKind": "unicodeCodePoints",
                "results": results,
                "properties": _properties(reports[0])
                if len(reports) == 1
                else {"datasets": [{"root": report.root, **_properties(report)} for report in reports]},
            }
        ],
    }


def _properties(report: VerificationReport) -> dict[str, Any]:
    return {
        "level": report.level,
        "levelReason": report.level_reason,
        "ignored": report.ignored_count,
        "accepted": report.accepted_count,
        "revision": report.revision,
        "notes": [note.as_dict() for note in report.notes],
        "checked": list(report.coverage.checked),
        "notChecked": [part.as_dict() for part in report.coverage.not_checked],
    }


def _invocation(report: VerificationReport) -> dict[str, Any]:
    """Return the `invocation` object of a report (SARIF 2.1.0, section 3.20).

    It states whether every check ran, and has a notification for each part of the dataset that was not checked.
    """
    invocation: dict[str, Any] = {"executionSuccessful": _is_complete(report.findings)}
    notes = [_message(f"not checked: {part}") for part in report.coverage.not_checked]
    if notes:
        invocation["toolExecutionNotifications"] = [{"level": "note", "message": note} for note in notes]
    return invocation


def _is_complete(findings: Iterable[Finding]) -> bool:
    return not any(found.code in HOLES for found in findings)


def _rule(rule: Rule) -> dict[str, Any]:
    help_lines = [f"Protects: {rule.protects}", f"Remedy: {rule.remedy}"]
    if rule.broke_in:
        help_lines.append(f"Seen in: {rule.broke_in}")
    return {
        "id": rule.code,
        "name": _pascal_case(rule.problem),
        "shortDescription": _message(rule.problem),
        "fullDescription": _message(f"{rule.problem}. Expected: {rule.invariant}. Protects: {rule.protects}."),
        "help": {
            "text": _literal("\n".join(help_lines)),
            "markdown": _literal("\n".join(f"- {line}" for line in help_lines)),
        },
        "defaultConfiguration": {"level": rule.severity},
        "properties": {"tags": [rule.level], "precision": "very-high", "problem.severity": rule.severity},
    }


def _left_out_rule() -> dict[str, Any]:
    text = "The report is too long for code scanning"
    return {
        "id": LEFT_OUT,
        "name": _pascal_case(text),
        "shortDescription": _message(text),
        "fullDescription": _message(text),
    }


def _left_out_result(left_out: Sequence[Finding]) -> dict[str, Any]:
    return {
        "ruleId": LEFT_OUT,
        "ruleIndex": len(RULES),
        # "error" sorts before "warning".
        "level": min(found.severity for found in left_out),
        "message": _message(f"{counted(finding_count(left_out), 'finding')} left out: code scanning accepts no more"),
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": INFO_PATH, "uriBaseId": _DATASET}}}],
        "partialFingerprints": {FINGERPRINT: LEFT_OUT, "primaryLocationLineHash": f"{LEFT_OUT}:1"},
    }


def _results(reports: Sequence[VerificationReport], findings: Sequence[tuple[int, Finding]]) -> list[dict[str, Any]]:
    seen: Counter[str] = Counter()
    return [
        _result(reports[number], found, seen, number=number, is_alone=len(reports) == 1)
        for number, found in findings[:MAX_RESULTS]
    ]


def _result(
    report: VerificationReport, found: Finding, seen: Counter[str], *, number: int, is_alone: bool
) -> dict[str, Any]:
    fingerprint = found.fingerprint
    if not is_alone:
        fingerprint = hashlib.sha256(f"{report.root} {fingerprint}".encode("utf-8", "backslashreplace")).hexdigest()[
            :32
        ]
    seen[fingerprint] += 1
    base_id, uri = _artifact(report, found.location.file)
    base_id = _numbered(base_id, number)
    is_complete = uri is not None or not found.location.file
    place = place_in_file(found.location) if is_complete else str(found.location)
    text = visible(f"{place}: {found.message}" if place else found.message, max_length=_MAX_LENGTH)
    # The help of the rule contains the rule's remedy, so the message only adds a remedy that the finding itself has.
    advice = f"\nRemedy: {found.remedy}" if found.remedy else ""
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": _RULE_INDEX[found.code],
        "level": found.severity,
        "message": _message(f"{text}{and_more(found)}{advice}"),
        "locations": [_location(found.location, base_id, uri or INFO_PATH)],
        "partialFingerprints": {
            FINGERPRINT: fingerprint,
            # Code scanning uses only this fingerprint, and combines all results that share it into one alert.
            "primaryLocationLineHash": f"{fingerprint}:{seen[fingerprint]}",
        },
    }
    if found.more:
        result["occurrenceCount"] = 1 + found.more
    return result


def _artifact(report: VerificationReport, file: str | None) -> tuple[str, str | None]:
    """Return the `uriBaseId` and the relative URI of a file.

    The URI is None if `file` is None. It is also None for a file that is neither in the dataset nor in the source with which the
    dataset is compared.
    """
    if not file:
        return _DATASET, None
    if not (file.startswith("/") or "://" in file):
        return _DATASET, percent_encoded(file)
    if report.against is not None:
        inner = file.removeprefix(f"{report.against}/").lstrip("/")
        if inner and file.startswith(f"{report.against}/"):
            return _SOURCE, percent_encoded(inner)
    return _DATASET, None


def _location(location: Location, base_id: str, uri: str) -> dict[str, Any]:
    parts = {name: visible(value) if isinstance(value, str) else value for name, value in location.as_dict().items()}
    document: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri, "uriBaseId": base_id}}}
    inner = {name: value for name, value in parts.items() if name != "file"}
    if inner:
        kind, name = list(inner.items())[-1]
        full = "/".join(f"{part} {value}" for part, value in inner.items())
        document["logicalLocations"] = [{"kind": kind, "name": str(name), "fullyQualifiedName": full}]
    if parts:
        document["properties"] = parts
    return document


def _base_ids(reports: Sequence[VerificationReport]) -> dict[str, Any]:
    ids = {}
    for number, report in enumerate(reports):
        ids[_numbered(_DATASET, number)] = _folder(report.root, "the dataset")
        if report.against is not None:
            ids[_numbered(_SOURCE, number)] = _folder(report.against, "the source that the dataset is compared with")
    return ids


def _numbered(base_id: str, number: int) -> str:
    """Return `base_id` with the number of a dataset: `DATASET` for number 0, `DATASET2` for number 1, and so on."""
    return f"{base_id}{number + 1}" if number else base_id


def _folder(root: str, description: str) -> dict[str, Any]:
    """Return the `artifactLocation` of a dataset. It has no URI if the root is neither a path nor a URL with a valid scheme."""
    folder: dict[str, Any] = {"description": _message(description)}
    if is_local(root):
        # A path with a user name that contains a null character, as in "~\0", cannot be made absolute.
        with suppress(ValueError):
            folder["uri"] = f"file://{percent_encoded(str(Path(local_path(root)).absolute())).rstrip('/')}/"
    else:
        scheme, _, rest = root.partition("://")
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
            folder["uri"] = f"{scheme}://{percent_encoded(rest).rstrip('/')}/"
    return folder


def percent_encoded(path: str) -> str:
    """Return a path percent-encoded (RFC 3986). A file name that is not UTF-8 is encoded from its bytes on disk."""
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = path.encode("utf-8", "surrogatepass")
    return quote_from_bytes(encoded, safe="/")


def _message(text: str) -> dict[str, str]:
    return {"text": _literal(text)}


def _literal(text: str) -> str:
    """Return text in which braces and brackets are escaped, so that SARIF readers find no placeholders and links in it.

    See SARIF 2.1.0, sections 3.11.5 and 3.11.6.
    """
    return re.sub(r"\[(?=[^\]]*\]\()", r"\\[", text.replace("{", "{{").replace("}", "}}"))


def _pascal_case(sentence: str) -> str:
    return "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", sentence))[:255]
