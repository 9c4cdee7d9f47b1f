"""Merge the fragments of all video files into the four sidecar tables, in episode order, with a few fragments in memory.

The result depends on the fragments' contents alone: not on the order in which they were made, a clock, or a host.
"""

import json
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek import __version__
from episeek.errors import MetadataError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.build_id import build_id_of
from episeek_pipelines.index.fragments import FragmentSummary, fragment_episodes, load_fragment
from episeek_pipelines.index.table_writer import MappableWriter
from episeek_pipelines.index.units import Arrays
from episeek_schemas import layout, sidecars
from episeek_schemas.lerobot import DatasetInfo

_BLOCK_ROWS = 1 << 16
_COPIED = ("mdat_offset", "mdat_length", "frame_count", "first_pts", "last_pts", "first_frame_tick")
_COUNTS = ("sample_count", "keyframe_count", "lead_in_count")


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
        fragments: One for each video file, in any order.
        destination: A dataset root.
        info: The parsed meta/info.json.
        episode_count: Number of episodes in the dataset.
        frame_count: Number of rows in the dataset.
        max_row_group_rows: Rows of a full row group; the format's limit is 2^24. Those of `keyframes` and `samples`, which readers
            of a store fetch by row groups, have `sidecars.ROW_GROUP_ROWS` at most.

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

        _merge(
            _Merger(work, ordered, info, episode_count),
            episodes=writer(layout.EPISODES_PATH, sidecars.EPISODES, max_row_group_rows, *sidecars.UNMAPPED_COLUMNS),
            keyframes=writer(layout.KEYFRAMES_PATH, sidecars.KEYFRAMES, sidecars.ROW_GROUP_ROWS),
            samples=writer(layout.SAMPLES_PATH, sidecars.samples_schema(wide), sidecars.ROW_GROUP_ROWS),
        )
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


class _Merger:
    """Finds the rows of an episode and camera in the fragments, and keeps the fragments that are still needed loaded."""

    def __init__(self, work: Root, fragments: list[FragmentSummary], info: DatasetInfo, episode_count: int) -> None:
        self._work = work
        self._fragments = fragments
        self.cameras = info.video_keys
        self.episode_count = episode_count
        self._loaded: dict[int, Arrays] = {}
        self.file_of = np.full((episode_count, len(self.cameras)), -1, np.int32)
        self._row_of = np.zeros((episode_count, len(self.cameras)), np.int32)
        self._last_episode = np.zeros(len(fragments), np.int64)
        for number, fragment in enumerate(fragments):
            episodes = fragment_episodes(work, fragment.fragment)
            taken = self.file_of[episodes, fragment.camera_index] >= 0
            if taken.any():
                where = f"episode {episodes[taken][0]} of {self.cameras[fragment.camera_index]!r}"
                raise MetadataError(where, f"a second file {fragment.properties.file_path}", "one file")
            self.file_of[episodes, fragment.camera_index] = number
            self._row_of[episodes, fragment.camera_index] = np.arange(len(episodes))
            self._last_episode[number] = episodes.max()
        unindexed = np.argwhere(self.file_of < 0)
        if len(unindexed):
            episode, camera = unindexed[0]
            raise MetadataError(
                f"episode {episode} of {self.cameras[camera]!r}", "no indexed file", "one for every episode and camera"
            )

    def rows(self, episode: int, camera: int) -> tuple[Arrays, int]:
        """Return the fragment of an episode and camera, and its row there."""
        number = int(self.file_of[episode, camera])
        arrays = self._loaded.get(number)
        if arrays is None:
            self._loaded = {key: kept for key, kept in self._loaded.items() if self._last_episode[key] >= episode}
            arrays = self._loaded[number] = load_fragment(self._work, self._fragments[number].fragment)
        return arrays, int(self._row_of[episode, camera])


def _merge(merger: _Merger, *, episodes: MappableWriter, keyframes: MappableWriter, samples: MappableWriter) -> None:
    camera_count = len(merger.cameras)
    total = merger.episode_count * camera_count
    keys = np.array(merger.cameras, dtype=object)
    sample_start = keyframe_start = 0
    for block_start in range(0, total, _BLOCK_ROWS):
        ids = np.arange(block_start, min(block_start + _BLOCK_ROWS, total), dtype=np.int64)
        episode_index, camera_index = np.divmod(ids, camera_count)
        block: dict[str, npt.NDArray[Any]] = {
            name: np.empty(len(ids), sidecars.EPISODES.field(name).type.to_pandas_dtype())
            for name in (*_COPIED, *_COUNTS, "sample_start", "keyframe_start")
        }
        for position in range(len(ids)):
            arrays, row = merger.rows(int(episode_index[position]), int(camera_index[position]))
            for name in (*_COPIED, *_COUNTS):
                block[name][position] = arrays[f"episodes/{name}"][row]
            block["sample_start"][position] = sample_start
            block["keyframe_start"][position] = keyframe_start
            sample_count, keyframe_count = int(block["sample_count"][position]), int(block["keyframe_count"][position])
            local = int(arrays["episodes/sample_start"][row])
            samples.append(
                {name: arrays[f"samples/{name}"][local : local + sample_count] for name in sidecars.SAMPLES.names}
            )
            local = int(arrays["episodes/keyframe_start"][row])
            columns = {
                name: arrays[f"keyframes/{name}"][local : local + keyframe_count]
                for name in sidecars.KEYFRAMES.names[1:]
            }
            keyframes.append({"global_episode_id": np.full(keyframe_count, ids[position]), **columns})
            sample_start += sample_count
            keyframe_start += keyframe_count
        episodes.append(
            {
                **block,
                "global_episode_id": ids,
                "episode_index": episode_index,
                "camera_index": camera_index.astype(np.int32),
                "camera_key": keys[camera_index],
                "file_id": merger.file_of[episode_index, camera_index],
            }
        )
