"""The frames of each episode: by counting where lengths add up, by differences of seconds otherwise, or refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek.errors import EpisodeFramesError, EpisodeOutsideFileError
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.index.file_rows import file_rows
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_pipelines.video.frame_problems import assign_frames
from tests.support.amount import examples

FPS = 30


def table_of(pts, *, timescale=15360, is_presented=None) -> SampleTable:
    """Samples of 10 bytes, back to back, every one a sync sample."""
    count = len(pts)
    pts = np.asarray(pts, np.int64)
    yes = np.ones(count, np.bool_)
    size = np.full(count, 10, np.int64)
    dts = np.arange(count, dtype=np.int64) * 512
    shown = yes if is_presented is None else np.asarray(is_presented)
    return SampleTable(48 + dts // 512 * 10, size, dts, pts, size * 0 + 512, yes, shown, timescale, "avc1", 1, 1, b"")


def steady(count: int) -> SampleTable:
    return table_of(512 * np.arange(count))


def declare(lengths, *, start=None, stop=None) -> DeclaredEpisodes:
    ends = np.cumsum(lengths) / FPS
    start = np.asarray(ends - np.asarray(lengths) / FPS if start is None else start, np.float64)
    stop = np.asarray(ends if stop is None else stop, np.float64)
    return DeclaredEpisodes.sorted(np.arange(len(lengths)), np.asarray(lengths), start, stop)


def assign(table, episodes):
    found, _ = assign_frames(table, episodes, fps=FPS, where="file")
    return found.first.tolist(), found.count.tolist(), found.by_ordinals


def rows_of(table, episodes):
    frames, _ = assign_frames(table, episodes, fps=FPS, where="file")
    return file_rows(table, episodes, frames, where="file")


def test_exact_seconds():
    assert assign(steady(60), declare([10, 20, 30])) == ([0, 10, 30], [10, 20, 30], True)


@pytest.mark.parametrize("drift_frames", [-4, -0.6, 0.6, 4])
def test_drift_is_decided_by_ordinals(drift_frames):
    lengths = [20] * 50
    exact = np.cumsum(lengths) / FPS
    drift = np.linspace(0, drift_frames / FPS, 51)
    episodes = declare(lengths, start=exact - 20 / FPS + drift[:-1], stop=exact + drift[1:])
    first, count, by_ordinals = assign(steady(1000), episodes)
    assert first == list(range(0, 1000, 20))
    assert count == lengths
    assert by_ordinals


def test_an_episode_far_away_does_not_shift_the_others():
    """Its length completes the file's frames, but its seconds contradict it: the others stay at their seconds."""
    episodes = declare([10, 20, 30], start=[0, 10 / FPS, 1000], stop=[10 / FPS, 1, 1001])
    with pytest.raises(EpisodeOutsideFileError, match="file, episode 2: found declared seconds 1000 to 1001"):
        assign(steady(60), episodes)


def test_lengths_that_add_up_do_not_decide_against_a_jump_of_the_seconds():
    """The last one in the file was declared first: its seconds follow the others', whose lengths would push it after them."""
    episodes = declare([10, 20, 30], start=[40 / FPS, 0, 10 / FPS], stop=[50 / FPS, 10 / FPS, 40 / FPS])
    assert episodes.episode_index.tolist() == [1, 2, 0]
    with pytest.raises(
        EpisodeFramesError, match=r"^file, episode 2: found .* frames 10.00 to 40.00 of 60; .* 20 to 49"
    ):
        assign(steady(60), episodes)


def test_lengths_that_do_not_add_up_are_decided_by_seconds():
    assert assign(steady(60), declare([10, 20])) == ([0, 10], [10, 20], False)  # frames of deleted episodes at the end
    gap = declare([10, 20], start=[0, 1], stop=[10 / FPS, 50 / FPS])
    assert assign(steady(60), gap) == ([0, 30], [10, 20], False)
    assert assign(steady(55), declare([10, 20, 30])) == ([0, 10, 30], [10, 20, 25], False)


def test_seconds_may_be_off_by_less_than_half_a_frame():
    for error in (-0.4 / FPS, 0.4 / FPS):
        episodes = declare([10, 20], start=np.array([0, 10 / FPS]) + error, stop=np.array([10, 30]) / FPS + error)
        assert assign(steady(60), episodes) == ([0, 10], [10, 20], False)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(1000, 1001), (2, 3), (-5, -4), (1, 1), (1, 0.5), (np.nan, 1), (0, np.nan), (np.inf, np.inf), (-np.inf, 1)],
)
def test_episodes_outside_the_file_are_named(start, stop):
    episodes = declare([30], start=[start], stop=[stop])
    with pytest.raises(
        EpisodeOutsideFileError, match=r"^file, episode 0: found declared seconds .* the file's 60 frames"
    ):
        assign(steady(60), episodes)


def test_an_episode_without_seconds_is_the_one_that_is_named():
    with pytest.raises(EpisodeOutsideFileError, match=r"^file, episode 1: found declared seconds nan to 1"):
        assign(steady(30), declare([10, 20], start=[0, np.nan], stop=[10 / FPS, 1]))


def test_a_file_that_presents_nothing():
    with pytest.raises(EpisodeOutsideFileError, match="within 0 to 0, the times of the file's 0 frames"):
        assign(table_of(512 * np.arange(5), is_presented=[False] * 5), declare([5]))


def test_samples_that_are_not_presented_are_no_frames():
    table = table_of(512 * np.arange(-2, 8), is_presented=np.arange(-2, 8) >= 0)
    assert assign(table, declare([3, 5])) == ([0, 3], [3, 5], True)


@settings(max_examples=examples(200), deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    order=st.randoms(use_true_random=False),
    noise=st.floats(-0.4, 0.4),
)
def test_episodes_tile_the_file_in_any_declared_order(lengths, order, noise):
    stop = np.cumsum(lengths)
    rows = list(range(len(lengths)))
    order.shuffle(rows)
    chosen = np.array(rows)
    seconds = (stop - lengths + noise) / FPS, (stop + noise) / FPS
    episodes = DeclaredEpisodes.sorted(chosen, np.array(lengths)[chosen], seconds[0][chosen], seconds[1][chosen])
    assert episodes.episode_index.tolist() == list(range(len(lengths)))
    for table in (steady(int(stop[-1])), steady(int(stop[-1]) + 7)):
        first, count, by_ordinals = assign(table, episodes)
        assert first == (stop - lengths).tolist()
        assert count == lengths
        assert by_ordinals == (len(table) == stop[-1])


@pytest.mark.parametrize("same", [(3, 4), (9, 10)])
def test_frames_at_one_time_are_refused(same):
    """Within an episode, and where one episode ends and the next begins: an edit list could not tell them apart."""
    pts = 512 * np.arange(20)
    pts[same[1]] = pts[same[0]]
    with pytest.raises(EpisodeFramesError, match="at the same tick"):
        rows_of(table_of(pts), declare([10, 10]))


def test_a_frame_without_a_sync_sample_is_refused():
    table = steady(10)
    is_sync = np.arange(10) == 5
    table = SampleTable(
        table.offset,
        table.size,
        table.dts,
        table.pts,
        table.duration,
        is_sync,
        table.is_presented,
        15360,
        "avc1",
        1,
        1,
        b"",
    )
    with pytest.raises(EpisodeFramesError, match="no sync sample before the frame at tick 0"):
        rows_of(table, declare([10]))
