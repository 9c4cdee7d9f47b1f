"""The rewrite step: write data files with one row group per episode, so that readers find an episode through the footer.

`plan_rewrite` chooses names and encodings from the metadata and a few files. `rewrite_file` rewrites one file, or merges several.
`write_metadata` copies `meta/`, and updates the locations of episodes that are in other files than before. Values, schema and row
order do not change. This step checks only which episodes the rows belong to; `verify` checks everything else.
"""

import json
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MetadataError, ParquetError, RowOrderError, first_line
from episeek.stores.byte_source import StoreSource
from episeek.stores.transfers import Transfers
from episeek_pipelines.dataset.copying import copy_file
from episeek_pipelines.dataset.metadata import read_info_document, read_location_columns
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.video_locations import VideoLocations
from episeek_pipelines.parquet.arrow_types import differ_in_lists
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS, EpisodeRun, episode_runs, measure_row_bytes, reading
from episeek_pipelines.rewrite.encodings import writer_options
from episeek_pipelines.rewrite.placement import DeclaredPlaces, Placement, WrittenFile
from episeek_pipelines.rewrite.plan import Output, RewritePlan, RewriteUnit, plan_rewrite
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

__all__ = [
    "REWRITE_VERSION",
    "Output",
    "RewritePlan",
    "RewriteResult",
    "RewriteUnit",
    "WrittenFile",
    "WrittenMetadata",
    "plan_rewrite",
    "rewrite_file",
    "write_metadata",
]

_LEAVE_OUT: Final = "correct or restore the file, or leave the episode out with --skip-episodes"
_LENGTH_HINT: Final = (
    "if no row is missing, set length in meta/episodes.jsonl to the number of rows; otherwise restore the file, or leave the "
    "episode out with --skip-episodes"
)

REWRITE_VERSION: Final = 3
"""Version of the files that this step writes. Increase it when these files change. A run that continues does not reuse files of
another version.
"""


Columns = dict[str, npt.NDArray[Any]]
"""Columns of `meta/episodes` by name: arrays with one value per row."""


@dataclass(frozen=True, slots=True)
class RewriteResult:
    """The files that were written for one `RewriteUnit`, which is one source data file or several source files to be merged."""

    path: str
    source_bytes: int
    outputs: tuple[WrittenFile, ...]
    """The outputs that were written. If several outputs were planned, the outputs without rows were not written."""
    request_count: int = 0
    """Number of requests to a store; 0 for a local file."""
    retry_count: int = 0

    def without_episodes(self) -> "RewriteResult":
        """Return the result with empty `episodes` in its outputs, so that its size does not depend on the number of episodes."""
        return replace(self, outputs=tuple(replace(output, episodes=()) for output in self.outputs))


@dataclass(frozen=True, slots=True)
class WrittenMetadata:
    """The files of `meta/` that were written for the rewritten data."""

    paths: tuple[str, ...]
    """The paths of the files, relative to the root of the dataset."""
    corrected_episodes: int
    """Number of episodes whose rows are in another data file than the metadata of the source declares."""


def rewrite_file(source: Root, destination: Root, unit: RewriteUnit) -> RewriteResult:
    """Write the outputs of one unit of the plan, with one row group per episode and with the rows in their present order.

    Only one episode, one batch of 8 MiB and one page of each column are in memory at a time. A file in a store is first copied to a
    temporary file, because reading eight columns of it in parallel would take a request for every 64 KiB. After an error, none of
    the outputs exists.

    Raises:
        MissingFileError: A source file does not exist.
        ParquetError: A source file has no footer, or its pages cannot be read.
        RowOrderError: `episode_index` cannot be used, the rows of an episode are not next to each other, or the episodes of a file
            to be split are not in the order of the outputs. If files are merged: one of the files does not contain exactly the
            declared rows of its episode, or has other columns or types than the first file.
        WriteError: The destination cannot be written.
    """
    if unit.episodes:
        return _merge_files(source, destination, unit)
    where = source.join(unit.path)
    written: list[WrittenFile] = []
    reader = source.source()
    with (
        _all_or_none(destination, written),
        _nearby(source, unit.path, reader) as root,
        _opened(root, unit.path, where) as file,
    ):
        schema = file.schema_arrow
        row_bytes = measure_row_bytes(file, where)
        options = writer_options(schema, unit.encodings, row_bytes=row_bytes)
        runs = _placed(episode_runs(file, where, row_bytes=row_bytes), unit.outputs, where)
        place, run = next(runs, (-1, None))
        for number, output in enumerate(unit.outputs):
            if place != number and len(unit.outputs) > 1:
                # the metadata assigns episodes to this output, but the file contains none of them
                continue
            episodes: list[tuple[int, int]] = []
            with destination.output(output.path) as stream:
                with _parquet_writer(stream, schema, options) as writer:
                    while run is not None and place == number:
                        writer.write_table(run.table, row_group_size=run.table.num_rows)
                        episodes.append((run.episode_index, run.table.num_rows))
                        # release the memory of this episode before the next one is read
                        run = None
                        place, run = next(runs, (-1, None))
                size_bytes = stream.tell()
            rows = sum(count for _, count in episodes)
            written.append(WrittenFile(output.path, size_bytes, rows, len(episodes), tuple(episodes)))
        source_bytes = root.size(unit.path)
    return RewriteResult(unit.path, source_bytes, tuple(written), *_requests_and_retries(source, reader))


def _requests_and_retries(source: Root, reader: StoreSource) -> tuple[int, int]:
    """Return the number of requests that a reader has made, and the number of retries; both are 0 for a local file."""
    transfers = Transfers() if source.is_local else reader.transfers()
    return transfers.request_count + transfers.metadata_request_count, transfers.retry_count


def _merge_files(source: Root, destination: Root, unit: RewriteUnit) -> RewriteResult:
    """Merge the source files of a unit, each with one episode, into a single output, and return the result."""
    (output,) = unit.outputs
    source_bytes = 0
    reader = source.source()
    with destination.output(output.path) as stream, ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        schema: pa.Schema | None = None
        for path, (episode, length) in zip(unit.paths, unit.episodes, strict=True):
            where = source.join(path)
            with _nearby(source, path, reader) as root, _opened(root, path, where) as file:
                if file.metadata.num_rows != length:
                    found, expected = (
                        counted(file.metadata.num_rows, "row"),
                        f"{counted(length, 'row')}, the length of its episode",
                    )
                    raise RowOrderError(where, found, expected, _LENGTH_HINT)
                row_bytes = measure_row_bytes(file, where)
                if schema is None or writer is None:
                    schema = file.schema_arrow
                    options = writer_options(schema, unit.encodings, row_bytes=row_bytes)
                    writer = stack.enter_context(_parquet_writer(stream, schema, options))
                runs = list(episode_runs(file, where, row_bytes=row_bytes))
                if [run.episode_index for run in runs] != [episode]:
                    found = f"rows of episode {', '.join(str(run.episode_index) for run in runs[:3])}"
                    raise RowOrderError(where, found, f"only rows of episode {episode}", _LEAVE_OUT)
                writer.write_table(
                    _as_first(runs[0].table, schema, where, source.join(unit.path)), row_group_size=length
                )
                source_bytes += root.size(path)
    size_bytes = destination.size(output.path)
    rows = sum(length for _, length in unit.episodes)
    file_written = WrittenFile(output.path, size_bytes, rows, len(unit.episodes), unit.episodes)
    return RewriteResult(unit.path, source_bytes, (file_written,), *_requests_and_retries(source, reader))


def _as_first(table: pa.Table, schema: pa.Schema, where: str, first: str) -> pa.Table:
    """Return a table with its columns in the order of the first file, converted to the types of the first file.

    Types may differ only in the kind of list, such as fixed-size and variable-size.

    Raises:
        RowOrderError: The table has other columns or types than the first file, or values that cannot be converted.
    """
    if table.schema.equals(schema, check_metadata=True):
        return table
    if sorted(table.schema.names) != sorted(schema.names):
        difference = sorted({*table.schema.names} ^ {*schema.names}) or table.schema.names
        found = f"columns that differ: {', '.join(difference[:3])}"
        raise RowOrderError(where, found, f"the same columns as in {first}", _LEAVE_OUT)
    table = table.select(schema.names)
    for new, old in zip(table.schema, schema, strict=True):
        if new.type != old.type and not differ_in_lists(new.type, old.type):
            found = f"column {new.name!r} of type {new.type}"
            raise RowOrderError(where, found, f"type {old.type}, as in {first}", _LEAVE_OUT)
    try:
        return table.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise RowOrderError(
            where, first_line(error), f"values that can be converted to the types of {first}", _LEAVE_OUT
        ) from None


def write_metadata(
    source: Root,
    destination: Root,
    plan: RewritePlan,
    written: Iterable[WrittenFile],
    *,
    videos: VideoLocations | None = None,
) -> WrittenMetadata:
    """Write the files of `meta/` for the rewritten data.

    Files are copied byte for byte. `meta/byte_index` is left out, because it describes the old data. If episodes are now in other
    data files than the source's metadata declares, the tables of `meta/episodes` get new values of `data/chunk_index` and
    `data/file_index`; their other columns, schema and row groups do not change. If videos have new locations, the columns with the
    locations are updated in the same way. If path templates of data or videos change, `meta/info.json` gets the new templates.

    Args:
        source: Root of the source dataset.
        destination: The root to write to.
        plan: The plan of the rewrite.
        written: All rewritten files, with their episodes.
        videos: The new locations of the videos; None if the locations do not change.

    Raises:
        NotADatasetError: meta/info.json is no longer a JSON object.
        MissingFileError: A data file does not exist, and no other file contains the rows of one of its episodes.
        ParquetError: A table of `meta/episodes` cannot be read.
        MetadataError: A table of `meta/episodes` has changed since the plan was made, or the type of a column is too small for the
            new values.
        RowOrderError: Several files contain rows of an episode, and the declared number of rows does not decide which of them is
            right.
        WriteError: The destination cannot be written.
    """
    placement = Placement(plan, written, str(source))
    corrected = _require_places(source, plan, placement)
    has_new_places = plan.is_split or corrected > 0
    video_columns: Columns = {} if videos is None else {**videos.columns()}
    first_rows = _first_rows(plan) if has_new_places or video_columns else {}
    own = (f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/")
    paths = [path for path in source.list(layout.META_DIR) if not path.startswith(own)]
    # info.json is written last, because a folder is not a dataset without it
    paths.sort(key=lambda path: path == layout.INFO_PATH)
    for path in paths:
        if path in first_rows:
            declared = _declared(source, plan, path)
            rows = slice(first_rows[path], first_rows[path] + len(declared.episode_index))
            columns = {name: values[rows] for name, values in video_columns.items()}
            if has_new_places:
                places = placement.places(declared)
                columns[lerobot.DATA_CHUNK_INDEX] = places.data_chunk_index
                columns[lerobot.DATA_FILE_INDEX] = places.data_file_index
            _write_episodes(source, destination, path, columns)
        elif path == layout.INFO_PATH and (
            templates := _new_templates(info := read_info_document(source), plan, videos)
        ):
            destination.write_bytes(path, json.dumps({**info, **templates}, indent=4, ensure_ascii=False).encode())
        else:
            copy_file(source, destination, path)
    return WrittenMetadata(tuple(paths), corrected)


def _new_templates(info: Mapping[str, Any], plan: RewritePlan, videos: VideoLocations | None) -> dict[str, str]:
    """Return the new path templates for `meta/info.json` of the destination, by key; templates that do not change are left out."""
    templates = {"data_path": plan.data_path, "video_path": None if videos is None else videos.video_path}
    return {key: path for key, path in templates.items() if path is not None and path != info.get(key)}


def _placed(runs: Iterator[EpisodeRun], outputs: Sequence[Output], where: str) -> Iterator[tuple[int, EpisodeRun]]:
    """Yield each run of rows of one episode, with the position of its output in `outputs`.

    The positions never decrease, so all rows of one output come before the rows of the next one.

    Raises:
        RowOrderError: An episode of one output comes after an episode of a later output.
    """
    firsts = [output.first_episode for output in outputs]
    current = 0
    for run in runs:
        place = bisect_right(firsts, run.episode_index) - 1
        if len(outputs) > 1 and place >= 0 and run.episode_index < outputs[place].stop_episode:
            if place < current:
                raise RowOrderError(
                    where,
                    f"episode {run.episode_index} at row {run.first_row}, after episodes of {outputs[current].path}",
                    f"all episodes of {outputs[place].path} before the episodes of {outputs[current].path}",
                )
            current = place
        yield current, run


@contextmanager
def _all_or_none(destination: Root, written: list[WrittenFile]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for output in written:
            # ignore errors of the removal, so that the error before it is reported
            with suppress(Exception):
                destination.remove(output.path)
        raise


@contextmanager
def _nearby(source: Root, path: str, reader: StoreSource) -> Iterator[Root]:
    """Yield a local root that contains the file: the source itself if it is local, otherwise a temporary folder with a copy."""
    if source.is_local:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="episeek-") as folder:
        local = Root(folder)
        copy_file(source, local, path, reader=reader)
        yield local


@contextmanager
def _opened(root: Root, path: str, where: str) -> Iterator[pq.ParquetFile]:
    try:
        file = root.open_parquet(path, **READ_OPTIONS)
    except ParquetError as error:
        raise ParquetError(where, error.found, error.expected) from None
    with file:
        yield file


@contextmanager
def _parquet_writer(stream: BinaryIO, schema: pa.Schema, options: dict[str, Any]) -> Iterator[pq.ParquetWriter]:
    writer = pq.ParquetWriter(pa.PythonFile(stream, "w"), schema, **options)
    try:
        yield writer
    except BaseException:
        # Without this, the writer would write its footer when it is garbage-collected, even to a stream that is closed by then.
        with suppress(OSError, pa.ArrowException):
            writer.close()
        raise
    writer.close()


def _require_places(source: Root, plan: RewritePlan, placement: Placement) -> int:
    """Return the number of episodes whose rows are in another file than planned.

    Raises:
        MissingFileError: A data file does not exist, and no other file contains the rows of one of its episodes.
        RowOrderError: Several files contain rows of an episode, and the declared number of rows does not decide which of them is
            right.
    """
    if plan.missing:
        for path, first_row in _first_rows(plan).items():
            placement.require_rows(_declared(source, plan, path), first_row)
    return sum(placement.places(_declared(source, plan, path)).corrected for path, _ in plan.episode_shards)


def _first_rows(plan: RewritePlan) -> dict[str, int]:
    """Return the row number at which each file of `meta/episodes` begins, by path. Row numbers are counted over all files."""
    ends = np.cumsum([0, *(rows for _, rows in plan.episode_shards)])
    return {path: int(first) for (path, _), first in zip(plan.episode_shards, ends[:-1], strict=True)}


def _declared(source: Root, plan: RewritePlan, path: str) -> DeclaredPlaces:
    """Return the lengths and data files that one file of `meta/episodes` declares for its episodes.

    Raises:
        MetadataError: The number of rows has changed since the plan was made.
    """
    names = [lerobot.EPISODE_INDEX, lerobot.LENGTH, lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX]
    columns = read_location_columns(source, path, names)
    found, expected = len(columns[lerobot.EPISODE_INDEX]), dict(plan.episode_shards)[path]
    if found != expected:
        raise MetadataError(
            source.join(path), counted(found, "row"), f"{counted(expected, 'row')}, as when the plan was made"
        )
    return DeclaredPlaces(*(columns[name] for name in names))


def _write_episodes(source: Root, destination: Root, path: str, columns: Columns) -> None:
    where = source.join(path)
    with source.open_parquet(path) as file, destination.output(path) as stream:
        codec = file.metadata.row_group(0).column(0).compression.lower() if file.metadata.num_row_groups else "snappy"
        options = {"compression": codec.replace("uncompressed", "none"), "use_compliant_nested_type": False}
        with _parquet_writer(stream, file.schema_arrow, options) as writer:
            row = 0
            for number in range(file.metadata.num_row_groups):
                with reading(where):
                    table = file.read_row_group(number)
                for name, values in columns.items():
                    table = _replaced(table, name, values[row : row + table.num_rows], where)
                writer.write_table(table, row_group_size=max(1, table.num_rows))
                row += table.num_rows


def _replaced(table: pa.Table, name: str, values: npt.NDArray[Any], where: str) -> pa.Table:
    column = table.schema.get_field_index(name)
    field = table.schema.field(column)
    try:
        return table.set_column(column, field, pa.array(values).cast(field.type))
    except pa.ArrowInvalid:
        raise MetadataError(
            where, f"column {name!r} of type {field.type}", f"a type that can store {values.max()}"
        ) from None
