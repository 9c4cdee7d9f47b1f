"""`meta/episodes` as it is: nulls, missing columns and unreadable files included.

`episeek_pipelines.dataset.read_episodes` refuses those; here they are what is looked for. A value that is not usable (null, NaN, of
another type, in a column that is not there) is marked, and the rules leave such rows out: EPI011 names them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from episeek.errors import EpiseekError, NotADatasetError, ParquetError, ReadError, first_line
from episeek_pipelines.storage import Root
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import EPISODES_FOOTER, UNREADABLE
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RawColumn:
    """Values of shape [rows], 0 where `is_valid` is false."""

    values: npt.NDArray[Any]  # int64 or float64
    is_valid: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class RawEpisodes:
    """The location columns of all readable files, in file order."""

    columns: dict[str, RawColumn]
    shards: tuple[tuple[str, int], ...]
    """(path, rows) of each readable file."""
    column_names: tuple[tuple[str, ...], ...]
    """All columns of each readable file."""
    is_complete: bool
    """Whether every file could be read."""
    bytes_read: int

    def __len__(self) -> int:
        return sum(rows for _, rows in self.shards)

    def values(self, name: str) -> npt.NDArray[Any]:
        """A column's values; meaningless where they are not valid."""
        return self.columns[name].values

    def valid(self, *names: str) -> BoolArray:
        """Rows where all of these columns are usable."""
        valid = np.ones(len(self), np.bool_)
        for name in names:
            valid &= self.columns[name].is_valid
        return valid

    def all_valid(self, *names: str) -> bool:
        """Whether every row of every file is there and usable in these columns."""
        return self.is_complete and bool(self.valid(*names).all())


def episode_columns(info: DatasetInfo) -> list[str]:
    """The columns that say where an episode is."""
    names = list(lerobot.EPISODE_COLUMNS)
    for key in info.video_keys:
        names += [lerobot.video_column(key, field) for field in lerobot.VIDEO_FIELDS]
    return names


def locate(shards: Sequence[tuple[str, int]], row: int) -> tuple[str, int]:
    """The file and the row in it of a row over all shards."""
    for path, rows in shards:
        if row < rows:
            return path, row
        row -= rows
    raise IndexError(row)


def read_raw_episodes(root: Root, info: DatasetInfo) -> tuple[RawEpisodes, list[Finding]]:
    """Read every file of meta/episodes that can be read; the others are findings.

    Raises:
        NotADatasetError: There is no such file at all.
    """
    paths = root.list(layout.EPISODES_DIR, suffix=".parquet")
    if not paths:
        raise NotADatasetError(
            root.join(layout.EPISODES_DIR), "no Parquet files", "the episodes of a LeRobot v3.0 dataset"
        )
    names = episode_columns(info)
    findings: list[Finding] = []
    parts: list[tuple[str, pa.Table, tuple[str, ...]]] = []
    bytes_read = 0
    for path in paths:
        try:
            with root.open_parquet(path) as file:
                present = [name for name in names if name in file.schema_arrow.names]
                table = file.read(columns=present, use_threads=False)
                bytes_read += file.metadata.serialized_size + column_bytes(file.metadata, present)
                parts.append((path, table, tuple(file.schema_arrow.names)))
        except ReadError as error:
            findings.append(finding(UNREADABLE, str(error), Location(file=path)))
        except (EpiseekError, pa.ArrowException, OSError) as error:
            found = error.found if isinstance(error, ParquetError) else first_line(error)
            findings.append(finding(EPISODES_FOOTER, f"{found}; expected a readable Parquet file", Location(file=path)))
    columns = {name: _concatenated([_usable(table, name) for _, table, _ in parts], name) for name in names}
    shards = tuple((path, table.num_rows) for path, table, _ in parts)
    column_names = tuple(present_names for *_, present_names in parts)
    return RawEpisodes(columns, shards, column_names, len(parts) == len(paths), bytes_read), findings


def column_bytes(footer: pq.FileMetaData, names: Sequence[str]) -> int:
    """Bytes that some flat columns take in a Parquet file."""
    numbers = [number for number in range(footer.num_columns) if footer.schema.column(number).path in names]
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    return sum(group.column(number).total_compressed_size for group in groups for number in numbers)


def _usable(table: pa.Table, name: str) -> RawColumn:
    is_seconds = name.endswith("_timestamp")
    dtype = np.float64 if is_seconds else np.int64
    nothing = RawColumn(np.zeros(table.num_rows, dtype), np.zeros(table.num_rows, np.bool_))
    if name not in table.column_names:
        return nothing
    column = table[name]
    if not (pa.types.is_integer(column.type) or (is_seconds and pa.types.is_floating(column.type))):
        return nothing
    is_valid = np.asarray(pc.is_valid(column).to_numpy(), dtype=np.bool_)
    values = np.asarray(pc.fill_null(column, 0).to_numpy())
    if values.dtype.kind == "f":
        is_valid = is_valid & np.isfinite(values)
    is_valid = is_valid & (values >= 0)
    return RawColumn(np.where(is_valid, values, 0).astype(dtype), is_valid)


def _concatenated(parts: Sequence[RawColumn], name: str) -> RawColumn:
    if not parts:
        dtype = np.float64 if name.endswith("_timestamp") else np.int64
        return RawColumn(np.zeros(0, dtype), np.zeros(0, np.bool_))
    return RawColumn(np.concatenate([part.values for part in parts]), np.concatenate([part.is_valid for part in parts]))
