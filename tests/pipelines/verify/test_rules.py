"""Each broken dataset gives exactly its codes, besides the findings of the sample it is made from, at every level."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import RULES, VerificationReport, verify
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.rules import LEVELS, MOOT_WHEN_INDEXED, Level, includes
from tests.broken.__main__ import main
from tests.broken.case import AV1, EDITED, H264, HEVC, IMAGES, Case
from tests.broken.catalogue import CASES, TABLE_NAME
from tests.support.amount import IS_FULL, every
from tests.support.broken_datasets import copy_of
from tests.support.build_index import DATA
from tests.support.cached_table_checks import cache_table_checks


class Expected(NamedTuple):
    findings: int
    reason: str


EXPECTED: dict[str, dict[str, Expected]] = {
    AV1: {"VID022W": Expected(4, "LeRobot leaves the moov box of a file with one episode after the media data")},
    EDITED: {"VID022W": Expected(8, "the same in files that delete_episodes encodes again")},
    H264: {"VID026W": Expected(2, "recorded with B-frames, so that composition offsets and edit lists are tried")},
    HEVC: {
        "VID026W": Expected(2, "x265 reorders frames by default"),
        "VID046": Expected(2, "x265 opens groups of pictures by default, and LeRobot then loses every other frame"),
    },
    IMAGES: {},
}
"""Findings of each sample dataset, with the reason for which they are right."""

EXPECTED_INDEXED: dict[str, dict[str, Expected]] = {
    EDITED: {"ROW018": Expected(3, "delete_episodes writes all rows of a file as one row group")},
}
"""Further findings in the same datasets with sidecars; problems that the sidecars make moot are notes then."""


def expected_counts(dataset: str, level: Level, *, indexed: bool) -> dict[str, int]:
    """Return the number of findings of a sample dataset by code."""
    expectations = EXPECTED[dataset]
    if indexed and includes(level, "layout"):
        expectations = {
            code: expectation for code, expectation in expectations.items() if code not in MOOT_WHEN_INDEXED
        }
    expectations = expectations | (EXPECTED_INDEXED.get(dataset, {}) if indexed else {})
    return {
        code: expectation.findings for code, expectation in expectations.items() if includes(level, RULES[code].level)
    }


def verified(
    root: Path, level: Level, *, against: Root | None = None, prepared: bool | None = None, **options: Any
) -> VerificationReport:
    settings = VerifyOptions(level=level, **options)
    return verify(Root(str(root)), against=against, prepared=prepared, options=settings)


@pytest.fixture(autouse=True)
def cached_table_checks(monkeypatch: pytest.MonkeyPatch):
    """Each case is verified at up to four levels, and most have the tables of the sample."""
    cache_table_checks(monkeypatch)


def codes(report: VerificationReport) -> set[str]:
    return {found.code for found in report.findings}


def telling_cases() -> list[Case]:
    """Return all cases in a full run; otherwise those whose codes none before them has together, and all without a finding."""
    seen: set[frozenset[str]] = set()
    cases = []
    for case in CASES:
        codes_of_case = frozenset(case.all_codes)
        if IS_FULL or not codes_of_case or codes_of_case not in seen:
            cases.append(case)
        seen.add(codes_of_case)
    return cases


@pytest.mark.parametrize("case", telling_cases(), ids=lambda case: case.folder)
def test_a_defect_gives_exactly_its_codes(case: Case, tmp_path: Path):
    root = tmp_path / "broken"
    case.make(root)
    against = Root(str(DATA / case.sample)) if case.against else None
    for level in every(case.levels, len(case.levels)):  # the lowest and the highest
        report = verified(root, level, against=against, prepared=case.prepared, **case.options)
        expected = case.expected(level)
        expected_anyway = {
            *expected_counts(case.sample, level, indexed=case.indexed),
            *expected_counts(case.sample, level, indexed=False),
        }
        found = codes(report) - (expected_anyway - case.all_codes)
        assert found == expected, [level, *(f"{f.code} {f.location}: {f.message}" for f in report.findings)]
        assert report.is_clean == case.is_clean(level)


def test_every_rule_has_a_case():
    covered = {code for case in CASES for code in case.all_codes}
    assert covered == set(RULES) - {"VER000", "VER001", "IDX045"}  # see test_plan.py and test_recorded_source.py


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
@pytest.mark.parametrize("dataset", EXPECTED)
def test_sample_datasets_give_the_expected_findings(dataset: str, indexed: bool, tmp_path: Path):
    root = copy_of(dataset, tmp_path, indexed=indexed)
    for level in LEVELS:
        report = verified(root, level)
        counts: Counter[str] = Counter()
        for found in report.findings:
            counts[found.code] += 1 + found.more
        assert dict(counts) == expected_counts(dataset, level, indexed=indexed), [level, *report.findings]
        moot = {
            code: n for code, n in expected_counts(dataset, level, indexed=False).items() if code in MOOT_WHEN_INDEXED
        }
        assert {note.code: note.video_count for note in report.notes} == (moot if indexed else {})


def test_broken_datasets_are_written_by_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main([str(tmp_path), "EPI008", "EPI010"])
    table = json.loads((tmp_path / TABLE_NAME).read_text())
    assert {code for entry in table for code in entry["codes"]} == {"EPI008", "EPI010"}
    assert {path.name for path in tmp_path.iterdir()} == {TABLE_NAME, *(entry["name"] for entry in table)}
    assert len(capsys.readouterr().out.splitlines()) == len(table) > 2
    with pytest.raises(SystemExit):
        main([str(tmp_path), "EPI999"])


def test_every_case_has_a_folder_of_its_own():
    assert len({case.folder for case in CASES}) == len(CASES) > 150
