"""Correct tasks: meta/tasks.parquet, the task_index of single rows, and the tasks of episodes."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from episeek_pipelines.dataset.task_table import pandas_index, task_table, text_column, with_index
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft, RowNumbers
from episeek_pipelines.repair.info_document import TOTAL_TASKS
from episeek_pipelines.repair.row_runs import MOST_TASKS, NO_NUMBER, Run
from episeek_pipelines.repair.shards import task_extremes
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot


def repair_task_table(draft: Draft) -> Iterator[Outcome]:
    """Rewrite meta/tasks.parquet with the task texts as its index, sorted by task_index.

    If the table is damaged, a task_index gets the text of the episodes whose rows have it. A task_index that occurs in no row keeps
    its text from the table.
    """
    code, place = registry.TASK_TABLE.code, Place(layout.TASKS_PATH)
    if not draft.has_all_episodes:
        return
    table = draft.tasks
    listed = None if table is None else _listed(table)
    named, conflicts = _named_by_episodes(draft)
    numbers = [] if listed is None else [number for number, _ in listed]
    texts = [] if listed is None else [text for _, text in listed]
    used = _used_numbers(draft)
    # A table without contradictions keeps its texts.
    is_sound = listed is not None and sorted(numbers) == list(range(len(numbers))) and len({*texts}) == len(texts)
    is_sound = is_sound and None not in texts and all(number < len(numbers) for number in used)
    if not is_sound:
        if table is None and not used:
            return
        wanted = {number: named.get(number) for number in used}
        wanted |= {number: text for number, text in _kept(listed or []).items() if number not in wanted and text}
        refused = _contradiction(draft, wanted, conflicts)
        if refused is not None:
            found, readings = refused
            yield Refusal(code, place, found, readings, max(0, len(conflicts) - 1))
            return
        after = [str(wanted[number]) for number in range(len(wanted))]
        draft.tasks = task_table(after)
        before = "no usable table" if listed is None else [[number, text] for number, text in listed]
        proof = (
            f"episodes with a single task give the text of every task_index in the rows ({counted(len(after), 'task')}), "
            "and no text of the table is left over"
        )
        yield Repair(code, place, before, after, proof)
        return
    assert table is not None
    assert listed is not None
    if numbers != sorted(numbers):
        order = np.argsort(np.array(numbers, np.int64), kind="stable")
        draft.tasks = table = table.take(pa.array(order)).combine_chunks()
        proof = "each task_index occurs once, and rows refer to tasks by task_index"
        yield Repair(code, Place(layout.TASKS_PATH, column=lerobot.TASK_INDEX), numbers, sorted(numbers), proof)
    name = text_column(table)
    if name is not None and pandas_index(table) != name:
        before = pandas_index(table) or "a row number"
        draft.tasks = with_index(table, name)
        proof = "no other column contains texts, and LeRobot expects the texts of tasks in the index"
        yield Repair(
            code,
            Place(layout.TASKS_PATH, column=name),
            f"{before} as the pandas index",
            "the texts as the pandas index",
            proof,
        )


def _contradiction(
    draft: Draft, wanted: Mapping[int, str | None], conflicts: list[str]
) -> tuple[str, tuple[str, str]] | None:
    """Return what contradicts the texts of a new task table, and the readings of the contradiction; None without a contradiction.

    Args:
        draft: The dataset.
        wanted: The text of each task_index; None for a task_index of the rows without a text.
        conflicts: The conflicts that `_named_by_episodes` found.
    """
    of_rows = "the task_index values of the rows are right"
    if conflicts:
        return conflicts[0], ("the texts of the episodes are right", of_rows)
    if any(len(run.tasks) >= MOST_TASKS for runs in draft.runs_of.values() for run in runs):
        return f"an episode with {MOST_TASKS} different task_index values or more", (
            "the episode has so many tasks",
            "they are wrong",
        )
    without = [number for number, text in sorted(wanted.items()) if text is None]
    if without:
        found = f"rows with the task_index {without[0]}, for which no episode gives a single text"
        return found, ("the task_index of these rows is wrong", f"{of_rows}, and a text of the table belongs to them")
    if sorted(wanted) != list(range(len(wanted))) or len({*wanted.values()}) != len(wanted) or not wanted:
        found = "task_index values with gaps between them, or with the same text"
        return found, ("the texts of the episodes are right", of_rows)
    lost = [text for text in _all_texts(draft.tasks) if text not in wanted.values()]
    if lost:
        found = f"the text {lost[0]!r} in the table, which no task_index of the rows has"
        return found, ("the text belongs to a task without rows", "the text is left over from an edit")
    total = draft.info.get(TOTAL_TASKS)
    if type(total) is int and total > len(wanted):
        found = f"total_tasks {total}, and the texts of {counted(len(wanted), 'task')}"
        return found, ("the text of a task without rows is lost", "total_tasks is wrong")
    return None


def repair_row_tasks(draft: Draft) -> Iterator[Outcome]:
    """Replace a task_index that belongs to no task by the task_index of the other rows of the episode.

    The recorded statistics of the episode have to confirm that it was the only one.
    """
    code = registry.ROW_TASKS.code
    texts = _texts(draft)
    if not draft.has_all_episodes or not texts:
        return
    low, high = (draft.recorded(name) for name in task_extremes())
    for episode in range(draft.row_count):
        for run in draft.runs_of.get(episode, ()):
            strange = [each for each in run.tasks if not 0 <= each[0] < len(texts)]
            if not strange:
                continue
            known = [number for number, _, _ in run.tasks if 0 <= number < len(texts)]
            number, rows, first = strange[0]
            place = Place(run.path, episode, None, lerobot.TASK_INDEX, run.first_row + first)
            named = draft.task_texts[episode] or []
            before = "no number" if number == NO_NUMBER else number
            is_open = len(known) != 1 or not draft.has_numbers(run.path, lerobot.TASK_INDEX)
            # Statistics with another task_index were recorded from rows of a task that the table has lost.
            is_open = is_open or not low[episode] == high[episode] == known[0]
            if is_open or named != [texts[known[0]]] or sum(each[1] for each in strange) * 2 >= run.count:
                readings = ("the task_index is wrong", "a task is missing in meta/tasks.parquet")
                yield Refusal(
                    code, place, f"task_index {before} in {counted(rows, 'row')}, which belongs to no task", readings
                )
                continue
            draft.edit(run.path).numbers.setdefault(lerobot.TASK_INDEX, []).append(
                RowNumbers(run.first_row, run.count, "constant", known[0])
            )
            proof = (
                f"all other rows of the episode have the task_index {known[0]} of its only task {named[0]!r}, and so had all "
                "rows when the statistics of the episode were recorded"
            )
            yield Repair(code, place, before, known[0], proof, sum(each[1] for each in strange) - 1)


def repair_episode_tasks(draft: Draft) -> Iterator[Outcome]:
    """Replace the tasks that meta/episodes lists for an episode by the tasks of the episode's rows."""
    code = registry.EPISODE_TASKS.code
    texts = _texts(draft)
    if not draft.has_all_episodes or not texts:
        return
    low, high = (draft.recorded(name) for name in task_extremes())
    # If another episode lists the same text for a task_index, this text of the table was not overwritten.
    named_elsewhere = {
        texts[numbers[0]]
        for episode in range(draft.row_count)
        if len(numbers := _numbers_of_rows(draft.runs_of.get(episode, ()), len(texts))) == 1
        and draft.task_texts[episode] == [texts[numbers[0]]]
    }
    for episode in range(draft.row_count):
        runs = draft.runs_of.get(episode, ())
        numbers = _numbers_of_rows(runs, len(texts))
        if not numbers:
            continue
        held = {texts[number] for number in numbers}
        named = draft.task_texts[episode]
        if named is not None and {*named} == held:
            continue
        place = draft.place(episode, lerobot.TASKS)
        wanted = [texts[number] for number in numbers]
        is_confirmed = all(texts[number] in named_elsewhere for number in numbers)
        if not is_confirmed or (low[episode], high[episode]) != (min(numbers), max(numbers)):
            found = f"tasks {named} in meta/episodes, but rows with the task_index of {wanted}"
            readings = (f"the tasks of the episode are {named}", f"the tasks of the episode are {wanted}")
            if named is not None and _is_same_but_for_space([*named, *wanted]):
                found += ", which differ only in white space"
                readings = (
                    f"{readings[0]}: write them to {layout.TASKS_PATH}",
                    f"{readings[1]}: write them to the column `tasks` of meta/episodes",
                )
            yield Refusal(code, place, found, readings)
            continue
        before = draft.raw(lerobot.TASKS, episode)
        draft.set_texts(episode, wanted)
        proof = f"its rows have task_index {', '.join(map(str, numbers))}, which its recorded statistics confirm"
        yield Repair(code, place, before, wanted, proof)


def _listed(table: pa.Table) -> list[tuple[int, str | None]] | None:
    """Return (task_index, text) for each row of a task table; None if a column is missing or task_index is not an integer."""
    name = text_column(table)
    if name is None or table.column_names.count(lerobot.TASK_INDEX) != 1:
        return None
    numbers = table[lerobot.TASK_INDEX]
    if not pa.types.is_integer(numbers.type):
        return None
    return [
        (NO_NUMBER if n is None else n, text)
        for n, text in zip(numbers.to_pylist(), table[name].to_pylist(), strict=True)
    ]


def _kept(listed: list[tuple[int, str | None]]) -> Mapping[int, str | None]:
    """Return the texts of a task table by task_index, for each task_index that occurs exactly once.

    Args:
        listed: The rows of the table, from `_listed`.
    """
    numbers = [number for number, _ in listed]
    return {number: text for number, text in listed if numbers.count(number) == 1 and number >= 0}


def _is_same_but_for_space(texts: Iterable[str]) -> bool:
    """Return whether texts are equal if every run of white space counts as one space, and none at the ends."""
    return len({" ".join(text.split()) for text in texts}) == 1


def _texts(draft: Draft) -> list[str]:
    """Return the task texts by task_index, as repaired so far; empty if the task table cannot be used."""
    listed = None if draft.tasks is None else _listed(draft.tasks)
    texts = dict(listed or [])
    if sorted(texts) != list(range(len(listed or []))):
        return []
    found = [texts[number] for number in range(len(texts))]
    return [text for text in found if text is not None] if None not in found else []


def _numbers_of_rows(runs: tuple[Run, ...], count: int) -> list[int]:
    """Return the distinct task_index values of an episode, in the order in which its rows first use them.

    Args:
        runs: The ranges of consecutive rows of the episode.
        count: The number of tasks. A task_index outside `[0, count)` is left out.
    """
    found: dict[int, None] = {}
    for run in runs:
        for number, _, _ in sorted(run.tasks, key=lambda each: each[2]):
            if 0 <= number < count:
                found[number] = None
    return list(found)


def _used_numbers(draft: Draft) -> list[int]:
    """Return the numbers of `_numbers_of_tasks` of all episodes, ascending and without duplicates."""
    low, high = (draft.recorded(name) for name in task_extremes())
    return sorted(
        {
            number
            for episode in range(draft.row_count)
            for run in draft.runs_of.get(episode, ())
            for number in _numbers_of_tasks(run, low[episode], high[episode])
        }
    )


def _numbers_of_tasks(run: Run, low: float, high: float) -> list[int]:
    """Return each task_index of a run that may be the number of a task, the most frequent first.

    A negative number is left out. A task_index of fewer than half of the rows is left out, too, if the statistics of the episode
    were recorded without it.

    Args:
        run: A range of consecutive rows of an episode.
        low: The recorded minimum of task_index of the episode; NaN if it is unknown.
        high: The recorded maximum.
    """
    return [
        number
        for number, rows, _ in run.tasks
        if number >= 0 and not (rows * 2 < run.count and (number < low or number > high))
    ]


def _all_texts(table: pa.Table | None) -> list[str]:
    """Return all texts of a task table without nulls; empty if the table has no column of texts."""
    name = None if table is None else text_column(table)
    return [] if table is None or name is None else [text for text in table[name].to_pylist() if text is not None]


def _named_by_episodes(draft: Draft) -> tuple[dict[int, str], list[str]]:
    """Derive the text of each task_index from the episodes that list a single text and whose rows have one task_index.

    Returns:
        The texts by task_index, and a part of a message for each task_index to which episodes give different texts.
    """
    names: dict[int, dict[str, int]] = {}
    low, high = (draft.recorded(name) for name in task_extremes())
    for episode in range(draft.row_count):
        texts = draft.task_texts[episode]
        runs = draft.runs_of.get(episode, ())
        numbers = {number for run in runs for number in _numbers_of_tasks(run, low[episode], high[episode])}
        is_usual = all(run.tasks and run.tasks[0][0] in numbers for run in runs)
        if texts and len(texts) == 1 and len(numbers) == 1 and is_usual:
            names.setdefault(numbers.pop(), {}).setdefault(texts[0], episode)
    conflicts = [
        f"task_index {number} for {' and '.join(f'{text!r} (episode {episode})' for text, episode in sorted(found.items()))}"
        + (
            ", which differ only in white space: write the same text to all these episodes"
            if _is_same_but_for_space(found)
            else ""
        )
        for number, found in sorted(names.items())
        if len(found) > 1
    ]
    return {number: next(iter(found)) for number, found in names.items() if len(found) == 1}, conflicts
