"""Episodes whose seconds are wrong: found where they are, refused, or reported as an error; never shifted in silence.

The oracle is the truth that each file is made from: which frames are whose, and when they are presented.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import episeek
from episeek.errors import EpisodeFramesError, EpisodeOutsideFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import verify
from episeek_pipelines.verify.findings.checks import VerificationContext, VideoFile
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.videos.frames import ParsedVideo, frame_view
from episeek_pipelines.verify.videos.rules import check_frame_count, check_grid
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, FileFrames, locate_frames
from episeek_pipelines.video.frame_problems import assign_frames
from episeek_schemas import lerobot
from episeek_schemas.lerobot import DatasetInfo
from tests.pipelines.video.test_episode_frames import table_of
from tests.support.amount import examples
from tests.support.bar_code import read
from tests.support.broken_datasets import EPISODES, TOP, copy_of, edit_info, edit_parquet, set_values
from tests.support.build_index import build_index

FPS = 30
TIMESCALE = 90000


@dataclass(frozen=True)
class Truth:
    """A file and its episodes, with their true and their declared places, in the order of the file."""

    ticks: np.ndarray  # of each frame, [frames]
    length: np.ndarray  # as declared, [episodes]
    first: np.ndarray  # true
    count: np.ndarray  # true, as many as the file still holds
    start: np.ndarray  # declared seconds
    stop: np.ndarray

    @property
    def declared(self) -> DeclaredEpisodes:
        return DeclaredEpisodes.sorted(np.arange(len(self.length)), self.length, self.start, self.stop)

    def moved(self, start_frames, stop_frames) -> "Truth":
        """Declared seconds off by so many frames."""
        return replace(self, start=self.start + start_frames / FPS, stop=self.stop + stop_frames / FPS)


def frame_ticks(count: int, *, rate: float = FPS, jitter: np.ndarray | None = None) -> np.ndarray:
    times = np.arange(count, dtype=float)
    if jitter is not None:
        times += np.resize(jitter, count)
    return np.rint(times * TIMESCALE / rate).astype(np.int64)


def make(lengths, *, deleted=(), tail=0, cut=0, wrong_lengths=None, rate: float = FPS, jitter=None) -> Truth:
    """A file of episodes.

    `deleted` ones are in the file and not in the metadata; `tail` frames follow that are nobody's, or the file lacks its
    last `cut` frames; `wrong_lengths` are what the metadata declares instead of the frames there are.
    """
    lengths = np.asarray(lengths)
    stop = np.cumsum(lengths)
    ticks = frame_ticks(int(stop[-1]) + tail, rate=rate, jitter=jitter)
    seconds = np.append(ticks, ticks[-1] + round(TIMESCALE / rate)) / TIMESCALE
    kept = np.setdiff1d(np.arange(len(lengths)), deleted)
    first, stop = (stop - lengths)[kept], stop[kept]
    declared = lengths if wrong_lengths is None else np.asarray(wrong_lengths)
    ticks = ticks[: len(ticks) - cut]
    count = np.minimum(stop, len(ticks)) - first
    return Truth(ticks, declared[kept], first, count, seconds[first], seconds[stop])


def located(truth: Truth) -> EpisodeFrames:
    table = table_of(truth.ticks, timescale=TIMESCALE)
    return assign_frames(table, truth.declared, fps=FPS, where="file")[0]


def findings(truth: Truth) -> list[Finding]:
    """Findings of the rules about frame counts and the grid."""
    declared = truth.declared
    file = VideoFile(
        "file", "camera", None, declared.episode_index, declared.length, declared.from_timestamp, declared.to_timestamp
    )
    root, info = Root("."), DatasetInfo("v3.0", FPS, len(declared), 1, 1000, "", "", ("camera",))
    options = VerifyOptions(level="layout")
    context = VerificationContext(root, root, None, info, {}, options, None, True, True, False, False, False, None)
    table = table_of(truth.ticks, timescale=TIMESCALE)
    video = ParsedVideo(None, table, frame_view(table, file, fps=FPS))  # type: ignore[arg-type]  # not looked at
    return [*check_frame_count(context, file, video), *check_grid(context, file, video)]


def errors(truth: Truth) -> list[str]:
    return [found.code for found in findings(truth) if found.severity == "error"]


def reported_episodes(truth: Truth) -> set[int]:
    """Episodes with an error; one error that stands for several is also about the next ones in the file."""
    order = truth.declared.episode_index.tolist()
    places = [
        (order.index(found.location.episode), found.more)
        for found in findings(truth)
        if found.severity == "error" and found.location.episode is not None
    ]
    return {order[row] for place, more in places for row in range(place, place + 1 + more)}


def assert_not_shifted_in_silence(truth: Truth, *, by_name: bool) -> None:
    """Check that a file whose episodes are found elsewhere has an error, and, by name, that each of them has."""
    try:
        frames = located(truth)
    except (EpisodeFramesError, EpisodeOutsideFileError):
        event("refused")
        view = locate_frames(FileFrames.of(table_of(truth.ticks, timescale=TIMESCALE)), truth.declared, fps=FPS)
        assert errors(truth), "refused by the index and not reported"
        assert ((view.count <= 0) | ~view.is_placed).any()
        return
    order = truth.declared.episode_index
    wrong = order[(frames.first != truth.first[order]) | (frames.count != truth.count[order])]
    event("as it is" if not len(wrong) else "reported")
    assert not len(wrong) or errors(truth), (frames.first, truth.first, findings(truth))
    if by_name:
        assert set(wrong.tolist()) <= reported_episodes(truth), (frames.first, truth.first, findings(truth))


def assert_found(truth: Truth) -> None:
    frames = located(truth)
    order = truth.declared.episode_index
    assert frames.first.tolist() == truth.first[order].tolist()
    assert frames.count.tolist() == truth.count[order].tolist()


# --- what drift may do to the seconds ---------------------------------------------------------------------------------------------


def summed(truth: Truth, errors_in_frames: np.ndarray) -> Truth:
    """As LeRobot sums: each episode starts where the one before it ended, each duration is a little wrong."""
    drift = np.concatenate([[0.0], np.cumsum(np.resize(errors_in_frames, len(truth.length)))])
    return truth.moved(drift[:-1], drift[1:])


def in_float32(truth: Truth) -> Truth:
    """Durations, and the gaps between them, summed in single precision."""
    edges = np.stack([truth.start, truth.stop], axis=1).reshape(-1)
    sums = np.cumsum(np.diff(edges, prepend=0).astype(np.float32), dtype=np.float32).astype(np.float64)
    return replace(truth, start=sums[::2], stop=sums[1::2])


small = st.lists(st.floats(-0.24, 0.24), min_size=1, max_size=12).map(np.array)
"""Error of a duration, in frames: half of the step at which one more frame is counted."""
lengths = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 40)), min_size=1, max_size=25)
rates = st.sampled_from([30.0, 30000 / 1001, 24.0])
jitters = st.one_of(st.none(), st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=7).map(np.array))


@settings(max_examples=examples(300), deadline=None)
@given(lengths=lengths, rate=rates, jitter=jitters, steps=small, tail=st.integers(0, 12))
def test_summed_seconds_are_no_hindrance(lengths, rate, jitter, steps, tail):
    """Drift of any size, also with frames of no episode at the end, where the lengths do not add up."""
    truth = make(lengths, rate=rate, jitter=jitter if not tail else None, tail=tail)
    assert_found(summed(truth, steps * rate / FPS))


@settings(max_examples=examples(200), deadline=None)
@given(
    lengths=st.lists(st.integers(10, 40), min_size=2, max_size=20),
    deleted=st.sets(st.integers(0, 18)),
    steps=small.map(lambda steps: steps * 0.9),
    tail=st.sampled_from([0, 9, 40]),
)
def test_deleted_episodes_leave_gaps_that_drift_does_not_hide(lengths, deleted, steps, tail):
    truth = summed(make(lengths, deleted=[row for row in deleted if row < len(lengths) - 1], tail=tail), steps)
    assert_found(truth)
    assert not errors(truth)


@settings(max_examples=examples(100), deadline=None)
@given(lengths=lengths, rate=rates, deleted=st.sets(st.integers(0, 23)))
def test_single_precision_is_no_hindrance(lengths, rate, deleted):
    assert_found(in_float32(make(lengths, deleted=[row for row in deleted if row < len(lengths) - 1], rate=rate)))


def test_hundreds_of_episodes_in_single_precision():
    """Far down a file of 20 hours the seconds are a tenth of a frame apart, and their sum has lost much more."""
    truth = in_float32(make(np.resize([700, 311, 523], 4000), rate=30000 / 1001))
    assert np.abs(truth.start - truth.ticks[truth.first] / TIMESCALE).max() > 0.5 / FPS
    assert_found(truth)


@settings(max_examples=examples(100), deadline=None)
@given(lengths=lengths, offset=st.floats(-8, 8))
def test_a_constant_offset_is_no_hindrance_where_lengths_add_up(lengths, offset):
    assert_found(make(lengths).moved(offset, offset))


@pytest.mark.parametrize("rate", [15.0, 29.97, 60.0])
def test_seconds_of_the_rate_before_re_encoding(rate):
    """The frames were given other times; the seconds are still lengths divided by 30."""
    truth = make([300, 3, 40, 1, 500], rate=rate)
    stop = np.cumsum(truth.length) / FPS
    assert_found(replace(truth, start=stop - truth.length / FPS, stop=stop))


# --- defects ----------------------------------------------------------------------------------------------------------------------


@st.composite
def damaged(draw) -> Truth:
    """Drift of several kinds, and a defect or two."""
    counts = draw(lengths)
    rows = st.integers(0, len(counts) - 1)
    deleted = [row for row in draw(st.sets(rows, max_size=2)) if counts[row] > 8] if draw(st.booleans()) else []
    if len(deleted) == len(counts):
        deleted = []
    tail, cut = draw(st.one_of(st.tuples(st.integers(0, 9), st.just(0)), st.tuples(st.just(0), st.integers(0, 9))))
    wrong_lengths = np.array(counts)
    for row in draw(st.lists(rows, max_size=2)) if draw(st.booleans()) else []:
        wrong_lengths[row] = max(1, wrong_lengths[row] + draw(st.integers(-3, 3)))
    # at another rate than the dataset's, seconds may agree with a wrong length
    rate = draw(rates if (wrong_lengths == counts).all() else st.sampled_from([30.0, 30000 / 1001]))
    truth = make(
        counts,
        deleted=deleted,
        tail=tail,
        cut=min(cut, sum(counts) - 1),
        wrong_lengths=wrong_lengths,
        rate=rate,
        jitter=draw(jitters),
    )
    # Seconds that leave whole frames out are those of a trimmed episode or of a discarded take, where the file has such frames.
    # Nothing contradicts them there, nor those by which a length is wrong as well, nor a short duration in a file cut short.
    rest = len(truth.ticks) - truth.first[-1] - truth.count[-1]
    has_spare = bool(rest or cut or deleted)
    kinds = ["none", "summed"]
    if (wrong_lengths == counts).all() and not (deleted and (rest or cut)):
        kinds += ["offset", "one episode", *([] if cut else ["one duration"]), *([] if has_spare else ["noise"])]
    drift = draw(st.sampled_from(kinds))
    event(drift)
    zeros = np.zeros(len(truth.length))
    row = draw(st.integers(0, len(zeros) - 1))
    several = draw(st.one_of(st.floats(-4, 4), st.integers(-4, 4)))
    several = -abs(several) if has_spare else several
    if drift == "summed":
        return summed(truth, draw(small))
    if drift == "offset":
        return truth.moved(several, several)
    if drift == "one duration":  # and what follows from it
        steps = zeros.copy()
        steps[row] = several
        return summed(truth, steps)
    if drift == "one episode":
        moved = zeros.copy()
        moved[row] = several
        return truth.moved(moved, moved)
    if drift == "noise":
        noise = np.resize(draw(st.lists(st.floats(-3, 3), min_size=1, max_size=9)), len(zeros))
        return truth.moved(noise, noise)
    return truth


def is_ordered(truth: Truth) -> bool:
    """Whether the seconds say which episode is which: their order is all there is."""
    return bool((np.diff(truth.start) > 0).all())


@settings(max_examples=examples(400), deadline=None, derandomize=True)
@given(damaged().filter(is_ordered))
def test_no_episode_is_shifted_in_silence(truth):
    """Each wrong episode is named. Where the file was cut short or the seconds are noise, which are wrong may have two readings."""
    frames = (truth.start - truth.ticks[np.minimum(truth.first, len(truth.ticks) - 1)] / TIMESCALE) * FPS
    is_noise = np.ptp(frames) > 1
    is_cut = truth.first[-1] + truth.count[-1] >= len(truth.ticks) and (truth.count != truth.length).any()
    assert_not_shifted_in_silence(truth, by_name=not (is_noise or is_cut))


def test_a_gap_that_pushes_the_last_episode_out_of_the_file_is_reported():
    """The first episode was deleted, and all seconds are three frames late: only the end of the file contradicts them."""
    truth = make([12, 20, 20, 20], deleted=[0])
    assert not errors(truth)
    assert reported_episodes(truth.moved(3, 3)) == {0, 1, 2}


# --- a recorded dataset -----------------------------------------------------------------------------------------------------------


def change_seconds(root: Path, start_frames, stop_frames) -> None:
    """Seconds of one camera off by so many frames."""
    old = pq.read_table(root / EPISODES)
    start, stop = (lerobot.video_column(TOP, name) for name in ("from_timestamp", "to_timestamp"))
    changes = {start: start_frames, stop: stop_frames}
    set_values(
        root,
        EPISODES,
        {
            (name, row): old[name][row].as_py() + float(frames[row]) / FPS
            for name, frames in changes.items()
            for row in range(len(old))
        },
    )


def drop_episode(root: Path, row: int) -> None:
    """Remove an episode from meta/episodes; the videos keep its frames."""

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        [table] = groups
        kept = table.take(pa.array([number for number in range(len(table)) if number != row]))
        place = kept.schema.get_field_index(lerobot.EPISODE_INDEX)
        return [kept.set_column(place, lerobot.EPISODE_INDEX, pa.array(range(len(kept)), pa.int64()))]

    edit_parquet(root, EPISODES, change)
    edit_info(root, total_episodes=pq.read_metadata(root / EPISODES).num_rows)


def frame_numbers(root: Path, work: Path, camera: str = TOP) -> list[list[int]]:
    """The frame numbers in the pictures of each episode, as its clip shows them."""
    build_index(root, work, root)
    index = episeek.open(root)
    return [read(index.clip(row, camera).decode(backend="pyav").data) for row in range(index.episode_count)]


def video_findings(root: Path) -> list[tuple[str, int | None]]:
    """(code, episode) of the rules about frames, for one camera."""
    report = verify(Root(str(root)))
    return [
        (found.code, found.location.episode)
        for found in report.findings
        if found.code.startswith(("VID023", "VID024")) and found.location.camera == TOP
    ]


LENGTHS = [49, 40, 51, 20, 33, 41]
WHOLE = [list(range(length)) for length in LENGTHS]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        ([3] * 6, [3] * 6),
        ([-3] * 6, [-3] * 6),
        (np.linspace(0, 3, 7)[:-1], np.linspace(0, 3, 7)[1:]),
        ([0, 0, 3, 3, 3, 3], [0, 3, 3, 3, 3, 3]),
        ([0, -3, 3, -3, 3, -3], [0, -3, 3, -3, 3, -3]),
    ],
    ids=["later", "earlier", "drifting", "one duration", "gaps and overlaps"],
)
def test_clips_of_seconds_that_are_three_frames_off(start, stop, tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    change_seconds(root, start, stop)
    assert frame_numbers(root, tmp_path / "work") == WHOLE
    found = video_findings(root)
    assert found
    assert {code for code, _ in found} <= {"VID024", "VID024W"}


def test_clips_of_drifting_seconds_around_a_deleted_episode(tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    change_seconds(root, 0.2 * np.arange(6), 0.2 * np.arange(1, 7))
    drop_episode(root, 2)
    assert frame_numbers(root, tmp_path / "work") == WHOLE[:2] + WHOLE[3:]
    assert ("VID024", None) not in video_findings(root)
    assert {code for code, _ in video_findings(root)} == {"VID023W", "VID024W"}


def test_clips_of_drifting_seconds_before_frames_of_nobody(tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    change_seconds(root, -0.4 * np.arange(6), -0.4 * np.arange(1, 7))
    drop_episode(root, 5)
    assert frame_numbers(root, tmp_path / "work") == WHOLE[:-1]
    assert {code for code, _ in video_findings(root)} == {"VID023W", "VID024W"}


def test_an_episode_that_runs_past_the_end_is_indexed_as_far_as_it_goes(tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    set_values(root, EPISODES, {("length", 5): 44})
    change_seconds(root, [0] * 6, [0] * 5 + [3])
    assert frame_numbers(root, tmp_path / "work") == WHOLE
    assert set(video_findings(root)) == {("VID024", 5)}


def test_lengths_that_the_encoder_contradicts(tmp_path):
    """Two lengths are swapped. Each episode begins where its stream does, as its seconds say: one lacks frames, one has more."""
    root = copy_of("h264_bframes", tmp_path)
    set_values(root, EPISODES, {("length", 1): 51, ("length", 2): 40})
    assert frame_numbers(root, tmp_path / "work") == [WHOLE[0], WHOLE[1], WHOLE[2][:40], *WHOLE[3:]]
    assert [found for found in video_findings(root) if found[0] == "VID024"] == [("VID024", 1), ("VID024", 2)]


def test_a_jump_that_the_encoder_contradicts(tmp_path):
    """With frames of no episode at the end, one duration three frames too long displaces the seconds of the later episodes."""
    root = copy_of("h264_bframes", tmp_path)
    change_seconds(root, [0, 0, 3, 3, 3, 3], [0, 3, 3, 3, 3, 3])
    drop_episode(root, 5)
    assert frame_numbers(root, tmp_path / "work") == WHOLE[:-1]
    assert [found for found in video_findings(root) if found[0] == "VID024"] == [
        ("VID024", row) for row in (1, 2, 3, 4)
    ]


def test_frames_that_two_episodes_claim_are_those_of_their_stream(tmp_path):
    root = copy_of("h264_bframes", tmp_path)
    change_seconds(root, [0, 0, -5, 0, 0, 0], [0, 0, -5, 0, 0, 0])
    drop_episode(root, 5)
    assert frame_numbers(root, tmp_path / "work") == WHOLE[:-1]
    assert [found for found in video_findings(root) if found[0] == "VID024"] == [("VID024", 2)]


@pytest.mark.parametrize(
    ("lengths", "start", "stop"),
    [
        pytest.param([46, 40, 25], [0, 40, 86], [40, 86, 111], id="lengths swapped"),
        pytest.param([40, 51], [0, 46.4], [40, 97.4], id="a gap of half frames"),
    ],
)
def test_two_readings_are_refused_and_both_are_named(lengths, start, stop):
    """Without any mark in the file nothing tells which of two explanations is right."""
    length = np.array(lengths)
    begin, end = np.array(start) / FPS, np.array(stop) / FPS
    truth = Truth(frame_ticks(111), length, length, length, begin, end)
    with pytest.raises(EpisodeFramesError, match=r"expected frames \d+ to \d+ or \d+ to \d+"):
        located(truth)
    assert "VID024" in errors(truth)
