"""A recording by LeRobot that was killed: all episodes of its data file, and those of meta/episodes that were written."""

import json

import pyarrow.parquet as pq
import pytest

from episeek_pipelines.parquet.recovery.declared_schema import declared_schema
from episeek_pipelines.parquet.recovery.episodes_schema import episodes_schema
from episeek_pipelines.parquet.recovery.recover import open_recovered, recover
from tests.support.lost_footers import KILLED

LENGTHS = [3 + episode % 3 for episode in range(12)]
FRAMES = [(episode, frame) for episode, length in enumerate(LENGTHS) for frame in range(length)]


@pytest.fixture(scope="module")
def documents():
    return {name: json.loads((KILLED / f"meta/{name}.json").read_text()) for name in ("info", "stats")}


def test_no_reader_opens_its_files():
    paths = [path for path in KILLED.rglob("*.parquet") if path.name != "tasks.parquet"]
    assert len(paths) == 2
    for path in paths:
        with pytest.raises(ValueError, match="magic bytes not found"):
            pq.ParquetFile(path)


def test_every_episode_of_the_data_file(documents):
    path = KILLED / "data/chunk-000/file-000.parquet"
    found = recover(path, declared_schema(documents["info"]["features"]), fps=30)
    assert found.episodes == tuple(range(12))
    assert not found.losses
    with open_recovered(path, found) as file:
        rows = file.read().to_pydict()
    assert rows["episode_index"] == [episode for episode, _ in FRAMES]
    assert rows["observation.state"] == [[episode, frame] for episode, frame in FRAMES]
    assert rows["action"] == [[100 * episode + frame] * 2 for episode, frame in FRAMES]
    assert rows["grid"] == [[[frame, frame + 1, frame + 2], [frame + 3, frame + 4, frame + 5]] for _, frame in FRAMES]
    assert rows["next.done"] == [frame == LENGTHS[episode] - 1 for episode, frame in FRAMES]
    assert rows["task_index"] == [episode % 2 for episode, _ in FRAMES]


def test_the_episodes_that_were_written_to_the_metadata(documents):
    """LeRobot writes ten episodes at a time; the other two are lost with the process."""
    path = KILLED / "meta/episodes/chunk-000/file-000.parquet"
    found = recover(path, episodes_schema(documents["info"]["features"], documents["stats"]))
    assert found.episodes == tuple(range(10))
    with open_recovered(path, found) as file:
        rows = file.read().to_pydict()
    assert rows["length"] == LENGTHS[:10]
    assert rows["dataset_to_index"] == [sum(LENGTHS[: episode + 1]) for episode in range(10)]
    assert rows["tasks"] == [[f"task {episode % 2}"] for episode in range(10)]
    assert rows["stats/action/max"] == [[100 * episode + LENGTHS[episode] - 1] * 2 for episode in range(10)]
