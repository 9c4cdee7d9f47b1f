"""Edits of datasets that a comparison has to find, made with pyarrow alone: rows, episodes, tasks and coded samples."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.parquet as pq

EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def data_files(root: Path) -> list[Path]:
    return sorted((root / "data").rglob("*.parquet"))


def edit_rows(root: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    """Write every data file anew that an edit changes, one row group per episode."""
    for path in data_files(root):
        before = pq.read_table(path, partitioning=None)
        after = edit(before)
        if not after.equals(before):
            path.unlink()
            pq.write_table(after, path)


def change_cell(root: Path, episode: int, frame: int, column: str, change: Callable[[Any], Any]) -> None:
    """Change one value of a row."""

    def edit(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        for row, (number, at) in enumerate(
            zip(table["episode_index"].to_pylist(), table["frame_index"].to_pylist(), strict=True)
        ):
            if (number, at) == (episode, frame):
                values[row] = change(values[row])
        return with_column(table, column, values)

    edit_rows(root, edit)


def with_column(table: pa.Table, column: str, values: Sequence[Any], dtype: pa.DataType | None = None) -> pa.Table:
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    field = field if dtype is None else field.with_type(dtype)
    return table.set_column(place, field, pa.array(values, field.type))


def reorder(root: Path, order: Sequence[int]) -> None:
    """Make episode k that which was `order[k]`; episodes that are not named are removed. Videos stay as they are."""
    tables = [pq.read_table(path, partitioning=None) for path in data_files(root)]
    rows = pa.concat_tables(tables)
    episodes = pq.read_table(root / EPISODES, partitioning=None)
    parts, metadata, start = [], [], 0
    for new, old in enumerate(order):
        part = rows.filter(pa.compute.equal(rows["episode_index"], old))
        part = with_column(part, "episode_index", [new] * len(part))
        parts.append(with_column(part, "index", range(start, start + len(part))))
        line = episodes.slice(episodes["episode_index"].to_pylist().index(old), 1)
        places = {
            "episode_index": new,
            "dataset_from_index": start,
            "dataset_to_index": start + len(part),
            "data/chunk_index": 0,
            "data/file_index": 0,
        }
        for name, value in places.items():
            line = with_column(line, name, [value])
        metadata.append(line)
        start += len(part)
    for path in data_files(root):
        path.unlink()
    pq.write_table(pa.concat_tables(parts), root / "data/chunk-000/file-000.parquet")
    (root / EPISODES).unlink()
    pq.write_table(pa.concat_tables(metadata), root / EPISODES)
    edit_info(root, lambda info: info.update(total_episodes=len(order), total_frames=start))


def edit_info(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = root / "meta/info.json"
    document = json.loads(path.read_text())
    edit(document)
    path.unlink()
    path.write_text(json.dumps(document))


def rename_task(root: Path, old: str, new: str) -> None:
    """Rename a task wherever its text is."""
    path = root / "meta/tasks.parquet"
    table = pq.read_table(path)
    text = next(name for name in table.column_names if pa.types.is_string(table[name].type) or "level" in name)
    renamed = [new if value == old else value for value in table[text].to_pylist()]
    pq.write_table(with_column(table, text, renamed), path)
    episodes = pq.read_table(root / EPISODES, partitioning=None)
    tasks = [[new if text == old else text for text in texts] for texts in episodes["tasks"].to_pylist()]
    pq.write_table(with_column(episodes, "tasks", tasks), root / EPISODES)


def flip_bytes(path: Path, packets: Sequence[int]) -> None:
    """Change the last byte of some packets of a video, by their numbers in the file; the demuxer says where they are."""
    data = bytearray(path.read_bytes())
    with av.open(path.as_posix()) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in packets:
        position, size = places[number]
        assert position is not None
        data[position + size - 1] ^= 1
    path.unlink()
    path.write_bytes(data)


def change_video(path: Path, change: Callable[[int, int, Any], object]) -> None:
    """Write a video anew with the same samples; `change(number, count, packet)` may change the times of each packet."""
    target = io.BytesIO()
    with (
        av.open(path.as_posix()) as source,
        av.open(target, "w", format="mp4", options={"fflags": "+bitexact"}) as output,
    ):
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream, opaque=True)
        packets = [packet for packet in source.demux(stream) if packet.size]
        for number, packet in enumerate(packets):
            change(number, len(packets), packet)
            packet.stream = copy
            output.mux(packet)
    path.unlink()
    path.write_bytes(target.getvalue())
