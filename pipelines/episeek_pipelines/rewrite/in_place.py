"""Rewrite one local data file in place: the same values under the same name, with one row group per episode and a page index.

The new file is written next to the old file, compared with it value by value, and renamed over it. So the name refers to a complete
file with these values at every moment. The old file itself is not changed, so other hard links to it keep its content.

A rewrite is refused if the file is reached through a symbolic link, changes in the meantime, or has an owner that the new file
cannot get. A rewrite is also refused if rows are out of episode order, or belong to episodes that the metadata places in other
files. Extended attributes are not copied.
"""

import glob
import os
import posixpath
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import ChangedFileError, DestinationError, MissingFileError, ParquetError, RowOrderError, WriteError
from episeek_pipelines.dataset.local_files import TEMPORARY_SUFFIX, writing
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS, reading
from episeek_pipelines.parquet.exact_values import first_difference
from episeek_pipelines.parquet.footers import PageIndexCounts
from episeek_pipelines.parquet.row_cursor import RowCursor
from episeek_pipelines.rewrite.encodings import ColumnEncodings
from episeek_pipelines.rewrite.rewrite import Output, RewriteUnit, rewrite_file
from episeek_schemas import lerobot


@dataclass(frozen=True, slots=True)
class FileStamp:
    """The identity of a local file, which changes when the file is written or replaced."""

    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        """Return the stamp of a file from its status."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class DataFileLayout:
    """The layout of a data file whose episodes are in rising order, with all rows of an episode next to each other."""

    path: str
    stamp: FileStamp
    row_count: int
    episode_count: int
    row_group_count: int
    is_one_per_episode: bool
    """Whether each row group contains all rows of exactly one episode."""
    page_index: PageIndexCounts

    @property
    def is_seekable(self) -> bool:
        """Return whether every episode is one row group and the page index is complete, so that a rewrite is not needed."""
        return self.is_one_per_episode and self.page_index.is_whole


@dataclass(frozen=True, slots=True)
class InPlaceUnit:
    """One file to rewrite, and its `FileStamp` (identity) from the time when it was examined."""

    path: str
    stamp: FileStamp
    encodings: ColumnEncodings = field(default=ColumnEncodings(), repr=False)


@dataclass(frozen=True, slots=True)
class ReplacedFile:
    """A data file that was rewritten in place."""

    path: str
    bytes_before: int
    bytes_after: int


def examine_data_file(root: Root, path: str, episodes: npt.NDArray[np.int64]) -> DataFileLayout:
    """Return the layout of a data file, from its footer and its column `episode_index`.

    Args:
        root: A local dataset.
        path: Path of the data file relative to `root`.
        episodes: The episodes that the metadata places in the file.

    Raises:
        DestinationError: The file is reached through a symbolic link.
        MissingFileError: The file does not exist.
        ParquetError: The file cannot be read.
        RowOrderError: `episode_index` is missing, is not of integers, contains nulls, decreases from one row to the next, or
            contains an episode that is not in `episodes`.
    """
    where = root.join(path)
    status = _stat(root, path)
    with root.open_parquet(path, **READ_OPTIONS) as file:
        starts, found = _episode_starts(file, where)
        unnamed = np.flatnonzero(~np.isin(found, episodes))
        if len(unnamed):
            first = unnamed[0]
            raise RowOrderError(
                where,
                f"episode {found[first]} at row {starts[first]}, which meta/episodes does not place in this file",
                "only rows of episodes that meta/episodes places in this file",
            )
        footer = file.metadata
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        group_starts = np.cumsum([0, *(group.num_rows for group in groups)])[:-1]
        chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
        return DataFileLayout(
            path=path,
            stamp=FileStamp.of(status),
            row_count=footer.num_rows,
            episode_count=len(found),
            row_group_count=len(groups),
            is_one_per_episode=np.array_equal(group_starts, starts),
            page_index=PageIndexCounts.of(chunks),
        )


def rewrite_in_place(unit: InPlaceUnit, root: Root) -> ReplacedFile:
    """Rewrite one file in place, and return its sizes before and after. An error leaves the old file unchanged.

    Raises:
        ChangedFileError: The file has changed since it was examined.
        DestinationError: The file is reached through a symbolic link.
        MissingFileError: The file does not exist.
        ParquetError: The file cannot be read, or the new file differs from it in values, types or schema metadata.
        RowOrderError: The rows of an episode are not next to each other.
        WriteError: The disk is full, a permission is missing, or the new file cannot get the owner of the old file.
    """
    original = root.local / unit.path
    folder, name = posixpath.split(unit.path)
    beside = posixpath.join(folder, f".{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    status = _require_unchanged(root, unit)
    try:
        rewrite_file(root, root, RewriteUnit(unit.path, (Output(beside, 0, 1),), unit.encodings))
        _require_same_rows(root, unit.path, beside)
        with writing(original):
            _take_over_owner_and_mode(root.local / beside, status, original)
            # without this, the file could be empty after a power failure
            _sync(root.local / beside)
            bytes_after = os.stat(root.local / beside).st_size
            _require_unchanged(root, unit)
            os.replace(root.local / beside, original)
    except WriteError as error:
        # the error names the temporary file, so it is replaced by an error that names the original file
        hint = "; ".join(filter(None, (error.hint, "the file is unchanged")))
        raise WriteError(str(original), error.found, error.expected, hint) from error
    finally:
        (root.local / beside).unlink(missing_ok=True)
    # Some file systems cannot sync a directory. Such an error is ignored, because the old file and the new file are both complete.
    with suppress(OSError):
        _sync(original.parent)
    return ReplacedFile(unit.path, status.st_size, bytes_after)


def remove_leftovers(root: Root, path: str) -> None:
    """Remove the temporary files that killed runs left beside a file.

    Call this function only while no other run rewrites the file.
    """
    file = root.local / path
    # A new file has one dot before its name when it is complete, and two dots while it is being written.
    for dots in (".", ".."):
        for leftover in file.parent.glob(f"{dots}{glob.escape(file.name)}.*{TEMPORARY_SUFFIX}"):
            leftover.unlink(missing_ok=True)


def require_no_link(root: Root, path: str) -> None:
    """Raise an error if a path leads through a symbolic link below the root: a rename would replace the link, not its target.

    Raises:
        DestinationError: The file, or one of its folders below the root, is a symbolic link.
    """
    if (root.local / path).resolve() != root.local.resolve() / path:
        raise DestinationError(
            root.join(path),
            f"a symbolic link to {(root.local / path).resolve()}, which may belong to another dataset",
            "a file of the dataset itself",
            "copy the dataset and replace its links by their targets, or run `episeek prepare`",
        )


def _stat(root: Root, path: str) -> os.stat_result:
    require_no_link(root, path)
    try:
        return os.stat(root.local / path)
    except FileNotFoundError:
        raise MissingFileError(root.join(path), "no such file", "a file that the metadata refers to") from None


def _episode_starts(file: pq.ParquetFile, where: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.integer]]:
    """Return the row number at which each episode begins, and the `episode_index` of each episode.

    Raises:
        RowOrderError: `episode_index` is missing, is not of integers, contains nulls, or decreases from one row to the next.
    """
    schema = file.schema_arrow
    position = schema.get_field_index(lerobot.EPISODE_INDEX)
    if position < 0 or not pa.types.is_integer(schema.field(position).type):
        raise RowOrderError(
            where, f"no column {lerobot.EPISODE_INDEX!r} of integers", "a column with the number of each row's episode"
        )
    with reading(where):
        column = file.read(columns=[lerobot.EPISODE_INDEX], use_threads=False).column(0)
    if column.null_count:
        raise RowOrderError(
            where, f"nulls in column {lerobot.EPISODE_INDEX!r}", "the number of an episode in every row"
        )
    index = column.to_numpy()
    starts = np.flatnonzero(np.append(len(index) > 0, index[1:] != index[:-1])[: len(index)]).astype(np.int64)
    found = index[starts]
    falling = np.flatnonzero(found[1:] <= found[:-1])
    if len(falling):
        run = falling[0] + 1
        raise RowOrderError(
            where,
            f"episode {found[run]} at row {starts[run]}, after episode {found[run - 1]}",
            "episodes in rising order, with all rows of an episode next to each other",
        )
    return starts, found


def _require_unchanged(root: Root, unit: InPlaceUnit) -> os.stat_result:
    status = _stat(root, unit.path)
    found = FileStamp.of(status)
    if found != unit.stamp:
        expected = f"the {unit.stamp.size_bytes} bytes that were examined"
        hint = "stop the program that writes the file, then verify again"
        raise ChangedFileError(
            root.join(unit.path), f"{found.size_bytes} bytes, written since the file was examined", expected, hint
        )
    return status


def _require_same_rows(root: Root, path: str, copied: str) -> None:
    """Raise ParquetError if a copy differs from the original in types, schema metadata or values, compared bit for bit."""
    where = root.join(path)
    expected, hint = "the same as in the original file", "report this defect of episeek; the file is unchanged"
    with root.open_parquet(path, **READ_OPTIONS) as old, root.open_parquet(copied, **READ_OPTIONS) as new:
        if not new.schema_arrow.equals(old.schema_arrow, check_metadata=True):
            raise ParquetError(where, "a copy with other columns, types or schema metadata", expected, hint)
        if new.metadata.num_rows != old.metadata.num_rows:
            raise ParquetError(
                where, f"a copy with {new.metadata.num_rows} rows", f"{old.metadata.num_rows} rows", hint
            )
        before, after = RowCursor(old), RowCursor(new)
        row = 0
        for group in range(new.metadata.num_row_groups):
            count = new.metadata.row_group(group).num_rows
            with reading(where):
                was, now = before.read(row, count), after.read(row, count)
            for name in was.column_names:
                different = first_difference(now[name], was[name])
                if different is not None:
                    found = f"a copy with another value in row {row + different}, column {name!r}"
                    raise ParquetError(where, found, expected, hint)
            row += count


def _take_over_owner_and_mode(path: Path, status: os.stat_result, original: Path) -> None:
    made = os.stat(path)
    owner = (status.st_uid, status.st_gid)
    if (made.st_uid, made.st_gid) != owner:
        try:
            os.chown(path, *owner)
        except OSError:
            found = f"owner {owner[0]} and group {owner[1]}, which the new file cannot be given"
            raise WriteError(
                str(original), found, "a new file with the same owner and group", "run this as the owner of the file"
            ) from None
    if stat.S_IMODE(os.stat(path).st_mode) != stat.S_IMODE(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
