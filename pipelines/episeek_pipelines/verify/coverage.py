"""Functions that derive which parts of a dataset a verification checked, and that replace harmless findings by notes."""

from collections.abc import Iterable, Iterator

import numpy as np

from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.verify.findings.checks import (
    DataCheck,
    VerificationContext,
    VerificationPlan,
    VideoCheck,
    VideoFile,
)
from episeek_pipelines.verify.findings.coverage import Coverage, Note, Unchecked
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.observations import KeyframeCounts, WindowCounts
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.metadata.old_version import not_applied
from episeek_pipelines.verify.rules import (
    COMPARISONS,
    DECODED,
    HOLES,
    INDEXED_FILES,
    INDEXED_SAMPLES,
    INDEXED_SPANS,
    MOOT_WHEN_INDEXED,
    ORPHAN_FILE,
    PAGE_INDEX,
    ROW_GROUPS,
    ROW_GROUPS_OF_INDEXED,
    RULES,
    SHARDS,
    STALE,
    WORKER_SHARDS,
    Level,
    Rule,
)
from episeek_pipelines.verify.videos.choice import reason_without_windows
from episeek_pipelines.verify.videos.picture_reader import has_decoder
from episeek_pipelines.words import counted
from episeek_schemas import layout

_IMAGE_DTYPE = "image"
_WINDOWS = "windows of frames decoded from later keyframes"


def separate_notes(plan: VerificationPlan, findings: Iterable[Finding]) -> tuple[list[Finding], tuple[Note, ...]]:
    """Return the findings that matter, and notes in place of findings that are harmless because the video is indexed.

    A video is indexed in the sidecars, which are tables in `meta/byte_index/`. A finding stays if the video has changed after it
    was indexed (IDX031), because readers then refuse to use the sidecars.
    """
    findings = list(findings)
    stale_rows = {found.location.row for found in findings if found.code == INDEXED_FILES.code}
    indexed_paths = {
        file.path for file in _video_files(plan) if file.indexed is not None and file.indexed.row not in stale_rows
    }
    kept: list[Finding] = []
    moot: dict[str, list[Finding]] = {}
    for found in findings:
        if found.code in MOOT_WHEN_INDEXED and found.location.file in indexed_paths:
            moot.setdefault(found.code, []).append(found)
        else:
            kept.append(found)
    return kept, tuple(Note(code, finding_count(moot[code])) for code in sorted(moot))


def coverage_of(
    plan: VerificationPlan, findings: Iterable[Finding], windows: WindowCounts, keyframes: KeyframeCounts
) -> Coverage:
    """Return the parts of a dataset that the checks of a plan cover, and the parts that they do not cover.

    Args:
        plan: The plan that `plan_checks` made.
        findings: All findings of the verification. VER000 and VER001 report checks that failed and files that could not be read.
        windows: The number of windows (short ranges of frames) that were compared with decoding the whole file, and the number of
            windows that could not be compared.
        keyframes: The number of keyframes that the headers declare, and how many of them had their coded bytes inspected.
    """
    context, options = plan.context, plan.options
    if context is None:
        unusable = next((found.location.file for found in plan.findings if found.location.file), layout.INFO_PATH)
        reason = f"{unusable} cannot be used"
        return Coverage((layout.INFO_PATH,), (Unchecked("the rest of the dataset", reason),))
    return Coverage(
        tuple(_checked(plan, context, options, windows)),
        tuple(
            part
            for parts in (
                [not_applied(context.root)] if isinstance(context.root, V2Root) else [],
                _unread(context, options),
                _undecoded(plan, context, options, windows),
                _without_windows(plan, context, options, windows),
                _keyframes_by_header(context, keyframes),
                _without_sidecars(context, options),
                _unrequested(context, options),
                _unreadable(plan, options),
                _prevented(plan, context, findings),
            )
            for part in parts
        ),
    )


def _checked(
    plan: VerificationPlan, context: VerificationContext, options: VerifyOptions, windows: WindowCounts
) -> Iterator[str]:
    yield "metadata"
    yield "listing of files"
    if options.looks_at("layout"):
        if _data_file_count(plan):
            yield "Parquet footers"
        if any(_video_files(plan)):
            yield "video headers"
        if context.sidecars is not None:
            yield "sidecars"
    if options.looks_at("rows") and _data_file_count(plan):
        yield "rows"
    decoded, total = _decoded_counts(plan) if options.looks_at("decode") else (0, 0)
    if total:
        episodes = "all episodes" if decoded == total else f"{decoded:,} of {counted(total, 'episode')}"
        yield f"pictures of {episodes}"
    if windows.compared:
        yield f"{counted(windows.compared, 'window')} of frames decoded from later keyframes"
    if context.against is not None:
        yield "comparison with a source"


def _unread(context: VerificationContext, options: VerifyOptions) -> Iterator[Unchecked]:
    """Yield the files and rows that are read only at a higher level."""
    subjects: dict[Level, str] = {"layout": "Parquet footers, video headers and sidecars", "rows": "rows"}
    if not context.info.video_keys:
        subjects["layout"] = "Parquet footers and sidecars"
    for level, subject in subjects.items():
        if not options.looks_at(level):
            reason = f"the level {options.level} does not read them"
            # Rules that are also left out for another reason are listed with that reason instead.
            codes = _codes(
                rule
                for rule in RULES.values()
                if rule.level == level
                and not (rule.code in COMPARISONS and context.against is None)
                and (context.info.video_keys or not rule.code.startswith("VID"))
            )
            yield Unchecked(subject, reason, f"use --level {level}", codes)


def _undecoded(
    plan: VerificationPlan, context: VerificationContext, options: VerifyOptions, windows: WindowCounts
) -> Iterator[Unchecked]:
    if not context.info.video_keys:
        codes = _codes(rule for rule in RULES.values() if rule.code.startswith("VID"))
        yield Unchecked("videos", "the dataset has no videos", rules=codes)
    elif not options.looks_at("decode"):
        reason = f"the level {options.level} does not decode them"
        applied = (DECODED,) if windows.compared else ()
        codes = _codes(rule for rule in RULES.values() if rule.level == "decode" and rule not in applied)
        subject = "pictures of videos outside of the decoded windows" if windows.compared else "pictures of videos"
        yield Unchecked(subject, reason, "use --level decode", codes)
    else:
        decoded, total = _decoded_counts(plan)
        if decoded < total:
            reason = f"this verification decodes only {counted(decoded, 'episode')} of each camera"
            hint = "use --decode-episodes all"
            yield Unchecked(f"pictures of {counted(total - decoded, 'other episode')}", reason, hint)
    if any(isinstance(spec, dict) and spec.get("dtype") == _IMAGE_DTYPE for spec in context.features.values()):
        yield Unchecked("pictures in data files", "no level decodes them")


def _without_windows(
    plan: VerificationPlan, context: VerificationContext, options: VerifyOptions, windows: WindowCounts
) -> Iterator[Unchecked]:
    """Yield the windows that were not decoded, or whose pictures could not be compared with those from decoding the whole file.

    A window is a short range of frames that is decoded from a keyframe other than the file's first.
    """
    if not options.window_count or not options.looks_at("layout") or not any(_video_files(plan)):
        return
    reason = reason_without_windows(context)
    if reason:
        hint = "use --level decode" if has_decoder() else "install PyAV: pip install av"
        yield Unchecked(_WINDOWS, reason, hint)
    elif windows.unknown:
        reason = "decoding the whole file with FFmpeg gives no pictures at the times of these frames"
        yield Unchecked(f"{counted(windows.unknown, 'window')} of frames decoded from later keyframes", reason)


def _keyframes_by_header(context: VerificationContext, keyframes: KeyframeCounts) -> Iterator[Unchecked]:
    """Yield an entry with the number of keyframes that headers declare, but whose coded bytes were not inspected."""
    others = keyframes.flagged - keyframes.inspected
    if others > 0:
        subject = f"{others:,} of {counted(keyframes.flagged, 'keyframe')}"
        if context.data_root.is_local:
            yield Unchecked(subject, "episeek does not parse their codec, so it trusts the headers of the files")
        else:
            reason = "only a few keyframes of a file in a store are read; if these agree with the header, the header is trusted"
            yield Unchecked(subject, reason, "verify a copy on a local disk")


def _without_sidecars(context: VerificationContext, options: VerifyOptions) -> Iterator[Unchecked]:
    if not options.looks_at("layout") or context.sidecars is not None:
        return
    if context.has_sidecars:
        codes = _codes((INDEXED_FILES, INDEXED_SPANS, INDEXED_SAMPLES, STALE))
        yield Unchecked(
            "comparison of sidecars with videos", "the sidecars break their format", "run `episeek index` again", codes
        )
    elif context.info.video_keys:
        codes = _codes(rule for rule in RULES.values() if rule.code.startswith("IDX"))
        yield Unchecked("sidecars", "the dataset has no sidecars", "run `episeek index`", codes)


def _unrequested(context: VerificationContext, options: VerifyOptions) -> Iterator[Unchecked]:
    """Yield the parts that were not checked because an option that requests their check, such as `--against`, was not given."""
    if context.against is None:
        yield Unchecked("comparison with a source", "no source was given", "use --against", tuple(sorted(COMPARISONS)))
    if not options.looks_at("layout"):
        return
    reason = "the dataset is not declared to be prepared"
    if not context.has_promised_row_groups:
        rules = (ROW_GROUPS, PAGE_INDEX) if context.has_sidecars else (ROW_GROUPS, ROW_GROUPS_OF_INDEXED, PAGE_INDEX)
        yield Unchecked("prepared layout of data files", reason, "use --prepared", _codes(rules))
    elif not context.is_prepared:
        yield Unchecked("page indexes of data files", reason, "use --prepared", _codes((PAGE_INDEX,)))
    if options.world_size is None:
        codes = _codes((SHARDS, WORKER_SHARDS))
        yield Unchecked("shards for training", "no number of ranks was given", "use --world-size", codes)


def _unreadable(plan: VerificationPlan, options: VerifyOptions) -> Iterator[Unchecked]:
    """Yield the data files and videos that no check reads because they are missing, empty or pointers."""
    if not options.looks_at("layout"):
        return
    for noun, declared, read in (
        ("data file", plan.data_file_count, _data_file_count(plan)),
        ("video", plan.video_file_count, sum(1 for _ in _video_files(plan))),
    ):
        if read < declared:
            subject = f"{declared - read:,} of {counted(declared, noun)}"
            yield Unchecked(subject, "missing, empty, or not downloaded")


def _prevented(
    plan: VerificationPlan, context: VerificationContext, findings: Iterable[Finding]
) -> Iterator[Unchecked]:
    """Yield the parts that could not be checked because of defects of the dataset or failed checks."""
    if not context.is_complete:
        rules = _codes((ORPHAN_FILE,))
        if not plan.shards:
            subject = "episodes, with their rows and frames"
            yield Unchecked(subject, "meta/episodes has no readable file", rules=rules)
        else:
            reason = "meta/episodes has rows that cannot be used"
            yield Unchecked("files, rows and frames without an episode", reason, rules=rules)
    holes = [found for found in findings if found.code in HOLES]
    if holes:
        codes = " and ".join(sorted({found.code for found in holes}))
        yield Unchecked(counted(finding_count(holes), "failed check"), f"see {codes}")


def _decoded_counts(plan: VerificationPlan) -> tuple[int, int]:
    """Return the number of episodes whose pictures are decoded, and the number of all episodes with videos."""
    decoded: set[int] = set()
    episodes: set[int] = set()
    for file in _video_files(plan):
        episodes.update(file.episode_index.tolist())
        decoded.update(file.episode_index[np.array(file.decoded, np.int64)].tolist())
    return len(decoded), len(episodes)


def _data_file_count(plan: VerificationPlan) -> int:
    """Return the number of data files that the checks read."""
    return sum(len(group.files) for check in plan.checks if isinstance(check, DataCheck) for group in check.groups)


def _video_files(plan: VerificationPlan) -> Iterator[VideoFile]:
    for check in plan.checks:
        if isinstance(check, VideoCheck):
            yield from check.files


def _codes(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(sorted(rule.code for rule in rules))
