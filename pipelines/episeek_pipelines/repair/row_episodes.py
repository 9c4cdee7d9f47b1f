"""Correct a wrong episode_index in rows of data files, and report rows of episodes that meta/episodes does not list."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft, RowNumbers
from episeek_pipelines.repair.row_runs import NO_NUMBER, Count, Run
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.words import counted
from episeek_schemas import lerobot


def repair_row_episodes(draft: Draft) -> Iterator[Outcome]:
    """Correct rows with a wrong episode_index: set it to the adjacent episode whose frame_index continues through these rows.

    Yield a refusal for rows of an episode that meta/episodes does not list, unless they prove to belong to a listed episode.
    """
    if not draft.has_all_episodes:
        return
    code = registry.ROW_EPISODES.code
    for path, file in draft.evidence.data.items():
        runs = list(file.runs)
        place = 0
        while place < len(runs):
            run = runs[place]
            is_listed = 0 <= run.episode < draft.row_count and not _is_intruder(runs, place)
            if is_listed or run.episode in draft.unlisted:
                place += 1
                continue
            joined = _joined(draft, runs, place) if draft.has_numbers(path, lerobot.EPISODE_INDEX) else None
            where = Place(
                path, None if run.episode == NO_NUMBER else run.episode, None, lerobot.EPISODE_INDEX, run.first_row
            )
            if joined is None:
                if not 0 <= run.episode < draft.row_count:
                    owner = (
                        "no episode"
                        if run.episode == NO_NUMBER
                        else f"episode {run.episode}, which meta/episodes does not list"
                    )
                    lost = "the episode is missing in meta/episodes"
                    if is_cut_after(draft, run.episode):
                        lost += ": leave it out with --skip-lost-episodes"
                    readings = (
                        lost,
                        "the rows are left over from an edit or from a recording that was stopped",
                    )
                    yield Refusal(code, where, f"{counted(run.count, 'row')} of {owner}", readings)
                place += 1
                continue
            first, stop, whole = joined
            draft.edit(path).numbers.setdefault(lerobot.EPISODE_INDEX, []).append(
                RowNumbers(run.first_row, run.count, "constant", whole.episode)
            )
            before = "no number" if run.episode == NO_NUMBER else run.episode
            proof = (
                f"frame_index continues through {counted(run.count, 'row')}, with which the episode has its declared "
                f"{counted(whole.count, 'row')}"
            )
            yield Repair(code, where, before, whole.episode, proof, run.count - 1)
            runs[first:stop] = [whole]
            place = first + 1
        if len(runs) != len(file.runs):
            _replace_runs(draft, path, runs)


def is_cut_after(draft: Draft, episode: int) -> bool:
    """Return whether the last file of meta/episodes was cut off before a given episode."""
    shards = draft.evidence.episodes
    return episode >= draft.row_count and bool(shards.tables) and shards.tables[-1][0] in shards.recovered


def _is_intruder(runs: list[Run], place: int) -> bool:
    """Return whether `runs[place]` lies between two runs of another episode that together have more rows."""
    if not 0 < place < len(runs) - 1:
        return False
    before, run, after = runs[place - 1 : place + 2]
    return before.episode == after.episode != run.episode and run.count < before.count + after.count


def _joined(draft: Draft, runs: list[Run], place: int) -> tuple[int, int, Run] | None:
    """Join `runs[place]` with the run before it, the run after it, or both, if they are proved to be all rows of one episode.

    Returns:
        The positions `[first, stop)` in `runs` of the runs to join, and the joined run. None if nothing is proved.
    """
    for first, stop in ((place - 1, place + 2), (place - 1, place + 1), (place, place + 2)):
        if first < 0 or stop > len(runs):
            continue
        parts = runs[first:stop]
        owners = {part.episode for part in parts if part is not runs[place]}
        if len(owners) != 1:
            continue
        (episode,) = owners
        counts_on = all(part.frames.is_exact for part in parts) and parts[0].frames.start == 0
        counts_on = counts_on and all(b.frames.start == a.frames.start + a.count for a, b in pairwise(parts))
        count = sum(part.count for part in parts)
        if not (0 <= episode < draft.row_count and counts_on and draft.values(lerobot.LENGTH)[episode] == count):
            continue
        index = parts[0].index
        is_running = all(part.index.is_exact for part in parts) and all(
            b.index.start == a.index.start + a.count for a, b in pairwise(parts)
        )
        tasks = _joined_tasks(parts)
        times = parts[0].times if parts[0].times.is_exact else replace(parts[0].times, wrong=count)
        whole = Run(
            parts[0].path,
            episode,
            parts[0].first_row,
            count,
            Count(0, 0),
            index if is_running else Count(index.start, count),
            times,
            tasks,
        )
        return first, stop, whole
    return None


def _joined_tasks(parts: list[Run]) -> tuple[tuple[int, int, int], ...]:
    rows_of: dict[int, int] = defaultdict(int)
    first_of: dict[int, int] = {}
    offset = 0
    for part in parts:
        for number, rows, at in part.tasks:
            rows_of[number] += rows
            first_of[number] = min(first_of.get(number, offset + at), offset + at)
        offset += part.count
    order = sorted(rows_of, key=lambda number: (-rows_of[number], first_of[number]))
    return tuple((number, rows_of[number], first_of[number]) for number in order)


def _replace_runs(draft: Draft, path: str, runs: list[Run]) -> None:
    """Replace the runs of a data file in `draft.runs_of` by `runs`. A run is a range of consecutive rows of one episode."""
    others: dict[int, list[Run]] = {
        episode: [run for run in found if run.path != path] for episode, found in draft.runs_of.items()
    }
    for run in runs:
        others.setdefault(run.episode, []).append(run)
    draft.runs_of = {
        episode: tuple(sorted(found, key=lambda run: (run.path, run.first_row)))
        for episode, found in others.items()
        if found
    }
