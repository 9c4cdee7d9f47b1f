"""Find episodes whose rows are lost, leave them out on request, and renumber the remaining episodes.

Lost episodes are found before lengths are compared, and left out after all repairs except the repairs of statistics. Every `Place`
has the episode number from before the renumbering. Renumbering lowers the episode_index of an episode by the number of lost
episodes before it. It lowers `index` and the row ranges by the number of rows that these lost episodes had. Videos do not change,
and neither do values that another repair refuses to correct.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft, LostEpisode, RowNumbers
from episeek_pipelines.repair.episodes import declared_numbers, is_counted, recorded_counts
from episeek_pipelines.repair.info_document import split_range
from episeek_pipelines.repair.row_episodes import is_cut_after
from episeek_pipelines.repair.row_runs import Run
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

Int64Array = npt.NDArray[np.int64]

_CODE = registry.LOST_EPISODES.code


def find_lost_episodes(draft: Draft) -> Iterator[Outcome]:
    """Find the episodes that have no rows in any data file, or only their first rows.

    Yield a repair for each episode whose rows are proved to be lost, and a refusal for each episode without this proof. If the rows
    of all episodes are lost, yield a single refusal.
    """
    if not draft.has_all_episodes:
        return
    recorded = recorded_counts(draft)
    stray = _stray_rows(draft, recorded)
    found: dict[int, tuple[LostEpisode, int]] = {}
    for episode in range(draft.row_count):
        numbers = declared_numbers(draft, episode, recorded)
        lost = _lost(draft, episode, max(numbers.values(), default=0))
        if lost is None:
            continue
        place = draft.place(episode)
        if stray is not None:
            readings = ("the rows of the episode are lost", "those rows belong to the episode")
            yield Refusal(_CODE, place, f"{lost.found}, and {stray}", readings)
        elif len({*numbers.values()}) != 1 or len(numbers) < 2 or lerobot.LENGTH not in numbers:
            said = (
                ", ".join(f"{counted(number, 'row')} according to {name}" for name, number in numbers.items())
                or "no record of its length"
            )
            had = [f"the episode had {counted(number, 'row')}" for number in dict.fromkeys(numbers.values())]
            yield Refusal(_CODE, place, f"{lost.found}, and {said}", (*had, "it had another number of rows"))
        else:
            found[episode] = lost, numbers[lerobot.LENGTH]
    if found and len(found) == draft.row_count:
        readings = ("the data files are in another folder", "all episodes are lost")
        text = f"no data file with rows of any of the {counted(draft.row_count, 'episode')}"
        yield Refusal(_CODE, Place(layout.EPISODES_DIR), text, readings)
        return
    for episode, (lost, rows) in found.items():
        draft.lost[episode] = lost
        draft.runs_of.pop(episode, None)
        draft.proved[episode] = True
        proof = f"{lost.found}: the episode was lost or deleted, and cannot be kept in either case"
        yield Repair(_CODE, draft.place(episode), counted(rows, "row"), "left out", proof)


def find_unlisted_episodes(draft: Draft) -> Iterator[Outcome]:
    """Find the episodes that have data rows, but no row in meta/episodes because the last file of meta/episodes was cut off.

    Yield a repair for each of these episodes, and one for each total of meta/info.json that counts them.
    """
    if not draft.has_all_episodes:
        return
    shards, rows = draft.evidence.episodes, 0
    number = draft.row_count
    while number in draft.runs_of and is_cut_after(draft, number):
        runs = draft.runs_of.pop(number)
        path = shards.tables[-1][0]
        draft.unlisted[number] = LostEpisode(runs, f"{path} was cut off after episode {draft.row_count - 1}")
        rows += sum(run.count for run in runs)
        place = Place(runs[0].path, number, row=runs[0].first_row)
        proof = f"{draft.unlisted[number].found}: no other file records the episode's tasks and the position of its pictures"
        yield Repair(_CODE, place, counted(sum(run.count for run in runs), "row"), "left out", proof)
        number += 1
    proof = f"without {_episodes_left_out(len(draft.unlisted))}"
    for key, fewer in (("total_episodes", len(draft.unlisted)), ("total_frames", rows)):
        total = draft.info.get(key)
        if fewer and type(total) is int and total >= fewer + draft.row_count:
            draft.info[key] = total - fewer
            yield Repair(_CODE, Place(layout.INFO_PATH, column=key), total, total - fewer, proof)


def leave_out_lost_episodes(draft: Draft) -> Iterator[Outcome]:
    """Leave the lost episodes out of the draft, and renumber the remaining episodes.

    Yield the repairs of the totals and splits of meta/info.json.
    """
    if not (draft.lost or draft.unlisted):
        return
    lost = np.array(sorted(draft.lost), np.int64)
    lost_rows = draft.values(lerobot.LENGTH)[lost]
    before = np.searchsorted(lost, np.arange(draft.row_count))
    episode_shift, row_shift = before, np.concatenate([[0], np.cumsum(lost_rows)])[before]
    _shift_rows(draft, episode_shift, row_shift)
    draft.hidden += [*_files_of_no_episode(draft, lost)]
    draft.leave_out(lost)
    episode_shift, row_shift = episode_shift[draft.kept], row_shift[draft.kept]
    if episode_shift.any():
        shifts = {
            lerobot.EPISODE_INDEX: episode_shift,
            lerobot.DATASET_FROM_INDEX: row_shift,
            lerobot.DATASET_TO_INDEX: row_shift,
        }
        for name, shift in shifts.items():
            values = draft.values(name)
            draft.columns[name] = np.where(values >= shift, values - shift, values)
            draft.changed.add(name)
    yield from _repair_info(draft, lost, lost_rows)


def _lost(draft: Draft, episode: int, rows: int) -> LostEpisode | None:
    """Return the evidence that rows of an episode are lost; None if the rows exist, or if their loss is uncertain.

    Args:
        draft: The dataset.
        episode: The number of the episode.
        rows: The number of rows that the episode had.
    """
    runs = draft.runs_of.get(episode, ())
    data = draft.evidence.data
    if len(runs) == 1:
        (run,) = runs
        file = data[run.path]
        is_last = run.first_row + run.count == file.row_count
        is_begun = run.frames.is_exact and run.frames.start == 0
        if file.recovered is None or not (file.recovered.losses and is_last and is_begun and run.count < rows):
            return None
        return LostEpisode(runs, f"{run.path} was cut off after {run.count} of the {rows} rows of the episode")
    if runs:
        return None
    numbers = [int(draft.values(name)[episode]) for name in (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)]
    path = draft.evidence.info.data_file(*numbers) if min(numbers) >= 0 else None
    declared = data.get(path or "")
    if declared is None:
        found = f"{path} does not exist" if path else "no data file is declared"
    elif declared.problem:
        found = f"{path} cannot be read ({declared.problem})"
    elif declared.recovered is not None:
        losses = "; ".join(map(str, declared.recovered.losses)) or "nothing"
        found = f"the complete row groups of {path} end with episode {declared.recovered.episodes[-1]} (not recovered: {losses})"
    else:
        found = f"{path} contains no row of the episode"
    return LostEpisode((), f"{found}; no other data file contains its rows" if len(data) > 1 else found)


def _stray_rows(draft: Draft, recorded: list["np.ndarray"]) -> str | None:
    """Return a clause about data rows that may belong to any episode; None without such rows.

    These are rows whose episode_index is missing or is not listed in meta/episodes, and rows with the number of a listed episode
    that may not be its own.

    Args:
        draft: The dataset.
        recorded: The result of `recorded_counts`.
    """
    for file in draft.evidence.data.values():
        if not file.problem and sum(run.count for run in file.runs) != file.row_count:
            return f"{file.path} does not say which episode its rows belong to"
    unlisted = [episode for episode in draft.runs_of if not 0 <= episode < draft.row_count]
    if unlisted:
        run = draft.runs_of[min(unlisted)][0]
        return f"{counted(run.count, 'row')} of {run.path} without a listed episode"
    for episode, runs in sorted(draft.runs_of.items()):
        if len(runs) > 1:
            where = " and ".join(f"from row {run.first_row} of {run.path}" for run in runs[:2])
            return f"rows with the number of episode {episode} in {len(runs)} separate ranges: {where}"
        (run,) = runs
        if not run.frames.is_exact and not run.times.is_exact:
            return f"rows of {run.path} with the number of episode {episode} that do not count up from the start of one episode"
        numbers = declared_numbers(draft, episode, recorded)
        least = min(numbers, key=numbers.__getitem__, default=None)
        if least is not None and numbers[least] < run.count and not is_counted(draft, episode, run, recorded):
            found = f"{counted(run.count, 'row')} with the number of episode {episode}"
            return f"{found}, which has {numbers[least]} according to {least}"
    return None


def _shift_rows(draft: Draft, episode_shift: Int64Array, row_shift: Int64Array) -> None:
    """Leave the rows of lost episodes out of their data files, and lower `episode_index` and `index` in the other rows.

    Args:
        draft: The dataset.
        episode_shift: How much to lower the `episode_index` of each episode; shape [episodes].
        row_shift: How much to lower the `index` of each episode; shape [episodes].
    """
    for lost in (*draft.lost.values(), *draft.unlisted.values()):
        for run in lost.runs:
            draft.edit(run.path).dropped.append((run.first_row, run.first_row + run.count))
    runs_of: dict[str, list[tuple[int, Run]]] = defaultdict(list)
    for episode, runs in draft.runs_of.items():
        if 0 <= episode < draft.row_count and episode_shift[episode]:
            for run in runs:
                runs_of[run.path].append((episode, run))
    for path, members in runs_of.items():
        members.sort(key=lambda each: each[1].first_row)
        for name, shift in ((lerobot.EPISODE_INDEX, episode_shift), (lerobot.INDEX, row_shift)):
            if not draft.has_numbers(path, name):
                continue
            edits = draft.edit(path).numbers.setdefault(name, [])
            first, stop, value = 0, 0, 0
            for episode, run in members:
                if run.first_row != stop or int(shift[episode]) != value:
                    edits += [RowNumbers(first, stop - first, "shift", value)] if stop > first else []
                    first, value = run.first_row, int(shift[episode])
                stop = run.first_row + run.count
            edits.append(RowNumbers(first, stop - first, "shift", value))


def _files_of_no_episode(draft: Draft, lost: Int64Array) -> Iterator[str]:
    """Yield the data files and videos that lost episodes use and no remaining episode uses.

    A data file is used by the episodes that refer to it, and by the episodes that have rows in it.
    """
    info = draft.evidence.info
    stays = np.ones(draft.row_count, np.bool_)
    stays[lost] = False

    def referred(chunk: str, file: str, camera: str | None) -> tuple[set[str], set[str]]:
        found: tuple[set[str], set[str]] = set(), set()
        for pair, is_kept in zip(zip(draft.values(chunk), draft.values(file), strict=True), stays, strict=True):
            if min(pair) >= 0:
                numbers = int(pair[0]), int(pair[1])
                path = info.data_file(*numbers) if camera is None else info.video_file(camera, *numbers)
                found[int(is_kept)].add(path)
        return found

    of_lost, of_others = referred(lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX, None)
    of_others |= {run.path for runs in draft.runs_of.values() for run in runs}
    of_lost |= {run.path for each in (*draft.lost.values(), *draft.unlisted.values()) for run in each.runs}
    yield from sorted(of_lost - of_others)
    for camera in info.video_keys:
        chunk, file = (lerobot.video_column(camera, name) for name in ("chunk_index", "file_index"))
        of_lost, of_others = referred(chunk, file, camera)
        yield from sorted(of_lost - of_others)


def _repair_info(draft: Draft, lost: Int64Array, lost_rows: Int64Array) -> Iterator[Repair]:
    """Subtract the lost episodes and their rows from the totals and splits of meta/info.json, and yield these repairs."""
    if not len(lost):
        return
    proof = f"without {_episodes_left_out(len(lost))}"
    for key, fewer in (("total_episodes", len(lost)), ("total_frames", int(lost_rows.sum()))):
        total = draft.info.get(key)
        if type(total) is int and total >= fewer:
            draft.info[key] = total - fewer
            yield Repair(_CODE, Place(layout.INFO_PATH, column=key), total, total - fewer, proof)
    splits = draft.info.get("splits")
    if not isinstance(splits, Mapping):
        return
    changed: dict[str, Any] = {}
    for name, text in splits.items():
        limits = split_range(text)
        if limits is not None:
            changed[name] = ":".join(str(each - int(np.searchsorted(lost, each))) for each in limits)
            if changed[name] != text:
                yield Repair(_CODE, Place(layout.INFO_PATH, column=f"splits.{name}"), text, changed[name], proof)
    draft.info["splits"] = {**splits, **changed}


def _episodes_left_out(count: int) -> str:
    return f"the {counted(count, 'episode')} that {'is' if count == 1 else 'are'} left out"
