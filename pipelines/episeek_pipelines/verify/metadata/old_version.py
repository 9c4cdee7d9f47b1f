"""Functions that report findings about a dataset of version 2.x in terms of its own documents.

The rules check metadata of version 3.0 that is made from these documents. Their findings are translated back: the location becomes
the line of a document or the file of an episode, and the advice is for version 2.x. Problems that can be seen only in the documents
become findings here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from episeek_pipelines.dataset.v2.documents import DocumentProblem, Kind, V2Documents
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.dataset.v2.tables import EPISODES_FILE
from episeek_pipelines.verify.findings.coverage import Unchecked
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import (
    COLUMN_STYLE,
    DATA_FOOTER,
    DATA_POINTER,
    DRIFT,
    EPISODE_ORDER,
    EPISODE_ROWS,
    EPISODE_VALUES,
    EPISODES_FOOTER,
    FRAME_GRID,
    INFO,
    LFS_POINTER,
    MISSING_FILE,
    ROW_NUMBERS,
    RULES,
    STATISTICS,
    TASKS,
    TILING,
    TOTALS,
    VIDEO_COLUMNS,
    VIDEO_LONG,
    VIDEO_SHORT,
    Rule,
    Severity,
)
from episeek_schemas import layout, lerobot, lerobot_v2

_RULES: Final[Mapping[Kind, Rule]] = MappingProxyType(
    {
        "info": INFO,
        "features": INFO,
        "pointer": LFS_POINTER,
        "lines": EPISODES_FOOTER,
        "order": EPISODE_ORDER,
        "values": EPISODE_VALUES,
        "tasks": TASKS,
        "statistics": STATISTICS,
    }
)
"""The rule that each kind of problem in a document violates."""

_LEAVE_OUT: Final = "or leave the episode out with `episeek upgrade --skip-episodes`"
_LENGTH: Final = (
    "if only the length is wrong, and no row is missing, set length in meta/episodes.jsonl to the number of rows"
)
_REPAIRED: Final = "run `episeek upgrade SRC NEW --videos link` and then `episeek repair NEW DST`"
_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        EPISODES_FOOTER.code: "restore the line from a copy of the same revision: no other file lists the episodes",
        EPISODE_ORDER.code: "restore the lines from a copy of the dataset; do not renumber them, since the names of files contain "
        "the numbers of the episodes",
        EPISODE_VALUES.code: f"restore the value from a copy of the dataset; {_LENGTH}; {_LEAVE_OUT}",
        EPISODE_ROWS.code: f"{_LENGTH}. Otherwise restore the rows from the source of the file, {_LEAVE_OUT}",
        ROW_NUMBERS.code: f"if ROW015 reports an episode, correct this first. If the numbers are still wrong, {_REPAIRED}, which "
        "numbers the rows",
        TOTALS.code: f"if ROW015 reports an episode, correct this first. If the totals are still wrong, {_REPAIRED}, which sets "
        "them to the numbers of the data files, unless episodes may be lost",
        COLUMN_STYLE.code: f"{_REPAIRED}, which writes the `huggingface` metadata, and converts columns to the declared types "
        "where that changes no value. If only some files have another type, convert these first",
        TASKS.code: "restore meta/tasks.jsonl, or decide which task the rows and episodes have: each task_index needs one text",
        STATISTICS.code: "decide whether the rows are right. If they are, run `episeek upgrade SRC NEW --videos link` and then "
        "`episeek repair NEW DST --only REP019,REP020`, which computes the statistics of numbers from the rows",
        MISSING_FILE.code: f"restore the file (it may have another name: see INF004W), {_LEAVE_OUT}",
        DATA_POINTER.code: f"restore the file of each episode, whose name contains the number of the episode, {_LEAVE_OUT}",
        DATA_FOOTER.code: f"restore the file from its source, {_LEAVE_OUT}",
        VIDEO_LONG.code: f"{_LENGTH} (ROW015). Otherwise check that the file belongs to this episode: LeRobot ignores its other "
        f"frames, but `episeek upgrade` refuses them. Restore the file, {_LEAVE_OUT}",
        VIDEO_SHORT.code: f"{_LENGTH} (ROW015). Otherwise encode the missing frames again, {_LEAVE_OUT}",
        FRAME_GRID.code: f"{_LENGTH} (ROW015). Otherwise encode the frames of the episode again, one for each row at fps, "
        f"{_LEAVE_OUT}",
        DRIFT.code: f"encode the frames of the episode again, the first one at time 0, {_LEAVE_OUT}",
    }
)
"""Advice by the code of a rule. It replaces the rule's remedy, which is about files of version 3.0."""

_SECONDS: Final = frozenset({VIDEO_LONG.code, VIDEO_SHORT.code, FRAME_GRID.code, DRIFT.code})
"""Rules whose every remedy is about the seconds of episodes, which documents of version 2.x do not have."""
_REPAIR: Final = "`episeek repair SRC DST`"
"""The command of remedies that is not possible for version 2.x."""

_NAMES: Final = (
    (re.compile(re.escape(layout.TASKS_PATH)), lerobot_v2.TASKS_PATH),
    (re.compile(rf"{layout.EPISODES_DIR}(?![\w./])"), lerobot_v2.EPISODES_PATH),
    # The releases of LeRobot that read datasets of version 2.x cannot delete episodes.
    (
        re.compile(r"delete (the|its|the affected) (episodes?) with LeRobot"),
        r"leave \1 \2 out with `episeek upgrade --skip-episodes`",
    ),
    # `episeek repair` refuses datasets of version 2.x
    (
        re.compile(r"`episeek repair SRC DST( [^`]*)?`"),
        r"`episeek upgrade SRC NEW --videos link` and then `episeek repair NEW DST\1`",
    ),
)


def document_findings(problems: Iterable[DocumentProblem]) -> Iterator[Finding]:
    """Yield a finding for each problem that can be seen only in the documents, and not in the tables that are made from them."""
    for problem in problems:
        if problem.is_in_tables:
            continue
        row = None if problem.line is None else problem.line - 1
        where = Location(file=problem.path, row=row, column=problem.key)
        # LeRobot does not load a dataset that lacks the statistics of its version.
        severity: Severity | None = "error" if problem.kind == "statistics" else None
        remedy = problem.hint or _REMEDIES.get(_RULES[problem.kind].code, "")
        yield finding(
            _RULES[problem.kind],
            problem.found,
            problem.expected,
            where,
            more=problem.more,
            remedy=remedy,
            severity=severity,
        )


def as_found(root: V2Root, findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with locations, names and advice that refer to the documents of version 2.x in place of tables."""
    documents = root.view.documents
    return [
        replace(
            each,
            found=_renamed(each.found),
            expected=_renamed(each.expected),
            location=_place(documents, each.location),
            remedy=_remedy(each),
        )
        for each in findings
    ]


def _remedy(found: Finding) -> str:
    """Return the advice for a finding in a dataset of version 2.x; empty if the remedy of its rule applies."""
    is_of_rule = not found.remedy or found.location.file == layout.STATS_PATH or found.code in _SECONDS
    # a repair of the statistics that `upgrade` converts needs `--only`, since meta/stats.json follows from those of the episodes
    is_of_rule |= found.code == STATISTICS.code and _REPAIR in found.remedy
    if found.code in _REMEDIES and is_of_rule:
        return _REMEDIES[found.code]
    advice = _renamed(found.advice)
    return "" if advice == RULES[found.code].remedy else advice


def not_applied(root: V2Root) -> Unchecked:
    """Return the `Unchecked` that reports which rules are not applied, since version 2.x lacks their columns of meta/episodes."""
    codes = tuple(sorted(rule.code for rule in (TILING, VIDEO_COLUMNS)))
    reason = f"{root.version} does not have them"
    return Unchecked("columns of meta/episodes for rows and cameras", reason, rules=codes)


def _renamed(text: str) -> str:
    """Return a text in which names of tables are replaced by names of documents, and LeRobot's commands by `episeek upgrade`."""
    for pattern, name in _NAMES:
        text = pattern.sub(name, text)
    return text


def _place(documents: V2Documents, where: Location) -> Location:
    """Return the location in the documents of version 2.x that corresponds to a location in the tables of version 3.0."""
    position = where.episode if where.row is None else where.row
    is_episode = where.file in (EPISODES_FILE, layout.EPISODES_DIR)
    if is_episode and position is not None and position < len(documents.episodes):
        episode = documents.episodes[position]
        column = where.column or ""
        if column.startswith(f"{lerobot_v2.STATISTICS}/"):
            feature = column.split("/", 1)[1].rpartition("/")[0]
            line = documents.statistics_lines.get(episode.episode_index)
            path, key = lerobot_v2.EPISODE_STATISTICS_PATH, f"{lerobot_v2.STATISTICS}.{feature}"
            return replace(where, file=path, row=None if line is None else line - 1, column=key)
        is_key = column in (lerobot.EPISODE_INDEX, lerobot.LENGTH, lerobot.TASKS)
        return replace(
            where,
            file=lerobot_v2.EPISODES_PATH,
            episode=episode.episode_index if where.episode is None else where.episode,
            row=episode.line - 1,
            column=column if is_key else None,
        )
    if is_episode:
        return replace(where, file=lerobot_v2.EPISODES_PATH, row=None)
    if where.file == layout.TASKS_PATH:
        is_row = where.row is not None and where.row < len(documents.task_lines)
        names = {None: None, lerobot_v2.TASK_INDEX: lerobot_v2.TASK_INDEX}
        row = documents.task_lines[where.row] - 1 if is_row and where.row is not None else None
        return replace(where, file=lerobot_v2.TASKS_PATH, row=row, column=names.get(where.column, lerobot_v2.TASK))
    if where.file == layout.STATS_PATH and documents.total_statistics is None:
        return replace(where, file=lerobot_v2.EPISODE_STATISTICS_PATH)
    return where
