"""Read the documents of a dataset of version 2.x: `meta/info.json`, and the JSON lines of episodes, tasks and statistics.

`read_documents` reads all of them, and collects every problem with its file and line; damaged contents never raise. Callers that
need correct documents call `V2Documents.require_translatable` or `require_no_problems`.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeGuard

from episeek.errors import MetadataError, MissingFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot, lerobot_v2

Kind = Literal["info", "features", "pointer", "lines", "order", "values", "tasks", "statistics"]
"""The subject of a problem, such as the numbers of episodes, their lengths, or the tasks."""

_BLOCKING: Final[frozenset[Kind]] = frozenset({"info", "pointer", "lines", "order", "values"})
"""Kinds of problems that leave open which files belong to which episode."""

_LFS_SIGNATURE: Final = b"version https://git-lfs"
_MAX_LENGTH: Final = 1 << 31
_VISUAL: Final = frozenset({"image", "video"})
_PICTURE_SIZES: Final = 3

_STATISTICS_HINT: Final = (
    "restore the file from a copy of the dataset; or record the statistics of the whole dataset in meta/stats.json, as version 2.0 "
    "has them, and set codebase_version to v2.0"
)
_NUMBERING_HINT: Final = "restore the lines from a copy of the dataset; LeRobot 2.x looks episodes up by their number"
_NAMES_HINT: Final = (
    'set names in meta/info.json to one name for each dimension of shape, for example ["height", "width", "channels"]'
)


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """One problem of a document: where it is, what was found, and what was expected."""

    kind: Kind
    path: str
    """Path of the document, relative to the root."""
    line: int | None
    """Number of the line, from 1; None for the whole file."""
    found: str
    expected: str
    key: str | None = None
    """The affected key of the document, or of the JSON object in the line."""
    more: int = 0
    """Number of similar problems that are not listed."""
    hint: str = ""
    is_in_tables: bool = False
    """Whether the tables of version 3.0 have the same problem, so that the rules on these tables report it."""

    @property
    def place(self) -> str:
        """The path of the document and the number of the line, for messages."""
        return self.path if self.line is None else f"{self.path}, line {self.line}"


@dataclass(frozen=True, slots=True)
class V2Episode:
    """One line of meta/episodes.jsonl."""

    episode_index: int
    length: int
    """Number of frames."""
    tasks: tuple[str, ...]
    line: int
    """Number of the line, from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class V2Documents:
    """The documents of a dataset of version 2.x, with their problems."""

    version: str
    """The value of `codebase_version`."""
    info: Mapping[str, Any]
    """Parsed meta/info.json."""
    episodes: tuple[V2Episode, ...] = ()
    """The episodes, sorted by episode_index."""
    tasks: tuple[tuple[int, str], ...] = ()
    """The tasks as (task_index, text), sorted by task_index."""
    task_lines: tuple[int, ...] = ()
    """The number of each task's line, from 1."""
    statistics: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """The statistics of each episode, by episode_index; empty in version 2.0."""
    statistics_lines: Mapping[int, int] = field(default_factory=dict)
    """The number of the line with each episode's statistics, from 1, by episode_index."""
    total_statistics: Mapping[str, Any] | None = None
    """The statistics of the whole dataset in version 2.0; None in version 2.1, or if the file cannot be used."""
    problems: tuple[DocumentProblem, ...] = ()

    @property
    def is_translatable(self) -> bool:
        """Whether the documents say which files belong to which episode, as a conversion to version 3.0 requires."""
        return not any(problem.kind in _BLOCKING for problem in self.problems)

    def require_translatable(self, where: str) -> None:
        """Raise MetadataError unless the documents say which files belong to which episode."""
        require_no_problems([problem for problem in self.problems if problem.kind in _BLOCKING], where)


def require_no_problems(problems: Sequence[DocumentProblem], where: str) -> None:
    """Raise MetadataError for the first problem, if there is any. The message says how many more there are."""
    if not problems:
        return
    first = problems[0]
    rest = len(problems) - 1 + sum(problem.more for problem in problems)
    others = f" (and {counted(rest, 'more problem')}: see `episeek verify`)" if rest else ""
    key = f"{first.key}: " if first.key else ""
    raise MetadataError(f"{where}/{first.place}", f"{key}{first.found}{others}", first.expected, first.hint)


def read_documents(root: Root, info: Mapping[str, Any], skipped: Collection[int] = ()) -> V2Documents:
    """Read the documents of a dataset of version 2.x.

    Args:
        root: The dataset.
        info: Parsed meta/info.json.
        skipped: Numbers of episodes to leave out. What is wrong in their lines is no problem, as long as each has a line. A length
            that cannot be used is 0 here.

    Raises:
        ReadError: A document cannot be read.
    """
    version = str(info.get("codebase_version"))
    problems = [
        DocumentProblem("info", layout.INFO_PATH, None, problem.found, problem.expected, problem.key)
        for problem in lerobot_v2.validate_info_v2(info)
    ]
    if problems:
        return V2Documents(version, info, problems=tuple(problems))
    problems += _unnamed_pictures(info["features"])
    episodes = _episodes(root, problems, skipped)
    tasks = _tasks(root, problems)
    kept = [episode for episode in episodes if episode.episode_index not in skipped]
    problems += _unknown_tasks(kept, {text for _, text, _ in tasks})
    statistics: dict[int, Mapping[str, Any]] = {}
    lines: dict[int, int] = {}
    total: Mapping[str, Any] | None = None
    if lerobot_v2.has_episode_statistics(info):
        for number, line, stats in _episode_statistics(root, problems, skipped):
            statistics[number], lines[number] = stats, line
        if lines and not any(problem.kind in _BLOCKING for problem in problems):
            problems += _missing_statistics(episodes, lines, skipped)
    else:
        total = _total_statistics(root, problems)
    return V2Documents(
        version=version,
        info=info,
        episodes=tuple(episodes),
        tasks=tuple((number, text) for number, text, _ in tasks),
        task_lines=tuple(line for _, _, line in tasks),
        statistics=statistics,
        statistics_lines=lines,
        total_statistics=total,
        problems=tuple(problems),
    )


# --- lines ------------------------------------------------------------------------------------------------------------------------


def _read(root: Root, path: str, problems: list[DocumentProblem], kind: Kind, expected: str, hint: str) -> bytes | None:
    try:
        data = root.read_bytes(path)
    except MissingFileError:
        problems.append(DocumentProblem(kind, path, None, "no such file", expected, hint=hint))
        return None
    if data.startswith(_LFS_SIGNATURE):
        found = "a Git LFS pointer: the file was not fetched with the clone"
        problems.append(DocumentProblem("pointer", path, None, found, "the contents of the file"))
        return None
    return data


def _objects(
    root: Root, path: str, problems: list[DocumentProblem], kind: Kind, expected: str, hint: str = ""
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line, from 1, with its JSON object. Empty lines are skipped.

    A line that is not a JSON object is appended to `problems`.
    """
    data = _read(root, path, problems, kind, expected, hint)
    for number, line in enumerate((data or b"").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            text = str(error).partition("\n")[0]
            problems.append(DocumentProblem(kind, path, number, text, "one JSON object in each line"))
            continue
        if isinstance(found, dict):
            yield number, found
        else:
            problems.append(DocumentProblem(kind, path, number, type(found).__name__, "one JSON object in each line"))


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- episodes ---------------------------------------------------------------------------------------------------------------------


def _episodes(root: Root, problems: list[DocumentProblem], skipped: Collection[int]) -> list[V2Episode]:
    path = lerobot_v2.EPISODES_PATH
    line_of: dict[int, int] = {}
    episodes = []
    for line, found in _objects(root, path, problems, "lines", "a line for each episode"):
        number, length, tasks = (
            found.get(key) for key in (lerobot_v2.EPISODE_INDEX, lerobot_v2.LENGTH, lerobot_v2.TASKS)
        )
        if not _is_number(number) or number < 0:
            expected = "the number of an episode, 0 or more"
            problems.append(DocumentProblem("values", path, line, _text(number), expected, lerobot_v2.EPISODE_INDEX))
            continue
        if number in line_of:
            text = f"episode {number}, which is also in line {line_of[number]}"
            hint = "remove the line that does not describe the episode's files"
            problems.append(DocumentProblem("order", path, line, text, "each episode once", hint=hint))
            continue
        line_of[number] = line
        if number in skipped:
            episodes.append(V2Episode(number, length if _is_number(length) else 0, (), line))
            continue
        if not _is_number(length) or not 0 < length < _MAX_LENGTH:
            problems.append(DocumentProblem("values", path, line, _text(length), "1 or more frames", lerobot_v2.LENGTH))
            continue
        if not isinstance(tasks, list) or not tasks or not all(isinstance(text, str) for text in tasks):
            problems.append(
                DocumentProblem("tasks", path, line, _text(tasks), "one or more texts of tasks", lerobot_v2.TASKS)
            )
            tasks = [text for text in tasks if isinstance(text, str)] if isinstance(tasks, list) else []
        episodes.append(V2Episode(number, length, tuple(tasks), line))
    episodes.sort(key=lambda episode: episode.episode_index)
    if not any(problem.kind in ("lines", "values", "order") for problem in problems):
        problems += _gaps(episodes)
    return episodes


def _gaps(episodes: list[V2Episode]) -> Iterator[DocumentProblem]:
    """Yield a problem for the first gap in the numbers of episodes."""
    gaps = [(row, episode) for row, episode in enumerate(episodes) if episode.episode_index != row]
    if gaps:
        row, episode = gaps[0]
        found = f"episode {episode.episode_index}" + (f" after episode {row - 1}" if row else " as the first")
        expected = f"episode {row}, with numbers from 0 without a gap"
        yield DocumentProblem("order", lerobot_v2.EPISODES_PATH, episode.line, found, expected, hint=_NUMBERING_HINT)


def _unnamed_pictures(features: Mapping[str, Any]) -> Iterator[DocumentProblem]:
    """Yield a problem for each picture feature whose dimensions have no names.

    LeRobot's policies look up the name of the third dimension.
    """
    for name, spec in features.items():
        if isinstance(spec, Mapping) and spec.get("dtype") in _VISUAL:
            names = spec.get("names")
            if not isinstance(names, list) or len(names) < _PICTURE_SIZES or not all(isinstance(n, str) for n in names):
                found, expected = (
                    f"{_text(names)} as names of the dimensions of pictures",
                    "one name for each dimension of shape",
                )
                key = f"features.{name}"
                yield DocumentProblem(
                    "features", layout.INFO_PATH, None, found, expected, key, hint=_NAMES_HINT, is_in_tables=True
                )


# --- tasks ------------------------------------------------------------------------------------------------------------------------


def _tasks(root: Root, problems: list[DocumentProblem]) -> list[tuple[int, str, int]]:
    """Return the number, text and line of each task, sorted by number."""
    path = lerobot_v2.TASKS_PATH
    tasks: dict[int, tuple[str, int]] = {}
    line_of: dict[str, int] = {}
    for line, found in _objects(root, path, problems, "tasks", "a line for each task"):
        number, text = found.get(lerobot_v2.TASK_INDEX), found.get(lerobot_v2.TASK)
        if not _is_number(number) or not isinstance(text, str):
            key = lerobot_v2.TASK if _is_number(number) else lerobot_v2.TASK_INDEX
            problems.append(
                DocumentProblem("tasks", path, line, _text(found.get(key)), "a number and the text of a task", key)
            )
        elif number in tasks:
            again = f"task {number}, which is also in line {tasks[number][1]}"
            problems.append(DocumentProblem("tasks", path, line, again, "each number once", lerobot_v2.TASK_INDEX))
        elif text in line_of:
            again = f"task {_text(text)}, which is also in line {line_of[text]}"
            problems.append(DocumentProblem("tasks", path, line, again, "each task once", lerobot_v2.TASK))
        else:
            tasks[number], line_of[text] = (text, line), line
    rows = [(number, text, line) for number, (text, line) in sorted(tasks.items())]
    wrong = [(row, number, line) for row, (number, _, line) in enumerate(rows) if number != row]
    if wrong:
        row, number, line = wrong[0]
        expected = f"{row}, since version 3.0 looks up tasks by position"
        problems.append(
            DocumentProblem(
                "tasks", path, line, f"task_index {number}", expected, more=len(wrong) - 1, is_in_tables=True
            )
        )
    return rows


def _unknown_tasks(episodes: list[V2Episode], known: set[str]) -> Iterator[DocumentProblem]:
    unknown = [(episode, text) for episode in episodes for text in episode.tasks if text not in known]
    if known and unknown:
        episode, text = unknown[0]
        expected = f"a task of {lerobot_v2.TASKS_PATH}"
        others = len({each.episode_index for each, _ in unknown}) - 1
        yield DocumentProblem(
            "tasks",
            lerobot_v2.EPISODES_PATH,
            episode.line,
            f"task {_text(text)}",
            expected,
            lerobot_v2.TASKS,
            others,
            is_in_tables=True,
        )


# --- statistics -------------------------------------------------------------------------------------------------------------------


def _episode_statistics(
    root: Root, problems: list[DocumentProblem], skipped: Collection[int]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield the episode_index, the line and the statistics of each episode."""
    path = lerobot_v2.EPISODE_STATISTICS_PATH
    line_of: dict[int, int] = {}
    expected = "the statistics of each episode, as version 2.1 has them"
    for line, found in _objects(root, path, problems, "statistics", expected, _STATISTICS_HINT):
        number, stats = found.get(lerobot_v2.EPISODE_INDEX), found.get(lerobot_v2.STATISTICS)
        if not _is_number(number):
            problems.append(
                DocumentProblem("statistics", path, line, _text(number), "the number of an episode", "episode_index")
            )
        elif number in skipped:
            continue
        elif number in line_of:
            text = f"episode {number}, which is also in line {line_of[number]}"
            problems.append(DocumentProblem("statistics", path, line, text, "each episode once"))
        elif not isinstance(stats, dict) or not all(isinstance(entry, dict) for entry in stats.values()):
            text = f"{lerobot_v2.STATISTICS} {_text(stats)}"
            problems.append(DocumentProblem("statistics", path, line, text, "an object with each feature's statistics"))
        else:
            line_of[number] = line
            yield number, line, stats


def _missing_statistics(
    episodes: list[V2Episode], lines: Mapping[int, int], skipped: Collection[int]
) -> Iterator[DocumentProblem]:
    path = lerobot_v2.EPISODE_STATISTICS_PATH
    wanted = {episode.episode_index for episode in episodes}
    absent = sorted(wanted - lines.keys() - {*skipped})
    if absent:
        found = f"no statistics of episode {absent[0]}"
        yield DocumentProblem("statistics", path, None, found, "statistics of each episode", more=len(absent) - 1)
    others = sorted(lines.keys() - wanted)
    if others and wanted:
        found = f"statistics of episode {others[0]}"
        expected = f"episodes of {lerobot_v2.EPISODES_PATH}"
        yield DocumentProblem("statistics", path, lines[others[0]], found, expected, more=len(others) - 1)


def _total_statistics(root: Root, problems: list[DocumentProblem]) -> Mapping[str, Any] | None:
    path = lerobot_v2.STATISTICS_PATH
    expected = "the statistics of the dataset, as version 2.0 has them"
    hint = "restore the file from a copy of the dataset"
    data = _read(root, path, problems, "statistics", expected, hint)
    if data is None:
        return None
    try:
        return lerobot.parse_document(data)
    except lerobot.DocumentError as error:
        problems.append(DocumentProblem("statistics", path, None, error.found, error.expected))
        return None
