"""What `prepare --dry-run` says, compared with what `prepare` then does."""

import json

import pytest

from episeek.errors import EpiseekError
from episeek_pipelines.cli.main import main
from episeek_pipelines.jobs.prepare import plan_preparation, prepare
from tests.pipelines.conftest import DATA, DATASETS, copy_dataset, digests


@pytest.mark.parametrize("name", DATASETS)
def test_the_figures_are_those_of_the_run(name, tmp_path):
    target = str(tmp_path / "out")
    plan = plan_preparation(str(DATA / name), target, videos="copy", max_episodes_per_file=2)
    assert list(tmp_path.iterdir()) == []
    result = prepare(str(DATA / name), target, videos="copy", max_episodes_per_file=2)
    assert result.rewrite is not None
    assert result.index is not None
    assert (plan.data_files, plan.written_data_files) == (result.rewrite.source_files, result.rewrite.files)
    assert (plan.video_files, plan.video_bytes) == (result.index.files, result.index.file_bytes)
    assert (plan.copied_files, plan.frames) == (result.copied_files, result.rewrite.rows)
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert 0.5 < plan.write_bytes / written < 2
    assert plan.state == "new"
    assert plan_preparation(str(DATA / name), target, videos="copy", max_episodes_per_file=2).state == "current"
    assert plan_preparation(str(DATA / name), target, force=True).state == "replaced"


@pytest.mark.parametrize("fault", ["video", "destination", "source"])
def test_what_is_refused_is_what_the_run_refuses(fault, tmp_path):
    source = copy_dataset("hevc", tmp_path / "source")
    target = tmp_path / "out"
    if fault == "video":
        next(source.rglob("*.mp4")).unlink()
    elif fault == "destination":
        target.mkdir()
        (target / "mine").write_text("x")
    else:
        (source / "meta/info.json").write_text("{")
    errors = []
    for call in (plan_preparation, prepare):
        with pytest.raises(EpiseekError) as caught:
            call(str(source), str(target))
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_the_command_writes_nothing(tmp_path, capsys):
    source = copy_dataset("hevc", tmp_path / "source")
    before = digests(tmp_path)
    assert main(["prepare", str(source), str(tmp_path / "out"), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "4 episodes, 132 frames, 2 cameras, 7 files" in printed
    assert "out would be written" in printed
    assert main(["prepare", str(source), str(tmp_path / "out"), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "new"
    assert digests(tmp_path) == before
