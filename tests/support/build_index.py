"""The index step as a program without Dask would run it."""

import shutil
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq

from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.fragments import FragmentSummary, index_to_fragment
from episeek_pipelines.index.merge import write_sidecars
from episeek_pipelines.index.units import plan_index
from episeek_schemas.sidecars import MAX_ROW_GROUP_ROWS

DATA = Path(__file__).parents[1] / "data"
VIDEO_DATASETS = ("av1_multifile", "edited", "h264_bframes", "hevc")
CAMERAS = ("observation.images.top", "observation.images.wrist")
MP4_FILES = tuple(sorted(path.relative_to(DATA).as_posix() for path in DATA.rglob("*.mp4")))


def make_fragments(dataset_root: Path, work: Path) -> list[FragmentSummary]:
    """One fragment per MP4, in the order of the plan."""
    dataset = open_dataset(str(dataset_root))
    units = plan_index(dataset, dataset.root)
    return [
        index_to_fragment(dataset.root, Root(str(work)), f"{number:05d}.npz", unit, fps=dataset.info.fps)
        for number, unit in enumerate(units)
    ]


def merge_fragments(
    dataset_root: Path,
    work: Path,
    fragments: list[FragmentSummary],
    destination: Path,
    *,
    max_row_group_rows: int = MAX_ROW_GROUP_ROWS,
) -> str:
    """The four tables below `destination`; returns the build id."""
    dataset = open_dataset(str(dataset_root))
    return write_sidecars(
        Root(str(work)),
        fragments,
        Root(str(destination)),
        dataset.info,
        episode_count=len(dataset.episodes),
        frame_count=dataset.info.total_frames,
        max_row_group_rows=max_row_group_rows,
    )


def build_index(
    dataset_root: Path, work: Path, destination: Path, *, max_row_group_rows: int = MAX_ROW_GROUP_ROWS
) -> None:
    """Sidecars of `dataset_root` below `destination`."""
    fragments = make_fragments(dataset_root, work)
    merge_fragments(dataset_root, work, fragments, destination, max_row_group_rows=max_row_group_rows)


def copy_dataset(name: str, destination: Path) -> Path:
    """A dataset of `tests/data` that a test may damage."""
    shutil.copytree(DATA / name, destination)
    return destination


@cache
def episode_frames_in_file(dataset_root: Path, camera_key: str) -> list[tuple[str, int, int]]:
    """For each episode its MP4, its first frame in it and its length, from meta/episodes by plain pyarrow.

    An episode's frames follow those of the episode before it in the same file: no seconds are looked at.
    """
    table = pq.read_table(dataset_root / "meta/episodes").to_pydict()
    files = zip(
        table[f"videos/{camera_key}/chunk_index"],
        table[f"videos/{camera_key}/file_index"],
        table["length"],
        strict=True,
    )
    filled: dict[str, int] = {}
    found = []
    for chunk, file, length in files:
        path = f"videos/{camera_key}/chunk-{chunk:03d}/file-{file:03d}.mp4"
        found.append((path, filled.get(path, 0), length))
        filled[path] = filled.get(path, 0) + length
    return found
