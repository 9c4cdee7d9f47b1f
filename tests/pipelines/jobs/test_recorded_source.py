"""Overlays whose videos are read from the source that they record."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from episeek.errors import MissingFileError
from episeek_pipelines.api import check_index, format_text, index, inspect, prepare, verify
from episeek_pipelines.cli.lines.summary import prepare_lines
from episeek_pipelines.cli.main import main
from episeek_pipelines.dataset.provenance import recorded_videos
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.source_changes import changed_source_files
from episeek_schemas import layout
from tests.pipelines.conftest import copy_dataset
from tests.support.broken_datasets import edit_info

TOP = "videos/observation.images.top/chunk-000/file-000.mp4"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return copy_dataset("h264_bframes", tmp_path / "source")


@pytest.fixture
def overlay(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(source.parent)
    prepare(source.name, str(tmp_path / "overlay"))
    monkeypatch.chdir("/")
    return tmp_path / "overlay"


def notice(overlay: Path, source: Path) -> str:
    record = overlay / layout.SOURCE_RECORD_PATH
    return f"episeek: videos are read from {source}, the source recorded in {record}; --data-root overrides\n"


def test_every_job_finds_the_videos(overlay: Path, source: Path):
    assert recorded_videos(Root(str(overlay))) == Root(str(source))
    report = verify(str(overlay))
    assert report.error_count == 0
    assert report.video_file_count == 2
    assert report.data_root == str(source)
    assert format_text(report).splitlines()[-1].startswith(f"{overlay}, videos of {source}: 0 errors, ")
    assert check_index(str(overlay)).stale == ()
    before = inspect(str(overlay))
    assert index(str(overlay)).index is not None
    assert inspect(str(overlay)) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "OVERLAY"),
        ("index", "OVERLAY", "--check"),
        ("extract", "OVERLAY", "--episode", "1", "--camera", "top", "-o", "CLIP"),
    ],
)
def test_commands_say_so(arguments: tuple[str, ...], overlay: Path, source: Path, tmp_path: Path, capsys):
    places = {"OVERLAY": str(overlay), "CLIP": str(tmp_path / "clip.mp4")}
    assert main([places.get(argument, argument) for argument in arguments]) == 0
    assert notice(overlay, source) in capsys.readouterr().err
    assert (
        main(
            [*(places.get(argument, argument) for argument in arguments), "--data-root", str(source), *force(arguments)]
        )
        == 0
    )
    assert "videos are read from" not in capsys.readouterr().err


def force(arguments: tuple[str, ...]) -> list[str]:
    return ["--force"] if arguments[0] == "extract" else []


def test_a_changed_video_of_the_source_is_stale(overlay: Path, source: Path, capsys):
    whole = (source / TOP).read_bytes()
    (source / TOP).write_bytes(whole[: len(whole) // 2])
    assert main(["index", str(overlay), "--check"]) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith(f"stale    changed   {TOP}")


def test_a_source_that_is_gone_is_one_error(overlay: Path, source: Path, capsys):
    source.rename(source.with_name("moved"))
    for job in (verify, check_index, index):
        with pytest.raises(MissingFileError) as caught:
            job(str(overlay))
        assert str(source) in caught.value.found
        assert "--data-root" in caught.value.hint
    assert inspect(str(overlay)).episodes == 6
    assert main(["verify", str(overlay)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"nothing at {source}" in said
    assert main(["verify", str(overlay), "--data-root", str(source.with_name("moved"))]) == 0


def test_a_dataset_with_videos_is_not_led_elsewhere(source: Path, tmp_path: Path):
    prepare(str(source), str(tmp_path / "whole"), videos="link")
    record = tmp_path / "whole" / layout.SOURCE_RECORD_PATH
    document = json.loads(record.read_text())
    document["plan"]["source"] = "https://example.invalid/dataset"
    record.write_text(json.dumps(document))
    assert recorded_videos(Root(str(tmp_path / "whole"))) is None
    assert verify(str(tmp_path / "whole")).error_count == 0


def test_without_cameras_there_are_no_videos_to_find(tmp_path: Path, capsys):
    images = copy_dataset("images", tmp_path / "images")
    prepare(str(images), str(tmp_path / "overlay"))
    shutil.rmtree(images)
    assert main(["verify", str(tmp_path / "overlay")]) == 0
    assert capsys.readouterr().err == ""


def add_an_episode(root: Path) -> None:
    """Add an episode as LeRobot does when a recording is resumed: files of its own, and other totals."""
    edit_info(root, total_episodes=7, total_frames=264)
    for path in ("data/chunk-000/file-000.parquet", TOP, "meta/episodes/chunk-000/file-000.parquet"):
        shutil.copyfile(root / path, root / path.replace("file-000", "file-001"))


def test_an_overlay_says_that_its_source_has_changed(overlay: Path, source: Path):
    add_an_episode(source)
    report = verify(str(overlay))
    (found,) = report.findings
    assert (found.code, found.severity) == ("IDX045", "warning")  # the new video is not called surplus
    assert found.found.startswith("changed contents of data/chunk-000/file-001.parquet and 2 other files")
    result = index(str(overlay))
    assert result.source_changes == (
        "data/chunk-000/file-001.parquet",
        "meta/episodes/chunk-000/file-001.parquet",
        "meta/info.json",
    )
    assert "prepare the source again, into a new folder:\n         episeek prepare SRC DST\n" in "\n".join(
        [*prepare_lines(result), ""]
    )


def test_changes_of_a_source(overlay: Path, source: Path, tmp_path: Path):
    first = "data/chunk-000/file-000.parquet"
    changes: dict[tuple[str, ...], list[Callable[[Path], object]]] = {
        (): [
            lambda root: None,
            lambda root: (root / "meta/byte_index").mkdir(),
            lambda root: shutil.rmtree(root / "meta"),  # a folder with the videos alone
        ],
        ("meta/info.json",): [lambda root: edit_info(root, robot_type="other")],
        ("meta/stats.json",): [lambda root: (root / "meta/stats.json").unlink()],
        (first,): [lambda root: (root / first).write_bytes(b"PAR1")],
    }
    for changed, ways in changes.items():
        for number, change in enumerate(ways):
            copy = tmp_path / f"{len(changed)}-{number}-{'-'.join(changed).replace('/', '-')}"
            shutil.copytree(source, copy)
            change(copy)
            assert changed_source_files(Root(str(overlay)), Root(str(copy))) == changed


def test_a_source_in_a_store_or_without_a_record_is_not_compared(overlay: Path, source: Path):
    assert changed_source_files(Root(str(overlay)), Root("memory://elsewhere")) == ()
    edit_info(source, robot_type="other")
    (overlay / layout.SOURCE_RECORD_PATH).write_text("{")
    assert changed_source_files(Root(str(overlay)), Root(str(source))) == ()
