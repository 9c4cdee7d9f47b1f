"""Sidecars with many rows, for what has to cost the same at any size."""

from pathlib import Path

import numpy as np

from episeek_pipelines.index.table_writer import MappableWriter
from episeek_schemas import sidecars

BLOCK_ROWS = 1 << 20


def write_keyframes(path: Path, row_count: int, metadata: dict[str, str]) -> None:
    """A `keyframes` table: one sync sample every two frames, episodes of 150 of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb") as stream,
        MappableWriter(stream, sidecars.KEYFRAMES, metadata, max_row_group_rows=sidecars.ROW_GROUP_ROWS) as writer,
    ):
        for start in range(0, row_count, BLOCK_ROWS):
            row = np.arange(start, min(start + BLOCK_ROWS, row_count), dtype=np.int64)
            position = (row % 150).astype(np.int32)
            writer.append(
                {
                    "global_episode_id": row // 150,
                    "pts": row * 1024,
                    "byte_offset": row * 20_000 + 48,
                    "sample_index": position * 2,
                    "frame_index": position * 2,
                }
            )
