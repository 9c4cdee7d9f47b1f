"""Describe how LeRobot finds the rows of episodes and the texts of tasks, in a form that is equal for all sound datasets.

LeRobot 0.4.4 takes row i of meta/episodes for episode i, concatenates `data/*/*.parquet` sorted by path, takes the rows
`[dataset_from_index, dataset_to_index)` of the result for the rows of an episode, and takes the pandas index of row n of
meta/tasks.parquet for the text of task n. Two datasets with equal rows can therefore still be read differently.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from episeek_pipelines.comparison.results import ValueChange
from episeek_pipelines.comparison.rows.prints import EpisodeRows
from episeek_pipelines.comparison.side import Side
from episeek_schemas import layout

ROW: Final = "row of meta/episodes, minus the episode's number"
TO_INDEX: Final = "dataset_to_index, minus the lengths up to this episode"
ORDER: Final = "place of its rows in LeRobot's order of the data files"
FILE: Final = "data file in meta/episodes"

_IN_ORDER: Final = "after the previous episode"


def episode_lookups(
    side: Side, rows: Mapping[int, EpisodeRows], *, missing: Collection[int], is_read: bool
) -> dict[int, dict[str, int | str]]:
    """Return how LeRobot finds the rows of each episode: values by their names, by the number of the episode.

    Args:
        side: The dataset.
        rows: The location of the rows of the episodes whose rows were read.
        missing: The episodes that have no rows. All others have their rows in the file that meta/episodes gives, unless `rows`
            says otherwise.
        is_read: Whether rows were read.
    """
    table = side.dataset.episodes
    surplus = (table.dataset_to_index - side.places - table.length).tolist()
    order = _orders(side, rows, missing)
    found: dict[int, dict[str, int | str]] = {}
    for number, row in side.row_of.items():
        found[number] = {ROW: row - number, TO_INDEX: surplus[row]}
        if number in order:
            found[number][ORDER] = order[number]
        if is_read:
            is_there = number not in rows or rows[number].path == side.data_paths[row]
            found[number][FILE] = "has its rows" if is_there else "has none of its rows"
    return found


def changed_lookups(a: Mapping[str, int | str], b: Mapping[str, int | str]) -> list[ValueChange]:
    """Return the values of two episodes that differ. Values that only one side has are not compared."""
    return [ValueChange(name, a[name], b[name]) for name in a if name in b and a[name] != b[name]]


def file_changes(a: Side, b: Side) -> list[ValueChange]:
    """Return differences in the files that LeRobot reads although no episode refers to them, or does not read."""
    found = []
    for name, of in (("data files of no episode", data_files_of_no_episode), ("files that LeRobot skips", _skipped)):
        ours, theirs = of(a), of(b)
        if ours != theirs:
            found.append(ValueChange(name, ", ".join(ours) or "none", ", ".join(theirs) or "none"))
    return found


def data_files_of_no_episode(side: Side) -> list[str]:
    """Return the sorted paths of the data files whose rows LeRobot reads, although meta/episodes does not refer to them."""
    known = {*side.data_paths}
    return [path for path in sorted(side.files) if _is_read(path, layout.DATA_DIR) and path not in known]


def task_label_changes(a: Side, b: Side) -> list[ValueChange]:
    """Return the tasks and subtasks for which LeRobot reads another text than the one with their number, on one side only."""
    found = []
    for table, noun in (("tasks", "task"), ("subtasks", "subtask")):
        ours, theirs = (_wrong_labels(getattr(side, table), getattr(side, f"{noun}_labels")) for side in (a, b))
        for number in sorted(ours.keys() | theirs.keys()):
            if ours.get(number) != theirs.get(number):
                read = [wrong.get(number, getattr(side, table).get(number)) for side, wrong in ((a, ours), (b, theirs))]
                found.append(ValueChange(f"text that LeRobot reads for {noun} {number}", *read))
    return found


def _wrong_labels(texts: Mapping[int, str], labels: Sequence[str]) -> dict[int, str]:
    read = {number: labels[number] if 0 <= number < len(labels) else "no text" for number in texts}
    return {number: label for number, label in read.items() if label != texts[number]}


def _orders(side: Side, rows: Mapping[int, EpisodeRows], missing: Collection[int]) -> dict[int, str]:
    """Return, for each episode with rows, whether LeRobot reads them after those of the episode before it in meta/episodes."""
    if side.dataset.is_file_an_episode:
        return dict.fromkeys(side.row_of, _IN_ORDER)
    places = {}
    present = [number for number in side.row_of if number not in missing]
    for rank, number in enumerate(present):
        row, read = side.row_of[number], rows.get(number)
        path, first = (side.data_paths[row], row) if read is None else (read.path, read.first_row)
        places[number] = (path.split("/"), first, rank)
    found: dict[int, str] = {}
    before = -1
    for number in sorted(places, key=places.__getitem__):
        rank = places[number][2]
        step = rank - before
        away = "first" if before < 0 else f"after the episode {abs(step)} rows {'earlier' if step > 0 else 'later'}"
        found[number] = _IN_ORDER if step == 1 else away
        before = rank
    return found


def _skipped(side: Side) -> list[str]:
    if side.dataset.is_file_an_episode:
        return []
    shards = [path for path, _ in side.dataset.episodes.shards if not _is_read(path, layout.EPISODES_DIR)]
    return sorted({*(path for path in side.data_paths if not _is_read(path, layout.DATA_DIR)), *shards})


def _is_read(path: str, folder: str) -> bool:
    """Return whether a file is one of `folder/*/*.parquet`."""
    return path.startswith(f"{folder}/") and path.endswith(".parquet") and path.count("/") == folder.count("/") + 2
