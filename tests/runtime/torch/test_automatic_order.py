"""The order that is chosen by what fetching costs: estimates against counted fetches, and what is chosen for which dataset."""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from episeek.errors import SamplerStateError
from episeek.orders import GlobalOrder, clump_order, episode_order
from tests.support.build_index import DATA
from tests.support.lazy import Lazy, require_installed

require_installed("torch")
pytestmark = pytest.mark.torch

EpisodeDataset = Lazy("episeek.torch", "EpisodeDataset")
EpisodeSampler = Lazy("episeek.torch", "EpisodeSampler")
automatic_order = Lazy("episeek.torch.automatic_order")

GB = 10**9
LEROBOT: dict[str, Any] = dict(  # noqa: C408  # the names of the fields
    is_local=False,
    cache_bytes=200 * GB,
    rows_memory_bytes=1 << 28,
    fetch="auto",
    episode_count=10_000,
    frame_count=3_000_000,
    camera_count=2,
    frame_bytes=20_000,
    keyframe_distance=2,
    row_bytes=200,
)
"""60 GB of videos as LeRobot records them: a pool of clumps has 4.9 GB, and one of episodes 6.1 GB."""


@pytest.mark.parametrize(
    ("change", "order", "words"),
    [
        ({"is_local": True, "cache_bytes": 0}, "global", "on this machine"),
        ({}, "global", "a cache of 200.0 GB"),  # all of it fits
        ({"cache_bytes": 20 * GB}, "clump", "a cache of 20.0 GB"),
        ({"cache_bytes": 20 * GB, "keyframe_distance": 250}, "episode", "episode order"),
        ({"cache_bytes": 5 * GB}, "clump", ""),  # a pool of episodes does not fit
        ({"cache_bytes": GB}, "global", ""),  # no pool does
        (
            {"cache_bytes": 20 * GB, "frame_bytes": 2_000_000, "keyframe_distance": 1},
            "global",
            "",
        ),  # large intra frames
        ({"cache_bytes": 0, "episode_count": 3000, "frame_count": 900_000}, "global", "no cache_dir"),
        ({"cache_bytes": 0}, "episode", "no cache_dir"),  # the rows of all episodes do not fit into the memory
        ({"cache_bytes": 20 * GB, "fetch": "window"}, "global", ""),
        ({"cache_bytes": 20 * GB, "fetch": "episode"}, "episode", ""),
        # pictures in rows
        ({"camera_count": 0, "frame_bytes": 0, "row_bytes": 100_000, "cache_bytes": 40 * GB}, "episode", ""),
        ({"camera_count": 0, "frame_bytes": 0, "cache_bytes": 0, "episode_count": 50, "frame_count": 9}, "global", ""),
    ],
)
def test_the_order_that_mixes_most_for_what_it_costs(change, order, words):
    found = automatic_order.choose_order(lerobot_costs(**change), clump_frames=30)
    assert found.order == order, found.reason
    assert words in found.reason
    assert found.reason[0].isupper()
    assert found.reason.endswith(".")


def lerobot_costs(**changes):
    return automatic_order.FetchCosts(**{**LEROBOT, **changes})


def fetches(order, costs, unit, clump_frames):
    """Count the units that a cache of `cache_bytes` lets through, one frame after the other; the one used last stays longest."""
    length = costs.frame_count // costs.episode_count
    frames = order.frames(np.arange(costs.frame_count))
    unit_frames = {"clump": clump_frames, "episode": length}[unit]
    room = int(costs.cache_bytes / costs.frame_bytes / unit_frames)
    kept: OrderedDict[tuple[int, int], None] = OrderedDict()
    missed = 0
    for episode, frame in zip(*(part.tolist() for part in np.divmod(frames, length)), strict=True):
        key = (episode, frame // unit_frames)
        if key not in kept:
            missed += 1
            if len(kept) == room:
                kept.popitem(last=False)
        kept[key] = None
        kept.move_to_end(key)
    return missed


@pytest.mark.parametrize(
    ("order", "fetch", "share"),
    [("episode", "episode", 0.6), ("clump", "clump", 0.9), ("global", "clump", 1.0), ("global", "episode", 0.02)],
)
def test_the_estimate_is_what_a_cache_lets_through(order, fetch, share):
    episodes, length, clump = 2500, 16, 4
    costs = lerobot_costs(
        episode_count=episodes,
        frame_count=episodes * length,
        camera_count=1,
        frame_bytes=1000,
        cache_bytes=round(share * episodes * length * 1000),
        rows_memory_bytes=0,
        row_bytes=0,
        fetch=fetch,
    )
    lengths = np.full(episodes, length)
    made = {
        "episode": lambda: episode_order(lengths),
        "clump": lambda: clump_order(lengths, clump_frames=clump),
        "global": lambda: GlobalOrder(episodes * length),
    }[order]()
    estimate = automatic_order.fetching_of(costs, order, clump_frames=clump)
    requests = estimate.requests - episodes  # without those for rows
    assert fetches(made, costs, fetch, clump) == pytest.approx(requests, rel=0.05)


def test_what_the_index_says_about_costs(indexes, sidecar_roots):
    tables = {name: pq.read_table(sidecar_roots["hevc"] / f"meta/byte_index/{name}.parquet") for name in ("episodes",)}
    rows = [row for row in tables["episodes"].to_pylist() if row["episode_index"] in (1, 3)]
    dataset = EpisodeDataset(indexes["hevc"], episodes=[3, 1])
    costs = dataset.fetch_costs
    assert (costs.is_local, costs.cache_bytes, costs.camera_count, costs.episode_count) == (True, 0, 2, 2)
    assert costs.frame_count == len(dataset) == sum(row["frame_count"] for row in rows) / 2
    assert costs.frame_bytes == pytest.approx(sum(row["mdat_length"] for row in rows) / len(dataset))
    samples, keyframes = (sum(row[name] for row in rows) for name in ("sample_count", "keyframe_count"))
    assert costs.keyframe_distance == samples / keyframes > 1
    stored = pq.read_table(next((DATA / "hevc/data").rglob("*.parquet")))
    # pyarrow counts the offsets of lists of a fixed length, and bits of booleans, as well
    assert costs.row_bytes == pytest.approx(stored.nbytes / stored.num_rows, rel=0.3)


@dataclass
class Remote:
    """A dataset of a store that says what fetching costs."""

    fetch_costs: Any
    fps: float = 30.0
    episode_lengths: np.ndarray = field(default_factory=lambda: np.full(100, 3))
    used: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def use_order(self, order, **options):
        self.used.append((order, options))


def test_a_sampler_chooses_says_why_and_is_overruled(caplog):
    dataset = Remote(lerobot_costs(cache_bytes=20 * GB))
    with caplog.at_level(logging.INFO, logger="episeek"):
        sampler = EpisodeSampler(dataset, 8, order="auto")
        EpisodeSampler(dataset, 8, order="auto", rank=1, world_size=2)
    assert sampler.order == "clump" == dataset.used[0][0]
    assert [record.getMessage() for record in caplog.records] == [f"order clump: {sampler.order_reason}"]
    assert list(sampler) == list(EpisodeSampler(dataset, 8, order="clump"))
    plain = EpisodeSampler(dataset, 8)
    assert (plain.order, plain.order_reason) == ("global", "")


def test_a_job_that_continues_does_not_choose_anew():
    before = EpisodeSampler(Remote(lerobot_costs(cache_bytes=20 * GB)), 8, order="auto", seed=4)
    state = before.state_dict(5)
    assert state["order"] == "clump"
    elsewhere = Remote(lerobot_costs(cache_bytes=0))
    after = EpisodeSampler(elsewhere, 4, order="auto", seed=4)
    assert after.order == "episode"
    after.load_state_dict(state)
    assert after.state_dict()["order"] == "clump" == elsewhere.used[-1][0]
    assert [frame for batch in after for frame in batch] == [frame for batch in list(before)[5:] for frame in batch]
    with pytest.raises(SamplerStateError, match="order 'clump'"):
        EpisodeSampler(elsewhere, 4, order="episode", seed=4).load_state_dict(state)


def test_a_dataset_that_says_nothing_about_costs():
    @dataclass
    class Episodes:
        episode_lengths: np.ndarray
        fps: float = 10.0

    sampler = EpisodeSampler(Episodes(np.array([5, 3])), 2, order="auto")
    assert sampler.order == "global"
    assert "does not say" in sampler.order_reason


def test_a_local_dataset_is_in_global_order_unless_a_cache_is_for_it(indexes, tmp_path):
    plain = EpisodeSampler(EpisodeDataset(indexes["hevc"]), 4, order="auto")
    assert (plain.order, plain.order_reason[:20]) == ("global", "The videos are on th")
    kept = EpisodeDataset(indexes["hevc"], cache_dir=tmp_path, cache_local=True, cache_bytes=1 << 20)
    assert not kept.fetch_costs.is_local
    assert kept.fetch_costs.cache_bytes == 1 << 20
    assert EpisodeSampler(kept, 4, order="auto").order_reason.startswith("With a cache")
