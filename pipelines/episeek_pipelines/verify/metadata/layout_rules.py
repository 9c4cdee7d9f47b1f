"""Check numbers of files in a folder (INF006), of episodes in splits (INF009W), and of shards for training (TRN037, TRN037W)."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.rules import FOLDER_LIMITS, SHARDS, SPLITS, WORKER_SHARDS
from episeek_pipelines.words import counted
from episeek_schemas import layout

MOST_ENTRIES: Final = 10_000
"""Largest number of files and folders that the Hub's limits allow directly in one folder of a repository."""
MOST_FILES: Final = 100_000
"""Largest number of files that the Hub's limits allow in a repository."""

_CHUNK_FOLDER = re.compile(r"chunk-[0-9]+")
_RANGE = re.compile(r"\s*([0-9]{1,18})\s*:\s*([0-9]{1,18})\s*")


def check_folders(files: Collection[str], chunks_size: int) -> Iterator[Finding]:
    """Yield INF006 for each folder with too many files, and once if the whole dataset has too many.

    Args:
        files: Paths of all files, relative to the root.
        chunks_size: The number of files that LeRobot puts into a chunk folder, from meta/info.json.
    """
    if len(files) > MOST_FILES:
        yield finding(FOLDER_LIMITS, f"{len(files):,} files", f"{MOST_FILES:,} or fewer")
    file_count, entry_count = _count_entries(files)
    for folder, entries in sorted(entry_count.items()):
        where = Location(file=folder or None)
        if entries > MOST_ENTRIES:
            yield finding(
                FOLDER_LIMITS, f"{entries:,} entries in {folder or 'the root'}", f"{MOST_ENTRIES:,} or fewer", where
            )
        elif file_count[folder] > chunks_size and _CHUNK_FOLDER.fullmatch(folder.rpartition("/")[2]):
            yield finding(
                FOLDER_LIMITS,
                f"{file_count[folder]:,} files in a chunk folder",
                f"{chunks_size:,} (chunks_size) or fewer",
                where,
            )


def check_splits(document: Mapping[str, object], total_episodes: int) -> Iterator[Finding]:
    """Yield INF009W for each split that is not a range of existing episodes.

    Only splits of the form `"start:stop"`, which LeRobot writes, are checked.

    Args:
        document: Parsed meta/info.json.
        total_episodes: The number of episodes of the dataset.
    """
    splits = document.get("splits")
    if not isinstance(splits, Mapping):
        return
    for name, spelled in splits.items():
        match = _RANGE.fullmatch(spelled) if isinstance(spelled, str) else None
        if match is None:
            continue
        start, stop = int(match[1]), int(match[2])
        if start > stop or stop > total_episodes:
            yield finding(
                SPLITS,
                f"split {str(name)[:60]!r} of episodes {start}:{stop}",
                f"a range within 0:{total_episodes}, the total_episodes of the file",
                Location(file=layout.INFO_PATH, column="splits"),
            )


def check_shards(
    options: VerifyOptions, *, row_groups: int, data_files: int, is_prepared_layout: bool
) -> Iterator[Finding]:
    """Yield TRN037 if some ranks of a training job get no shard, or else TRN037W if some workers get none.

    A shard is the part of the dataset that `datasets` gives to one reader: a row group, or a whole data file.

    Args:
        options: The numbers of ranks and workers. Nothing is checked if `world_size` is None.
        row_groups: The number of row groups in all data files.
        data_files: The number of data files that contain episodes.
        is_prepared_layout: Whether each row group is one episode. If so, the row groups are the shards, otherwise the data files.
    """
    if options.world_size is None:
        return
    shards, kind = (row_groups, "row groups") if is_prepared_layout else (data_files, "data files")
    readers = options.world_size * max(options.num_workers, 1)
    spread = f"{counted(shards, 'shard')} ({kind}) for {counted(options.world_size, 'rank')}"
    if options.world_size > shards:
        yield finding(SHARDS, spread, "one shard or more for each rank")
    elif readers > shards:
        expected = f"{readers:,} shards or more"
        if shards % options.world_size:
            expected += ", and a multiple of the number of ranks: otherwise `datasets` lets every rank read all shards"
        yield finding(WORKER_SHARDS, f"{spread} with {counted(options.num_workers, 'worker')} each", expected)


def _count_entries(files: Collection[str]) -> tuple[Counter[str], Counter[str]]:
    """Return two counters: the files directly in each folder, and the files and folders directly in each folder.

    The keys of both are the paths of folders. The key of the root is the empty string.
    """
    file_count = Counter(path.rpartition("/")[0] for path in files)
    entry_count = Counter(file_count)
    seen: set[str] = set()
    for folder in file_count:
        while folder and folder not in seen:
            seen.add(folder)
            folder = folder.rpartition("/")[0]
            entry_count[folder] += 1
    return file_count, entry_count
