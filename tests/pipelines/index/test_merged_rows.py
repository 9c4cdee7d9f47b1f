"""Merging takes the same rows from the fragments whatever is in memory at a time, and names an episode in no file or in two."""

from dataclasses import replace
from pathlib import Path

import pytest

from episeek.errors import MetadataError
from episeek_pipelines.index import merged_rows
from tests.pipelines.conftest import DATA, digests
from tests.support.build_index import build_index, make_fragments, merge_fragments

LIMITS = {"BLOCK_ROWS": (1, 7), "PIECE_SAMPLES": (1, 100), "KEPT_BYTES": (0, 20_000)}


@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes"])
def test_the_same_bytes_whatever_is_in_memory(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build_index(DATA / name, tmp_path / "work", tmp_path / "whole")
    fragments = make_fragments(DATA / name, tmp_path / "work")
    assert len(fragments) > 1
    for number in range(2):
        for limit, values in LIMITS.items():
            monkeypatch.setattr(merged_rows, limit, values[number])
        merge_fragments(DATA / name, tmp_path / "work", fragments, tmp_path / str(number))
        assert digests(tmp_path / str(number)) == digests(tmp_path / "whole")


def test_an_episode_in_no_file_or_in_two_is_named(tmp_path: Path):
    fragments = make_fragments(DATA / "av1_multifile", tmp_path / "work")
    chosen = next(part for part in fragments if part.camera_index == 1 and part.episode_bounds[0] > 0)
    twice = [*fragments, replace(chosen, properties=replace(chosen.properties, file_path="videos/z.mp4"))]
    episode = chosen.episode_bounds[0]
    for given, found in (
        (twice, r"a second file videos/z\.mp4"),
        ([part for part in fragments if part is not chosen], "no indexed file"),
    ):
        with pytest.raises(MetadataError, match=rf"episode {episode} of .*: found {found}"):
            merge_fragments(DATA / "av1_multifile", tmp_path / "work", given, tmp_path / "out")
        assert not list((tmp_path / "out").rglob("samples.parquet"))
