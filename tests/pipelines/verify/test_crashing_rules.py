"""Each rule in turn raises: that is a finding, VER000, and all other findings stay the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import Finding, Level, VerifyOptions, verify
from episeek_pipelines.verify.data.footer_rules import BOUND_RULES, FOOTER_RULES
from episeek_pipelines.verify.data.row_rules import ROW_RULES, RUN_RULES
from episeek_pipelines.verify.episodes.rules import METADATA_RULES
from episeek_pipelines.verify.videos.format import FORMAT_RULES
from episeek_pipelines.verify.videos.rules import VIDEO_RULES
from episeek_pipelines.verify.videos.span_rules import SPAN_RULES
from tests.support.amount import every
from tests.support.broken_datasets import EPISODES, TOP, collapse, copy_of, data, edit_info, set_value, video
from tests.support.build_index import DATA
from tests.support.cached_table_checks import cache_table_checks

TUPLES = {
    "plan.METADATA_RULES": METADATA_RULES,
    "data.rules.FOOTER_RULES": FOOTER_RULES,
    "data.rules.BOUND_RULES": BOUND_RULES,
    "data.rules.RUN_RULES": RUN_RULES,
    "data.rules.ROW_RULES": ROW_RULES,
    "videos.rules.VIDEO_RULES": VIDEO_RULES,
    "videos.rules.FORMAT_RULES": FORMAT_RULES,
    "videos.rules.SPAN_RULES": SPAN_RULES,
}
FUNCTIONS = {
    "metadata.survey_rules.check_declared_rates": "INF002",
    "metadata.survey_rules.check_tasks": "TSK014",
    "metadata.survey_rules.check_statistics": "STA029",
    "metadata.card_rules.check_card": "HUB",
    "metadata.survey_rules.check_folders": "INF006",
    "metadata.survey_rules.check_splits": "INF009W",
    "metadata.survey_rules.check_documents": "INF021",
    "episodes.shard.check_columns": "EPI011",
    "episodes.shard.check_episode_tasks": "TSK014",
    "episodes.shard.compare_episodes": "EPI021 ROW021",
    "data.rules.check_columns": "INF003",
    "data.rules.check_feature_types": "INF003",
    "data.feature_scan.FeatureScan.add": "ROW020 STA020",
    "data.feature_scan.FeatureScan.findings": "ROW020 STA020",
    "data.language_rules.LanguageScan.add": "ROW030",
    "data.task_scan.TaskScan.add": "TSK014",
    "data.row_scan.RowScanner.add": "ROW",
    "findings.source_differences.first_difference": "ROW021 EPI021",
    "videos.rules.camera_figures": "VID026",
    "videos.decode_rules._check_episode": "VID027 VID028",
    "run.check_formats": "VID026",
    "run.check_constant_dimensions": "STA020",
    "run.check_shards": "TRN037",
    "run._misplaced_rows": "EPI012 ROW015",
    "sidecars.rules.check_table": "IDX03",
}
"""What each of them finds: the codes, or starts of them, that may be missing when it fails."""

EVERY = VerifyOptions(level="decode", decoded_episodes=2, world_size=90)

ROWS = replace(EVERY, level="rows")
"""For rules that look at no pictures."""

FOOTERS = VerifyOptions(level="layout", world_size=90)
"""Where the rows of a collapsed file are not looked at."""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_of("av1_multifile", tmp_path_factory.mktemp("damaged"), indexed=True)
    set_value(root, EPISODES, "data/file_index", 3, 0)
    set_value(root, data(1), "index", 40, 4)
    set_value(root, data(2), "timestamp", 2, 9.0)
    (root / video(TOP, 1)).unlink()
    collapse(root, data(2))
    edit_info(root, splits={"train": "0:99"}, total_tasks=9)
    (root / "README.md").write_text("---\nconfigs: 3\n---\n")
    return root


Before = Callable[[VerifyOptions], tuple[Finding, ...]]


def found(root: Path, options: VerifyOptions = EVERY) -> tuple[Finding, ...]:
    return verify(Root(str(root)), against=Root(str(DATA / "av1_multifile")), options=options).findings


@pytest.fixture(scope="module")
def before(damaged: Path) -> Before:
    """Return the findings at a level while no rule fails."""
    answers: dict[Level, tuple[Finding, ...]] = {}

    def ask(options: VerifyOptions) -> tuple[Finding, ...]:
        level = options.require_level()
        if level not in answers:
            answers[level] = found(damaged, options)
            codes = {finding.code for finding in answers[level]}
            assert "VER000" not in codes
            assert len(codes) > (4 if options is FOOTERS else 10)
        return answers[level]

    return ask


@pytest.fixture(autouse=True)
def cached_table_checks(monkeypatch):
    cache_table_checks(monkeypatch)


def failing(*arguments: Any, **options: Any) -> Any:
    raise ZeroDivisionError("a defect of the rule")


@pytest.mark.parametrize(
    ("name", "number"), every([(name, number) for name, rules in TUPLES.items() for number in range(len(rules))], 2)
)
def test_a_rule_of_many(name: str, number: int, damaged: Path, before: Before, monkeypatch):
    options = FOOTERS if name == "data.rules.BOUND_RULES" else ROWS
    known = before(options)
    rules: list[Any] = list(TUPLES[name])
    codes = (rules[number].__doc__ or "").replace(":", " ").replace(",", " ").replace(".", " ").split()
    rules[number] = failing
    monkeypatch.setattr(f"episeek_pipelines.verify.{name}", tuple(rules))
    after = found(damaged, options)
    crashed = [finding for finding in after if finding.code == "VER000"]
    assert crashed
    assert "a defect of the rule" in crashed[0].message
    assert set(after) - set(crashed) <= set(known)
    missing = set(known) - set(after)
    assert all(any(finding.code[:6] == code[:6] for code in codes) for finding in missing), missing


@pytest.mark.parametrize("name", every(list(FUNCTIONS), 2))
def test_a_rule_alone(name: str, damaged: Path, before: Before, monkeypatch):
    options = EVERY if "decode" in name else ROWS
    known = before(options)
    monkeypatch.setattr(f"episeek_pipelines.verify.{name}", failing)
    after = found(damaged, options)
    crashed = [finding for finding in after if finding.code == "VER000"]
    assert crashed
    allowed = tuple(FUNCTIONS[name].split())
    missing = set(known) - set(after)
    assert all(finding.code.startswith(allowed) for finding in missing), missing
