"""A dataset that got other episodes after it was indexed: what `episeek.open` says, and what it reads to know it."""

import json
import pickle
import shutil
import warnings

import fsspec
import pytest

import episeek
from tests.support.broken_datasets import copy_of, edit_info

GROWN = {"total_episodes": 6, "total_frames": 200}


@pytest.fixture
def grown(tmp_path):
    """An indexed dataset of 4 episodes, to whose metadata two were added, as LeRobot's `resume` does."""
    root = copy_of("hevc", tmp_path, indexed=True)
    edit_info(root, **GROWN)
    return root


def test_a_local_dataset_with_more_episodes_gets_a_named_warning(grown):
    with pytest.warns(episeek.StaleSidecarsWarning, match=r"info\.json: found 6 episodes with 200 frames") as caught:
        index = episeek.open(grown)
    assert "expected 4 episodes" in str(caught[0].message)
    assert "episeek index" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert index.episode_count == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pickle.loads(pickle.dumps(index)).episode_count == 4  # a worker says it not again


def test_the_source_of_an_overlay_with_more_episodes(tmp_path):
    source = copy_of("hevc", tmp_path, name="source")
    overlay = copy_of("hevc", tmp_path, indexed=True, name="overlay")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        episeek.open(overlay, source)
    edit_info(source, **GROWN)
    with pytest.warns(episeek.StaleSidecarsWarning, match="source/meta/info") as caught:
        episeek.open(overlay, source)
    assert len(caught) == 1
    shutil.rmtree(source / "meta")  # a folder with the videos alone
    episeek.open(overlay, source, on_stale="raise")


@pytest.mark.parametrize(
    "changes", [{"total_frames": 1}, {"fps": 31}, {"features": {"top": {"dtype": "video", "shape": [1, 1, 3]}}}]
)
def test_other_differences(changes, tmp_path):
    root = copy_of("hevc", tmp_path, indexed=True)
    edit_info(root, **changes)
    with pytest.warns(episeek.StaleSidecarsWarning):
        episeek.open(root)


def test_refused_or_ignored_by_choice(grown):
    with pytest.raises(episeek.StaleSidecarsError, match="6 episodes") as caught:
        episeek.open(grown, on_stale="raise")
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), episeek.SidecarError)
    assert episeek.open(grown, on_stale="ignore").episode_count == 4
    with pytest.raises(ValueError, match="on_stale"):
        episeek.open(grown, on_stale="never")  # type: ignore[arg-type]


def test_what_cannot_be_compared(tmp_path):
    root = copy_of("hevc", tmp_path, indexed=True)
    for choice in ("auto", "warn", "raise"):
        episeek.open(root, on_stale=choice)
    (root / "meta/info.json").write_text("{")
    with pytest.warns(episeek.StaleSidecarsWarning, match="no usable description"):
        episeek.open(root)
    (root / "meta/info.json").unlink()  # sidecars alone, as `episeek index --output` writes them
    episeek.open(root, on_stale="raise")


def test_a_store_is_asked_only_on_request(grown):
    store = fsspec.filesystem("memory")
    store.put(str(grown / "meta"), "/grown/meta", recursive=True)
    try:
        index = episeek.open("memory://grown")
        with pytest.warns(episeek.StaleSidecarsWarning):
            asked = episeek.open("memory://grown", on_stale="warn")
        with pytest.raises(episeek.StaleSidecarsError):
            episeek.open("memory://grown", on_stale="raise")
    finally:
        store.rm("/grown", recursive=True)
    size = len(json.dumps(json.loads((grown / "meta/info.json").read_text())))
    read = asked.sidecars.transfers().byte_count - index.sidecars.transfers().byte_count
    assert read >= size // 2


def test_the_command_line_says_it(grown, tmp_path, capsys):
    from episeek_pipelines.cli.main import main

    arguments = ["extract", str(grown), "--episode", "0", "--camera", "top", "--frames", "0:1", "-o"]
    assert main([*arguments, str(tmp_path / "clip.mp4")]) == 0
    assert "warning: " in capsys.readouterr().err
    assert main(["inspect", str(grown)]) == 0
    assert "stale" not in capsys.readouterr().out  # meta/episodes, which it reads, has the episodes that were indexed
