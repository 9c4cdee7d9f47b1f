"""Make the result of a comparison from the contents that were read and the differences that were counted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from episeek_pipelines.comparison.contents import Contents
from episeek_pipelines.comparison.documents import info_changes, statistic_changes, task_changes
from episeek_pipelines.comparison.episode_statistics import episode_statistic_changes
from episeek_pipelines.comparison.layout_changes import layout_changes
from episeek_pipelines.comparison.levels import DiffLevel, reads
from episeek_pipelines.comparison.lookups import file_changes, task_label_changes
from episeek_pipelines.comparison.matching import Matching
from episeek_pipelines.comparison.results import (
    ColumnChange,
    Comparison,
    EpisodeChange,
    NotCompared,
    Reading,
    StatisticChange,
    ValueChange,
    VideoChange,
)
from episeek_pipelines.comparison.side import Side
from episeek_pipelines.comparison.videos.differences import PairedSamples, SampleDifferences
from episeek_pipelines.comparison.videos.sample_entries import entry_words
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

V2_STATISTICS: Final = frozenset({"min", "max", "mean", "std", "count"})
"""Names of the statistics that datasets of version 2.x have."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows and samples that differ, for each pair of episodes whose rows or samples were compared one by one.

    Pairs without differences may have an entry.
    """

    rows: Mapping[Pair, tuple[ColumnChange, ...]]
    samples: Mapping[tuple[int, int, str], SampleDifferences]


def conclude(contents: Contents, matching: Matching, found: Counted, reading: Reading) -> Comparison:
    """Return the result of a comparison.

    Args:
        contents: The files of both datasets that were read.
        matching: The matched pairs of episodes.
        found: The rows and samples that differ.
        reading: The numbers of files and bytes that were read.
    """
    a, b = contents.a.side, contents.b.side
    samples = contents.paired_samples(matching.pairs)
    changes = [change for pair in matching.pairs if (change := _change(contents, pair, found, samples)) is not None]
    statistics = statistic_changes(a.statistics, b.statistics)
    statistics += episode_statistic_changes(a, b, matching.pairs)
    unknown = [change for change in statistics if _is_unknown(change, a, b)]
    layout, unread = layout_changes(a, b, matching.pairs, contents.a.data, contents.b.data, contents.covered.data_files)
    return Comparison(
        a=a.summary(),
        b=b.summary(),
        level=contents.level,
        metadata=(
            *info_changes(a.document, b.document, is_layout=False),
            *contents.column_changes(),
            *task_label_changes(a, b),
            *file_changes(a, b),
            *contents.unlisted_changes(),
        ),
        tasks=tuple(task_changes(a, b)),
        statistics=tuple(each for each in statistics if each not in unknown and not each.is_rounding),
        removed=matching.removed,
        added=matching.added,
        renumbered=tuple(pair for pair in matching.pairs if pair[0] != pair[1]),
        changed=tuple(changes),
        equal_count=len(matching.pairs) - len(changes),
        layout=(*layout, *_rounded(statistics)),
        undecided=tuple(contents.undecided(matching.pairs)),
        not_compared=(
            *_left_out(contents, matching, samples, found),
            *_unknown_statistics(unknown, a, b),
            *unread,
        ),
        reading=reading,
    )


def _change(
    contents: Contents, pair: Pair, found: Counted, samples: Mapping[tuple[int, int, str], PairedSamples]
) -> EpisodeChange | None:
    """Return the differences of a pair of episodes, or None if there are none."""
    a, b = pair
    side_a, side_b = contents.a.side, contents.b.side
    row_a, row_b = side_a.row_of[a], side_b.row_of[b]
    lengths = int(side_a.dataset.episodes.length[row_a]), int(side_b.dataset.episodes.length[row_b])
    first_a, first_b = (
        int(side.dataset.episodes.dataset_from_index[row]) for side, row in ((side_a, row_a), (side_b, row_b))
    )
    starts = first_a - int(side_a.places[row_a]), first_b - int(side_b.places[row_b])
    tasks_a, tasks_b = side_a.episode_tasks, side_b.episode_tasks
    tasks = None if tasks_a is None or tasks_b is None else (tasks_a[row_a], tasks_b[row_b])
    rows = None
    if reads(contents.level, "rows") and not (a == b and a in contents.covered.rows):
        rows = (contents.a.row_counts.get(a, 0), contents.b.row_counts.get(b, 0))
    videos = (
        _video_change(
            camera,
            samples[a, b, camera],
            found.samples.get((a, b, camera)),
            contents.level,
            has_other_length=lengths[0] != lengths[1],
        )
        for camera in contents.cameras
        if (a, b, camera) in samples
    )
    change = EpisodeChange(
        a,
        b,
        length=_unless_same(lengths),
        rows=None if rows is None else _unless_same(rows),
        tasks=None if tasks is None or tasks[0] == tasks[1] else tasks,
        is_start_changed=starts[0] != starts[1],
        starts=(first_a, first_b) if starts[0] != starts[1] else None,
        lookups=tuple(contents.changed_lookups(a, b)),
        columns=(
            *_without_tasks(found.rows.get(pair, ()), tasks, lengths),
            *contents.lacking_columns(a, b),
        ),
        videos=tuple(video for video in videos if video is not None),
    )
    return None if change == EpisodeChange(a, b) else change


def _without_tasks(
    columns: Sequence[ColumnChange], tasks: tuple[tuple[str, ...], tuple[str, ...]] | None, lengths: Pair
) -> Iterator[ColumnChange]:
    """Yield the changes of columns without the one of `task_index` that another text of the episode's only task explains.

    The tasks of rows are compared by their texts. If all rows of an episode have its only task, another text is one change.
    """
    is_explained = tasks is not None and tasks[0] != tasks[1] and [*map(len, tasks)] == [1, 1]
    for change in columns:
        if not (is_explained and change.column == lerobot.TASK_INDEX and change.row_count == min(lengths)):
            yield change


def _video_change(
    camera: str,
    pair: PairedSamples,
    counted_samples: SampleDifferences | None,
    level: DiffLevel,
    *,
    has_other_length: bool,
) -> VideoChange | None:
    a, b = pair.a, pair.b
    different = counted_samples.different if counted_samples is not None else 0
    # LeRobot reads as many frames as the length says, so that another length alone is no difference of the seconds.
    words = a.seconds.words(), b.seconds.words()
    is_of_length = has_other_length and words[0] == words[1]
    has_other_seconds = a.times == b.times and a.seconds.differs(b.seconds) and not is_of_length
    change = VideoChange(
        camera,
        frames=_unless_same((a.frame_count, b.frame_count)),
        samples=_unless_same((a.sample_count, b.sample_count)),
        different_samples=different or None,
        sample_count=a.sample_count if different else None,
        first_sample=counted_samples.first if different and counted_samples is not None else None,
        is_least=bool(different) and not reads(level, "videos"),
        is_order_changed=a.sample_count == b.sample_count and a.order != b.order,
        are_flags_changed=a.sample_count == b.sample_count and a.flags != b.flags,
        is_time_changed=a.times != b.times and a.frame_count == b.frame_count,
        # other times of the frames are a difference of their own
        seconds=words if has_other_seconds else None,
        entry=None if a.entry.parts == b.entry.parts else entry_words(a.entry, b.entry),
    )
    return None if change == VideoChange(camera) else change


def needs_samples(pair: PairedSamples, level: DiffLevel) -> bool:
    """Return whether the coded samples of a pair of episodes have to be compared one by one.

    They are compared if both episodes have the same number of samples, unless the samples have the same sizes and the level does
    not include their bytes.
    """
    return pair.a.sample_count == pair.b.sample_count and (reads(level, "videos") or pair.a.sizes != pair.b.sizes)


def _left_out(
    contents: Contents,
    matching: Matching,
    samples: Mapping[tuple[int, int, str], PairedSamples],
    found: Counted,
) -> Iterator[NotCompared]:
    """Yield the parts that were not compared, because the level of the comparison excludes them or one side does not have them."""
    level, pairs = contents.level, matching.pairs
    rows_left = sum(not (a == b and a in contents.covered.rows) for a, b in pairs)
    if not reads(level, "rows") and rows_left:
        yield NotCompared(
            f"rows of {counted(rows_left, 'episode')}", f"the level {level} does not read them; use --level rows"
        )
    cameras = len(contents.cameras) * len(pairs)
    covered = sum(a == b and a in numbers for numbers in contents.covered.videos.values() for a, b in pairs)
    if not reads(level, "layout") and cameras > covered:
        reason = f"the level {level} does not read them; use --level videos"
        yield NotCompared(f"videos of {counted(cameras - covered, 'episode')}, counted for each camera", reason)
    elif not reads(level, "videos"):
        unread = sum(
            pair.a.sample_count == pair.b.sample_count and key not in found.samples for key, pair in samples.items()
        )
        if unread:
            reason = f"the sizes are equal, and the level {level} does not read the bytes; use --level videos"
            yield NotCompared(f"bytes of the samples of {counted(unread, 'episode')}, counted for each camera", reason)
    if contents.is_by_number:
        yield NotCompared("changes of episode numbers", f"the level {level} matches episodes by their numbers alone")
    ours, theirs = contents.types
    if ours and theirs:
        for name in sorted((ours.keys() & theirs.keys()) - contents.columns):
            yield NotCompared(f"values of column {name}", "the types differ")
        yield from _only_on_one_side(ours, theirs, "column")
    yield from _only_on_one_side(contents.a.side.video_paths, contents.b.side.video_paths, "camera")


def _is_unknown(change: StatisticChange, a: Side, b: Side) -> bool:
    """Return whether a statistic is missing on one side because the version of that dataset has no such statistic."""
    lacking = {"A": b, "B": a}.get(change.only_in)
    return lacking is not None and lacking.dataset.is_file_an_episode and change.statistic not in V2_STATISTICS


def _unknown_statistics(unknown: Sequence[StatisticChange], a: Side, b: Side) -> Iterator[NotCompared]:
    for name, lacking in (("B", a), ("A", b)):
        kinds = sorted({change.statistic for change in unknown if change.only_in == name})
        if kinds:
            reason = f"only {name} has them: version {lacking.dataset.found_version} has none"
            yield NotCompared(f"statistics {', '.join(kinds)}", reason)


def _only_on_one_side(a: Mapping[str, object], b: Mapping[str, object], noun: str) -> Iterator[NotCompared]:
    for name in sorted({*a} ^ {*b}):
        yield NotCompared(f"{noun} {name}", f"only {'A' if name in a else 'B'} has it")


def _rounded(statistics: Sequence[StatisticChange]) -> Iterator[ValueChange]:
    """Yield one change for all statistics that differ only by rounding."""
    names = sorted({f"{each.statistic} of {each.feature}" for each in statistics if each.is_rounding})
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield ValueChange("statistics", "", f"equal but for rounding: {names[0]}{more}")


def _unless_same(values: tuple[int, int]) -> tuple[int, int] | None:
    return None if values[0] == values[1] else values
