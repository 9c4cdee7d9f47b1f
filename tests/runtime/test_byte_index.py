"""An index: lookups and their errors, pickling, sidecars and videos at URLs, and files that have changed."""

import multiprocessing
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor

import fsspec
import numpy as np
import pytest

import episeek
from episeek import errors
from episeek.errors import (
    BackendUnavailableError,
    CameraNotFoundError,
    ChangedFileError,
    DecodeError,
    EpiseekError,
    EpisodeNotFoundError,
    FrameRangeError,
    MissingFileError,
    MissingSidecarError,
    ShortReadError,
)
from episeek.stores.byte_source import CountingSource
from tests.support import bar_code
from tests.support.build_index import CAMERAS, DATA, build_index, copy_dataset
from tests.support.whole_file import decode_with_plain_pyav, usable_backends

HUGE = 1 << 80


@pytest.fixture
def index(indexes):
    return indexes["h264_bframes"]


def test_facts_of_the_dataset(index):
    assert (index.episode_count, index.cameras, index.fps, index.frame_count) == (6, CAMERAS, 30.0, 234)
    assert index.file_count == 2
    assert index.file(1).file_path == f"videos/{CAMERAS[1]}/chunk-000/file-000.mp4"
    assert (index.file(0).codec, index.file(0).width, index.file(0).height) == ("avc1", 128, 96)
    assert len(index.build_id) == 32
    for text in (repr(index), repr(index.file(0)), repr(index.clip(1, CAMERAS[0])), repr(index.table("samples"))):
        assert len(text) < 1000


@pytest.mark.parametrize("episode", [-1, 6, HUGE, -HUGE])
def test_no_such_episode(index, episode):
    for ask in (index.lookup, index.keyframes, index.clip):
        with pytest.raises(EpisodeNotFoundError, match=f"found no episode {episode}; expected 0 to 5") as caught:
            ask(episode, CAMERAS[0])
        assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_numpy_integers_are_not_taken_for_others(index, monkeypatch, dtype):
    """Row numbers are computed from them: with 8 bits, episode 72 of 2 cameras would wrap around from row 144."""
    assert index.lookup(dtype(5), CAMERAS[1]).global_episode_id == 11
    monkeypatch.setattr(index, "cameras", tuple(str(number) for number in range(60)))
    with pytest.raises(IndexError, match="row 301 of a column of 12 rows"):
        index.lookup(dtype(5), CAMERAS[1])  # row 301, not 301 - 256


@pytest.mark.parametrize("episode", [1.5, "3", None])
def test_an_episode_is_a_whole_number(index, episode):
    with pytest.raises(TypeError):
        index.lookup(episode, CAMERAS[0])


@pytest.mark.parametrize("camera", ["", "top", "observation.images.TOP", None])
def test_no_such_camera(index, camera):
    for ask in (index.lookup, index.keyframes, index.clip):
        with pytest.raises(CameraNotFoundError, match=r"expected one of \['observation\.images\.top'"):
            ask(0, camera)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 0), (3, 3), (5, 2), (-1, 5), (0, -1), (0, 50), (49, None), (49, 50), (HUGE, None), (0, HUGE)],
)
def test_no_such_window(index, start, stop):
    with pytest.raises(FrameRangeError, match=r"episode 0 of .*: found frames .* its 49 frames"):
        index.clip(0, CAMERAS[0], start, stop)


@pytest.mark.parametrize("file_id", [-1, 2, HUGE])
def test_no_such_file(index, file_id):
    with pytest.raises(IndexError):
        index.file(file_id)


def test_numpy_integers_are_numbers(index):
    clip = index.clip(np.int64(2), CAMERAS[0], np.int32(4), np.uint8(9))
    assert clip.read() == index.clip(2, CAMERAS[0], 4, 9).read()


def test_modes_are_checked(index):
    clip = index.clip(0, CAMERAS[0], 0, 2)
    with pytest.raises(ValueError, match="'hidden' or 'shown'"):
        clip.read("visible")
    with pytest.raises(ValueError, match="'auto', 'packets', 'torchcodec' or 'pyav'"):
        clip.decode("opencv")
    with pytest.raises(BackendUnavailableError, match="cuda"):
        clip.decode("pyav", device="cuda")


def test_a_device_that_is_not_there_is_named(index):
    with pytest.raises(EpiseekError, match="TorchCodec"):
        index.clip(0, CAMERAS[0], 0, 2).decode("torchcodec", device="no-such-device")


def test_a_clip_takes_only_its_own_bytes(index):
    clip = index.clip(0, CAMERAS[0], 0, 5)
    payload = clip.fetch()
    assert len(payload) == clip.byte_range[1] - clip.byte_range[0]
    assert clip.mux(payload) == clip.read()
    for wrong in (payload[:-1], payload + b"\0", b""):
        with pytest.raises(ShortReadError):
            clip.mux(wrong)


@pytest.mark.torch
def test_damaged_pictures_are_a_named_error(index):
    clip = index.clip(0, CAMERAS[0], 0, 20)
    noise = np.random.default_rng(0).integers(0, 256, clip.byte_range[1] - clip.byte_range[0], np.uint8).tobytes()

    class Noise:
        def get_ranges(self, path, ranges):
            return [noise]

    object.__setattr__(clip, "source", Noise())
    for backend in usable_backends():
        with pytest.raises(DecodeError, match="episode 0"):
            clip.decode(backend)


# --- pickling -------------------------------------------------------------------------------------------------------------


def read_in_worker(index, clip):
    return index.clip(3, CAMERAS[1], 2, 9).read(), clip.read()


def test_index_and_clip_work_in_a_spawned_process(index):
    clip = index.clip(3, CAMERAS[1], 2, 9)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(read_in_worker, index, clip).result() == (clip.read(), clip.read())


def test_a_pickled_index_holds_no_table(index):
    assert len(pickle.dumps(index)) < 500
    assert pickle.loads(pickle.dumps(index)).lookup(5, CAMERAS[1]) == index.lookup(5, CAMERAS[1])


ERRORS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, EpiseekError)]


@pytest.mark.parametrize("error", ERRORS)
def test_errors_pickle(error):
    raised = error("here", "this", "that")
    again = pickle.loads(pickle.dumps(raised))
    assert type(again) is error
    assert (again.where, again.found, again.expected) == ("here", "this", "that")
    assert str(again) == str(raised) == "here: found this; expected that"


def test_every_error_is_a_builtin_too():
    assert len(ERRORS) > 25
    kinds = (OSError, ValueError, LookupError, ImportError, RuntimeError, ArithmeticError)
    assert all(issubclass(error, kinds) for error in ERRORS if error is not EpiseekError)


# --- where sidecars and videos are ----------------------------------------------------------------------------------------


def test_sidecars_within_the_dataset(tmp_path, index):
    copy = copy_dataset("h264_bframes", tmp_path / "copy")
    build_index(copy, tmp_path / "work", copy)
    for url in (copy, str(copy), f"file://{copy}", f"{copy}/"):
        assert episeek.open(url).clip(1, CAMERAS[0], 3, 8).read() == index.clip(1, CAMERAS[0], 3, 8).read()


@pytest.fixture
def memory_url():
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/test_byte_index/other", b"")
    yield "memory://test_byte_index"
    fs.rm("/test_byte_index", recursive=True)


def put(source, url):
    fs, path = fsspec.core.url_to_fs(url)
    for file in source.rglob("*"):
        if file.is_file():
            fs.pipe_file(f"{path}/{file.relative_to(source).as_posix()}", file.read_bytes())


def test_sidecars_and_videos_behind_a_url(memory_url, sidecar_roots, index):
    put(sidecar_roots["h264_bframes"], memory_url)
    with_local_videos = episeek.open(memory_url, data_root=DATA / "h264_bframes")
    put(DATA / "h264_bframes", memory_url)
    local_with_remote_videos = episeek.open(sidecar_roots["h264_bframes"], data_root=memory_url)
    for opened in (with_local_videos, local_with_remote_videos, episeek.open(memory_url)):
        assert opened.table("samples").is_mapped
        for episode in range(index.episode_count):
            assert opened.lookup(episode, CAMERAS[0]) == index.lookup(episode, CAMERAS[0])
            clip = opened.clip(episode, CAMERAS[0], 5, 15)
            assert clip.read() == index.clip(episode, CAMERAS[0], 5, 15).read()
    pictures = np.asarray(episeek.open(memory_url).clip(4, CAMERAS[1], 7, 20).decode("pyav").data)
    assert bar_code.read(pictures) == list(range(7, 20))


def test_nothing_behind_a_url(memory_url, sidecar_roots):
    put(sidecar_roots["h264_bframes"], memory_url)
    with pytest.raises(MissingFileError, match=r"file-000\.mp4"):
        episeek.open(memory_url).clip(0, CAMERAS[0]).read()
    fsspec.filesystem("memory").rm("/test_byte_index/meta/byte_index/samples.parquet")
    with pytest.raises(MissingSidecarError, match=r"memory://.*samples\.parquet"):
        episeek.open(memory_url)


# --- files that changed after indexing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_remote", [False, True])
def test_a_file_that_was_truncated_or_removed(tmp_path, memory_url, sidecar_roots, is_remote):
    root = shutil.copytree(DATA / "hevc", tmp_path / "copy")
    url = memory_url if is_remote else root
    path = f"videos/{CAMERAS[0]}/chunk-000/file-000.mp4"
    whole = (root / path).read_bytes()
    index = episeek.open(sidecar_roots["hevc"], data_root=url)
    for episode in range(index.episode_count):
        clip = index.clip(episode, CAMERAS[0])
        for length in (0, clip.byte_range[0], clip.byte_range[0] + 1, clip.byte_range[1] - 1):
            (root / path).write_bytes(whole[:length])
            if is_remote:
                put(root, memory_url)
            for attempt in (clip.read, clip.decode):
                with pytest.raises((ShortReadError, ChangedFileError), match=path):
                    attempt()
    (root / path).unlink()
    if is_remote:
        fsspec.filesystem("memory").rm(f"/test_byte_index/{path}")
    with pytest.raises(MissingFileError, match=path) as caught:
        clip.read()
    assert isinstance(caught.value, FileNotFoundError)


def test_one_request_of_exactly_the_bytes(indexes):
    index = indexes["av1_multifile"]
    clip = index.clip(2, CAMERAS[0], 7, 12)
    counting = CountingSource(clip.source)
    object.__setattr__(clip, "source", counting)
    mp4 = clip.read()
    assert counting.request_count == 1
    assert counting.byte_count == clip.byte_range[1] - clip.byte_range[0]
    assert len(mp4) - counting.byte_count < 2000
    ticks, pictures, _ = decode_with_plain_pyav(mp4)
    assert len(ticks) == len(pictures) == 5
