"""Parquet files without their footers, and what pyarrow says was in them."""

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data"
ARROW_17 = ROOT / "tests/pipelines/parquet/recovery/data/arrow17.parquet"
"""A file of pyarrow 17, which writes the metadata of each column chunk a second time, after its pages."""

KILLED = ROOT / "tests/pipelines/parquet/recovery/data/killed"
"""A recording by LeRobot that was killed, twelve episodes long."""

RECORDED = (
    "av1_multifile/data/chunk-000/file-001.parquet",
    "images/data/chunk-000/file-000.parquet",
    "edited/data/chunk-000/file-001.parquet",
    "v21_videos/data/chunk-000/episode_000000.parquet",
    "v21_images/data/chunk-000/episode_000001.parquet",
    "h264_bframes/meta/episodes/chunk-000/file-000.parquet",
)
"""Files that LeRobot wrote: its two versions, pictures in rows and in videos, several episodes in a row group, meta/episodes."""


@dataclass(frozen=True)
class WholeFile:
    """A file as its writer closed it."""

    data: bytes

    @cached_property
    def metadata(self) -> Any:
        return pq.read_metadata(BytesIO(self.data))

    @cached_property
    def schema(self) -> pa.Schema:
        return pq.read_schema(BytesIO(self.data))

    @cached_property
    def table(self) -> pa.Table:
        return pq.read_table(BytesIO(self.data))

    @cached_property
    def footer_start(self) -> int:
        return len(self.data) - 8 - int.from_bytes(self.data[-8:-4], "little")

    def group_stops(self) -> list[tuple[int, int]]:
        """The end of each row group with rows, and the rows up to there."""
        metadata, rows, stops = self.metadata, 0, []
        for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
            rows += group.num_rows
            if group.num_rows:
                chunks = [group.column(number) for number in range(group.num_columns)]
                stops.append((max(_start(chunk) + chunk.total_compressed_size for chunk in chunks), rows))
        return stops

    def group_starts(self) -> list[int]:
        """The first byte of each row group; older writers put other bytes before it, after the end of the row group before."""
        metadata = self.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        return [min(_start(group.column(number)) for number in range(group.num_columns)) for group in groups]

    def rows_before(self, stop: int) -> int:
        """The rows of the row groups that end at or before a byte."""
        return max((rows for end, rows in self.group_stops() if end <= stop), default=0)


def whole_file(path: str | Path) -> WholeFile:
    return WholeFile((DATA / path).read_bytes())


def written(tables: list[pa.Table], **options: Any) -> WholeFile:
    """A file with a row group for each table."""
    stream = BytesIO()
    with pq.ParquetWriter(stream, tables[0].schema, **options) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(len(table), 1))
    return WholeFile(stream.getvalue())


def episode_table(episode: int, length: int, *, first_index: int = 0, **columns: pa.Array) -> pa.Table:
    """The rows of an episode with LeRobot's columns, 10 frames a second, and others before them."""
    counted = {
        "timestamp": pa.array([frame / 10 for frame in range(length)], pa.float32()),
        "frame_index": pa.array(range(length), pa.int64()),
        "episode_index": pa.array([episode] * length, pa.int64()),
        "index": pa.array(range(first_index, first_index + length), pa.int64()),
        "task_index": pa.array([episode % 2] * length, pa.int64()),
    }
    return pa.table({**columns, **counted})


def rich_tables(*lengths: int) -> list[pa.Table]:
    """Episodes of some lengths with lists, nulls, texts, booleans, nested lists and structs."""
    random = np.random.default_rng(3)
    tables, index = [], 0
    for episode, length in enumerate(lengths):
        numbers = random.normal(size=(length, 6)).astype(np.float32)
        state = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), 6)
        tables.append(
            episode_table(
                episode,
                length,
                first_index=index,
                **{
                    "observation.state": state,
                    "action": pa.FixedSizeListArray.from_arrays(pa.array(numbers[:, ::-1].ravel()), 6),
                    "ragged": pa.array(
                        [[None, *range(n % 4)] if n % 5 else None for n in range(length)], pa.list_(pa.int64())
                    ),
                    "grid": pa.array(
                        [[[n, n + 1], [], [n]][: n % 4] for n in range(length)], pa.list_(pa.list_(pa.int32()))
                    ),
                    "picture": pa.array(
                        [{"bytes": random.bytes(50 + n), "path": f"{n}.png"} for n in range(length)],
                        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
                    ),
                    "done": pa.array([n % 3 == 0 if n % 7 else None for n in range(length)], pa.bool_()),
                    "note": pa.array(["grasp" * (n % 3) if n % 2 else None for n in range(length)], pa.string()),
                    "empty": pa.array([None] * length, pa.float64()),
                },
            )
        )
        index += length
    return tables


OPTIONS: dict[str, dict[str, Any]] = {
    "as LeRobot": {"compression": "snappy", "use_dictionary": True},
    "no dictionary": {"compression": "snappy", "use_dictionary": False},
    "zstd, many pages": {"compression": "zstd", "data_page_size": 64, "write_batch_size": 8},
    "gzip, version 2": {"compression": "gzip", "data_page_version": "2.0"},
    "not compressed, small pages": {
        "compression": "none",
        "data_page_size": 40,
        "write_batch_size": 5,
        "use_dictionary": False,
    },
    "brotli, version 2, small pages": {"compression": "brotli", "data_page_version": "2.0", "max_rows_per_page": 7},
    "lz4, no statistics": {"compression": "lz4", "write_statistics": False},
    "full dictionaries": {"dictionary_pagesize_limit": 100, "data_page_size": 100, "write_batch_size": 8},
    "page index and checksums": {"write_page_index": True, "write_page_checksum": True},
    "encodings": {
        "use_dictionary": False,
        "column_encoding": {
            "frame_index": "DELTA_BINARY_PACKED",
            "observation.state.list.element": "BYTE_STREAM_SPLIT",
            "note": "DELTA_BYTE_ARRAY",
            "picture.path": "DELTA_LENGTH_BYTE_ARRAY",
        },
    },
}
"""Options of pyarrow's writer for every form of pages."""


def _start(chunk: Any) -> int:
    offsets = (chunk.dictionary_page_offset, chunk.data_page_offset)
    return min(offset for offset in offsets if offset)
