"""Strips of pictures. The pictures are read back with PyAV: by burned-in numbers, and against frames that are decoded apart."""

import io
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import format_json
from episeek_pipelines.verify.findings.checks import DataCheck, VerificationContext, VideoCheck, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.findings.strips import MOST_STRIPS, Strip, StripPicture, StripRange
from episeek_pipelines.verify.formats.html.page import format_html
from episeek_pipelines.verify.plan import plan_verification
from episeek_pipelines.verify.rules import FROZEN
from episeek_pipelines.verify.run import conclude, run_check
from episeek_pipelines.verify.strips.pictures import with_pictures
from episeek_pipelines.verify.strips.thumbnails import MOST_BYTES, MOST_PIXELS, thumbnail
from episeek_pipelines.verify.videos.choice import FrameWindow
from episeek_pipelines.verify.videos.frames import ParsedVideo, frame_view
from episeek_pipelines.verify.videos.reference import FileReference
from episeek_pipelines.verify.videos.window_rules import check_windows
from episeek_pipelines.video.header import read_video_header
from episeek_schemas.lerobot import DatasetInfo
from tests.broken.catalogue import CASES
from tests.broken.videos import SINGLE
from tests.support import bar_code
from tests.support.broken_datasets import TOP
from tests.support.broken_datasets import video as video_path
from tests.support.encode import Encoding, encode_episodes

DECODE = VerifyOptions(level="decode", decoded_episodes=None, decoded_windows=0)
Pictures = npt.NDArray[np.uint8]


def made(name: str, root: Path) -> Root:
    (case,) = (case for case in CASES if case.name == name)
    case.make(root)
    return Root(str(root))


def report_on(root: Root, path: str, options: VerifyOptions = DECODE) -> VerificationReport:
    """The report of a dataset of which one video is read."""
    plan = plan_verification(root, options=options)
    (check,) = (
        replace(check, files=(file,))
        for check in plan.checks
        if isinstance(check, VideoCheck)
        for file in check.files
        if file.path == path
    )
    plan = replace(plan, checks=(check,))
    return conclude(plan, [run_check(plan.require_context(), check)])


def strip_of(report: VerificationReport, code: str) -> Strip:
    found = next(found for found in report.findings if found.code == code)
    assert found.strip is not None
    return found.strip


def decoded(jpeg: bytes) -> Pictures:
    """The picture of a JPEG file [height, width, 3]."""
    with av.open(io.BytesIO(jpeg), "r", format="mjpeg") as container:
        (frame,) = container.decode(video=0)
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def numbers(pictures: tuple[StripPicture, ...]) -> list[int | None]:
    """The burned-in numbers of pictures; None for places without one."""
    return [bar_code.read(decoded(each.jpeg).transpose(2, 0, 1)[None])[0] if each.jpeg else None for each in pictures]


def frames_of(path: Path) -> list[Pictures]:
    """All pictures of a file, as FFmpeg alone decodes it."""
    with av.open(path.as_posix()) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def blurred(picture: Pictures) -> npt.NDArray[np.float64]:
    """Means of 8 x 8 pixels: JPEG thins colours and rounds details."""
    height, width = (side // 8 * 8 for side in picture.shape[:2])
    return picture[:height, :width].reshape(height // 8, 8, width // 8, 8, 3).mean(axis=(1, 3))


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Root:
    return made("a camera that stalled", tmp_path_factory.mktemp("stalled") / "dataset")


def test_a_frozen_camera_shows_the_frames_before_within_and_after(stalled):
    report = report_on(stalled, SINGLE)
    strip = strip_of(report, "VID028")
    assert strip.frames == (7, 8, 14, 20, 26, 27, 28)
    assert numbers(strip.pictures) == [7, 8, 8, 8, 8, 27, 28]
    assert [each.is_marked for each in strip.pictures] == [False, True, True, True, True, False, False]
    assert [each.frame for each in strip.pictures] == list(strip.frames)
    assert {each.episode_index for each in strip.pictures} == {6}
    assert [each.seconds for each in strip.pictures] == pytest.approx([frame / 30 for frame in strip.frames])
    pictures = frames_of(stalled.local / SINGLE)
    for frame, each in zip(strip.frames, strip.pictures, strict=True):
        assert np.abs(blurred(decoded(each.jpeg)) - blurred(pictures[frame])).mean() < 3
        assert (each.height, each.width) == pictures[frame].shape[:2]


def test_damaged_frames_are_empty_places_and_those_after_them_are_shown(tmp_path):
    report = report_on(made("media bytes overwritten", tmp_path / "dataset"), SINGLE)
    strip = strip_of(report, "VID027")
    assert numbers(strip.pictures) == [2, 3, None, None, 6, 7, 8]
    assert [each.condition for each in strip.pictures] == ["", "", "not decoded", "not decoded", "", "", ""]
    assert strip.pictures[2].is_marked
    page = format_html(report)
    assert page.count('<span class="no-picture">not decoded</span>') == 2
    assert page.count('src="data:image/jpeg;base64,') == 5
    assert 'alt="frame 8 of episode 6, at 0.267 s"' in page


def test_other_pictures_are_shown_beside_those_of_the_whole_file(tmp_path, monkeypatch):
    """Frame 50 is said to be a keyframe, and is none: decoding from there gives a gray picture with what changed on it."""
    path = tmp_path / "video.mp4"
    encoding = Encoding("mpeg4", {"g": "40", "sc_threshold": "1000000000"})
    encode_episodes(path, encoding, [70])
    root = Root(str(tmp_path))
    header = read_video_header(root.source(), path.name)
    table = replace(header.table, is_sync=np.isin(np.arange(70), [0, 50]))
    file = VideoFile(path.name, "camera", None, np.array([3]), np.array([70]), np.zeros(1), np.array([70 / 30]))
    video = ParsedVideo(header, table, frame_view(table, file, fps=30.0))
    info = DatasetInfo("v3.0", 30.0, 1, 70, 1000, "data/{}", "videos/{}", ("camera",))
    context = VerificationContext(root, root, None, info, {}, DECODE, None, True, True, False, False, False, None)
    reference = FileReference(path, video, [(0, 70)], lead=None)
    findings, _ = check_windows(context, file, video, root.source(), [FrameWindow(0, 50, 66)], reference)
    monkeypatch.setattr("episeek_pipelines.verify.strips.pictures.parse_video", lambda *arguments: video)
    (found,), _ = with_pictures(context, {path.name: file}, findings)
    assert found.strip
    assert found.strip.frames == tuple(range(50, 57))
    assert found.strip.marked == set(found.strip.frames)
    assert numbers(found.strip.references) == list(found.strip.frames)
    frames = frames_of(path)
    for frame, shown, right in zip(found.strip.frames, found.strip.pictures, found.strip.references, strict=True):
        assert np.abs(blurred(decoded(right.jpeg)) - blurred(frames[frame])).mean() < 3
        assert np.abs(blurred(decoded(shown.jpeg)) - blurred(frames[frame])).mean() > 6
    page = format_html(_report(found))
    assert page.count("<img") == 14
    assert page.index("As readers get them") < page.index("Decoded from an earlier frame")


def test_frames_of_a_discarded_take_are_marked(tmp_path):
    report = report_on(made("frames of a discarded take", tmp_path / "dataset"), video_path(TOP, 0))
    strip = strip_of(report, "VID024")
    owner = [(each.episode_index, each.is_marked) for each in strip.pictures]
    assert owner == [(1, False)] * 2 + [(None, True)] * 5
    assert [each.frame for each in strip.pictures] == [38, 39, 89, 90, 91, 92, 93]
    assert numbers(strip.pictures)[:2] == [38, 39]
    assert strip_of(report, "VID023W").marked == strip.marked


def test_a_file_that_ends_early_shows_its_last_frames(tmp_path):
    report = report_on(made("too short", tmp_path / "dataset"), video_path(TOP, 4))
    strip = strip_of(report, "VID024")
    assert strip.frames == tuple(range(28, 35))
    assert [each.is_marked for each in strip.pictures] == [False] * 6 + [True]
    assert numbers(strip.pictures) == list(strip.frames)


def test_the_same_pictures_whatever_the_order_of_the_checks(stalled):
    plan = plan_verification(stalled, options=DECODE)
    kept = tuple(
        check for check in plan.checks if isinstance(check, VideoCheck) and SINGLE in {f.path for f in check.files}
    )
    plan = replace(plan, checks=(*kept, *(check for check in plan.checks if isinstance(check, DataCheck))))
    results = [run_check(plan.require_context(), check) for check in plan.checks]
    one, other = conclude(plan, results), conclude(pickle.loads(pickle.dumps(plan)), reversed(results))
    assert strip_of(one, "VID028") == strip_of(pickle.loads(pickle.dumps(other)), "VID028")
    assert format_html(one) == format_html(other)


def test_other_levels_and_formats_have_no_pictures(stalled, tmp_path):
    report = report_on(stalled, SINGLE)
    bare = replace(report, findings=tuple(replace(found, strip=None) for found in report.findings))
    assert bare == report, "a strip is no part of what a finding says"
    assert format_json(bare) == format_json(report)
    layout = report_on(made("too short", tmp_path / "dataset"), video_path(TOP, 4), VerifyOptions(level="layout"))
    assert strip_of(layout, "VID024").pictures == ()
    assert "<img" not in format_html(layout)


def test_the_first_findings_of_a_rule_have_pictures_and_the_page_says_so(stalled):
    plan = plan_verification(stalled, options=DECODE)
    files = {file.path: file for check in plan.checks if isinstance(check, VideoCheck) for file in check.files}
    findings = [
        finding(FROZEN, f"{place}", "motion", Location(SINGLE, place, "camera"), strip=StripRange(0, 3).around(1))
        for place in range(MOST_STRIPS + 2)
    ]
    pictured, byte_count = with_pictures(plan.require_context(), files, findings[::-1])
    assert byte_count > 0
    assert pictured == findings
    assert [bool(found.strip and found.strip.pictures) for found in pictured] == [True] * MOST_STRIPS + [False] * 2
    # findings of several datasets on one page
    page = format_html(_report(*(replace(found, strip=pictured[0].strip) for found in findings)))
    assert page.count("<img") == 3 * MOST_STRIPS
    assert "Pictures are shown for the first 8 of the 10 findings" in page


def test_a_file_that_is_gone_is_a_finding_and_the_others_stay(stalled):
    plan = plan_verification(stalled, options=DECODE)
    (file,) = (
        replace(file, path="videos/gone.mp4")
        for check in plan.checks
        if isinstance(check, VideoCheck)
        for file in check.files
        if file.path == SINGLE
    )
    found = finding(FROZEN, "x", "y", Location(file.path), strip=StripRange(0, 9).spread())
    kept, missing = with_pictures(plan.require_context(), {file.path: file}, [found])[0]
    assert (kept, kept.strip) == (found, found.strip)
    assert missing.location.file == file.path


def _report(*findings: Finding) -> VerificationReport:
    return VerificationReport("/somewhere", tuple(findings), 1, 1, 1, 1, 1, 0.0)


def test_the_choice_of_frames_keeps_within_the_range():
    held = StripRange(100, 120)
    assert held.around(0).frames == (100, 101, 102, 103, 104, 105, 106)
    assert held.around(10, start=0) == Strip(tuple(range(108, 115)), frozenset({110}), 100)
    assert held.around(19, range(18, 90)) == Strip(tuple(range(113, 120)), frozenset({118, 119}))
    assert held.around_run(5, 6).frames == (104, 105, 106, 107)
    assert held.around_run(0, 20).frames == (100, 106, 112, 119)
    assert held.spread().frames == (100, 103, 106, 109, 112, 115, 119)
    assert held.places(0, 2) == Strip((100, 101, 102, 103, 104), frozenset({100}))
    assert StripRange(4, 5).spread() == Strip((4,), frozenset({4}))


def _frame(picture: Pictures, form: str = "yuv420p") -> Any:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=form)
    frame.time_base = Fraction(1, 30)
    return frame


@pytest.mark.parametrize(("form", "factor"), [("yuv420p", 1), ("yuv444p10le", 1), ("gray12le", 1), ("yuv420p", 4)])
def test_a_small_picture_is_the_mean_of_the_large_one(form, factor):
    rows, columns = np.mgrid[0:480, 0:640]
    large = np.stack([rows / 2, columns / 3, 255 - rows / 2], axis=2).astype(np.uint8)[::factor, ::factor]
    small = thumbnail(_frame(large, form))
    picture = decoded(small.jpeg)
    assert (small.height, small.width) == picture.shape[:2] == (120, 160)
    side = 4 // factor
    expected = large.reshape(120, side, 160, side, 3).mean(axis=(1, 3))
    if form.startswith("gray"):
        expected[:] = (expected @ [0.299, 0.587, 0.114])[..., None]
    assert np.abs(picture - expected).mean() < 4


@pytest.mark.parametrize(("height", "width"), [(480, 640), (64, 2000), (900, 30), (7, 5), (160, 160)])
def test_noise_of_any_size_fits(height, width):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    noise = np.where(noise > 127, 255, 0).astype(np.uint8)
    small = thumbnail(_frame(noise, "yuv444p"))
    assert len(small.jpeg) <= MOST_BYTES
    assert (small.height, small.width) == decoded(small.jpeg).shape[:2]
    assert 1 <= max(small.height, small.width) <= min(MOST_PIXELS, max(height, width))
    assert small == thumbnail(_frame(noise, "yuv444p"))
