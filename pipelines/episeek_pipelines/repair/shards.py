"""Read the files of meta/episodes, also files without a footer, which remain after a recording was killed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import EpiseekError, MetadataError, MissingFileError, ParquetError, first_line
from episeek_pipelines.dataset.metadata import refuse_doubled
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.recovery.episodes_schema import episodes_schema
from episeek_pipelines.parquet.recovery.recover import Recovered, lacks_footer, open_recovered, recover
from episeek_schemas import layout, lerobot


@dataclass(frozen=True, slots=True, eq=False)
class Shards:
    """The files of meta/episodes that could be read, and the paths of the files that could not be read."""

    root: Root
    tables: tuple[tuple[str, pa.Table], ...]
    """The path and the table of each file. The tables lack most `stats/` columns."""
    unreadable: Mapping[str, str]
    """The path of each file that could not be read, with a noun phrase for the reason."""
    recovered: Mapping[str, Recovered] = field(repr=False)
    """The complete row groups of each file without a footer, by path."""

    def open(self, path: str) -> pq.ParquetFile:
        """Open a file of meta/episodes. A file without a footer is opened with its new footer. The caller closes the file."""
        recovered = self.recovered.get(path)
        return self.root.open_parquet(path) if recovered is None else open_stored(self.root, path, recovered)


class StoredBytes:
    """A byte source that reads ranges of one file below a root."""

    def __init__(self, root: Root, path: str) -> None:
        self._source, self._path = root.source(), path
        self._size = root.size(path)

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self._size

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)` of the file."""
        return self._source.get_ranges(self._path, [(start, stop)])[0] if stop > start else b""


def open_stored(root: Root, path: str, recovered: Recovered) -> pq.ParquetFile:
    """Open a Parquet file that has no footer, using the footer in `recovered`. The caller closes the file."""
    return open_recovered(StoredBytes(root, path), recovered)


def read_shards(root: Root, features: Mapping[str, Any], statistics: Mapping[str, Any] | None) -> Shards:
    """Read all files of meta/episodes.

    Args:
        root: The dataset.
        features: `features` of meta/info.json. Together with `statistics` it determines the columns of a file without a footer.
        statistics: The content of meta/stats.json; None if it cannot be used.

    Raises:
        ReadError: The store or the system failed. Damaged files do not raise.
        MetadataError: A file has two columns of one name.
    """
    tables: list[tuple[str, pa.Table]] = []
    unreadable: dict[str, str] = {}
    found: dict[str, Recovered] = {}
    for path in root.list(layout.EPISODES_DIR, suffix=".parquet"):
        try:
            with root.open_parquet(path) as file:
                tables.append((path, _table(file, root.join(path))))
        except (EpiseekError, pa.ArrowException, OSError) as error:
            problem = contents_problem(error)
            recovered = _recovered(root, path, features, statistics)
            if isinstance(recovered, str):
                unreadable[path] = recovered or problem
                continue
            found[path] = recovered
            with open_stored(root, path, recovered) as file:
                tables.append((path, _table(file, root.join(path))))
    return Shards(root, tuple(tables), unreadable, found)


def contents_problem(error: Exception) -> str:
    """Return the message of an error that the contents of a file caused. Raise an error that the store or the system caused."""
    if isinstance(error, (ParquetError, MissingFileError)):
        return error.found
    if isinstance(error, EpiseekError) or (isinstance(error, OSError) and error.errno is not None):
        raise error
    return first_line(error)


def count_columns(names: list[str]) -> list[str]:
    """Return the names of the columns `stats/.../count` that record the number of rows of each episode.

    These are the columns for LeRobot's own features, such as `index`, which every row has.

    Args:
        names: The columns of meta/episodes.
    """
    wanted = [lerobot.statistics_column(feature, "count") for feature in lerobot.ROW_COLUMNS]
    return [name for name in wanted if name in names]


def task_extremes() -> tuple[str, str]:
    """Return the names of the two columns of meta/episodes that record the minimum and maximum task_index of an episode."""
    return lerobot.statistics_column(lerobot.TASK_INDEX, "min"), lerobot.statistics_column(lerobot.TASK_INDEX, "max")


def _table(file: pq.ParquetFile, where: str) -> pa.Table:
    names = file.schema_arrow.names
    refuse_doubled(names, where)
    kept = {*count_columns(names), *task_extremes()}
    own = [name for name in names if not name.startswith("stats/") or name in kept]
    return file.read(columns=list(dict.fromkeys(own)), use_threads=False)


def _recovered(
    root: Root, path: str, features: Mapping[str, Any], statistics: Mapping[str, Any] | None
) -> Recovered | str:
    """Return the complete row groups of a file without a footer, or a noun phrase that says why no row group can be used.

    The phrase is empty for a file that has a footer.
    """
    stored = StoredBytes(root, path)
    try:
        if not lacks_footer(stored):
            return ""
        found = recover(stored, episodes_schema(features, statistics), where=path)
        return found if found.groups else f"no footer, and {'; '.join(map(str, found.losses)) or 'no row group'}"
    except (ParquetError, MetadataError, MissingFileError) as error:
        return f"no footer, and {error.found}"
