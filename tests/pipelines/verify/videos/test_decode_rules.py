"""VID027 and VID028. The sample datasets are clean; each test breaks one thing in a copy."""

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from episeek.stores.byte_source import CountingSource
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.videos.choice import choose_episodes
from episeek_pipelines.verify.videos.decode_rules import check_pictures
from episeek_pipelines.verify.videos.episode_clip import episode_clip
from episeek_pipelines.verify.videos.frames import ParsedVideo, frame_view
from episeek_pipelines.verify.videos.picture_reader import burned_in_number, decode_clip
from episeek_pipelines.verify.videos.reference import LONG_LEAD, EpisodeReference, FileReference
from episeek_pipelines.video.decoding_starts.correct import Correction
from episeek_pipelines.video.header import read_video_header
from episeek_schemas.lerobot import DatasetInfo
from tests.support import bar_code
from tests.support.amount import each_choice
from tests.support.broken_datasets import TOP, video
from tests.support.build_index import DATA
from tests.support.encode import Encoding, encode_episodes

FPS = 30.0
Pictures = npt.NDArray[np.uint8]


def _context(root: Path, *, fps: float = FPS) -> VerificationContext:
    info = DatasetInfo("v3.0", fps, 1, 1, 1000, "data/{}", "videos/{}", ("camera",))
    return VerificationContext(
        Root(str(root)),
        Root(str(root)),
        None,
        info,
        {},
        VerifyOptions(level="decode"),
        None,
        True,
        True,
        False,
        False,
        False,
        None,
    )


def _file(path: str, lengths: list[int]) -> VideoFile:
    stop = np.cumsum(lengths)
    start = stop - lengths
    return VideoFile(path, "camera", None, np.arange(len(lengths)), np.array(lengths), start / FPS, stop / FPS)


def _check(path: Path, lengths: list[int], *, bits: int | None = 8, header_of: Path | None = None) -> list[Finding]:
    """Return the findings of all episodes of one video; `header_of` takes the header of another file."""
    root, file = Root(str(path.parent)), _file(path.name, lengths)
    read_from = path if header_of is None else header_of
    header = read_video_header(Root(str(read_from.parent)).source(), read_from.name)
    source = CountingSource(root.source())
    parsed = ParsedVideo(header, header.table, frame_view(header.table, file, fps=FPS))
    reference = FileReference(path, parsed, [(0, parsed.view.frame_count)], lead=LONG_LEAD)
    chosen = range(len(lengths))
    found = list(check_pictures(_context(path.parent), file, parsed, source, chosen, reference, burned_in_bits=bits))
    assert source.request_count <= len(lengths)
    return found


def _lengths(dataset: str, path: str) -> list[int]:
    """Return the lengths of a sample file's episodes; burned-in numbers start from 0 in each."""
    numbers = [burned_in_number(frame, 8) for frame in decode_clip((DATA / dataset / path).read_bytes())]
    starts = [place for place, number in enumerate(numbers) if number == 0]
    return np.diff([*starts, len(numbers)]).tolist()


def _sample(dataset: str, folder: Path, number: int = 0) -> tuple[Path, list[int]]:
    """Return a writable copy of a sample video, and the lengths of its episodes."""
    source = video(TOP, number)
    path = folder / f"{dataset}.mp4"
    shutil.copyfile(DATA / dataset / source, path)
    return path, _lengths(dataset, source)


def _table(path: Path):
    return read_video_header(Root(str(path.parent)).source(), path.name).table


def _overwrite(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def _patch(path: Path, box: bytes, position: int, value: int) -> None:
    """Set a 32-bit field, counted from the box's name."""
    content = path.read_bytes()
    assert content.count(box) == 1
    _overwrite(path, content.index(box) + 4 + position, value.to_bytes(4, "big"))


def _codes(findings: list[Finding]) -> set[tuple[str, int | None]]:
    return {(found.code, found.location.episode) for found in findings}


def _encode(
    path: Path, pictures: list[Pictures], codec: str = "libsvtav1", form: str = "yuv420p", **options: str
) -> None:
    options = options or {"crf": "30", "g": "2", "preset": "10"}
    with av.open(path.as_posix(), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = form
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if picture.ndim == 3 else "gray16le")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _moving_scene(count: int, position: Callable[[int], int], *, noise: float = 1.0) -> list[Pictures]:
    """Return pictures of a striped bar at `position` before a smooth background, with a camera's noise."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[0:128, 0:192]
    background = 110 + 50 * np.sin(columns / 23) + 40 * np.cos(rows / 17)
    pictures = []
    for number in range(count):
        gray = background.copy()
        gray[40:100, position(number) : position(number) + 30] = 200 - 80 * (rows[40:100, :30] // 8 % 2)
        gray += rng.normal(0, noise, gray.shape)
        pictures.append(np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return pictures


def _numbered(pictures: list[Pictures]) -> list[Pictures]:
    for number, picture in enumerate(pictures):
        bar_code.draw(picture, number)
    return pictures


@pytest.mark.parametrize(("dataset", "files"), [("av1_multifile", 6), ("h264_bframes", 1), ("hevc", 1), ("edited", 1)])
def test_sample_videos_are_clean(dataset, files, tmp_path):
    paths = sorted((DATA / dataset / "videos").rglob("*.mp4"))
    assert len(paths) >= files
    for path in paths:
        lengths = _lengths(dataset, path.relative_to(DATA / dataset).as_posix())
        assert lengths
        assert _check(path, lengths) == [], path


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding("libx264", {"g": "12", "x264-params": "open-gop=1:log-level=none"}, b_frame_count=3),
        Encoding("libx264", {"g": "12", "x264-params": "intra-refresh=1:log-level=none"}),
        Encoding("libx265", {"g": "12", "x265-params": "open-gop=1:log-level=none"}, b_frame_count=3),
        Encoding("libsvtav1", {"g": "5", "preset": "10"}),
    ],
)
def test_episodes_that_start_anywhere_are_clean(encoding, tmp_path):
    path = tmp_path / "video.mp4"
    encode_episodes(path, encoding, [17, 23, 11])
    assert _check(path, [17, 23, 11]) == []


def test_each_episode_is_one_range(tmp_path):
    path, lengths = _sample("hevc", tmp_path)
    file, root = _file(path.name, lengths), Root(str(tmp_path))
    header = read_video_header(root.source(), path.name)
    source = CountingSource(root.source())
    parsed = ParsedVideo(header, header.table, frame_view(header.table, file, fps=FPS))
    assert not list(check_pictures(_context(tmp_path), file, parsed, source, [0, 2], EpisodeReference()))
    assert source.request_count == 2
    stop = np.cumsum(lengths)
    frames = np.concatenate([np.arange(lengths[0]), np.arange(stop[1], stop[2])])
    assert source.byte_count == header.table.size[header.table.presentation_order()[frames]].sum()


def test_damaged_av1_fails_to_decode(tmp_path):
    path, lengths = _sample("av1_multifile", tmp_path)
    table = _table(path)
    sample = lengths[0] + 4
    _overwrite(path, int(table.offset[sample]) + int(table.size[sample]) // 3, bytes(range(60)))
    found = _check(path, lengths)
    assert ("VID027", 1) in _codes(found)
    assert {episode for _, episode in _codes(found)} == {1}
    assert any("a decoder error near frame" in finding.message for finding in found)


@pytest.mark.parametrize("dataset", ["h264_bframes", "hevc"])
def test_zeroed_samples_are_noticed(dataset, tmp_path):
    path, lengths = _sample(dataset, tmp_path)
    table = _table(path)
    for sample in range(lengths[0] + 2, lengths[0] + 6):
        _overwrite(path, int(table.offset[sample]) + 5, bytes(int(table.size[sample]) - 5))
    assert {code for code, episode in _codes(_check(path, lengths, bits=None)) if episode == 1} == {"VID027"}


def test_swapped_samples_show_other_numbers(tmp_path):
    path = tmp_path / "video.mp4"
    _encode(
        path,
        _numbered(_moving_scene(20, lambda number: 2 * number)),
        "libx264",
        g="1",
        crf="23",
        **{"x264-params": "log-level=none"},
    )
    table, content = _table(path), path.read_bytes()
    first, second = (content[table.offset[k] : table.offset[k] + table.size[k]] for k in (4, 9))
    sizes = content.index(b"stsz") + 16
    between = content[table.offset[4] + table.size[4] : table.offset[9]]
    swapped = bytearray(content)
    swapped[table.offset[4] : table.offset[9] + table.size[9]] = second + between + first
    swapped[sizes + 16 : sizes + 20], swapped[sizes + 36 : sizes + 40] = (
        len(second).to_bytes(4, "big"),
        len(first).to_bytes(4, "big"),
    )
    path.write_bytes(swapped)
    assert _check(path, [20], bits=None) == []
    (found,) = _check(path, [20])
    assert found.message == "frame 4 with the burned-in number 9; expected the number 4"
    assert found.more == 1


def test_other_pictures_of_the_same_length_are_noticed_by_their_numbers(tmp_path):
    path = tmp_path / "video.mp4"
    pictures = _moving_scene(24, lambda number: 2 * number)
    for number, picture in enumerate(pictures):
        bar_code.draw(picture, number + 1)
    _encode(path, pictures)
    assert _check(path, [24], bits=None) == []
    (found,) = _check(path, [24])
    assert (found.code, found.more) == ("VID027", 23)


def test_a_false_sync_sample(tmp_path, monkeypatch):
    path = tmp_path / "video.mp4"
    encode_episodes(path, Encoding("libsvtav1", {"g": "16", "preset": "10"}), [20, 20])
    content = path.read_bytes()
    place = content.index(b"stss") + 4
    count = int.from_bytes(content[place + 4 : place + 8], "big")
    assert count == 3  # frames 0, 16, 32
    _patch(path, b"stss", 4 + 4 * 2, 21)  # the second of them said to be where the second episode starts
    believed = "episeek_pipelines.video.header.corrected"  # as where a file in a store is not looked into
    monkeypatch.setattr(believed, lambda source, path, table, keyframes: Correction(table, table.is_sync, 0))
    assert ("VID027", 1) in _codes(_check(path, [20, 20]))


def test_fewer_frames_than_the_length_are_left_to_the_rule_on_seconds(tmp_path):
    path, lengths = _sample("hevc", tmp_path)
    found = _check(path, [*lengths[:-1], lengths[-1] + 3])
    assert _codes(found) == set()


def test_one_broken_episode_does_not_keep_others_from_being_checked(tmp_path, monkeypatch):
    path, lengths = _sample("hevc", tmp_path)
    real = episode_clip

    def broken(file, video, source, position):
        if position == 1:
            raise ZeroDivisionError("odd")
        return real(file, video, source, position)

    monkeypatch.setattr("episeek_pipelines.verify.videos.decode_rules.episode_clip", broken)
    (found,) = _check(path, lengths)
    assert (found.code, found.location.episode, found.location.camera) == ("VER000", 1, "camera")


def test_burned_in_numbers_without_room(tmp_path):
    path, lengths = _sample("hevc", tmp_path)
    assert "too small for 40 burned-in bits" in _check(path, lengths, bits=40)[0].message


def test_a_frozen_camera(tmp_path):
    path = tmp_path / "video.mp4"
    pictures = _moving_scene(90, lambda number: 2 * number if number < 75 else 150)
    pictures[30:50] = [pictures[30]] * 20
    _encode(path, pictures)
    (found,) = _check(path, [90], bits=None)
    assert (found.code, found.severity) == ("VID028", "warning")
    assert found.message.startswith("frames 30 to 49 that show the same for 0.67 s")


def test_a_camera_at_half_the_rate(tmp_path):
    path = tmp_path / "video.mp4"
    pictures = _moving_scene(80, lambda number: 2 * number)
    _encode(path, [pictures[number // 2 * 2] for number in range(80)])
    (found,) = _check(path, [80], bits=None)
    assert found.code == "VID028"
    assert "frames that repeat the previous picture although the scene moves" in found.message


def test_a_dead_camera(tmp_path):
    path = tmp_path / "video.mp4"
    _encode(path, _moving_scene(60, lambda number: 40))
    (found,) = _check(path, [60], bits=None)
    assert found.message == "60 pictures, none of which differs from the first one; expected motion"


@pytest.mark.parametrize(("codec", "noise"), each_choice(["libsvtav1", "libx264", "libx265"], [0.0, 1.0]))
def test_a_robot_at_rest_is_not_a_frozen_camera(codec, noise, tmp_path):
    def position(number: int) -> int:  # moves, slows down, rests for more than a second, moves again
        return int(np.interp(number, [0, 25, 30, 35, 70, 75, 80, 110], [0, 50, 56, 58, 58, 60, 66, 126]))

    path = tmp_path / "video.mp4"
    options = {
        "libsvtav1": {"preset": "10"},
        "libx264": {"x264-params": "log-level=none"},
        "libx265": {"x265-params": "log-level=none"},
    }
    _encode(path, _moving_scene(110, position, noise=noise), codec, g="2", crf="30", **options[codec])
    assert _check(path, [110], bits=None) == []


def test_depth(tmp_path):
    path = tmp_path / "video.mp4"
    pictures: list[Pictures] = []
    for number in range(20):
        values = np.linspace(0, 60_000, 96 * 128).reshape(96, 128).astype(np.uint16)
        values[20:60, 3 * number : 3 * number + 20] = 50_000
        values[:6, :48] = np.repeat(60_000 * (number >> np.arange(8) & 1), 6)
        pictures.append(values)  # type: ignore[arg-type]  # of 16 bits
    _encode(path, pictures, "libx265", "gray12le", **{"x265-params": "log-level=none"})
    assert _check(path, [20]) == []


def test_memory_does_not_grow_with_the_episode(tmp_path):
    peaks = []
    for count in (40, 160):
        path = tmp_path / f"{count}.mp4"
        _encode(path, _numbered(_moving_scene(count, lambda number: number)))
        tracemalloc.start()
        assert {found.code for found in _check(path, [count])} <= {"VID028"}
        peaks.append(tracemalloc.get_traced_memory()[1] - 2 * path.stat().st_size)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 120 * 2_000  # 25 kB of luma alone are in each picture


def test_the_choice_depends_only_on_seed_and_episodes():
    episodes = np.arange(3, 1003)
    chosen = choose_episodes(episodes, VerifyOptions(decoded_episodes=8))
    shuffled = np.random.default_rng(0).permutation(np.repeat(episodes, 2))
    np.testing.assert_array_equal(chosen, choose_episodes(shuffled, VerifyOptions(decoded_episodes=8)))
    assert len(chosen) == 8
    assert (chosen[0], chosen[-1]) == (3, 1002)
    assert (np.diff(chosen) > 0).all()
    assert set(chosen) != set(choose_episodes(episodes, VerifyOptions(decoded_episodes=8, seed=1)))


@pytest.mark.parametrize(("wanted", "count", "chosen"), [(None, 5, 5), (8, 5, 5), (1, 5, 2), (1, 1, 1), (3, 0, 0)])
def test_how_many_episodes_are_chosen(wanted, count, chosen):
    assert len(choose_episodes(np.arange(count), VerifyOptions(decoded_episodes=wanted))) == chosen
