"""Correct meta/episodes on the evidence of the data rows: data files, lengths and ranges of rows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from episeek_pipelines.parquet.arrow_types import is_text
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.row_runs import NO_NUMBER, Run
from episeek_pipelines.repair.shards import count_columns
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.words import counted
from episeek_schemas import lerobot


def repair_episode_types(draft: Draft) -> Iterator[Outcome]:
    """Convert columns of meta/episodes that contain numbers as text into columns of numbers."""
    for name, values in draft.columns.items():
        texts = [table for table in draft.tables if name in table.column_names and is_text(table[name].type)]
        is_missing = values == NO_NUMBER if values.dtype == np.int64 else np.isnan(values)
        if texts and not is_missing.any():
            draft.changed.add(name)
            proof = "every text in the column is a number in digits"
            yield Repair(registry.COLUMN_TYPES.code, draft.place(0, name), "text", str(values.dtype), proof)


def ignore_copies(draft: Draft) -> Iterator[Outcome]:
    """Find data files that no episode refers to and that repeat episodes of other files. Yield a refusal for each of them.

    The draft then ignores the repeated rows.
    """
    if not draft.has_all_episodes:
        return
    info = draft.evidence.info
    chunk, file = (draft.values(name).tolist() for name in (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX))
    declared = [info.data_file(*pair) if min(pair) >= 0 else None for pair in zip(chunk, file, strict=True)]
    orphans = draft.evidence.data.keys() - {*declared}
    said: dict[str, list[int]] = {}
    for episode, path in enumerate(declared):
        runs = draft.runs_of.get(episode, ())
        own = tuple(run for run in runs if run.path == path)
        others = {run.path for run in runs} - {path}
        if len(own) == 1 and others and others <= orphans and own[0].count == draft.values(lerobot.LENGTH)[episode]:
            draft.runs_of[episode] = own
            for other in others:
                said.setdefault(other, []).append(episode)
    for path, episodes in sorted(said.items()):
        found = (
            f"rows of {counted(len(episodes), 'episode')} that are also in other files; no episode refers to this file"
        )
        readings = (
            "the file is a copy, which may be moved out of the dataset",
            "the rows of this file are right, and the rows of the other files are wrong",
        )
        yield Refusal(registry.DATA_POINTERS.code, Place(path), found, readings)


def repair_pointers(draft: Draft) -> Iterator[Outcome]:
    """Set the data file of an episode to the only file that contains rows of the episode."""
    if not draft.has_all_episodes:
        return
    code, info = registry.DATA_POINTERS.code, draft.evidence.info
    names = (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)
    renamed = _renamed_files(draft)
    for episode in range(draft.row_count):
        runs = draft.runs_of.get(episode, ())
        paths = sorted({run.path for run in runs})
        numbers = tuple(int(draft.values(name)[episode]) for name in names)
        declared = info.data_file(*numbers) if min(numbers) >= 0 else None
        if not paths or declared in paths:
            continue
        held = " and ".join(
            f"{path} ({counted(sum(r.count for r in runs if r.path == path), 'row')})" for path in paths
        )
        right = info.data_file_numbers(paths[0])
        if len(paths) > 1 or right is None:
            declares = "no declared data file" if declared is None else f"no row in the declared data file {declared}"
            found = f"{declares}, but rows of the episode in {held}"
            readings = (
                tuple(f"the episode is in {path}" for path in paths)
                if len(paths) > 1
                else (f"data_path is wrong: {info.data_path}", f"the file has the wrong name: {paths[0]}")
            )
            yield Refusal(code, draft.place(episode, lerobot.DATA_FILE_INDEX), found, readings)
            continue
        if paths[0] in renamed:
            found = (
                f"rows of the episode in {held}, which no episode of this file declares, and data files out of order"
            )
            readings = (
                f"the file has the wrong name: {paths[0]}",
                "the pointers are wrong, and the files are in another order than their rows, so that LeRobot cannot look up rows",
            )
            yield Refusal(code, draft.place(episode, lerobot.DATA_FILE_INDEX), found, readings)
            continue
        for name, number, wanted in zip(names, numbers, right, strict=True):
            if number != wanted:
                before = draft.raw(name, episode)
                draft.set(name, episode, wanted)
                proof = (
                    f"only {paths[0]} contains rows of the episode ({counted(sum(run.count for run in runs), 'row')})"
                )
                yield Repair(code, draft.place(episode, name), before, wanted, proof)


def _renamed_files(draft: Draft) -> set[str]:
    """Return the files whose names may be wrong in place of the pointers of all their episodes; empty if the files are in order.

    LeRobot reads data files sorted by path. If their episodes are not in this order, other pointers would not make LeRobot read the
    dataset, but other names of the files might.
    """
    info = draft.evidence.info
    held: dict[str, set[int]] = {}
    for episode in range(draft.row_count):
        for run in draft.runs_of.get(episode, ()):
            held.setdefault(run.path, set()).add(episode)
    firsts = [min(held[path]) for path in sorted(held, key=lambda path: path.split("/"))]
    if firsts == sorted(firsts):
        return set()
    chunks, files = (draft.values(name) for name in (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX))
    return {
        path
        for path, episodes in held.items()
        if not any(info.data_file_numbers(path) == (int(chunks[each]), int(files[each])) for each in episodes)
    }


def repair_lengths(draft: Draft) -> Iterator[Outcome]:
    """Set the length of each episode to the number of its rows if other values prove that this number is right."""
    if not draft.has_all_episodes:
        return
    code = registry.LENGTHS.code
    recorded = recorded_counts(draft)
    for episode, run in draft.single_runs():
        is_right = draft.values(lerobot.LENGTH)[episode] == run.count
        draft.proved[episode] |= is_right and _judge(draft, episode, run, recorded).is_proved
    for episode in np.flatnonzero(~draft.proved).tolist():
        runs = draft.runs_of.get(episode, ())
        place = draft.place(episode, lerobot.LENGTH)
        if len(runs) != 1:
            yield from _without_one_run(draft, episode, runs, place)
            continue
        (run,) = runs
        judged = _judge(draft, episode, run, recorded)
        if judged.is_proved:
            draft.proved[episode] = True
            before = draft.raw(lerobot.LENGTH, episode)
            draft.set(lerobot.LENGTH, episode, run.count)
            proof = (
                f"{counted(run.count, 'row')}, which are in order according to {', '.join(run.order_witnesses)}; the same "
                f"number of rows according to {', '.join(judged.agreeing)}"
            )
            yield Repair(code, place, before, run.count, proof)
        elif judged.others:
            number = max(judged.others, key=lambda each: (judged.others[each], each))
            said = ", ".join(name for name, each in judged.witnesses.items() if each == number)
            found = f"{counted(run.count, 'row')} in {run.path}, but {number} according to {said}"
            lost = (
                f"the episode has lost {counted(number - run.count, 'row')}"
                if number > run.count
                else f"the file has {counted(run.count - number, 'row')} too many for the episode"
            )
            if number > run.count and draft.evidence.data[run.path].recovered is not None:
                lost += ": leave the episode out with --skip-lost-episodes"
            yield Refusal(code, place, found, (f"the episode has {counted(run.count, 'row')}", lost))
        elif not run.order_witnesses:
            found = "rows whose frame_index, index and timestamp all contradict their order"
            yield Refusal(
                code, place, found, ("the numbers are wrong", "rows are missing, doubled or in another order")
            )


@dataclass(frozen=True, slots=True)
class _Judgement:
    """The evidence for the number of rows of an episode whose rows are consecutive."""

    run: Run
    witnesses: Mapping[str, int]
    """The number of rows that each value implies, by the name of the value."""

    @property
    def agreeing(self) -> list[str]:
        """The names of the values that imply as many rows as there are."""
        return [name for name, number in self.witnesses.items() if number == self.run.count]

    @property
    def others(self) -> Counter[int]:
        """The other numbers of rows, with the number of values that imply each of them."""
        return Counter(number for number in self.witnesses.values() if number != self.run.count)

    @property
    def is_proved(self) -> bool:
        """Whether the rows are in order, and more of the evidence agrees with their number than with any other number."""
        strongest = max(self.others.values(), default=0)
        return bool(self.run.order_witnesses) and bool(self.agreeing) and len(self.agreeing) + 1 > strongest


def is_counted(draft: Draft, episode: int, run: Run, recorded: list["np.ndarray"]) -> bool:
    """Return whether the rows of an episode, which are consecutive, are proved to be all of its rows, and no others.

    Args:
        draft: The dataset.
        episode: The number of the episode.
        run: The rows of the episode.
        recorded: The result of `recorded_counts`.
    """
    return _judge(draft, episode, run, recorded).is_proved


def _judge(draft: Draft, episode: int, run: Run, recorded: list["np.ndarray"]) -> _Judgement:
    return _Judgement(run, _witnesses(draft, episode, run, recorded))


def repair_ranges(draft: Draft) -> Iterator[Outcome]:
    """Set dataset_from_index and dataset_to_index so that each range has the episode's length and follows the previous range.

    If the number of rows of an episode is not proved, nothing is set, and a refusal is yielded.
    """
    if not draft.has_all_episodes:
        return
    code = registry.ROW_RANGES.code
    stop = np.cumsum(draft.values(lerobot.LENGTH))
    columns = ((lerobot.DATASET_FROM_INDEX, stop - draft.values(lerobot.LENGTH)), (lerobot.DATASET_TO_INDEX, stop))
    wrong = [
        (row, name, wanted) for name, wanted in columns for row in np.flatnonzero(draft.values(name) != wanted).tolist()
    ]
    if wrong and not draft.proved.all():
        open_ones = np.flatnonzero(~draft.proved)
        found = f"ranges that contradict the lengths, and no proof of the number of rows of episode {open_ones[0]}"
        readings = ("the lengths are right", "the ranges are right, and rows are missing")
        yield Refusal(code, draft.place(wrong[0][0], wrong[0][1]), found, readings, len(wrong) - 1)
        return
    for row, name, wanted in wrong:
        before = draft.raw(name, row)
        draft.set(name, row, wanted[row])
        length = int(draft.values(lerobot.LENGTH)[row])
        proof = (
            f"{counted(int(stop[row]) - length, 'row')} in {counted(row, 'earlier episode')}, "
            f"and {counted(length, 'row')} in this episode"
        )
        yield Repair(code, draft.place(row, name), before, int(wanted[row]), proof)


def _names(draft: Draft) -> list[str]:
    return list(dict.fromkeys(name for table in draft.tables for name in table.column_names))


def _without_one_run(draft: Draft, episode: int, runs: tuple[Run, ...], place: Place) -> Iterator[Refusal]:
    code = registry.LENGTHS.code
    if not runs:
        unreadable = [file.path for file in draft.evidence.data.values() if file.problem]
        elsewhere = f", and {unreadable[0]} cannot be read" if unreadable else ""
        found = f"no rows of the episode in any data file{elsewhere}"
        lost = (
            "the rows of the episode are lost: restore them, or leave the episode out with --skip-lost-episodes, which first "
            "checks that the rows are lost"
        )
        yield Refusal(code, place, found, (lost, "the episode was deleted: delete it with LeRobot"))
        return
    where = "; ".join(f"{counted(run.count, 'row')} from row {run.first_row} of {run.path}" for run in runs[:4])
    found = f"rows of the episode in {len(runs)} separate ranges: {where}"
    yield Refusal(
        code, place, found, ("only one of the ranges belongs to the episode", "rows of the episode were moved")
    )


def recorded_counts(draft: Draft) -> list["np.ndarray"]:
    """Return the numbers of rows that the statistics in meta/episodes record: one array over all episodes for each feature.

    The features are LeRobot's own row columns, such as `index`. A feature without a column of counts has no array.
    """
    return [draft.recorded(name) for name in count_columns(_names(draft))]


def declared_numbers(draft: Draft, episode: int, recorded: list["np.ndarray"]) -> dict[str, int]:
    """Return how many rows an episode has according to each value that meta/episodes records for it, by the name of the value.

    The values are `length`, the difference of dataset_from_index and dataset_to_index, and the counts of the statistics. A value
    that is missing has no entry.

    Args:
        draft: The dataset.
        episode: The number of the episode.
        recorded: The result of `recorded_counts`.
    """
    found: dict[str, int] = {}
    length = int(draft.values(lerobot.LENGTH)[episode])
    if length >= 0:
        found[lerobot.LENGTH] = length
    start, stop = (int(draft.values(name)[episode]) for name in (lerobot.DATASET_FROM_INDEX, lerobot.DATASET_TO_INDEX))
    if min(start, stop) >= 0:
        found["dataset_from_index and dataset_to_index"] = stop - start
    counts = Counter(int(values[episode]) for values in recorded if np.isfinite(values[episode]))
    if counts:
        found["the counts of its statistics"] = counts.most_common(1)[0][0]
    return found


def _witnesses(draft: Draft, episode: int, run: Run, recorded: list["np.ndarray"]) -> dict[str, int]:
    """Return how many rows an episode should have according to each value of the metadata and the rows, by the name of the value.

    The values are those of `declared_numbers` and, if `index` is usable, the `index` at which the next episode begins. For the last
    episode, total_frames takes its place.
    """
    found = declared_numbers(draft, episode, recorded)
    if run.index.start != NO_NUMBER and run.index.wrong * 2 < run.count:
        following = draft.runs_of.get(episode + 1, ())
        if (
            len(following) == 1
            and following[0].index.start != NO_NUMBER
            and following[0].index.wrong * 2 < following[0].count
        ):
            found["index of the next episode"] = following[0].index.start - run.index.start
        elif episode + 1 == draft.row_count:
            found["total_frames"] = draft.evidence.info.total_frames - run.index.start
    return found
