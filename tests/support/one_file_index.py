"""Any one video file as a dataset of one episode and one camera, indexed by the pipeline's own steps."""

from pathlib import Path

import numpy as np

import episeek
from episeek.mp4.sample_table import SampleTable
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.fragments import index_to_fragment
from episeek_pipelines.index.merge import write_sidecars
from episeek_pipelines.index.units import IndexUnit
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_pipelines.video.header import read_video_header
from episeek_schemas.layout import DEFAULT_CHUNKS_SIZE, DEFAULT_DATA_PATH, DEFAULT_VIDEO_PATH
from episeek_schemas.lerobot import DatasetInfo

CAMERA = "camera"


def read_table(path: Path) -> SampleTable:
    """The samples of a file, read as the index step reads them."""
    return read_video_header(LocalSource(str(path.parent)), path.name).table


def open_one_file(path: Path, table: SampleTable, folder: Path) -> episeek.ByteIndex:
    """Sidecars below `folder`, opened: episode 0 of `CAMERA` holds all frames that `table` presents."""
    fps = table.average_fps or 30.0
    order = table.presentation_order()
    first, last = (int(order[0]), int(order[-1])) if len(order) else (0, 0)
    seconds = (table.pts[first], table.pts[last] + max(int(table.duration[last]), 1))
    declared = DeclaredEpisodes(
        np.zeros(1, np.int64),
        np.array([max(len(order), 1)]),
        *(np.array([tick / table.timescale]) for tick in seconds),
    )
    work = Root(str(folder / "work"))
    fragment = index_to_fragment(Root(str(path.parent)), work, "0.npz", IndexUnit(path.name, 0, declared), fps=fps)
    info = DatasetInfo(
        codebase_version="v3.0",
        fps=fps,
        total_episodes=1,
        total_frames=len(order),
        chunks_size=DEFAULT_CHUNKS_SIZE,
        data_path=DEFAULT_DATA_PATH,
        video_path=DEFAULT_VIDEO_PATH,
        video_keys=(CAMERA,),
    )
    root = folder / "sidecars"
    write_sidecars(work, [fragment], Root(str(root)), info, episode_count=1, frame_count=len(order))
    return episeek.open(root, data_root=path.parent)
