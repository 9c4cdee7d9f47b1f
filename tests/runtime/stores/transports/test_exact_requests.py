"""The requests and bytes of a clip and of an index, counted by the servers, for a large file in each kind of store."""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pytest

import episeek
from episeek.stores.byte_source import ByteSource
from episeek.stores.open_source import open_source
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.fragments import FragmentSummary, index_to_fragment
from episeek_pipelines.index.merge import write_sidecars
from episeek_pipelines.index.units import IndexUnit
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_schemas.layout import DEFAULT_CHUNKS_SIZE, DEFAULT_DATA_PATH, DEFAULT_VIDEO_PATH
from episeek_schemas.lerobot import DatasetInfo
from tests.servers.faults import Exchange
from tests.servers.range_server import RangeServer
from tests.support.amount import amount
from tests.support.bar_code import read
from tests.support.large_video import FRAMES_PER_SECOND, LargeVideo, make_large_video
from tests.support.served_file import SOURCES, serve

CAMERA = "observation.images.top"
PATH = f"videos/{CAMERA}/chunk-000/file-000.mp4"
PROBE_BYTES = 1 << 16
LARGE_BYTES = amount(200_000_000, 20_000_000)


@dataclass(frozen=True)
class SourceRoot:
    """Read what the index step reads of a data root."""

    opened: ByteSource
    is_local = False

    def source(self):
        return self.opened


@dataclass(frozen=True)
class Indexed:
    video: LargeVideo
    fragment: FragmentSummary
    work: Root
    exchanges: list[Exchange]
    """The exchanges with the server while the file was indexed."""


def index_large_video(folder, *, is_faststart) -> Indexed:
    """A large file on an HTTP server, and its index."""
    path = folder / "served" / PATH
    path.parent.mkdir(parents=True)
    video = make_large_video(path, LARGE_BYTES, is_faststart=is_faststart)
    ends = np.cumsum(video.episode_lengths) / FRAMES_PER_SECOND
    declared = DeclaredEpisodes(
        np.arange(len(ends)), np.array(video.episode_lengths), np.concatenate([[0.0], ends[:-1]]), ends
    )
    work = Root(str(folder / "work"))
    with RangeServer(folder / "served") as server:
        source = open_source(server.url)
        unit = IndexUnit(PATH, 0, declared, identity=source.identity(PATH))  # this server has no listing to say it
        fragment = index_to_fragment(cast(Root, SourceRoot(source)), work, "0.npz", unit, fps=FRAMES_PER_SECOND)
        return Indexed(video, fragment, work, server.exchanges())


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    return index_large_video(tmp_path_factory.mktemp("large"), is_faststart=True)


def write_index(indexed, store_id, folder):
    """Write sidecars of the file as in a store that gives it this identity."""
    video = indexed.video
    info = DatasetInfo(
        codebase_version="v3.0",
        fps=float(FRAMES_PER_SECOND),
        total_episodes=len(video.episode_lengths),
        total_frames=video.frame_count,
        chunks_size=DEFAULT_CHUNKS_SIZE,
        data_path=DEFAULT_DATA_PATH,
        video_path=DEFAULT_VIDEO_PATH,
        video_keys=(CAMERA,),
    )
    fragment = replace(indexed.fragment, properties=replace(indexed.fragment.properties, store_id=store_id))
    counts = {"episode_count": info.total_episodes, "frame_count": info.total_frames}
    write_sidecars(indexed.work, [fragment], Root(str(folder)), info, **counts)
    return folder


def check_index_requests(indexed):
    ranged = [e for e in indexed.exchanges if e.range_header]
    assert indexed.video.size_bytes > LARGE_BYTES
    assert len(ranged) <= 2
    assert sum(e.sent_bytes for e in ranged) <= indexed.video.moov_bytes + PROBE_BYTES
    assert [e.method for e in indexed.exchanges if not e.range_header] == ["HEAD"]


def test_indexing_reads_the_header_alone(indexed):
    check_index_requests(indexed)


def test_indexing_with_moov_behind_the_media_data(tmp_path):
    check_index_requests(index_large_video(tmp_path, is_faststart=False))


@pytest.mark.parametrize("name", SOURCES)
def test_a_clip_is_one_request_of_its_bytes(indexed, name, tmp_path):
    with serve(name, {PATH: indexed.video.path}, tmp_path / "served") as served:
        sidecars = write_index(indexed, served.open().identity(PATH).store_id, tmp_path / "sidecars")
        index = episeek.open(
            sidecars,
            data_root=served.url,
            storage_options=served.storage_options,
            transport=served.transport,
        )
        looked = False
        generator = np.random.default_rng(7)
        for episode in generator.integers(index.episode_count, size=12).tolist():
            span = index.lookup(episode, CAMERA)
            frame = int(generator.integers(span.frame_count))
            keyframes = index.keyframes(episode, CAMERA)
            first = keyframes.byte_offset[keyframes.frame_index <= frame].max()
            for start, stop, begin in ((0, None, span.mdat_offset), (frame, frame + 1, first)):
                served.server.clear()
                clip = index.clip(episode, CAMERA, start, stop)
                decoded = clip.decode("pyav").data
                ranged = [e for e in served.server.exchanges() if e.range_header and e.status == 206]
                others = [e for e in served.server.exchanges() if e not in ranged]
                assert len(ranged) == 1
                assert not others or (
                    name.startswith("hub") and not looked
                )  # one request to the Hub for the location of a file
                looked = True
                first_byte, last_byte = clip.byte_range
                assert ranged[0].sent_bytes == last_byte - first_byte
                assert ranged[0].range_header == f"bytes={first_byte}-{last_byte - 1}"
                assert first_byte == begin
                if stop is None:
                    assert (first_byte, last_byte) == (span.mdat_offset, span.mdat_offset + span.mdat_length)
                assert read(decoded) == list(range(span.frame_count))[start:stop]
