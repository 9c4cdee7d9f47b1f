"""Recorded takes with frames of no episode: where the fault is, and advice that is true when it is followed.

The oracle is the pictures: each shows its episode and its frame. `lerobot_pictures` finds them by seconds, as LeRobot does.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import episeek
from episeek_pipelines.api import index
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.verify import VerificationReport, VerifyOptions, verify
from episeek_pipelines.verify.findings.findings import Finding
from tests.broken import takes
from tests.broken.metadata import from_ts, to_ts
from tests.broken.takes import LENGTHS, set_seconds, set_seconds_by_lengths, write_takes
from tests.support import bar_code
from tests.support.broken_datasets import EPISODES, TOP, WRIST, copy_of, data, episode_values, set_values, video

FPS = 30
RIGHT = [[(episode, frame) for frame in range(length)] for episode, length in enumerate(LENGTHS)]


def numbers(pictures: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(bar_code.read(pictures, line=1), bar_code.read(pictures), strict=True))


def indexed_pictures(root: Path, camera: str = TOP) -> list[list[tuple[int, int]]]:
    opened = episeek.open(root)
    return [numbers(opened.clip(row, camera).decode(backend="pyav").data) for row in range(opened.episode_count)]


def lerobot_pictures(root: Path, camera: str = TOP) -> list[list[tuple[int, int]]]:
    """The pictures at from_timestamp plus the timestamps of the rows, which are k/fps; none further away than 1e-4 s."""
    with av.open(root / video(camera, 0)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    times = np.array([time for time, _ in frames])
    found = []
    for begin, length in zip(episode_values(root, from_ts(camera)), LENGTHS, strict=True):
        nearest = [int(np.abs(times - begin - frame / FPS).argmin()) for frame in range(length)]
        assert np.abs(times[nearest] - begin - np.arange(length) / FPS).max() < 1e-4
        found.append(numbers(np.stack([frames[k][1] for k in nearest]).transpose(0, 3, 1, 2)))
    return found


def findings(root: Path) -> list[Finding]:
    report: VerificationReport = verify(Root(str(root)), options=VerifyOptions(level="layout"))
    found = [each for each in report.findings if each.location.camera == TOP]
    return [each for each in found if each.code[:6] in ("VID023", "VID024", "VID025")]


def codes(found: list[Finding]) -> list[tuple[str, int | None]]:
    return [(each.code, each.location.episode) for each in found]


def follow(root: Path, found: Finding) -> None:
    """Do what the remedy of a VID024 says, with the values that the finding gives."""
    row = found.location.episode
    assert row is not None
    if "from_timestamp and to_timestamp of this episode to the times of these frames" in found.advice:
        values = re.search(r"seconds ([\d.]+) to ([\d.]+)", found.expected)
        assert values
        set_values(root, EPISODES, {(from_ts(TOP), row): float(values[1]), (to_ts(TOP), row): float(values[2])})
    else:
        assert re.search("[Dd]o not change (the timestamps of )?other", found.advice)
        value = re.search(r"to_timestamp ([\d.]+)", found.expected)
        assert value
        set_values(root, EPISODES, {(to_ts(TOP), row): float(value[1])})


def one_duration(root: Path) -> None:
    """The end of one episode alone is wrong."""
    write_takes(root)
    set_values(root, EPISODES, {(to_ts(TOP), 3): episode_values(root, to_ts(TOP))[3] + 0.4})


def discarded_take(root: Path) -> None:
    write_takes(root, tail={1: 7})


def discarded_takes(root: Path) -> None:
    write_takes(root, tail={0: 1, 2: 3, 5: 2})


def seconds_by_lengths(root: Path) -> None:
    """The wrong remedy: the seconds were computed from the lengths."""
    write_takes(root, tail={1: 6}, codec="libsvtav1", keyframe_interval=2)
    set_seconds_by_lengths(root)


def seconds_by_lengths_of_long_takes(root: Path) -> None:
    write_takes(root, tail={0: 30, 3: 11}, keyframe_interval=10)
    set_seconds_by_lengths(root)


@pytest.mark.parametrize(
    ("damage", "accused", "places"),
    [
        (discarded_take, [1], "7 after episode 1"),
        (discarded_takes, [0, 2, 5], "1 after episode 0, 3 after episode 2, 2 after episode 5"),
        (seconds_by_lengths, [2, 3, 4, 5], "6 after episode 1"),
        (seconds_by_lengths_of_long_takes, [1, 2, 3, 4, 5], "30 after episode 0, 11 after episode 3"),
        (one_duration, [3], ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_is_named_where_it_is_and_its_remedy_is_true(
    damage: Callable[[Path], None], accused: list[int], places: str, tmp_path: Path
):
    root = copy_of("h264_bframes", tmp_path)
    damage(root)
    found = [each for each in findings(root) if each.code == "VID024"]
    assert [each.location.episode for each in found] == accused
    spare = [each.found for each in findings(root) if each.code == "VID023W"]
    assert [text.partition("; frames of no episode: ")[2] for text in spare] == ([places] if places else [])

    result = index(str(root))
    assert result.index is not None
    assert [f"episode {row}: " in line for row, line in zip(accused, result.index.warnings, strict=True)] == [
        True
    ] * len(accused)
    assert indexed_pictures(root) == RIGHT

    for each in found:
        follow(root, each)
    assert not [each for each in findings(root) if each.severity == "error"]
    assert lerobot_pictures(root) == RIGHT
    again = index(str(root))
    assert again.index is not None
    assert not again.index.warnings
    assert indexed_pictures(root) == RIGHT


def test_seconds_by_lengths_without_any_mark_are_refused_and_both_places_are_named(tmp_path: Path):
    """MPEG-4 marks no start of a stream: sync samples contradict the seconds, and the lengths fit at two places."""
    root = copy_of("h264_bframes", tmp_path)
    write_takes(root, tail={4: 9}, codec="mpeg4", keyframe_interval=12)
    set_seconds_by_lengths(root)
    assert ("VID024", 5) in codes(findings(root))
    with pytest.raises(WorkFailedError, match=r"episode 5: .* expected frames 193 to 233 or 202 to 242"):
        index(str(root))


def trimmed(root: Path) -> None:
    write_takes(root, head=dict.fromkeys(range(len(LENGTHS)), 5))


def one_stream(root: Path) -> None:
    write_takes(root, is_one_stream=True)


@pytest.mark.parametrize(("damage", "spare"), [(trimmed, ["VID023W"]), (one_stream, [])])
def test_episodes_within_a_group_of_pictures_are_exact(
    damage: Callable[[Path], None], spare: list[str], tmp_path: Path
):
    root = copy_of("h264_bframes", tmp_path)
    damage(root)
    found = findings(root)
    assert [each.code for each in found] == [*spare, "VID025"]
    assert {each.severity for each in found} == {"warning"}
    result = index(str(root))
    assert result.index is not None
    assert not result.index.warnings
    assert indexed_pictures(root) == lerobot_pictures(root) == RIGHT


# --- frames at other times than k/fps --------------------------------------------------------------------------------------------

STEPS = (512, 300, 900, 512, 1400, 200, 350)


def set_row_times(root: Path, times: np.ndarray) -> None:
    values = {("timestamp", row): float(np.float32(time)) for row, time in enumerate(times)}
    set_values(root, data(0), values)


def frame_times(root: Path) -> np.ndarray:
    """Of all episodes, each from its first frame on."""
    with av.open(root / video(TOP, 0)) as container:
        ticks = np.sort([packet.pts for packet in container.demux(video=0) if packet.pts is not None])
    starts = np.cumsum((0, *LENGTHS))
    return np.concatenate([ticks[start:stop] - ticks[start] for start, stop in pairwise(starts)]) / takes.TICKS


def time_codes(root: Path) -> set[str]:
    report = verify(Root(str(root)), options=VerifyOptions(level="rows"))
    return {found.code for found in report.findings} & {"ROW017", "VID024", "VID024W", "VID025", "INF002", "VID023"}


def test_a_variable_rate_is_right_where_the_rows_have_the_same_times(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    for camera in (TOP, WRIST):
        write_takes(root, camera=camera, steps=STEPS)
    assert time_codes(root) == {"VID024"}
    times = frame_times(root)
    set_row_times(root, times)
    assert time_codes(root) == set()
    index(str(root))
    assert indexed_pictures(root) == RIGHT
    times[60] += 0.01
    set_row_times(root, times)
    assert time_codes(root) == {"ROW017", "VID024"}


def test_row_times_need_all_cameras(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path)
    write_takes(root, steps=STEPS)
    set_row_times(root, frame_times(root))
    assert time_codes(root) == {"ROW017"}


def test_seconds_of_takes_are_those_of_the_file(tmp_path: Path):
    """The writer of these tests: nothing is found where nothing is wrong."""
    root = copy_of("h264_bframes", tmp_path)
    write_takes(root)
    assert findings(root) == []
    assert lerobot_pictures(root) == RIGHT
    assert takes.TICKS % FPS == 0
    set_seconds(root, [0.0] * len(LENGTHS), [1.0] * len(LENGTHS))
    assert findings(root)
