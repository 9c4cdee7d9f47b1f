"""Sidecars of format version 1, written by the release before version 2: readers read them, and `index` replaces them."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq

import episeek
from episeek_pipelines.api import index, verify
from tests.support.build_index import DATA

NAME = "h264_bframes"
VERSION_1 = Path(__file__).parent / "version_1"


def test_clips_are_those_of_the_current_version(indexes):
    old, new = episeek.open(VERSION_1, data_root=DATA / NAME), indexes[NAME]
    assert old.table("samples").columns.keys() < new.table("samples").columns.keys()
    tried = 0
    for episode in range(new.episode_count):
        for camera in new.cameras:
            assert (
                old.keyframes(episode, camera).sample_index.tolist()
                == new.keyframes(episode, camera).sample_index.tolist()
            )
            frame_count = new.lookup(episode, camera).frame_count
            for start in range(0, frame_count, 5):
                window = (start, min(start + 3, frame_count))
                assert old.clip(episode, camera, *window).read() == new.clip(episode, camera, *window).read()
                tried += 1
    assert tried > 80


def test_verify_names_the_older_version_and_index_replaces_it(tmp_path, sidecar_roots):
    root = tmp_path / NAME
    shutil.copytree(DATA / NAME, root, ignore=shutil.ignore_patterns("golden_items.npz"))
    shutil.copytree(VERSION_1, root, dirs_exist_ok=True)
    found = [finding for finding in verify(str(root)).findings if finding.code.startswith("IDX")]
    assert [(finding.code, finding.found, finding.expected) for finding in found] == [
        ("IDX037", "format version 1", "format version 2")
    ]
    index(str(root))
    assert not [finding for finding in verify(str(root)).findings if finding.code.startswith("IDX")]
    table = "meta/byte_index/samples.parquet"
    assert pq.read_table(root / table).equals(pq.read_table(sidecar_roots[NAME] / table))
