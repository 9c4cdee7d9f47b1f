"""Windows from later sync samples (VID027): which are chosen, what they are compared with, and what is found."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from episeek_pipelines.cli.main import main
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.verify import VerifyOptions, format_text, verify
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.videos.choice import choose_windows, reason_without_windows
from episeek_pipelines.verify.videos.episode_clip import episode_clip
from episeek_pipelines.verify.videos.frames import ParsedVideo, frame_view
from episeek_pipelines.verify.videos.picture_reader import decode_file, picture_digest
from episeek_pipelines.verify.videos.reference import SHORT_LEAD, EpisodeReference, FileReference
from episeek_pipelines.verify.videos.window_rules import check_windows
from episeek_pipelines.video.header import read_video_header
from episeek_schemas.lerobot import DatasetInfo
from tests.support.broken_datasets import copy_of
from tests.support.build_index import DATA
from tests.support.encode import Encoding, encode_episodes

FPS = 30.0
LENGTHS = [30, 41, 49]
SYNC = [0, 40, 80]
ENCODINGS = {
    "libx264": Encoding("libx264", {"g": "40", "preset": "ultrafast", "x264-params": "scenecut=0:log-level=none"}),
    "libsvtav1": Encoding("libsvtav1", {"g": "40", "preset": "12"}),
    "mpeg4": Encoding("mpeg4", {"g": "40", "sc_threshold": "1000000000"}),
}


@pytest.fixture(scope="module", params=ENCODINGS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("windows") / f"{request.param}.mp4"
    encode_episodes(path, ENCODINGS[request.param], LENGTHS)
    return path


def context_of(path: Path, options: VerifyOptions) -> VerificationContext:
    root = Root(str(path.parent))
    info = DatasetInfo("v3.0", FPS, 3, 120, 1000, "data/{}", "videos/{}", ("camera",))
    return VerificationContext(root, root, None, info, {}, options, None, True, True, False, False, False, None)


def file_of(path: Path, *, decoded: tuple[int, ...] = ()) -> VideoFile:
    stop = np.cumsum(LENGTHS)
    start = stop - LENGTHS
    return VideoFile(
        path.name, "camera", None, np.arange(3), np.array(LENGTHS), start / FPS, stop / FPS, decoded=decoded
    )


def parsed(path: Path, sync: list[int] | None = None) -> ParsedVideo:
    """The header; with `sync`, these samples are said to be the sync samples."""
    header = read_video_header(Root(str(path.parent)).source(), path.name)
    table = header.table
    if sync is not None:
        is_sync = np.zeros(len(table), np.bool_)
        is_sync[sync] = True
        table = replace(table, is_sync=is_sync)
    return ParsedVideo(header, table, frame_view(table, file_of(path), fps=FPS))


def starts(video: ParsedVideo, windows) -> list[int]:
    return [int(video.view.first[window.position]) + window.start for window in windows]


def whole(path: Path) -> list[bytes]:
    with av.open(path.as_posix()) as container:
        return [picture_digest(picture) for picture in container.decode(video=0)]


def check(path: Path, sync: list[int] | None, count: int = 4):
    header, context = parsed(path, sync), context_of(path, VerifyOptions(level="decode", decoded_windows=count))
    file = file_of(path)
    windows = choose_windows(context, file, header)
    ranges = [
        (first, first + each.stop - each.start) for first, each in zip(starts(header, windows), windows, strict=True)
    ]
    reference = FileReference(path, header, ranges, lead=SHORT_LEAD)
    return check_windows(context, file, header, Root(str(path.parent)).source(), windows, reference)


# --- what is found ------------------------------------------------------------------------------------------------------


def test_windows_from_keyframes_show_the_pictures_of_the_whole_file(video):
    findings, counts = check(video, None)
    assert findings == []
    assert (counts.compared, counts.unknown) == (2, 0)


def test_times_that_ffmpeg_moves_are_followed(tmp_path):
    """An edit that starts one tick after the first frame: FFmpeg then presents every frame a tick earlier."""
    path = tmp_path / "video.mp4"
    encode_episodes(path, replace(ENCODINGS["libx264"], b_frame_count=2), LENGTHS)
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 16
    media_time = int.from_bytes(content[place : place + 4], "big")
    assert media_time == 1024
    content[place : place + 4] = (media_time + 1).to_bytes(4, "big")
    path.write_bytes(content)
    with av.open(path.as_posix()) as container:
        times = [frame.pts for frame in container.decode(video=0)]
    header = read_video_header(Root(str(path.parent)).source(), path.name)
    ticks = header.table.pts[header.table.presentation_order()]
    assert times != ticks.tolist()
    times_of_episode = ticks[[0]] / header.table.timescale, ticks[[-1]] / header.table.timescale + 1 / FPS
    file = VideoFile(path.name, "camera", None, np.arange(1), np.array([len(ticks)]), *times_of_episode)
    video = ParsedVideo(header, header.table, frame_view(header.table, file, fps=FPS))
    (window, *_) = windows = choose_windows(context_of(path, VerifyOptions(level="decode")), file, video)
    reference = FileReference(path, video, [(window.start, window.stop)], lead=SHORT_LEAD)
    source = Root(str(path.parent)).source()
    findings, counts = check_windows(context_of(path, VerifyOptions()), file, video, source, windows[:1], reference)
    assert (findings, counts.compared, counts.unknown) == ([], 1, 0)


@pytest.mark.parametrize("place", [20, 55, 104])
def test_a_frame_that_is_said_to_be_a_keyframe_is_found(place, video):
    findings, counts = check(video, sorted([*SYNC, place]))
    (found,) = findings
    assert (found.code, found.location.episode) == ("VID027", int(np.searchsorted(np.cumsum(LENGTHS), place, "right")))
    assert "by the video's header, decoded from byte" in found.found
    assert found.expected == "the pictures that decoding the whole file gives"
    assert counts.compared == 3


def test_findings_of_an_episode_are_one(video):
    findings, counts = check(video, list(range(30)))
    (found,) = findings
    assert counts.compared == 4
    assert (found.location.episode, found.more) == (0, 3)


def test_a_window_that_cannot_be_decoded_at_all_is_found(video, tmp_path):
    path = tmp_path / video.name
    content = bytearray(video.read_bytes())
    table = parsed(video).table
    for sample in range(41, 80):
        start = int(table.offset[sample])
        content[start : start + int(table.size[sample])] = b"\xff" * int(table.size[sample])
    path.write_bytes(content)
    findings, _ = check(path, [0, 60])
    assert [found.code for found in findings] == ["VID027"]
    assert "a decoder error" in findings[0].found


def test_a_picture_is_compared_with_the_whole_file_before_it_is_called_wrong(tmp_path):
    """FFmpeg seeks to a frame that stss calls a keyframe, and decodes wrong pictures from there."""
    path = tmp_path / "video.mp4"
    encode_episodes(path, ENCODINGS["mpeg4"], LENGTHS)
    pictures = whole(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"stss") + 12
    content[place : place + 12] = b"".join(number.to_bytes(4, "big") for number in (1, 56, 91))
    path.write_bytes(content)
    assert whole(path) == pictures
    decoded = decode_file(path, start_seconds=Fraction(55, 30))
    from_there = [picture_digest(picture) for _, pictures_after in decoded for picture in pictures_after]
    assert len(from_there) < 70
    assert from_there[0] not in pictures
    header = parsed(path, [0, 55, 90])
    reference = FileReference(path, header, [(80, 84)], lead=SHORT_LEAD)
    assert reference.compare({80: pictures[80], 83: pictures[83]}).other == ()
    wrong = reference.compare({80: pictures[81], 81: None, 200: pictures[0]})
    assert (wrong.other, wrong.unknown) == ((80, 81), (200,))


def test_in_a_store_windows_are_compared_with_their_episode(video):
    header, reference = parsed(video, [0, 30, 40, 71, 80, 90]), EpisodeReference()
    pictures = whole(video)
    reference.add(dict(enumerate(pictures[71:], 71)))
    context = context_of(video, VerifyOptions(level="decode"))
    context = replace(context, data_root=Root("memory://somewhere"))
    file = file_of(video, decoded=(2,))
    windows = choose_windows(context, file, header)
    assert {window.position for window in windows} == {2}
    findings, counts = check_windows(context, file, header, Root(str(video.parent)).source(), windows, reference)
    assert [found.expected for found in findings] == ["the pictures that decoding the episode from its start gives"]
    assert counts.compared == len(windows) == 3


# --- what is chosen -----------------------------------------------------------------------------------------------------


def test_windows_start_at_later_keyframes_and_depend_on_nothing_else(video):
    header = parsed(video, list(range(0, 120, 5)))
    file = file_of(video)
    options = VerifyOptions(level="decode", decoded_windows=6)
    chosen = choose_windows(context_of(video, options), file, header)
    assert chosen == choose_windows(context_of(video, options), file, header)
    assert len(chosen) == 6
    used = []
    for window in chosen:
        clip = episode_clip(file, header, Root(str(video.parent)).source(), window.position, window.start, window.stop)
        (sample,) = np.flatnonzero(header.table.offset == clip.byte_range[0])
        used.append(int(sample))
    assert used[0] == 5
    assert set(used) <= set(range(5, 120, 5))
    assert all(any(low < sample <= low + 40 for sample in used) for low in (0, 40, 80))
    others = [
        choose_windows(context_of(video, replace(options, seed=1)), file, header),
        choose_windows(context_of(video, options), replace(file, path="other.mp4"), header),
    ]
    assert all(other != chosen for other in others)


def test_each_decoded_episode_has_a_window_after_its_start(video):
    header = parsed(video, list(range(0, 120, 5)))
    options = VerifyOptions(level="decode", decoded_windows=1)
    chosen = choose_windows(context_of(video, options), file_of(video, decoded=(1, 2)), header)
    assert [window.position for window in chosen] == [0, 1, 2]
    assert all(window.start > 0 for window in chosen)


@pytest.mark.parametrize(
    ("level", "wanted", "count"), [("rows", None, 0), ("rows", 2, 2), ("decode", 0, 0), ("decode", None, 4)]
)
def test_how_many_windows_there_are(level, wanted, count, video):
    options = VerifyOptions(level=level, decoded_windows=wanted)
    assert len(choose_windows(context_of(video, options), file_of(video), parsed(video, list(range(120))))) == count


def test_files_with_one_keyframe_have_no_window(video):
    context = context_of(video, VerifyOptions(level="decode"))
    assert choose_windows(context, file_of(video), parsed(video, [0])) == ()
    assert choose_windows(context, file_of(video), parsed(video, [3])) == ()


# --- in reports ---------------------------------------------------------------------------------------------------------


def lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample is said to be a sync sample, by the headers that verification reads."""

    def read(*args, **kwargs):
        header = read_video_header(*args, **kwargs)
        return replace(header, table=replace(header.table, is_sync=np.ones(len(header.table), np.bool_)))

    monkeypatch.setattr("episeek_pipelines.verify.videos.parse.read_video_header", read)


def test_prepare_compares_windows_and_reports_other_pictures(tmp_path, monkeypatch, capsys):
    good = prepare(str(DATA / "hevc"), str(tmp_path / "good"), execution=Execution(scheduler="sync")).verification
    assert good is not None
    assert (good.error_count, good.window_count) == (0, 4)
    assert "4 windows of frames decoded from later keyframes" in good.coverage.checked
    assert "4 windows of frames decoded from later keyframes" in format_text(good)
    assert "VID027" not in good.coverage.rules_not_applied
    lie(monkeypatch)
    assert main(["prepare", str(DATA / "hevc"), str(tmp_path / "bad"), "--scheduler", "sync"]) == 1
    assert "error VID027" in capsys.readouterr().out


@pytest.mark.parametrize("level", ["rows", "decode"])
def test_without_a_decoder_or_without_local_videos_reports_say_so(level, monkeypatch):
    options = VerifyOptions(level=level, decoded_windows=1)
    local = context_of(DATA / "x", options)
    remote = replace(local, data_root=Root("memory://somewhere"))
    assert reason_without_windows(local) == ""
    assert bool(reason_without_windows(remote)) == (level == "rows")
    monkeypatch.setattr("episeek_pipelines.verify.videos.choice.has_decoder", lambda: False)
    assert reason_without_windows(local) == ("PyAV is not installed" if level == "rows" else "")


def test_windows_that_were_left_out_are_not_checked(monkeypatch):
    monkeypatch.setattr("episeek_pipelines.verify.videos.choice.has_decoder", lambda: False)
    report = verify(Root(str(DATA / "hevc")), options=VerifyOptions(level="rows", decoded_windows=1))
    assert report.window_count == 0
    unchecked = {part.subject: part for part in report.coverage.not_checked}
    assert unchecked["windows of frames decoded from later keyframes"].reason == "PyAV is not installed"
    assert unchecked["pictures of videos"].rules == ("VID027", "VID028")


def test_sidecars_of_another_file_are_not_tried(tmp_path):
    root = copy_of("hevc", tmp_path, indexed=True)
    first, second = sorted(root.glob("videos/*/*/*.mp4"))
    second.write_bytes(first.read_bytes())
    report = verify(Root(str(root)), options=VerifyOptions(level="decode", decoded_episodes=2, decoded_windows=2))
    assert "IDX031" in {found.code for found in report.findings}
    assert not {"VID027", "VER000"} & {found.code for found in report.findings}
