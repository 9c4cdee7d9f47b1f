"""A hundred million samples in a store: few requests and bytes until the first clip, however many rows there are."""

import collections
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import episeek
from episeek_schemas import sidecars
from tests.servers.range_server import RangeServer
from tests.support.build_index import CAMERAS, DATA
from tests.support.served_file import PATIENCE
from tests.support.sparse_table import write_sparse_sidecars

NAME = "hevc"
EPISODE_COUNT = 170_000
SAMPLE_COUNT = 100_000_000
SAMPLES_GROUPS = -(-SAMPLE_COUNT // sidecars.ROW_GROUP_ROWS)


@pytest.fixture
def large(tmp_path, sidecar_roots, monkeypatch):
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path / "cache"))
    root = shutil.copytree(DATA / NAME, tmp_path / "large")
    shutil.copytree(sidecar_roots[NAME] / "meta", root / "meta", dirs_exist_ok=True)
    write_sparse_sidecars(
        root, samples_groups=SAMPLES_GROUPS, keyframe_groups=SAMPLES_GROUPS // 2, episode_count=EPISODE_COUNT
    )
    return root


def test_a_hundred_million_samples(large, indexes):
    paths = [large / path for path, _ in sidecars.TABLES.values()]
    size = sum(path.stat().st_size for path in paths)
    assert pq.read_metadata(paths[-1]).num_rows >= SAMPLE_COUNT
    local, camera = indexes[NAME], CAMERAS[0]
    with RangeServer(large) as server:

        def requests():
            """Requests since the last call, by the file's name."""
            counts = collections.Counter(exchange.path.rpartition("/")[2] for exchange in server.exchanges())
            server.clear()
            return dict(counts)

        index = episeek.open(server.url, retry=PATIENCE, verify="size")
        sent = sum(exchange.sent_bytes for exchange in server.exchanges())
        assert index.table("samples").row_count >= SAMPLE_COUNT
        assert sum(requests().values()) <= 6
        assert sent <= 0.05 * size
        video = local.file(local.lookup(0, camera).file_id).file_path.rpartition("/")[2]
        for episode, table in ((EPISODE_COUNT - local.episode_count, {"samples.parquet": 1}), (1, {})):
            clip = index.clip(episode, camera)
            expected = local.clip(episode % local.episode_count, camera)
            assert clip.read() == expected.read()
            assert requests() == {**table, video: 1}
        found, expected_keyframes = index.keyframes(1, camera), local.keyframes(1, camera)
        assert np.array_equal(found.byte_offset, expected_keyframes.byte_offset)
        assert requests() == {"keyframes.parquet": 1}
        assert index.table("samples").columns["pts"].value(SAMPLE_COUNT - 1) == 0
        assert requests() == {"samples.parquet": 1}
        again = episeek.open(server.url, retry=PATIENCE, verify="size")
        again.clip(2, camera)
        assert {(exchange.method, exchange.sent_bytes) for exchange in server.exchanges()} == {("HEAD", 0)}
