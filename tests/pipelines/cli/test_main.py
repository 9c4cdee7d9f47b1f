"""The command line as its users see it: one clear line and exit 2 for bad input, never a traceback, nothing half-written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from episeek_pipelines.cli import main
from tests.pipelines.conftest import DATA, change_episodes, change_info, digests
from tests.support.amount import every

TOP = "videos/observation.images.top/chunk-000"


def no_directory(root):
    return root / "missing"


def not_a_dataset(root):
    (root / "meta/info.json").unlink()
    return root


def not_json(root):
    (root / "meta/info.json").write_text("{")
    return root


def version_2_1(root):
    change_info(root, codebase_version="v2.1")
    return root


def truncated_mp4(root):
    path = root / TOP / "file-001.mp4"
    path.write_bytes(path.read_bytes()[:20000])
    return root


def truncated_moov_last(root):
    path = root / TOP / "file-003.mp4"
    path.write_bytes(path.read_bytes()[:-100])
    return root


def zero_byte_mp4(root):
    (root / TOP / "file-001.mp4").write_bytes(b"")
    return root


def mp4_without_video(root):
    path = root / TOP / "file-001.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        frame.pts = 0
        for packet in stream.encode(frame) + stream.encode(None):
            container.mux(packet)
    return root


def missing_mp4(root):
    (root / TOP / "file-001.mp4").unlink()
    return root


def parquet_without_footer(root):
    path = root / "data/chunk-000/file-001.parquet"
    path.write_bytes(path.read_bytes()[:-8])
    return root


def missing_parquet(root):
    (root / "data/chunk-000/file-001.parquet").unlink()
    return root


def episodes_without_footer(root):
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    path.write_bytes(path.read_bytes()[:-8])
    return root


def episode_outside_its_file(root):
    change_episodes(root, "videos/observation.images.top/from_timestamp", 3, 1000.0)
    change_episodes(root, "videos/observation.images.top/to_timestamp", 3, 1001.0)
    return root


def episode_in_a_file_that_is_not_there(root):
    change_episodes(root, "videos/observation.images.top/file_index", 3, 77)
    return root


def null_in_episodes(root):
    change_episodes(root, "videos/observation.images.top/file_index", 3, None)
    return root


BAD_SOURCES = {
    no_directory: "no such directory",
    not_a_dataset: "no meta/info.json",
    not_json: "expected a JSON document",
    version_2_1: "codebase_version 'v2.1'",
    truncated_mp4: "file-001.mp4: found sample 22 at bytes",
    truncated_moov_last: "file-003.mp4: found a box of type 'moov'",
    zero_byte_mp4: "file-001.mp4: found no moov box in 0 bytes",
    mp4_without_video: "file-001.mp4: found tracks ['soun']",
    missing_mp4: "file-001.mp4: found no such file",
    parquet_without_footer: "file-001.parquet: found",
    missing_parquet: "file-001.parquet: found no such file",
    episodes_without_footer: "meta/episodes/chunk-000/file-000.parquet: found",
    episode_outside_its_file: "file-001.mp4, episode 3: found declared seconds 1000 to 1001",
    episode_in_a_file_that_is_not_there: "file-077.mp4: found no such file",
    null_in_episodes: "1 nulls in column 'videos/observation.images.top/file_index'",
}


def run(capsys, *arguments):
    code = main.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.parametrize("damage", BAD_SOURCES, ids=lambda damage: damage.__name__)
def test_bad_sources_get_one_line_and_exit_2(damage, dataset, tmp_path, capsys):
    source, target = damage(dataset), tmp_path / "out"
    before = digests(dataset)
    code, out, err = run(capsys, "prepare", source, target)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("episeek: error: ")
    assert BAD_SOURCES[damage] in err
    assert "expected" in err
    assert not target.exists()
    assert digests(dataset) == before


@pytest.mark.parametrize("command", ["prepare", "rewrite"])
def test_a_destination_that_is_not_empty(command, dataset, tmp_path, capsys):
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.txt").write_text("the only copy")
    before = digests(target)
    code, _, err = run(capsys, command, dataset, target)
    assert code == 2
    assert "such as 'thesis.txt'; expected a new or empty directory; hint: choose another directory" in err
    assert len(err.splitlines()) == 1
    assert digests(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_source_that_is_a_file(command, tmp_path, capsys):
    (tmp_path / "source").write_text("a file")
    code, _, err = run(capsys, command, tmp_path / "source")
    assert code == 2
    assert "source: found a file; expected the " in err


def test_a_destination_that_is_a_file(dataset, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    code, _, err = run(capsys, "prepare", dataset, tmp_path / "out")
    assert code == 2
    assert "found a file" in err


def test_an_empty_directory_is_a_destination(dataset, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    code, out, _ = run(capsys, "prepare", dataset, tmp_path / "out")
    assert code == 0
    assert "10 row groups" in out


def test_a_read_only_destination(dataset, tmp_path, capsys, monkeypatch):
    def refused(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refused)  # a test that runs as root has no other way
    code, _, err = run(capsys, "prepare", dataset, tmp_path / "out")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "permission denied" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a file system that nobody can write to")
def test_a_destination_nobody_can_write(dataset, capsys):
    code, _, err = run(capsys, "prepare", dataset, "/proc/episeek-out")
    assert code == 2
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("after", every([0, 1, 2, 7, 14], 2))
def test_a_full_disk(after, dataset, tmp_path, capsys, monkeypatch):
    """The device is full after so many files: nothing appears, nothing temporary stays, and with room again the work goes on."""
    written = []
    replace = os.replace

    def full(source, target):
        written.append(target)
        if len(written) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    code, _, err = run(capsys, "prepare", dataset, tmp_path / "out", "--scheduler", "sync")
    assert code == 2
    assert "no space left on the device" in err
    assert not (tmp_path / "out").exists()
    assert not [path for path in digests(tmp_path) if path.endswith(".tmp")]
    monkeypatch.undo()
    code, _, _ = run(capsys, "prepare", dataset, tmp_path / "out")
    assert code == 0


def test_prepare_verify_inspect_extract(dataset, tmp_path, capsys):
    target, video = tmp_path / "out", tmp_path / "clip.mp4"
    code, out, err = run(capsys, "prepare", dataset, target)
    assert (code, err) == (0, "")
    assert "3 data files -> 3 files, 10 row groups, one per episode" in out
    code, out, _ = run(capsys, "verify", target, "--data-root", dataset, "--against", dataset)
    assert code == 0
    code, out, _ = run(capsys, "inspect", target, "--data-root", dataset)
    assert code == 0
    assert "observation.images.wrist" in out
    arguments = ("extract", target, "--data-root", dataset, "--episode", 3, "--camera", "observation.images.top")
    code, out, _ = run(capsys, *arguments, "--frames", "5:9", "-o", video)
    assert code == 0
    assert "frames 5 to 8 of episode 3" in out
    with av.open(str(video)) as container:
        assert len(list(container.decode(video=0))) == 4


def test_json_output_is_json(dataset, tmp_path, capsys):
    target = tmp_path / "out"
    _, out, _ = run(capsys, "prepare", dataset, target, "--json")
    document = json.loads(out)
    assert document["rewrite"]["row_groups"] == 10
    assert document["index"]["files"] == 12
    assert document["verification"]["summary"]
    _, out, _ = run(capsys, "verify", target, "--data-root", dataset, "--format", "json")
    assert set(json.loads(out)) >= {"findings", "summary"}
    _, out, _ = run(capsys, "inspect", target, "--json", "--data-root", dataset)
    assert json.loads(out)["camera_facts"][0]["codecs"] == ["av01"]
    _, out, _ = run(capsys, "index", dataset, "--json")
    assert json.loads(out)["index"]["build_id"]
    arguments = ("extract", target, "--data-root", dataset, "--episode", 0, "--camera", "observation.images.top")
    _, out, _ = run(capsys, *arguments, "-o", tmp_path / "x.mp4", "--json")
    assert json.loads(out)["frames"] == [0, 52]


def test_verify_exits_1_on_errors(dataset, capsys):
    change_episodes(dataset, "length", 3, 31)
    code, out, _ = run(capsys, "verify", dataset)
    assert code == 1
    assert out


def test_prepare_exits_1_on_errors_of_the_source_and_keeps_the_result(dataset, tmp_path, capsys):
    change_info(dataset, total_frames=375)
    code, out, _ = run(capsys, "prepare", dataset, tmp_path / "out")
    assert code == 1
    assert "INF009" in out
    assert (tmp_path / "out/meta/byte_index/samples.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--episode", 99), "found no episode 99; expected 0 to 3"),
        (("--episode", -1), "found no episode -1; expected 0 to 3"),
        (("--episode", 0, "--camera", "nowhere"), "found no camera 'nowhere'; expected one of"),
        (("--episode", 0, "--frames", "40:60"), "found frames [40, 60); expected a window within its 46 frames"),
        (("--episode", 0, "--frames", "9:9"), "found frames [9, 9)"),
    ],
)
def test_extract_refuses_by_name(arguments, message, tmp_path, capsys):
    target = tmp_path / "x"
    run(capsys, "index", DATA / "hevc", "--output", target)
    if "--camera" not in arguments:
        arguments = (*arguments, "--camera", "observation.images.top")
    code, _, err = run(capsys, "extract", target, "--data-root", DATA / "hevc", *arguments, "-o", tmp_path / "clip.mp4")
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "clip.mp4").exists()


def test_extract_notices_a_file_that_was_replaced(dataset, tmp_path, capsys):
    target = tmp_path / "out"
    assert run(capsys, "prepare", dataset, target)[0] == 0
    path = dataset / TOP / "file-001.mp4"
    path.write_bytes(path.read_bytes() + b"\0\0\0\x08free")
    arguments = ("--episode", 3, "--camera", "observation.images.top", "-o", tmp_path / "clip.mp4")
    code, _, err = run(capsys, "extract", target, "--data-root", dataset, *arguments)
    assert code == 2
    assert "as when it was indexed; hint: index or prepare the dataset again" in err
    assert not (tmp_path / "clip.mp4").exists()


def test_extract_without_sidecars(tmp_path, capsys):
    code, _, err = run(capsys, "extract", DATA / "hevc", "--episode", 0, "-o", tmp_path / "clip.mp4")
    assert code == 2
    assert "a sidecar table; hint: run `episeek prepare` or `episeek index`" in err


def test_extract_wants_a_camera_when_there_are_two(tmp_path, capsys):
    run(capsys, "index", DATA / "hevc", "--output", tmp_path / "x")
    code, _, err = run(
        capsys, "extract", tmp_path / "x", "--data-root", DATA / "hevc", "--episode", 0, "-o", tmp_path / "clip.mp4"
    )
    assert code == 2
    assert (
        "--camera: found no key for a dataset with 2 cameras; expected one of observation.images.top, observation.images.wrist"
        in err
    )


@pytest.mark.parametrize("arguments", [["--scheduler", "spark"], ["--workers", "0"], ["--workers", "many"]])
def test_wrong_options_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["index", "somewhere", *arguments])
    assert caught.value.code == 2
    assert "; expected" in capsys.readouterr().err


def test_an_unrecognized_option_refers_to_the_help_of_its_command(capsys):
    with pytest.raises(SystemExit, match="2"):
        main.main(["verify", "data", "--levl", "rows"])
    error = capsys.readouterr().err
    assert error == "episeek: error: unrecognized arguments: --levl rows (see `episeek verify --help`)\n"


def test_the_installed_command(tmp_path):
    command = [str(Path(sys.executable).with_name("episeek"))]
    if not Path(command[0]).exists():
        command = [sys.executable, "-m", "episeek_pipelines.cli"]
    done = subprocess.run(
        [*command, "prepare", tmp_path / "no", tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert subprocess.run([*command, "--help"], capture_output=True, check=False).returncode == 0


def test_extract_does_not_replace_what_it_should_not(dataset, tmp_path, capsys):
    run(capsys, "index", dataset)
    before = digests(dataset)
    arguments = ("extract", dataset, "--episode", 3, "--camera", "observation.images.top", "-o")
    (tmp_path / "link.mp4").symlink_to(dataset / TOP / "file-001.mp4")
    os.mkfifo(tmp_path / "fifo")
    for target, message in (
        (dataset / TOP / "file-001.mp4", "a path in the dataset itself"),
        (tmp_path / "link.mp4", "a path in the dataset itself"),
        (tmp_path / "fifo", "not a regular file"),
        ("/dev/null", "not a regular file"),
    ):
        code, _, err = run(capsys, *arguments, target)
        assert code == 2
        assert message in err
    assert digests(dataset) == before
    (tmp_path / "elsewhere.mp4").write_text("old")
    (tmp_path / "other.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    code, _, err = run(capsys, *arguments, tmp_path / "other.mp4")
    assert code == 2
    assert "found an existing file; expected a new file; hint: add --force" in err
    assert (tmp_path / "elsewhere.mp4").read_text() == "old"
    code, _, _ = run(capsys, *arguments, tmp_path / "other.mp4", "--force")
    assert code == 0
    assert (tmp_path / "other.mp4").is_symlink()
    assert b"ftyp" in (tmp_path / "elsewhere.mp4").read_bytes()[:12]


def test_a_defect_is_one_line_and_exit_2(capsys, monkeypatch):
    from episeek_pipelines.jobs import index

    def broken(*_, **__):
        raise ZeroDivisionError("surprise\nand more")

    monkeypatch.setattr(index, "index", broken)
    code, _, err = run(capsys, "index", DATA / "hevc")
    assert code == 2
    assert err.startswith("episeek: error: unexpected ZeroDivisionError: surprise (please report this defect")
    monkeypatch.setenv("EPISEEK_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main.main(["index", str(DATA / "hevc")])


def test_a_pipe_among_the_files_is_named(dataset, tmp_path, capsys):
    os.mkfifo(dataset / "notes")
    code, _, err = run(capsys, "prepare", dataset, tmp_path / "out", "--videos", "copy")
    assert code == 2
    assert "notes: found no regular file" in err


@pytest.mark.parametrize(
    "template",
    [
        "data/{chunk_index:99999999999d}/{file_index}.parquet",
        "../{chunk_index}/{file_index}",
        "/x{chunk_index}{file_index}",
    ],
)
def test_templates_that_lead_elsewhere_are_named(template, dataset, tmp_path, capsys):
    change_info(dataset, data_path=template)
    code, _, err = run(capsys, "prepare", dataset, tmp_path / "out")
    assert code == 2
    assert "data_path: found" in err


@pytest.mark.parametrize("length", [0, -1, 1 << 62])
def test_lengths_that_cannot_be_right_are_named(length, dataset, tmp_path, capsys):
    change_episodes(dataset, "length", 3, length)
    code, _, err = run(capsys, "prepare", dataset, tmp_path / "out")
    assert code == 2
    assert f"row 3: found length {length}; expected 1 or more frames" in err


def test_an_overlay_without_its_source_is_one_line(tmp_path, capsys):
    run(capsys, "prepare", DATA / "hevc", tmp_path / "out")
    (tmp_path / "out/.episeek/source.json").unlink()
    code, out, err = run(capsys, "verify", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "without videos/; expected the videos; hint: give the dataset it was prepared from as --data-root" in err
    arguments = (
        "extract",
        tmp_path / "out",
        "--episode",
        0,
        "--camera",
        "observation.images.top",
        "-o",
        tmp_path / "x.mp4",
    )
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "data_root" in err


def test_quiet_verification_still_shows_errors(dataset, capsys):
    change_info(dataset, total_frames=375)
    code, out, _ = run(capsys, "verify", dataset, "--quiet")
    assert code == 1
    assert "INF009" in out


def test_inspect_and_extract_need_no_offline_package(tmp_path, capsys):
    """A training node has the reader alone."""
    run(capsys, "index", DATA / "hevc", "--output", tmp_path / "x")
    script = (
        "import sys\n"
        "for name in ('dask', 'distributed', 'pandera', 'tqdm', 'av', 'torch', 'torchcodec'):\n"
        "    sys.modules[name] = None\n"
        "from episeek_pipelines.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def alone(*arguments):
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    inspected = alone("inspect", DATA / "hevc")
    assert (inspected.returncode, inspected.stderr) == (0, "")
    source = ("--data-root", DATA / "hevc", "--episode", 1, "--camera", "observation.images.top")
    clip = alone("extract", tmp_path / "x", *source, "-o", tmp_path / "clip.mp4")
    assert clip.returncode == 0
    prepared = alone("prepare", DATA / "hevc", tmp_path / "out")
    assert prepared.returncode == 2
    assert "pip install 'episeek[prepare]'" in prepared.stderr
