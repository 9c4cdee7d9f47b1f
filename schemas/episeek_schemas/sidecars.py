"""The byte-index sidecars: four Parquet tables under `meta/byte_index/`. docs/format.md specifies them.

Every column is REQUIRED. The columns of `episodes`, `keyframes` and `samples` are PLAIN, uncompressed and one data page per
column chunk, so that the values of a column chunk are one little-endian array in the file, or an array of bits. This module
holds the columns, the footer keys, the versions and the limits; `episeek.sidecars.mapped_table` maps the tables and
`episeek_pipelines.index.table_writer` writes them.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa

from episeek_schemas import layout

FORMAT_VERSION: Final = 2
"""The version that is written. Bump it when tables, columns, types, encodings or the meaning of a value change."""

READABLE_FORMAT_VERSIONS: Final = frozenset({1, 2})
"""The versions that readers accept."""

INDEX_VERSION: Final = 3
"""Bump it when the same inputs give other values in the same format. Sidecars with another index version stay readable, but they
are
stale: the index step replaces them.
"""

FORMAT_VERSION_KEY: Final = "episeek:format_version"
INDEX_VERSION_KEY: Final = "episeek:index_version"
WRITER_KEY: Final = "episeek:writer"
"""Footer key of the release that wrote the tables. It informs people, and nothing compares it."""
DATASET_KEY: Final = "episeek:dataset"
"""JSON object: codebase_version, fps, total_episodes, total_frames, video_keys in camera_index order."""
BUILD_ID_KEY: Final = "episeek:build_id"

FOOTER_KEYS: Final = (FORMAT_VERSION_KEY, INDEX_VERSION_KEY, WRITER_KEY, DATASET_KEY, BUILD_ID_KEY)
"""Keys of the footer's key-value metadata, in the order written; the same values in all four tables."""

INDEX_VERSION_WITHOUT_KEY: Final = "1"
"""The index version of tables without this key, which later releases added."""


def is_readable_format(version: str | None) -> bool:
    """Return whether readers accept the format version in a footer; `version` is None if the footer has none."""
    return version is not None and version in map(str, READABLE_FORMAT_VERSIONS)


def readable_formats() -> str:
    """Return the readable format versions in words, for messages."""
    versions = sorted(READABLE_FORMAT_VERSIONS)
    return f"format version {' or '.join(map(str, versions))}"


def index_version_of(metadata: Mapping[str, str]) -> str:
    """Return the index version of a table by its footer's key-value metadata, as text."""
    return metadata.get(INDEX_VERSION_KEY, INDEX_VERSION_WITHOUT_KEY)


def outdated(*, format_version: str, index_version: str) -> tuple[str, str] | None:
    """Return the versions of the sidecars and the versions that this release writes, in words, or None if they are equal."""
    for kind, found, current in (("format", format_version, FORMAT_VERSION), ("index", index_version, INDEX_VERSION)):
        if found != str(current):
            return f"{kind} version {found}", f"{kind} version {current}"
    return None


MAX_ROW_GROUP_ROWS: Final = 1 << 24

ROW_GROUP_ROWS: Final = 1 << 17
"""Number of rows in a row group of `keyframes` and `samples`. It holds the samples of a whole video, and one request of 1.6 MB
reads it. The footer of a table of 100 million rows takes 0.2 MB.
"""

EPISODE_ROW_GROUP_ROWS: Final = 1 << 20
"""Number of rows in a row group of `episodes`. The writer holds one of them, 110 MB, in memory."""


def _required(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, dtype, nullable=False) for name, dtype in columns])


FILES: Final = _required(
    # the row number
    ("file_id", pa.int32()),
    # relative to the dataset root, POSIX
    ("file_path", pa.string()),
    # bytes
    ("file_size", pa.int64()),
    # the store's identity of the content: "sha256:", "xet:" or "etag:" and a value; empty without one
    ("store_id", pa.string()),
    # hex digest of the moov box and the moof boxes; of the sample table for Matroska
    ("moov_sha256", pa.string()),
    # bytes
    ("moov_offset", pa.int64()),
    ("moov_length", pa.int64()),
    # offset of the first mdat box; the file's size without one, 0 for Matroska
    ("header_length", pa.int64()),
    # moov comes before mdat
    ("faststart", pa.bool_()),
    # four-character code of the sample entry
    ("codec", pa.string()),
    # coded picture size, pixels
    ("width", pa.int32()),
    ("height", pa.int32()),
    # ticks per second
    ("timescale", pa.int32()),
    # video samples in the file
    ("sample_count", pa.int64()),
    # presented frames / presented duration
    ("avg_fps", pa.float64()),
    # the whole stsd box
    ("sample_description", pa.binary()),
    # one of CONTAINERS
    ("container", pa.string()),
    # how pictures are turned when they are shown: nine big-endian int32, as in tkhd
    ("track_matrix", pa.binary()),
    # which entry of stsd the samples use: DESCRIPTION_RUN values; empty where all use the first
    ("sample_description_runs", pa.binary()),
    # hex digest of the declared episodes of the file, its camera and the fps: see DECLARED_EPISODES
    ("episodes_sha256", pa.string()),
    # which entry of stsd is in force where decoding starts: DESCRIPTION_RUN values; empty where it is that of the samples
    ("start_description_runs", pa.binary()),
    # sync samples in the file
    ("sync_sample_count", pa.int64()),
    # sync samples whose bytes were looked at
    ("sync_samples_inspected", pa.int64()),
)
"""One row per video file, sorted by file_path."""

CONTAINERS: Final = ("mp4", "fragmented", "matroska")
"""Progressive MP4, MP4 with its samples in movie fragments, and Matroska or WebM, which is demuxed."""

DESCRIPTION_RUN: Final = np.dtype([("byte_offset", "<i8"), ("description_index", "<i8")])
"""A run of samples with one sample description: from `byte_offset` to the next run's, samples use entry `description_index` (from
1) of stsd. Runs are sorted.
"""

DECLARED_EPISODES: Final = (
    ("episode_index", "<i8"),
    ("length", "<i8"),
    ("from_timestamp", "<f8"),
    ("to_timestamp", "<f8"),
)
"""The arrays in `episodes_sha256`: the SHA-256 of the camera_index as one `<i8`, the fps as one `<f8`, and these arrays one after
the other. Each has one value for every episode of the file, sorted by (from_timestamp, episode_index).
"""

EPISODES: Final = _required(
    # episode_index * number of cameras + camera_index; equals the row number
    ("global_episode_id", pa.int64()),
    ("episode_index", pa.int64()),
    # position in video_keys
    ("camera_index", pa.int32()),
    # for people: the runtime does not map it
    ("camera_key", pa.string()),
    # row of `files`
    ("file_id", pa.int32()),
    # first byte in the file of the samples needed
    ("mdat_offset", pa.int64()),
    # bytes from there to the end of the samples needed, without padding
    ("mdat_length", pa.int64()),
    # presented frames found in the file
    ("frame_count", pa.int32()),
    # seconds: from_timestamp as declared
    ("first_pts", pa.float64()),
    # seconds: to_timestamp as declared
    ("last_pts", pa.float64()),
    # presentation time of frame 0 in the file
    ("first_frame_tick", pa.int64()),
    # first row of `samples`
    ("sample_start", pa.int64()),
    ("sample_count", pa.int32()),
    # first row of `keyframes`
    ("keyframe_start", pa.int64()),
    ("keyframe_count", pa.int32()),
    # samples of the span that are presented before frame 0
    ("lead_in_count", pa.int32()),
)
"""One row per episode and camera, sorted by global_episode_id."""

KEYFRAMES: Final = _required(
    ("global_episode_id", pa.int64()),
    # presentation time in the file, ticks
    ("pts", pa.int64()),
    # from the start of the file
    ("byte_offset", pa.int64()),
    # decode position within the episode's samples
    ("sample_index", pa.int32()),
    # presentation position within the episode; negative in the lead-in
    ("frame_index", pa.int32()),
)
"""One row per sync sample in a span, sorted by (global_episode_id, pts)."""

SAMPLES: Final = _required(
    # from the episode's mdat_offset
    ("byte_offset", pa.uint32()),
    ("byte_size", pa.uint32()),
    # ticks from first_frame_tick; negative in the lead-in
    ("pts", pa.int32()),
    # decoding can start here
    ("is_sync", pa.bool_()),
)
"""One row per encoded sample of a span, sorted by episode and camera, and within these in decode order. See WIDE_SAMPLES."""

WIDE_SAMPLES: Final = MappingProxyType({"byte_offset": pa.uint64(), "pts": pa.int64()})
"""The wider types of columns of `samples`, for builds with a span of at least 4 GiB or 2^31 ticks.

All rows of a build have them.
"""

TABLES: Final = MappingProxyType(
    {
        "files": (layout.FILES_PATH, FILES),
        "episodes": (layout.EPISODES_PATH, EPISODES),
        "keyframes": (layout.KEYFRAMES_PATH, KEYFRAMES),
        "samples": (layout.SAMPLES_PATH, SAMPLES),
    }
)
"""Relative path and columns of each table; all but `files` are mapped."""

UNMAPPED_COLUMNS: Final = frozenset({"camera_key"})
"""Columns that are not mapped, although their table is: they may be dictionary encoded."""

SORT_KEYS: Final = MappingProxyType(
    {
        "files": ("file_path",),
        "episodes": ("global_episode_id",),
        "keyframes": ("global_episode_id", "pts"),
        "samples": ("global_episode_id", "sample_index"),
    }
)
"""Sort keys of each table. `samples` has no columns for its two keys; `sample_start` of `episodes` gives the rows."""

_ADDED_IN_VERSION_2: Final = MappingProxyType(
    {"files": ("start_description_runs", "sync_sample_count", "sync_samples_inspected"), "samples": ("is_sync",)}
)


def samples_schema(wide: Collection[str] = ()) -> pa.Schema:
    """Return the schema of `samples` in which the named columns, keys of `WIDE_SAMPLES`, have their wider types."""
    return _required(
        *((field.name, WIDE_SAMPLES[field.name] if field.name in wide else field.type) for field in SAMPLES)
    )


def schema_of(table: str, *, version: str | None, found: pa.Schema) -> pa.Schema:
    """Return the columns that a table has to have.

    Args:
        table: A key of `TABLES`.
        version: The format version in its footer; an unknown version counts as the current one.
        found: The schema that it has. Where it has a wider type that the format allows, the result has it, too.
    """
    schema = TABLES[table][1]
    if table == "samples":
        schema = samples_schema([name for name, dtype in WIDE_SAMPLES.items() if dtype in _types(found, name)])
    added = _ADDED_IN_VERSION_2.get(table, ()) if version == "1" else ()
    return pa.schema([field for field in schema if field.name not in added])


def _types(schema: pa.Schema, name: str) -> list[pa.DataType]:
    return [schema.field(position).type for position in schema.get_all_field_indices(name)]
