"""Describe a comparison in words: sections of lines that both the text and the page show."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from episeek_pipelines.comparison.levels import DIFF_LEVELS
from episeek_pipelines.comparison.results import (
    ColumnChange,
    Comparison,
    DatasetSummary,
    EpisodeChange,
    StatisticChange,
    TaskChange,
    ValueChange,
    VideoChange,
)
from episeek_pipelines.verify.formats.visible import visible
from episeek_pipelines.words import counted, human_bytes

_MOST_CHARACTERS: Final = 100
"""Greatest number of characters of a value; longer values are cut."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a section."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the comparison in which something differs, or was not compared."""

    title: str
    lines: tuple[Line, ...]
    is_difference: bool = True
    """Whether the section makes the contents different."""


def dataset_words(side: DatasetSummary) -> str:
    """Return a description of one side: its URL, version, episodes and frames."""
    videos = f", videos of {visible(side.videos)}" if side.videos else ""
    episodes, frames = counted(side.episode_count, "episode"), counted(side.frame_count, "frame")
    return f"{visible(side.url)}  {side.version}, {episodes}, {frames}{videos}"


def episode_words(comparison: Comparison) -> str:
    """Return a text that says how many episodes are equal, changed, only in A, only in B, and renumbered."""
    parts = [f"{comparison.equal_count:,} equal"]
    counts = (
        (len(comparison.changed), "changed"),
        (len(comparison.removed), "only in A"),
        (len(comparison.added), "only in B"),
        (len(comparison.renumbered), "with another number"),
    )
    return ", ".join([*parts, *(f"{count:,} {word}" for count, word in counts if count)])


def verdict_of(comparison: Comparison, *, counts_layout: bool = False) -> tuple[str, str]:
    """Return the verdict as one word, and a sentence that explains it."""
    is_whole = comparison.level == DIFF_LEVELS[-1]
    layout = "; the layout differs" if comparison.layout else ""
    if comparison.is_different:
        kinds = [section.title for section in sections_of(comparison) if section.is_difference]
        others = [kind for kind in kinds if kind != "episodes"]
        differ = "; different " + ", ".join(others) if others else ""
        return "Different", f"{episode_words(comparison)}{differ}{layout}"
    if counts_layout and comparison.layout:
        return "Different", "the contents are equal, and the layout differs"
    if comparison.undecided:
        return (
            "Undecided",
            f"no difference was found, and {counted(len(comparison.undecided), 'part')} could not be compared",
        )
    if not is_whole:
        return "Equal", f"at level {comparison.level}, which does not compare everything{layout}"
    return "Equal", f"all {counted(comparison.equal_count, 'episode')}, their rows, coded samples and metadata{layout}"


def reading_words(comparison: Comparison) -> str:
    """Return a text that says which files were read, and how many bytes."""
    reading = comparison.reading
    parts = [
        f"{counted(reading.same_files, 'pair')} of files with the same bytes" if reading.same_files else "",
        f"{counted(reading.data_files, 'data file')}" if reading.data_files else "",
        f"{counted(reading.headers, 'video header')}" if reading.headers else "",
        f"{counted(reading.samples, 'pair')} of coded samples" if reading.samples else "",
    ]
    read = ", ".join(part for part in parts if part) or "only metadata and listings"
    return f"level {comparison.level}: {read}; {human_bytes(reading.byte_count)} of data and videos read"


def sections_of(comparison: Comparison) -> list[Section]:
    """Return the sections with at least one line, in a fixed order."""
    sections = [
        Section("episodes", tuple(_episode_lines(comparison))),
        Section("metadata", tuple(map(_value_line, comparison.metadata))),
        Section("tasks", tuple(map(_task_line, comparison.tasks))),
        Section("statistics", tuple(_statistic_lines(comparison.statistics))),
        Section("layout", tuple(map(_value_line, comparison.layout)), is_difference=False),
        Section(
            "could not be compared",
            tuple(Line(visible(part.subject), visible(part.reason)) for part in comparison.undecided),
            is_difference=False,
        ),
        Section(
            "not compared",
            tuple(Line(visible(part.subject), visible(part.reason)) for part in comparison.not_compared),
            is_difference=False,
        ),
    ]
    return [section for section in sections if section.lines]


def change_words(change: EpisodeChange) -> str:
    """Return a description of the changes of an episode. It does not include the episode's numbers in the two datasets."""
    parts = []
    if change.length is not None:
        parts.append(f"length {change.length[0]} -> {change.length[1]}")
    if change.rows is not None and change.rows != change.length:
        parts.append(f"rows {change.rows[0]} -> {change.rows[1]}")
    if change.tasks is not None:
        parts.append(f"tasks {_value(list(change.tasks[0]))} -> {_value(list(change.tasks[1]))}")
    if change.starts is not None:
        parts.append(f"dataset_from_index {change.starts[0]} -> {change.starts[1]}")
    parts += [f"{line.name}: {line.text}" for line in map(_value_line, change.lookups)]
    for column in change.columns:
        parts.append(f"{visible(column.column)} {_rows_words(column)}")
    parts += [f"{visible(video.camera)}: {_video_words(video)}" for video in change.videos]
    return "; ".join(parts)


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as text, for example `0-3, 7`."""
    parts = []
    for _, run in groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        members = [number for _, number in run]
        parts.append(str(members[0]) if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return ", ".join(parts)


def _rows_words(column: ColumnChange) -> str:
    if column.only_in:
        return f"only in {column.only_in}"
    if column.row_count is None:
        return "has another type"
    return f"differs in {counted(column.row_count, 'row')}, the first is row {column.first_row}"


def _video_words(video: VideoChange) -> str:
    parts = []
    if video.frames is not None:
        parts.append(f"{video.frames[0]} -> {video.frames[1]} frames")
    if video.samples is not None and video.samples != video.frames:
        parts.append(f"{video.samples[0]} -> {video.samples[1]} samples")
    if video.different_samples is not None:
        least = "at least " if video.is_least else ""
        verb = "differs" if video.different_samples == 1 and not least else "differ"
        words = f"{least}{video.different_samples} of {counted(video.sample_count or 0, 'sample')} {verb}"
        parts.append(f"{words}, the first is sample {video.first_sample}")
    if video.is_order_changed:
        parts.append("frames in a different order")
    if video.are_flags_changed:
        parts.append("different flags of sync samples")
    if video.is_time_changed:
        parts.append("different presentation times")
    if video.seconds is not None:
        parts.append(f"declared seconds that {video.seconds[0]} -> that {video.seconds[1]}")
    if video.entry is not None:
        parts.append(f"sample entry {visible(video.entry[0])} -> {visible(video.entry[1])}")
    return ", ".join(parts)


def _value_line(change: ValueChange) -> Line:
    name = visible(change.key)
    if change.a is None:
        return Line(name, _value(change.b) if isinstance(change.b, int) else f"only in B: {_value(change.b)}")
    if change.b is None:
        return Line(name, f"only in A: {_value(change.a)}")
    return Line(name, f"{_value(change.a)} -> {_value(change.b)}" if change.a != "" else _value(change.b))


def _task_line(change: TaskChange) -> Line:
    name = _value(change.text)
    kind = "" if change.table == "tasks" else "subtask, "
    if change.a is None or change.b is None:
        side, number = ("B", change.b) if change.a is None else ("A", change.a)
        return Line(name, f"{kind}only in {side}, as number {number}")
    return Line(name, f"{kind}number {change.a} -> {change.b}")


def _statistic_lines(changes: Sequence[StatisticChange]) -> Iterator[Line]:
    def key(change: StatisticChange) -> tuple[str, bool, str]:
        return change.feature, change.episode_count is not None, change.only_in

    for (feature, is_episodes, only_in), group in groupby(sorted(changes, key=key), key=key):
        members = list(group)
        names = ", ".join(change.statistic for change in members)
        verb = f"only in {only_in}" if only_in else "differ" if len(members) > 1 else "differs"
        # the statistic "count" is a number of rows, so its difference cannot be compared with those of other statistics
        measured = [change for change in members if change.statistic != "count"] or members
        known = [change.largest_difference for change in measured if change.largest_difference is not None]
        largest = f", by at most {max(known):.6g}" if known else ""
        episodes = max(change.episode_count or 0 for change in members)
        where = f" in meta/episodes for {counted(episodes, 'episode')}" if is_episodes else " for the whole dataset"
        yield Line(visible(feature), f"{visible(names)} {verb}{where}{largest}")


def _episode_lines(comparison: Comparison) -> Iterator[Line]:
    if comparison.removed:
        yield Line("only in A", ranges(comparison.removed))
    if comparison.added:
        yield Line("only in B", ranges(comparison.added))
    for shift, group in groupby(comparison.renumbered, key=lambda pair: pair[1] - pair[0]):
        numbers = [a for a, _ in group]
        yield Line("with another number", f"{ranges(numbers)} -> {ranges(number + shift for number in numbers)}")
    by_words: dict[tuple[str, int], list[int]] = {}
    for change in comparison.changed:
        by_words.setdefault((change_words(change), change.b - change.a), []).append(change.a)
    for (words, shift), numbers in by_words.items():
        other = f" -> {ranges(number + shift for number in numbers)}" if shift else ""
        yield Line(f"changed {ranges(numbers)}{other}", words)


def _value(value: Any) -> str:
    if isinstance(value, str) and (not value or "{" in value or " " not in value):
        # paths, versions and templates need no quotation marks
        text = value or '""'
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return visible(text, max_length=_MOST_CHARACTERS)
