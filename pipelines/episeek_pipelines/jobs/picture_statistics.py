"""Compute the picture statistics of a dataset under repair from sampled frames of each episode, which a graph decodes.

Videos are indexed first, so that the frames of an episode can be fetched as a clip, with one range request. Each picture is reduced
to a histogram as soon as it is decoded. Pictures that are stored in rows are read one row group at a time.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import episeek
from episeek.errors import DecodeError
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.units import plan_index
from episeek_pipelines.jobs.graph import Execution, Graph
from episeek_pipelines.jobs.nodes import Node, values_and_failures
from episeek_pipelines.jobs.progress import SAMPLING
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.jobs.step_nodes import add_index_nodes, add_merge_node
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS, reading
from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_pipelines.repair.layer import write_layer
from episeek_pipelines.repair.plan import RepairPlan, with_picture_statistics
from episeek_pipelines.statistics.names import NAMES, FeatureStatistics
from episeek_pipelines.statistics.pictures import CHANNELS, picture_histogram, picture_statistics, sampled_frames
from episeek_pipelines.video.still_pictures import decode_still
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

_EPISODES_PER_ITEM: Final = 16

Statistics = Mapping[str, npt.NDArray[Any]]
Histogram = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Item:
    """Episodes whose pictures of one feature are sampled together. If the pictures are in data files, all come from one file."""

    feature: str
    episodes: tuple[tuple[int, int], ...]
    """The number and the length of each episode."""
    data_path: str = ""
    """The data file with the pictures; empty for videos."""


def plan_with_pictures(plan: RepairPlan, execution: Execution) -> RepairPlan:
    """Return a plan of repairs after adding the statistics of sampled pictures.

    A plan without features to sample is returned unchanged. Temporary files are written to this machine and removed.
    """
    if not plan.draft.sampled_features:
        return plan
    if "://" in execution.scheduler:
        # workers on other machines would not see the temporary files
        execution = Execution(progress=execution.progress)
    with tempfile.TemporaryDirectory(prefix="episeek-") as folder:
        return sample_pictures(plan, Root(folder), execution)


def sample_pictures(plan: RepairPlan, work: Root, execution: Execution) -> RepairPlan:
    """Return a plan of repairs after adding the statistics of sampled pictures.

    A plan without features to sample is returned unchanged.

    Args:
        plan: The plan with all other repairs.
        work: A directory for temporary files, the repaired metadata and the sidecars. All workers have to see it.
        execution: Scheduler, workers, progress.

    Raises:
        WorkFailedError: Videos cannot be indexed, or pictures cannot be decoded; the error names each file.
        EpiseekError: The dataset cannot be opened.
    """
    wanted = plan.draft.sampled_features
    if not wanted:
        return plan
    dataset = open_dataset(write_layer(plan.draft, Root(work.join("layer"))))
    index = Root(work.join("index"))
    items = [*_items(dataset, wanted)]
    if any(not item.data_path for item in items):
        graph = Graph()
        units = plan_index(dataset, plan.root)
        nodes = add_index_nodes(graph, dataset, plan.root, work, units)
        _run(graph, [add_merge_node(graph, dataset, work, index, nodes)], plan.root, execution)
    graph = Graph()
    nodes = graph.map(
        _sample_one,
        items,
        dataset.root,
        index.url,
        plan.root.url,
        label=lambda item: f"{item.feature}, episodes {item.episodes[0][0]} to {item.episodes[-1][0]}",
        phase=SAMPLING,
        unit="group of episodes",
    )
    found: dict[str, dict[int, Statistics]] = {name: {} for name in wanted}
    for item, statistics in zip(items, _run(graph, nodes, plan.root, execution), strict=True):
        found[item.feature].update(statistics)
    return with_picture_statistics(plan, {name: _stacked(each, len(dataset.episodes)) for name, each in found.items()})


def _items(dataset: Dataset, features: tuple[str, ...]) -> Iterator[_Item]:
    episodes = list(zip(dataset.episodes.episode_index.tolist(), dataset.episodes.length.tolist(), strict=True))
    for feature in features:
        if feature in dataset.info.video_keys:
            for first in range(0, len(episodes), _EPISODES_PER_ITEM):
                yield _Item(feature, tuple(episodes[first : first + _EPISODES_PER_ITEM]))
        else:
            for path, rows in sorted(dataset.data_rows().items()):
                yield _Item(feature, tuple(episodes[row] for row in rows.tolist()), path)


def _sample_one(item: _Item, root: Root, index: str, videos: str) -> dict[int, Statistics]:
    """Return the statistics of one feature's pictures for each episode in `item`, by episode number."""
    if item.data_path:
        return dict(_sample_rows(item, root))
    opened = episeek.open(index, data_root=videos)
    found: dict[int, Statistics] = {}
    for episode, length in item.episodes:
        clip = opened.clip(episode, item.feature)
        frames = sampled_frames(length)
        histograms: list[Histogram | None] = [None] * len(frames)

        def put(rank: int, picture: npt.NDArray[Any], histograms: list[Histogram | None] = histograms) -> None:
            histograms[rank] = _histogram(picture, f"{item.feature}, episode {episode}")  # noqa: B023

        clip.decode_into(put, clip.fetch(), frames=frames)
        found[episode] = picture_statistics([each for each in histograms if each is not None])
    return found


def _sample_rows(item: _Item, root: Root) -> Iterator[tuple[int, Statistics]]:
    """Yield the number and the picture statistics of each episode of a data file that has the pictures in its rows."""
    where = root.join(item.data_path)
    lengths = dict(item.episodes)
    histograms: dict[int, list[Histogram]] = {episode: [] for episode in lengths}
    frame_of: dict[int, int] = dict.fromkeys(lengths, 0)
    wanted = {episode: {*sampled_frames(length).tolist()} for episode, length in lengths.items()}
    with root.open_parquet(item.data_path, **READ_OPTIONS) as file, reading(where):
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=[lerobot.EPISODE_INDEX, item.feature], use_threads=False)
            pictures = table[item.feature]
            for row, episode in enumerate(numpy_values(table[lerobot.EPISODE_INDEX]).tolist()):
                if episode not in wanted:
                    continue
                frame = frame_of[episode]
                frame_of[episode] += 1
                if frame in wanted[episode]:
                    contents = (pictures[row].as_py() or {}).get("bytes")
                    place = f"{where}, {item.feature}, episode {episode}, frame {frame}"
                    if not contents:
                        raise DecodeError(place, "no bytes", "a PNG or JPEG picture")
                    histograms[episode].append(_histogram(decode_still(contents, place), place))
    for episode, found in histograms.items():
        if len(found) != len(wanted[episode]):
            raise DecodeError(f"{where}, episode {episode}", counted(frame_of[episode], "row"), f"{lengths[episode]}")
        yield episode, picture_statistics(found)


def _histogram(picture: npt.NDArray[Any], where: str) -> Histogram:
    if picture.dtype != np.uint8 or picture.shape[2:] != (CHANNELS,):
        found = f"pictures of shape {list(picture.shape)} and type {picture.dtype}"
        raise DecodeError(where, found, "three channels of 8 bits")
    return picture_histogram(picture)


def _stacked(found: Mapping[int, Statistics], count: int) -> FeatureStatistics:
    return {name: np.stack([found[episode][name] for episode in range(count)]) for name in NAMES}


def _run(graph: Graph, wanted: list[Node], root: Root, execution: Execution) -> list[Any]:
    values, failures = values_and_failures(execution.compute(graph, wanted))
    if failures:
        raise WorkFailedError.of(failures, item_count=graph.item_count, where=root.url)
    return values
