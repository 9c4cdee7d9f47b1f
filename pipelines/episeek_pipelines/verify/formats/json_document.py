"""Write a report as JSON for programs. The schema of this JSON is `episeek_schemas/verification.schema.json`."""

import json
import math
import re
from typing import Any, Final

from episeek.version import __version__
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.rules import RULES

SCHEMA_VERSION: Final = 1
"""Version of the JSON document. It changes when a key is removed or its meaning changes, but not when a key is added."""

_SURROGATE: Final = re.compile("[\\ud800-\\udfff]")


def format_json(report: VerificationReport) -> str:
    """Return a JSON document with all findings, the notes, the checked and unchecked parts of the dataset, and a summary.

    The same report always gives the same text.
    """
    tolerance = report.timestamp_tolerance_seconds
    return dump_json(
        {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "episeek", "version": __version__},
            "findings": [_finding(found) for found in report.findings],
            "notes": [note.as_dict() for note in report.notes],
            "checked": list(report.coverage.checked),
            "not_checked": [part.as_dict() for part in report.coverage.not_checked],
            "summary": {
                "root": report.root,
                "revision": report.revision,
                "data_root": report.data_root,
                "against": report.against,
                "level": report.level,
                "level_reason": report.level_reason,
                "errors": report.error_count,
                "warnings": report.warning_count,
                "ignored": report.ignored_count,
                "accepted": report.accepted_count,
                "by_code": _count_by_code(report.findings),
                "episodes": report.episode_count,
                "data_files": report.data_file_count,
                "video_files": report.video_file_count,
                "windows": report.window_count,
                "files_read": report.files_read,
                "bytes_read": report.bytes_read,
                "timestamp_tolerance_seconds": tolerance if math.isfinite(tolerance) else None,
            },
        }
    )


def dump_json(document: Any, *, indent: int | None = 2) -> str:
    """Return a document as JSON that UTF-8 can encode. Lone surrogates, which file names may contain, are escaped.

    With `indent=None` the text has one line, and is written ten times as fast.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _finding(found: Finding) -> dict[str, Any]:
    rule = RULES[found.code]
    return {
        **found.as_dict(),
        "name": rule.invariant,
        "problem": rule.problem,
        "remedy": found.advice,
        "fingerprint": found.fingerprint,
    }


def _count_by_code(findings: tuple[Finding, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for found in findings:
        counts[found.code] = counts.get(found.code, 0) + 1 + found.more
    return counts
