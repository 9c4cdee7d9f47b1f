"""The evidence for repairs, gathered once: documents, the footers of the data files and the numbers in their rows.

Wrong values are kept unchanged. A document that cannot be used is None, and a value that is not a number is `NO_NUMBER`. Only a few
values of each run of rows stay in memory. The header of a video is read when a repair needs it.
"""

import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import (
    EpiseekError,
    MetadataError,
    MissingFileError,
    NotADatasetError,
    ParquetError,
    UnsupportedVersionError,
)
from episeek.stores.identity import FileIdentity
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.metadata import read_info_document
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.unfetched import require_contents, require_fetched
from episeek_pipelines.parquet.recovery.declared_schema import declared_schema
from episeek_pipelines.parquet.recovery.recover import Recovered, lacks_footer, open_recovered, recover
from episeek_pipelines.repair.row_runs import Run, find_runs, read_row_columns, row_numbers
from episeek_pipelines.repair.shards import Shards, StoredBytes, contents_problem, open_stored, read_shards
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo, InfoProblemsError

_BLOCK_BYTES = 1 << 20
"""Number of bytes of a damaged file that are read at once."""

_V2_HINT = "convert the dataset to version 3.0 with `episeek upgrade SRC NEW --videos link`, and repair the result"


@dataclass(frozen=True, slots=True, eq=False)
class DataFileEvidence:
    """A data file: its schema and its runs (consecutive rows of one episode), or the reason why it cannot be read."""

    path: str
    schema: pa.Schema | None
    row_count: int
    runs: tuple[Run, ...]
    problem: str = ""
    """Why the file or its numbers cannot be read; empty if they can be read."""
    number_columns: frozenset[str] = frozenset()
    """The names of those of LeRobot's own columns, such as `index`, that contain numbers."""
    recovered: Recovered | None = None
    """The complete row groups of a file without a footer; None for a file with a footer."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The contents of a dataset that decide which repairs are made."""

    root: Root
    document: Mapping[str, Any]
    """Parsed meta/info.json."""
    info: DatasetInfo
    """The usable values of meta/info.json; path templates have slashes in place of backslashes."""
    episodes: Shards
    """The files of meta/episodes."""
    tasks: pa.Table | None
    statistics: Mapping[str, Any] | None
    listing: Mapping[str, FileIdentity | None]
    """The identity (size and version) of each file below the folder of data files, by path."""
    data: Mapping[str, DataFileEvidence]
    runs_of: Mapping[int, tuple[Run, ...]] = field(repr=False)
    """For each episode, its runs of consecutive rows in data files, in the order of the files."""

    @property
    def shards(self) -> tuple[tuple[str, pa.Table], ...]:
        """The path and the table of each file of meta/episodes that can be read."""
        return self.episodes.tables

    def open_data(self, path: str, **options: Any) -> pq.ParquetFile:
        """Open a data file. A file without a footer is opened with the footer that was made for it. The caller closes the file."""
        recovered = self.data[path].recovered
        if recovered is None:
            return self.root.open_parquet(path, **options)
        return open_stored(self.root, path, recovered)


def gather_evidence(root: Root) -> Evidence:
    """Read everything in a dataset that repairs depend on, except the headers of videos.

    Args:
        root: The dataset, at one commit.

    Raises:
        NotADatasetError: There is no meta/info.json, or it cannot be used. Backslashes in its paths do not count as a defect here.
        UnsupportedVersionError: The dataset does not have version 3.0.
        MissingFileError: A file is a pointer of Git LFS or git-annex, a failed download or a broken symbolic link: its contents are
            not lost, but were not fetched.
        ReadError: The store or the system failed. Damaged data files do not raise.
    """
    require_fetched(root, layout.META_DIR)
    document = read_info_document(root)
    major = lerobot.codebase_major(document.get("codebase_version"))
    if major is not None and major != lerobot.SUPPORTED_MAJOR:
        found = f"codebase_version {document['codebase_version']!r}"
        raise UnsupportedVersionError(root.join(layout.INFO_PATH), found, "version 3.0", _V2_HINT)
    usable, _ = lerobot.with_slashes(document)
    info = _usable_info(root, usable)
    for template in filter(None, (info.data_path, info.video_path)):
        if folder := _folder(template):
            require_fetched(root, folder)
    statistics = _read_statistics(root)
    shards = read_shards(root, usable["features"], statistics)
    require_contents(root, ((path, root.size(path)) for path in shards.unreadable))
    listing = root.files(_folder(info.data_path))
    paths = [path for path in listing if path.endswith(".parquet")]
    read = map_in_threads(lambda path: _read_data_file(root, path, info.fps), paths, max_in_flight=root.in_flight)
    data = dict(zip(paths, read, strict=True))
    sizes = {path: identity.size for path, identity in listing.items() if identity is not None}
    require_contents(root, ((path, sizes.get(path)) for path, file in data.items() if file.problem))
    others = [file.schema for file in read if file.schema is not None]
    for path in [path for path, file in data.items() if file.schema is None]:
        data[path] = _recovered(root, data[path], usable["features"], others, info.fps)
    runs: dict[int, list[Run]] = defaultdict(list)
    for file in data.values():
        for run in file.runs:
            runs[run.episode].append(run)
    return Evidence(
        root=root,
        document=document,
        info=info,
        episodes=shards,
        tasks=_read_table(root, layout.TASKS_PATH),
        statistics=statistics,
        listing=listing,
        data=data,
        runs_of={episode: tuple(found) for episode, found in runs.items()},
    )


def _usable_info(root: Root, document: Mapping[str, Any]) -> DatasetInfo:
    """Return the usable values of meta/info.json. Its totals may be wrong, since repairs count the episodes and rows themselves.

    Raises:
        NotADatasetError: Values that no repair can restore are missing or wrong.
    """
    totals = {
        key: document[key] if type(document.get(key)) is int and document[key] >= 0 else 0
        for key in ("total_episodes", "total_frames")
    }
    try:
        return lerobot.parse_info({**document, **totals})
    except InfoProblemsError as error:
        expected = "the info.json of a LeRobot v3.0 dataset (no repair can restore these values)"
        raise NotADatasetError(root.join(layout.INFO_PATH), str(error), expected) from None


def _folder(template: str) -> str:
    """Return the first folder of a path template; empty if the template begins with a placeholder."""
    folder = template.partition("/")[0]
    return "" if "{" in folder else folder


def _read_data_file(root: Root, path: str, fps: float) -> DataFileEvidence:
    try:
        with root.open_parquet(path) as file:
            schema, table = file.schema_arrow, read_row_columns(file)
            row_count = file.metadata.num_rows
    except (EpiseekError, pa.ArrowException, OSError, ValueError) as error:
        return DataFileEvidence(path, None, 0, (), contents_problem(error))
    # Outside of the `try`: a file with odd values can be read.
    return _readable(path, schema, row_count, table, fps)


def _readable(
    path: str, schema: pa.Schema, row_count: int, table: pa.Table, fps: float, recovered: Recovered | None = None
) -> DataFileEvidence:
    columns = row_numbers(table)
    runs = tuple(find_runs(columns, path, fps=fps))
    return DataFileEvidence(path, schema, row_count, runs, number_columns=frozenset(columns), recovered=recovered)


def _recovered(
    root: Root, file: DataFileEvidence, features: Mapping[str, Any], others: list[pa.Schema], fps: float
) -> DataFileEvidence:
    """Return the evidence of a file without a footer from its complete row groups.

    Any other file is returned unchanged, except that the problem of a file of zeros says so.
    """
    try:
        stored = StoredBytes(root, file.path)
        if not lacks_footer(stored):
            return replace(file, problem=_zeros(stored) or file.problem)
        try:
            schema = declared_schema(features, others=others)
        except MetadataError:
            # The schemas of the other files contradict each other, perhaps because one of these files is damaged, too.
            schema = declared_schema(features)
        found = recover(stored, schema, where=file.path)
        if not found.groups:
            return replace(file, problem=f"no complete row group: {'; '.join(map(str, found.losses))}")
        with open_recovered(stored, found) as opened:
            return _readable(
                file.path, opened.schema_arrow, found.row_count, read_row_columns(opened), fps, recovered=found
            )
    except (ParquetError, MetadataError, MissingFileError) as error:
        return replace(file, problem=f"{file.problem}; {error.found}")


def _zeros(stored: StoredBytes) -> str:
    """Return a clause about a file of zeros, as a crash leaves a file whose contents were not written; empty for another file."""
    for start in range(0, stored.size, _BLOCK_BYTES):
        if any(stored.read_at(start, min(start + _BLOCK_BYTES, stored.size))):
            return ""
    return f"all of its {stored.size:,} bytes are zero: its contents were never written" if stored.size else ""


def _read_table(root: Root, path: str) -> pa.Table | None:
    if not root.exists(path):
        return None
    try:
        return pq.ParquetFile(io.BytesIO(root.read_bytes(path)), pre_buffer=False).read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError):
        return None


def _read_statistics(root: Root) -> dict[str, Any] | None:
    if not root.exists(layout.STATS_PATH):
        return None
    try:
        return lerobot.parse_document(root.read_bytes(layout.STATS_PATH))
    except lerobot.DocumentError:
        return None
