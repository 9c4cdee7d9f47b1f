"""Plan a rewrite: choose the output files of each data file, with their names and encodings.

Planning reads only the metadata, a listing and at most three data files, so even for a hundred thousand files it takes little more
time than the listing. A damaged file stays in the plan, and the rewrite reports it. If a file is missing, other files may contain
its episodes. The module `placement` reports episodes that are in no file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek.errors import MissingFileError, ParquetError, RowOrderError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.missing_folders import require_folders
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS, sample_episodes
from episeek_pipelines.parquet.footers import FOOTER_BYTES, MIN_EPISODES_PER_FILE
from episeek_pipelines.rewrite.encodings import ColumnEncodings, choose_encodings, footer_bytes_per_episode
from episeek_schemas import layout
from episeek_schemas.lerobot import DatasetInfo

_MERGED_BYTES: Final = 100 * 10**6
"""Largest total size, in bytes, of source files that are merged into one output: LeRobot's default of `data_files_size_in_mb`."""

MAX_FILES_PER_CHUNK: Final = 1000
"""Largest number of files in a chunk folder, so that file numbers have three digits. LeRobot loads data files in the order of their
names, which would not be the order of the numbers if some numbers had four digits.
"""


@dataclass(frozen=True, slots=True)
class Output:
    """One file to write, for the episodes `[first_episode, stop_episode)` of its source file.

    If the source also has rows of an episode outside the ranges of all outputs, these rows go to the same output as the rows before
    them, so that no row is lost.
    """

    path: str
    first_episode: int
    stop_episode: int
    numbers: tuple[int, int] | None = None
    """The chunk_index and file_index for which the path template gives `path`. None if it does not give `path` for any numbers."""


@dataclass(frozen=True, slots=True)
class RewriteUnit:
    """One source data file and its outputs, or several source files and the one output into which they are merged.

    Source files are merged if the dataset has one file per episode, as in version 2.x. If a unit has only one output, this output
    gets all rows, even rows of episodes that the metadata places in other files.
    """

    path: str
    outputs: tuple[Output, ...]
    encodings: ColumnEncodings = field(default=ColumnEncodings(), repr=False)
    source_bytes: int = field(default=0, repr=False, compare=False)
    """Total size of the source files in bytes; 0 if the listing does not give it."""
    episodes: tuple[tuple[int, int], ...] = ()
    """One pair (episode_index, number of rows) for each source file if the dataset has one file per episode; otherwise empty."""
    next_paths: tuple[str, ...] = ()
    """Further source files, whose rows follow those of `path`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of all source files, in the order in which their rows are written."""
        return (self.path, *self.next_paths)


@dataclass(frozen=True, slots=True, eq=False)
class RewritePlan:
    """The plan of a rewrite: the files to write for every data file of the source.

    Schedulers send the plan to workers, so its size grows with the number of files and not with the number of episodes.
    """

    units: tuple[RewriteUnit, ...]
    """One unit for each source file or group of merged files, sorted by path."""
    is_split: bool
    """Whether files are split or merged. If so, all outputs get new numbers, and `meta/episodes` is updated."""
    max_episodes_per_file: int
    reason: str
    """The reason for the value of `max_episodes_per_file`, for example its calculation, as text for people."""
    missing: Mapping[int, str]
    """The paths of declared data files that do not exist, by the row of `meta/episodes` that declares them. Other files may contain
    the rows of these episodes.
    """
    info: DatasetInfo
    """The parsed meta/info.json of the source, which contains the path template of data files."""
    episode_shards: tuple[tuple[str, int], ...]
    """One pair (relative path, number of rows) for each file of `meta/episodes`, in the order of the files."""
    data_path: str | None = None
    """The path template of the outputs if it differs from the template in the source's meta/info.json."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """The size of one sampled data file, and one table of rows for each of its first episodes."""

    size_bytes: int
    tables: list[pa.Table]


def plan_rewrite(dataset: Dataset, *, max_episodes_per_file: int | None = None) -> RewritePlan:
    """Return the plan for all files `data/**/*.parquet`, including files without episodes in the metadata.

    LeRobot loads files without episodes as well. At most three data files (the first, the middle and the last) are
    opened, to choose the encodings and the default of `max_episodes_per_file`.

    The default is `max(100, 2**19 / f, d / f)`. Here f is the number of bytes that an episode adds to the footer (measured with the
    sampled episodes; about 120 for each leaf column), and d is the number of bytes of source file per episode. A limit is needed
    because readers such as `datasets` fetch the whole footer again for every row group, in all n x n x f bytes for a file of n
    episodes. The three terms allow 100 episodes, a footer of 512 KiB (which takes no longer than the request for it), and a footer
    as large as the data of one episode.

    A file with too many episodes is split evenly. If any file is split, all outputs are numbered in the order of their source
    files, with `chunks_size` files in a chunk folder (at most `MAX_FILES_PER_CHUNK`). Files are merged only if the dataset has one
    file per episode, as in version 2.x. Each output then has at most `max_episodes_per_file` episodes and 100 MB of source files.

    Args:
        dataset: The result of `open_dataset`.
        max_episodes_per_file: Largest number of episodes in an output; None for the default above.

    Raises:
        MissingFileError: A folder of data files has another name than the metadata gives; or one of the files of a dataset with one
            file per episode does not exist.
        ReadError: The store failed. Damaged files, and other missing files, are reported by later steps.
        ValueError: `max_episodes_per_file` is less than 1.
    """
    if max_episodes_per_file is not None and max_episodes_per_file < 1:
        raise ValueError(f"max_episodes_per_file: found {max_episodes_per_file}; expected 1 or more")
    listing = dataset.root.files(layout.DATA_DIR)
    # The listing of a local directory has no entry for a link without a target, but the plan contains it.
    listed = dataset.root.list(layout.DATA_DIR) if dataset.root.is_local else listing
    rows_of_path = {path: np.zeros(0, np.int64) for path in listed if path.endswith(".parquet")}
    missing: dict[int, str] = {}
    for path, rows in dataset.data_rows().items():
        if path in rows_of_path:
            rows_of_path[path] = rows
        else:
            missing.update(dict.fromkeys(rows.tolist(), path))
    require_folders(dataset.root, {*rows_of_path, *missing.values()}, listing)
    paths = sorted(rows_of_path)
    with_rows = [path for path in paths if len(rows_of_path[path])]
    probes = {with_rows[number]: None for number in (0, len(with_rows) // 2, len(with_rows) - 1)} if with_rows else {}
    samples = {path: found for path in probes if (found := _sample(dataset.root, path)) is not None}
    encodings = choose_encodings(found.tables for found in samples.values())
    cap, reason = max_episodes_per_file, "as requested"
    if cap is None:
        episode_count = sum(len(rows_of_path[path]) for path in samples)
        cap, reason = _default_cap(list(samples.values()), encodings, episode_count=episode_count)

    if dataset.is_file_an_episode:
        return _plan_merged(dataset, listing, missing, encodings, (cap, reason))
    firsts_of_path = {path: _first_episodes(dataset.episodes.episode_index[rows_of_path[path]], cap) for path in paths}
    is_split = any(len(firsts) > 1 for firsts in firsts_of_path.values())
    files_per_chunk = min(dataset.info.chunks_size, MAX_FILES_PER_CHUNK)
    units, output_count = [], 0
    for path in paths:
        firsts = firsts_of_path[path]
        episodes = dataset.episodes.episode_index[rows_of_path[path]]
        names, numbers = [path], [dataset.info.data_file_numbers(path)]
        if is_split:
            chunks, files = np.divmod(np.arange(output_count, output_count + len(firsts)), files_per_chunk)
            numbers = [*zip(chunks.tolist(), files.tolist(), strict=True)]
            names = [dataset.info.data_file(*pair) for pair in zip(chunks.tolist(), files.tolist(), strict=True)]
        stops = [*firsts[1:], int(episodes.max(initial=-1)) + 1]
        outputs = tuple(Output(*fields) for fields in zip(names, firsts, stops, numbers, strict=True))
        identity = listing.get(path)
        units.append(RewriteUnit(path, outputs, encodings, 0 if identity is None else identity.size))
        output_count += len(outputs)
    return RewritePlan(
        units=tuple(units),
        is_split=is_split,
        max_episodes_per_file=cap,
        reason=reason,
        missing=missing,
        info=dataset.info,
        episode_shards=dataset.episodes.shards,
    )


def _plan_merged(
    dataset: Dataset,
    listing: Mapping[str, FileIdentity | None],
    missing: Mapping[int, str],
    encodings: ColumnEncodings,
    cap: tuple[int, str],
) -> RewritePlan:
    """Return the plan for a dataset with one file per episode: each output contains the rows of several files, in episode order.

    Raises:
        MissingFileError: One of the files does not exist.
    """
    paths, table = dataset.data_paths(), dataset.episodes
    if missing:
        row = min(missing)
        others = f", and {len(missing) - 1} more missing" if len(missing) > 1 else ""
        expected = f"the rows of episode {table.data_file_index[row]}"
        raise MissingFileError(dataset.root.join(missing[row]), f"no such file{others}", expected)
    sizes = [0 if (identity := listing.get(path)) is None else identity.size for path in paths]
    groups: list[list[int]] = []
    held_bytes = 0
    for row, size in enumerate(sizes):
        if not groups or len(groups[-1]) >= cap[0] or held_bytes + size > _MERGED_BYTES:
            groups.append([])
            held_bytes = 0
        groups[-1].append(row)
        held_bytes += size
    units = []
    for number, rows in enumerate(groups):
        numbers = divmod(number, MAX_FILES_PER_CHUNK)
        name = layout.DEFAULT_DATA_PATH.format(chunk_index=numbers[0], file_index=numbers[1])
        units.append(
            RewriteUnit(
                paths[rows[0]],
                (Output(name, rows[0], rows[-1] + 1, numbers),),
                encodings,
                sum(sizes[row] for row in rows),
                tuple(zip(table.episode_index[rows].tolist(), table.length[rows].tolist(), strict=True)),
                tuple(paths[row] for row in rows[1:]),
            )
        )
    return RewritePlan(
        units=tuple(units),
        is_split=True,
        max_episodes_per_file=cap[0],
        reason=cap[1],
        missing={},
        info=dataset.info,
        episode_shards=table.shards,
        data_path=layout.DEFAULT_DATA_PATH,
    )


def _first_episodes(episodes: npt.NDArray[np.int64], cap: int) -> list[int]:
    """Split the episodes of a file evenly into outputs of at most `cap` episodes, and return the first episode of each output."""
    distinct = np.unique(episodes)
    if not len(distinct):
        # a file to which the metadata assigns no episode has one output
        return [0]
    pieces = np.array_split(distinct, math.ceil(len(distinct) / cap))
    return [int(piece[0]) for piece in pieces]


def _default_cap(samples: Sequence[_Sample], encodings: ColumnEncodings, *, episode_count: int) -> tuple[int, str]:
    footer_bytes = max(
        (footer_bytes_per_episode(found.tables, encodings) for found in samples if found.tables), default=0
    )
    if not footer_bytes:
        return MIN_EPISODES_PER_FILE, "no data file with rows could be read to measure the size of its footer"
    data_bytes = sum(found.size_bytes for found in samples) // max(1, episode_count)
    cap = max(MIN_EPISODES_PER_FILE, FOOTER_BYTES // footer_bytes, data_bytes // footer_bytes)
    return cap, (
        f"{footer_bytes} footer bytes and {data_bytes} bytes of data per episode: "
        f"max({MIN_EPISODES_PER_FILE}, {FOOTER_BYTES} / {footer_bytes}, {data_bytes} / {footer_bytes})"
    )


def _sample(root: Root, path: str) -> _Sample | None:
    try:
        with root.open_parquet(path, **READ_OPTIONS) as file:
            return _Sample(root.size(path), sample_episodes(file, root.join(path)))
    except (MissingFileError, ParquetError, RowOrderError):
        # rewrite_file reports the error later, and the other files are rewritten
        return None
