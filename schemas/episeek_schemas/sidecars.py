"""The columns, footer keys, versions and limits of the byte-index sidecars, four Parquet tables below `meta/byte_index/`.

docs/format.md specifies the tables. Their columns have no nulls. The columns of `episodes`, `keyframes` and `samples` are PLAIN
encoded and uncompressed, with one data page per column chunk. So the values of a column chunk are one little-endian array in the
file (for booleans, an array of bits), and `episeek.sidecars.mapped_table` can map them into memory. The module
`episeek_pipelines.index.table_writer` writes the tables.

The span of an episode and camera is the run of samples, in decode order, that is needed to decode the frames of the episode. The
lead-in is the samples of a span that are presented before frame 0.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa

from episeek_schemas import layout

FORMAT_VERSION: Final = 2
"""The format version that this release writes. Increase it when tables, columns, types, encodings or the meaning of a value change.
"""

READABLE_FORMAT_VERSIONS: Final = frozenset({1, 2})
"""The format versions that readers accept."""

INDEX_VERSION: Final = 3
"""The index version that this release writes. Increase it when the same inputs give other values in the same format.

Sidecars with another index version can be read, but the index step treats them as stale and replaces them.
"""

FORMAT_VERSION_KEY: Final = "episeek:format_version"
INDEX_VERSION_KEY: Final = "episeek:index_version"
WRITER_KEY: Final = "episeek:writer"
"""Footer key whose value is the release that wrote the tables. The value is there for people; no code compares it."""
DATASET_KEY: Final = "episeek:dataset"
"""Footer key whose value is a JSON object with codebase_version, fps, total_episodes, total_frames and video_keys.

The position of a camera in `video_keys` is its camera index.
"""
BUILD_ID_KEY: Final = "episeek:build_id"

FOOTER_KEYS: Final = (FORMAT_VERSION_KEY, INDEX_VERSION_KEY, WRITER_KEY, DATASET_KEY, BUILD_ID_KEY)
"""Keys of the key-value metadata in the footer, in the order in which they are written. All four tables have the same values."""

INDEX_VERSION_WITHOUT_KEY: Final = "1"
"""The index version of tables without the key `INDEX_VERSION_KEY`, which the first releases did not write."""


def is_readable_format(version: str | None) -> bool:
    """Return whether readers accept the format version in a footer. None stands for a footer without a format version."""
    return version is not None and version in map(str, READABLE_FORMAT_VERSIONS)


def readable_formats() -> str:
    """Return the format versions that readers accept, as text for a message."""
    versions = sorted(READABLE_FORMAT_VERSIONS)
    return f"format version {' or '.join(map(str, versions))}"


def index_version_of(metadata: Mapping[str, str]) -> str:
    """Return the index version in the key-value metadata of a table's footer, as text."""
    return metadata.get(INDEX_VERSION_KEY, INDEX_VERSION_WITHOUT_KEY)


def outdated(*, format_version: str, index_version: str) -> tuple[str, str] | None:
    """Compare versions of sidecars with the versions that this release writes.

    Returns:
        The version of the sidecars that differs and the version that this release writes, as text such as "format version 1". None
        if neither version differs.
    """
    for kind, found, current in (("format", format_version, FORMAT_VERSION), ("index", index_version, INDEX_VERSION)):
        if found != str(current):
            return f"{kind} version {found}", f"{kind} version {current}"
    return None


MAX_ROW_GROUP_ROWS: Final = 1 << 24

ROW_GROUP_ROWS: Final = 1 << 17
"""Number of rows in a row group of `keyframes` and `samples`.

A row group of `samples` is read with one request of 1.6 MB, and usually contains all samples of a video. A table of 100 million
rows has a footer of 0.2 MB.
"""

EPISODE_ROW_GROUP_ROWS: Final = 1 << 20
"""Number of rows in a row group of `episodes`. The writer keeps one row group (110 MB) in memory."""


def _required(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, dtype, nullable=False) for name, dtype in columns])


FILES: Final = _required(
    # number of the row
    ("file_id", pa.int32()),
    # POSIX path relative to the dataset's root
    ("file_path", pa.string()),
    # bytes
    ("file_size", pa.int64()),
    # identity that the store gives the content: "sha256:", "xet:" or "etag:" and a value; empty if the store gives none
    ("store_id", pa.string()),
    # hex digest of the moov box and the moof boxes; for Matroska, of the sample table
    ("moov_sha256", pa.string()),
    # bytes
    ("moov_offset", pa.int64()),
    ("moov_length", pa.int64()),
    # offset of the first mdat box in bytes; the file's size if there is no mdat box, 0 for Matroska
    ("header_length", pa.int64()),
    # whether moov comes before mdat
    ("faststart", pa.bool_()),
    # four-character code of the sample entry
    ("codec", pa.string()),
    # size of the coded pictures in pixels
    ("width", pa.int32()),
    ("height", pa.int32()),
    # ticks per second
    ("timescale", pa.int32()),
    # number of video samples in the file
    ("sample_count", pa.int64()),
    # number of presented frames divided by the presented duration in seconds
    ("avg_fps", pa.float64()),
    # the whole stsd box
    ("sample_description", pa.binary()),
    # one of CONTAINERS
    ("container", pa.string()),
    # the matrix that rotates or mirrors pictures when they are shown: nine big-endian int32, as in tkhd
    ("track_matrix", pa.binary()),
    # the entries of stsd that samples use, as DESCRIPTION_RUN values; empty if all samples use the first entry
    ("sample_description_runs", pa.binary()),
    # hex digest of the declared episodes of the file, its camera and the fps, see DECLARED_EPISODES
    ("episodes_sha256", pa.string()),
    # the entries of stsd that are in force when decoding starts, as DESCRIPTION_RUN values; empty if samples use the same entries
    ("start_description_runs", pa.binary()),
    # number of sync samples in the file
    ("sync_sample_count", pa.int64()),
    # number of sync samples whose bytes were inspected
    ("sync_samples_inspected", pa.int64()),
)
"""The columns of the table `files`, which has one row per video file. Rows are sorted by file_path."""

CONTAINERS: Final = ("mp4", "fragmented", "matroska")
"""The kinds of video files: progressive MP4, MP4 with its samples in movie fragments, and Matroska or WebM."""

DESCRIPTION_RUN: Final = np.dtype([("byte_offset", "<i8"), ("description_index", "<i8")])
"""A run of samples that use the same sample description, an entry of the box stsd.

The run contains the samples from `byte_offset` up to the `byte_offset` of the next run. They use entry `description_index`, counted
from 1. Runs are sorted by `byte_offset`.
"""

DECLARED_EPISODES: Final = (
    ("episode_index", "<i8"),
    ("length", "<i8"),
    ("from_timestamp", "<f8"),
    ("to_timestamp", "<f8"),
)
"""The arrays from which `episodes_sha256` is computed. Each has one value per episode of the file, sorted by from_timestamp and
then episode_index.

`episodes_sha256` is the SHA-256 of the camera_index as one `<i8`, the fps as one `<f8`, and these arrays one after the other.
"""

EPISODES: Final = _required(
    # episode_index * number of cameras + camera_index; equals the row number
    ("global_episode_id", pa.int64()),
    ("episode_index", pa.int64()),
    # position in video_keys
    ("camera_index", pa.int32()),
    # there for people; the runtime does not map this column
    ("camera_key", pa.string()),
    # number of the file's row in `files`
    ("file_id", pa.int32()),
    # offset in the file of the first byte of the span
    ("mdat_offset", pa.int64()),
    # number of bytes from there to the end of the span, without padding
    ("mdat_length", pa.int64()),
    # number of presented frames of the episode that the file contains
    ("frame_count", pa.int32()),
    # from_timestamp in seconds, as the metadata declares it
    ("first_pts", pa.float64()),
    # to_timestamp in seconds, as the metadata declares it
    ("last_pts", pa.float64()),
    # presentation time of frame 0 in the file, in ticks
    ("first_frame_tick", pa.int64()),
    # number of the first row in `samples`
    ("sample_start", pa.int64()),
    ("sample_count", pa.int32()),
    # number of the first row in `keyframes`
    ("keyframe_start", pa.int64()),
    ("keyframe_count", pa.int32()),
    # number of samples of the span that are presented before frame 0
    ("lead_in_count", pa.int32()),
)
"""The columns of the table `episodes`, which has one row per episode and camera. Rows are sorted by global_episode_id."""

KEYFRAMES: Final = _required(
    ("global_episode_id", pa.int64()),
    # presentation time in the file, in ticks
    ("pts", pa.int64()),
    # offset in bytes from the start of the file
    ("byte_offset", pa.int64()),
    # position in decode order among the samples of the span
    ("sample_index", pa.int32()),
    # position in presentation order within the episode; negative in the lead-in
    ("frame_index", pa.int32()),
)
"""The columns of the table `keyframes`, which has one row per sync sample in a span. Rows are sorted by global_episode_id and pts.
"""

SAMPLES: Final = _required(
    # offset in bytes from the episode's mdat_offset
    ("byte_offset", pa.uint32()),
    ("byte_size", pa.uint32()),
    # presentation time in ticks, relative to first_frame_tick; negative in the lead-in
    ("pts", pa.int32()),
    # whether decoding can start at the sample
    ("is_sync", pa.bool_()),
)
"""The columns of the table `samples`, which has one row per encoded sample of a span.

Rows are sorted by episode, then by camera, then in decode order.

Two columns may have wider types, see `WIDE_SAMPLES`.
"""

WIDE_SAMPLES: Final = MappingProxyType({"byte_offset": pa.uint64(), "pts": pa.int64()})
"""Wider types of two columns of `samples`.

In a build that contains a span of at least 4 GiB, `byte_offset` has the wider type; with a span of at least 2^31 ticks, `pts` has
the wider type.
"""

TABLES: Final = MappingProxyType(
    {
        "files": (layout.FILES_PATH, FILES),
        "episodes": (layout.EPISODES_PATH, EPISODES),
        "keyframes": (layout.KEYFRAMES_PATH, KEYFRAMES),
        "samples": (layout.SAMPLES_PATH, SAMPLES),
    }
)
"""Path and columns of each table, by name. All tables except `files` are mapped into memory."""

UNMAPPED_COLUMNS: Final = frozenset({"camera_key"})
"""Columns that are not mapped into memory, although their tables are. These columns may be dictionary encoded."""

SORT_KEYS: Final = MappingProxyType(
    {
        "files": ("file_path",),
        "episodes": ("global_episode_id",),
        "keyframes": ("global_episode_id", "pts"),
        "samples": ("global_episode_id", "sample_index"),
    }
)
"""The keys by which the rows of each table are sorted.

The table `samples` does not contain its two keys as columns. Readers find the rows of an episode with `sample_start` in the table
`episodes`.
"""

_ADDED_IN_VERSION_2: Final = MappingProxyType(
    {"files": ("start_description_runs", "sync_sample_count", "sync_samples_inspected"), "samples": ("is_sync",)}
)


def samples_schema(wide: Collection[str] = ()) -> pa.Schema:
    """Return the schema of the table `samples`; the columns in `wide`, which are keys of `WIDE_SAMPLES`, have their wider types."""
    return _required(
        *((field.name, WIDE_SAMPLES[field.name] if field.name in wide else field.type) for field in SAMPLES)
    )


def schema_of(table: str, *, version: str | None, found: pa.Schema) -> pa.Schema:
    """Return the schema that a table should have according to its format version.

    Args:
        table: The name of the table, a key of `TABLES`.
        version: The format version in the table's footer. An unknown version is treated as the current version.
        found: The schema of the table. If a column of it has a wider type that the format allows, the result has this type as well.
    """
    schema = TABLES[table][1]
    if table == "samples":
        schema = samples_schema([name for name, dtype in WIDE_SAMPLES.items() if dtype in _types(found, name)])
    added = _ADDED_IN_VERSION_2.get(table, ()) if version == "1" else ()
    return pa.schema([field for field in schema if field.name not in added])


def _types(schema: pa.Schema, name: str) -> list[pa.DataType]:
    return [schema.field(position).type for position in schema.get_all_field_indices(name)]
