"""Merge the fragments (the rows of one video file each) into the four sidecar tables, in episode order, block by block.

The result depends only on the contents of the fragments, and not on the order in which they were made, the time, or the machine.
"""

import json
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.parquet as pq

from episeek import __version__
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.build_id import build_id_of
from episeek_pipelines.index.fragments import FragmentSummary
from episeek_pipelines.index.merged_rows import merged_rows
from episeek_pipelines.index.table_writer import MappableWriter
from episeek_schemas import layout, sidecars
from episeek_schemas.lerobot import DatasetInfo


def write_sidecars(
    work: Root,
    fragments: list[FragmentSummary],
    destination: Root,
    info: DatasetInfo,
    *,
    episode_count: int,
    frame_count: int,
    max_row_group_rows: int = sidecars.MAX_ROW_GROUP_ROWS,
) -> str:
    """Write the four tables below `destination` and return the build id.

    Args:
        work: The root of the fragments.
        fragments: One fragment for each video file, in any order.
        destination: A dataset root.
        info: The parsed meta/info.json.
        episode_count: Number of episodes in the dataset.
        frame_count: Number of rows in the dataset.
        max_row_group_rows: Greatest number of rows in a row group; the format's limit is 2^24. Row groups of `episodes` also
            have at most `sidecars.EPISODE_ROW_GROUP_ROWS` rows. Row groups of `keyframes` and `samples`, which readers fetch one
            by one from a store, have at most `sidecars.ROW_GROUP_ROWS` rows.

    Raises:
        MetadataError: An episode of a camera is in no fragment, or in two.
        WriteError: The destination cannot be written.
    """
    ordered = sorted(fragments, key=lambda fragment: fragment.properties.file_path)
    description = dataset_description(info, episode_count=episode_count, frame_count=frame_count)
    build_id = build_id_of(description, (fragment.digest for fragment in ordered))
    metadata = {
        sidecars.FORMAT_VERSION_KEY: str(sidecars.FORMAT_VERSION),
        sidecars.INDEX_VERSION_KEY: str(sidecars.INDEX_VERSION),
        sidecars.WRITER_KEY: f"episeek {__version__}",
        sidecars.DATASET_KEY: description,
        sidecars.BUILD_ID_KEY: build_id,
    }
    _write_files(destination, ordered, metadata)
    wide = {column for fragment in ordered for column in fragment.wide_columns}
    with ExitStack() as stack:

        def writer(path: str, schema: pa.Schema, row_limit: int, *dictionary_columns: str) -> MappableWriter:
            stream = stack.enter_context(destination.output(path))
            return stack.enter_context(
                MappableWriter(
                    stream,
                    schema,
                    metadata,
                    dictionary_columns=dictionary_columns,
                    max_row_group_rows=min(row_limit, max_row_group_rows),
                )
            )

        episodes = writer(
            layout.EPISODES_PATH, sidecars.EPISODES, sidecars.EPISODE_ROW_GROUP_ROWS, *sidecars.UNMAPPED_COLUMNS
        )
        keyframes = writer(layout.KEYFRAMES_PATH, sidecars.KEYFRAMES, sidecars.ROW_GROUP_ROWS)
        samples = writer(layout.SAMPLES_PATH, sidecars.samples_schema(wide), sidecars.ROW_GROUP_ROWS)
        for rows in merged_rows(work, ordered, info.video_keys, episode_count):
            samples.append(rows.samples)
            keyframes.append(rows.keyframes)
            episodes.append(rows.episodes)
    return build_id


def dataset_description(info: DatasetInfo, *, episode_count: int, frame_count: int) -> str:
    """Return the footer value `episeek:dataset`, a JSON object."""
    dataset = {
        "codebase_version": info.codebase_version,
        "fps": int(info.fps) if info.fps.is_integer() else info.fps,
        "total_episodes": episode_count,
        "total_frames": frame_count,
        "video_keys": list(info.video_keys),
    }
    return json.dumps(dataset, separators=(",", ":"))


def _write_files(destination: Root, fragments: list[FragmentSummary], metadata: dict[str, str]) -> None:
    rows = [
        {"file_id": number, **{name: getattr(fragment.properties, name) for name in sidecars.FILES.names[1:]}}
        for number, fragment in enumerate(fragments)
    ]
    table = pa.Table.from_pylist(rows, schema=sidecars.FILES.with_metadata(metadata))
    with destination.output(layout.FILES_PATH) as stream:
        pq.write_table(table, stream, compression="zstd", use_dictionary=False)
