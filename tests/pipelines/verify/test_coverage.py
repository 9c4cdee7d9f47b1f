"""What a report says about the parts that were checked and the parts that were not."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import (
    LEVELS,
    RULES,
    Level,
    Location,
    VerificationReport,
    VerifyOptions,
    plan_verification,
    verify,
)
from episeek_pipelines.verify.coverage import separate_notes
from episeek_pipelines.verify.findings.findings import finding
from episeek_pipelines.verify.rules import DRIFT, NOT_FASTSTART, includes
from episeek_pipelines.verify.settings.policy import Policy, apply_policy
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.header import VideoHeader, read_video_header
from tests.support.broken_datasets import TOP, WRIST, copy_of, edit_info, video
from tests.support.build_index import DATA


def report_of(dataset: str | Path, level: Level = "layout", **options: int | None) -> VerificationReport:
    root = DATA / dataset if isinstance(dataset, str) else dataset
    return verify(Root(str(root)), options=VerifyOptions(level=level, **options))  # type: ignore[arg-type]


def unchecked(report: VerificationReport) -> dict[str, str]:
    return {part.subject: part.hint or part.reason for part in report.coverage.not_checked}


@pytest.mark.parametrize("level", LEVELS)
def test_a_rule_of_a_higher_level_is_not_applied_and_has_one_reason(level: Level):
    coverage = report_of("av1_multifile", level).coverage
    codes = [code for part in coverage.not_checked for code in part.rules]
    assert len(set(codes)) == len(codes)
    assert {code for code, rule in RULES.items() if not includes(level, rule.level)} <= set(codes)
    assert ("rows" in coverage.checked) == (level in ("rows", "decode"))


def test_what_a_level_leaves_out_comes_with_the_option_that_includes_it():
    assert unchecked(report_of("h264_bframes", "meta")) == {
        "Parquet footers, video headers and sidecars": "use --level layout",
        "rows": "use --level rows",
        "pictures of videos": "use --level decode",
        "comparison with a source": "use --against",
    }
    assert unchecked(report_of("h264_bframes")) == {
        "rows": "use --level rows",
        "pictures of videos": "use --level decode",
        "sidecars": "run `episeek index`",
        "comparison with a source": "use --against",
        "prepared layout of data files": "use --prepared",
        "shards for training": "use --world-size",
    }


def test_sidecars_promise_row_groups_and_no_page_indexes(tmp_path: Path):
    assert unchecked(report_of("hevc"))["prepared layout of data files"] == "use --prepared"
    indexed = report_of(copy_of("hevc", tmp_path, indexed=True)).coverage
    [part] = [part for part in indexed.not_checked if "--prepared" in part.hint]
    assert (part.subject, part.rules) == ("page indexes of data files", ("ROW038",))


def test_a_sample_of_decoded_episodes_is_no_whole():
    report = report_of("hevc", "decode", decoded_episodes=2)
    assert report.coverage.checked[-2] == "pictures of 2 of 4 episodes"
    assert unchecked(report)["pictures of 2 other episodes"] == "use --decode-episodes all"
    whole = report_of("hevc", "decode", decoded_episodes=None)
    assert whole.coverage.checked[-2] == "pictures of all episodes"
    assert not [subject for subject in unchecked(whole) if "pictures" in subject]


def test_keyframes_by_the_header_alone_are_listed():
    """AV1 as LeRobot records it is not looked into in a store; of local files every keyframe is."""
    source = DATA / "edited"
    store = fsspec.filesystem("memory")
    store.put(f"{source}/", "/keyframes-by-header/", recursive=True)
    try:
        report = verify(Root("memory://keyframes-by-header"), options=VerifyOptions(level="layout"))
        [part] = [part for part in report.coverage.not_checked if part.subject.endswith("keyframes")]
        assert part.subject == "306 of 306 keyframes"
        assert part.hint == "verify a copy on a local disk"
    finally:
        store.rm("/keyframes-by-header", recursive=True)
    assert not [part for part in report_of("edited").coverage.not_checked if "keyframe" in part.subject]


@pytest.mark.parametrize("is_lost", [False, True])
def test_sidecars_made_from_all_samples_are_compared_with_all_samples(is_lost, tmp_path: Path, monkeypatch):
    """A few samples of a file in a store may show less than the sidecars know."""
    root = copy_of("h264_bframes", tmp_path, indexed=True)

    def read(*args: Any, keyframes: KeyframeChoice, **options: Any) -> VideoHeader:
        header = read_video_header(*args, keyframes=keyframes, **options)
        is_known = (np.arange(len(header.table)) == 0) | (keyframes == "all" and not is_lost)
        return replace(header, table=replace(header.table, is_sync=header.table.is_sync & is_known))

    monkeypatch.setattr("episeek_pipelines.verify.videos.parse.read_video_header", read)
    store = fsspec.filesystem("memory")
    store.put(f"{root}/", "/sidecars-know-more/", recursive=True)
    try:
        report = verify(Root("memory://sidecars-know-more"), options=VerifyOptions(level="layout"))
    finally:
        store.rm("/sidecars-know-more", recursive=True)
    assert {found.code for found in report.findings} >= ({"IDX032"} if is_lost else set())
    assert is_lost or not [found for found in report.findings if found.code.startswith("IDX")]


def test_a_dataset_of_images_has_no_videos_to_check():
    report = report_of("images", "decode")
    assert unchecked(report)["videos"] == "the dataset has no videos"
    assert unchecked(report)["pictures in data files"] == "no level decodes them"
    assert {code for code in RULES if code.startswith("VID")} <= report.coverage.rules_not_applied


def test_an_indexed_dataset_has_its_sidecars_checked_unless_they_are_broken(tmp_path: Path):
    root = copy_of("hevc", tmp_path, indexed=True)
    report = report_of(root)
    assert "sidecars" in report.coverage.checked
    assert [(note.code, note.video_count) for note in report.notes] == [("VID026W", 2), ("VID046", 2)]
    (root / "meta/byte_index/samples.parquet").unlink()
    report = report_of(root)
    assert unchecked(report)["comparison of sidecars with videos"] == "run `episeek index` again"
    assert report.notes == ()
    assert [found.code for found in report.findings].count("VID026W") == 2


def test_a_video_that_the_sidecars_do_not_list_keeps_its_warning(tmp_path: Path):
    plan = plan_verification(Root(str(copy_of("hevc", tmp_path, indexed=True))))
    indexed = finding(NOT_FASTSTART, "late", "", Location(video(TOP, 0)))
    others = [
        finding(NOT_FASTSTART, "late", "", Location("other.mp4")),
        finding(DRIFT, "x", "", Location(video(TOP, 0))),
    ]
    kept, notes = separate_notes(plan, [indexed, *others])
    assert kept == others
    assert [(note.code, note.video_count) for note in notes] == [("VID022W", 1)]


def test_a_dataset_whose_info_cannot_be_used_is_not_checked(tmp_path: Path):
    root = copy_of("images", tmp_path)
    edit_info(root, codebase_version="v9.0")
    assert unchecked(report_of(root)) == {"the rest of the dataset": "meta/info.json cannot be used"}


def test_ignored_rules_are_not_checked():
    report = report_of("h264_bframes")
    ignored = apply_policy(report, Policy(ignore=("INF009",)))
    assert unchecked(ignored)["rule INF009"] == "left out by ignore (--ignore or episeek.toml)"
    selected = apply_policy(report, Policy(select=("INF",)))
    assert "INF009" not in selected.coverage.rules_not_applied
    assert selected.coverage.rules_not_applied > {code for code in RULES if code.startswith(("EPI", "STA"))}
    assert apply_policy(report, Policy()) == report


def test_notes_of_ignored_rules_are_dropped(tmp_path: Path):
    report = report_of(copy_of("hevc", tmp_path, indexed=True))
    assert [note.code for note in report.notes] == ["VID026W", "VID046"]
    assert apply_policy(report, Policy(ignore=("VID026W", "VID046"))).notes == ()


def test_files_that_cannot_be_read_are_not_checked(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    for path in root.glob("videos/**/*.mp4"):
        path.unlink()
    report = report_of(root, "decode")
    assert report.coverage.checked == ("metadata", "listing of files", "Parquet footers", "rows")
    assert unchecked(report)["2 of 2 videos"] == "missing, empty, or not downloaded"
    shutil.rmtree(root / "data")
    report = report_of(root, "rows")
    assert report.coverage.checked == ("metadata", "listing of files")
    assert unchecked(report)["1 of 1 data file"] == "missing, empty, or not downloaded"


def test_without_episodes_files_are_checked_and_no_pictures(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    shutil.rmtree(root / "meta/episodes")
    checked = report_of(root, "decode").coverage.checked
    assert checked == ("metadata", "listing of files", "Parquet footers", "video headers", "rows")


def test_a_video_that_was_replaced_after_indexing_keeps_its_warning(tmp_path: Path):
    root = copy_of("hevc", tmp_path, indexed=True)
    top, wrist = (root / video(camera, 0) for camera in (TOP, WRIST))
    shutil.copyfile(wrist, top)
    report = report_of(root)
    assert [(note.code, note.video_count) for note in report.notes] == [("VID026W", 1), ("VID046", 1)]
    assert [found.location.file for found in report.findings if found.code == "VID026W"] == [video(TOP, 0)]
