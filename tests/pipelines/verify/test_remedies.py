"""A remedy is true: where it is followed, the finding is gone, and rows and pictures are those of the sample.

The oracle is what LeRobot reads, by plain pyarrow: rows in the order of the data files, tasks by the pandas index, and for each
episode the video file and the seconds of its frames. A rule without such a case has a remedy that says what a person has to
decide, asks for the file's source, or names a command that other tests run.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import RULES, verify
from episeek_pipelines.verify.findings.options import VerifyOptions
from tests.broken.case import Case
from tests.broken.catalogue import CASES
from tests.pipelines.verify.test_rules import expected_counts
from tests.support.build_index import DATA
from tests.support.cached_table_checks import cache_table_checks
from tests.support.lerobot_meaning import frames_meaning, rows_meaning

REMEDIED = [case for case in CASES if case.remedied is not None]
BY_A_PERSON = ("decide", "restore", "from the recording", "encode", "record", "check", "report the message")
"""Words of a remedy that names a decision, or a source that the dataset itself does not have."""
COMMANDS = ("run `git lfs pull`", "run `episeek ", "prepare again", "prepare the source again")
"""Words of a remedy that names a command, which tests of its own run."""


@pytest.fixture(autouse=True)
def cached_table_checks(monkeypatch: pytest.MonkeyPatch):
    cache_table_checks(monkeypatch)


@cache
def meaning_of_sample(name: str) -> dict[str, Any]:
    return meaning(DATA / name)


def meaning(root: Path) -> dict[str, Any]:
    """What LeRobot reads: all values of the rows, the texts of their tasks, and the frames of each episode."""
    return {**rows_meaning(root), "frames": frames_meaning(root)}


@pytest.mark.parametrize("case", REMEDIED, ids=lambda case: case.folder)
def test_a_remedy_that_is_followed_gives_the_dataset_back(case: Case, tmp_path: Path):
    root = tmp_path / "broken"
    case.make(root)
    assert case.remedied is not None
    case.remedied(root)
    options = VerifyOptions(level=case.level, **case.options)
    report = verify(Root(str(root)), prepared=case.prepared, options=options)
    expected = set(expected_counts(case.sample, case.level, indexed=case.indexed))
    assert {found.code for found in report.findings} == expected, report.findings
    assert meaning(root) == meaning_of_sample(case.sample)


def test_every_other_remedy_asks_a_person_or_names_a_command():
    shown = {code for case in REMEDIED for code in case.all_codes}
    words = (*BY_A_PERSON, *COMMANDS)
    assert [
        code for code, rule in RULES.items() if code not in shown and not any(w in rule.remedy for w in words)
    ] == []


def test_no_remedy_is_to_remove_data():
    assert [
        code for code, rule in RULES.items() if re.search(r"\bremove the file\b|\bdrop the columns\b", rule.remedy)
    ] == []
