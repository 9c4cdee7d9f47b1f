"""Repairs of meta/info.json: path templates, totals and splits."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

TOTAL_TASKS = "total_tasks"
_RANGE = re.compile(r"\s*([0-9]{1,18})\s*:\s*([0-9]{1,18})\s*")


def repair_templates(draft: Draft) -> Iterator[Outcome]:
    """Replace the backslashes in path templates with slashes if files exist at the resulting paths."""
    code, evidence = registry.TEMPLATES.code, draft.evidence
    usable, keys = lerobot.with_slashes(draft.info)
    for key in keys:
        place = Place(layout.INFO_PATH, column=key)
        before, after = draft.info[key], usable[key]
        if key == "data_path":
            there = [path for path in evidence.data if evidence.info.data_file_numbers(path) is not None]
        else:
            folder = after.partition("/")[0]
            listed = evidence.root.files("" if "{" in folder else folder)
            there = [path for path in listed if evidence.info.video_camera(path) is not None]
        if not there:
            readings = ("the files are elsewhere", "the files are missing")
            yield Refusal(code, place, f"backslashes in {before}, and no file at a path that {after} gives", readings)
            continue
        draft.info[key] = after
        yield Repair(
            code, place, before, after, f"found {counted(len(there), 'file')} at paths with /, for example {there[0]}"
        )


def repair_totals(draft: Draft) -> Iterator[Outcome]:
    """Set total_episodes and total_frames to the numbers of existing episodes and rows."""
    code = registry.TOTALS.code
    if not draft.has_all_episodes:
        return
    episodes, frames = draft.row_count, int(draft.values(lerobot.LENGTH).sum())
    found_episodes, found_frames = draft.info.get("total_episodes"), draft.info.get("total_frames")
    listed = {episode for episode in draft.runs_of if 0 <= episode < episodes}
    unlisted = sorted({*draft.runs_of} - listed)
    is_more = _exceeds(found_episodes, episodes) and (_exceeds(found_frames, frames) or bool(unlisted))
    totals = (
        ("total_episodes", found_episodes, episodes, "the rows of meta/episodes"),
        ("total_frames", found_frames, frames, "the rows of all episodes"),
    )
    for key, found, count, what in totals:
        if type(found) is int and found == count:
            continue
        place = Place(layout.INFO_PATH, column=key)
        if is_more or unlisted or (key == "total_frames" and not draft.proved.all()):
            readings = (f"{count} is right", "episodes are missing in meta/episodes")
            if key == "total_frames" and not is_more:
                readings = (f"{count} is right", "rows are missing")
            yield Refusal(code, place, f"{key} {found!r}, but {count} according to {what}", readings)
            continue
        draft.info[key] = count
        yield Repair(
            code, place, found, count, f"{count} according to {what}, and no data file has rows of another episode"
        )


def repair_total_tasks(draft: Draft) -> Iterator[Outcome]:
    """Set total_tasks to the number of tasks in meta/tasks.parquet."""
    table, found = draft.tasks, draft.info.get(TOTAL_TASKS)
    if not draft.has_all_episodes or table is None or TOTAL_TASKS not in draft.info:
        return
    if type(found) is int and found == table.num_rows:
        return
    place = Place(layout.INFO_PATH, column=TOTAL_TASKS)
    used = {number for runs in draft.runs_of.values() for run in runs for number, _, _ in run.tasks}
    if any(number >= table.num_rows for number in used):
        rows = counted(table.num_rows, "row")
        found_text = f"total_tasks {found!r}, {rows} of {layout.TASKS_PATH}, and data rows of task {max(used)}"
        readings = ("a task is missing in the table", "the task_index of these data rows is wrong")
        yield Refusal(registry.TOTALS.code, place, found_text, readings)
        return
    if lerobot.TASK_INDEX not in table.column_names or sorted(table[lerobot.TASK_INDEX].to_pylist(), key=str) != sorted(
        range(table.num_rows), key=str
    ):
        found_text = f"total_tasks {found!r}, and a table whose task_index values are not 0 to {table.num_rows - 1}"
        readings = (f"{table.num_rows} is right", "the table has lost tasks, or has some of them twice")
        yield Refusal(registry.TOTALS.code, place, found_text, readings)
        return
    draft.info[TOTAL_TASKS] = table.num_rows
    proof = (
        f"{layout.TASKS_PATH} has {counted(table.num_rows, 'row')}, and no row of a data file refers to a further task"
    )
    yield Repair(registry.TOTALS.code, place, found, table.num_rows, proof)


def repair_splits(draft: Draft) -> Iterator[Outcome]:
    """Shorten splits that end after the last episode. A split that overlaps another one may have to end earlier, and is refused."""
    code, splits = registry.SPLITS.code, draft.info.get("splits")
    if not draft.has_all_episodes or not isinstance(splits, Mapping):
        return
    total = draft.row_count
    changed: dict[str, Any] = {}
    for name, text in splits.items():
        limits = split_range(text)
        if limits is None:
            continue
        start, stop = limits
        if start <= stop <= total:
            continue
        place = Place(layout.INFO_PATH, column=f"splits.{name}")
        if start >= total or start > stop or draft.info.get("total_episodes") != total:
            readings = (f"the split contains only episodes within 0:{total}", "the split contains missing episodes")
            yield Refusal(code, place, f"split {name!r} of episodes {text}", readings)
            continue
        shared = _overlapping(splits, name, start, total)
        if shared is not None:
            found = f"split {name!r} of episodes {text}, and split {shared!r} of episodes {splits[shared]}"
            readings = (
                f"split {name!r} ends with the last episode",
                f"split {name!r} and {shared!r} have no common episode",
            )
            yield Refusal(code, place, found, readings)
            continue
        changed[name] = f"{start}:{total}"
        yield Repair(code, place, text, changed[name], f"all {total} episodes exist, from 0 to {total - 1}")
    if changed:
        draft.info["splits"] = {**splits, **changed}


def _overlapping(splits: Mapping[str, Any], name: str, start: int, stop: int) -> str | None:
    """Return the name of another split with an episode in `[start, stop)`; None if there is none."""
    for other, text in splits.items():
        limits = split_range(text)
        if other != name and limits is not None and limits[0] < stop and start < limits[1]:
            return other
    return None


def split_range(text: Any) -> tuple[int, int] | None:
    """Return (start, stop) of a split such as `0:10`, which ends before `stop`; None if the text has another form."""
    match = _RANGE.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else (int(match[1]), int(match[2]))


def _exceeds(found: Any, count: int) -> bool:
    return type(found) is int and found > count
