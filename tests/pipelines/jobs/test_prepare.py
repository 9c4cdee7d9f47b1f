import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import DestinationError, EpiseekError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import open_dataset_staging
from episeek_pipelines.jobs import node_functions
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.jobs.rewrite import rewrite
from episeek_pipelines.jobs.verify import verify
from episeek_schemas import sidecars
from tests.pipelines.conftest import DATA, DATASETS, change_episodes, copy_dataset, digests
from tests.support.amount import amount, every, first

SIDECARS = [f"meta/byte_index/{name}.parquet" for name in ("episodes", "files", "keyframes", "samples")]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Digests of av1_multifile prepared by the serial scheduler."""
    target = tmp_path_factory.mktemp("reference") / "out"
    prepare(str(DATA / "av1_multifile"), str(target), execution=Execution("sync"))
    return digests(target)


@pytest.mark.parametrize("name", DATASETS)
def test_the_result_is_complete_and_verified(name, tmp_path):
    source, target = DATA / name, tmp_path / "out"
    before = digests(source)
    result = prepare(str(source), str(target))
    assert result.verification is not None
    assert result.verification.error_count == 0
    assert digests(source) == before
    assert sorted(tmp_path.iterdir()) == [target]  # nothing beside it, nothing hidden
    found = digests(target)
    assert [path for path in found if path.startswith("meta/byte_index/")] == SIDECARS
    expected = [path for path in before if path.startswith(("data/", "meta/"))]
    assert sorted(set(found) - set(SIDECARS)) == expected
    for path in expected:
        if path.startswith("data/"):
            footer = pq.read_metadata(target / path)
            episodes = pq.read_table(target / path, columns=["episode_index"])["episode_index"].unique()
            assert footer.num_row_groups == len(episodes)
        else:
            assert found[path] == before[path]
    opened = episeek.open(target, data_root=source)
    assert opened.episode_count == pq.read_table(source / "meta/episodes/chunk-000/file-000.parquet").num_rows


@pytest.mark.parametrize("scheduler", first(["tcp", "sync", "threads", "processes"], 2))
def test_the_same_bytes_on_every_scheduler(scheduler, tmp_path, request, reference):
    address = request.getfixturevalue("cluster") if scheduler == "tcp" else scheduler
    prepare(str(DATA / "av1_multifile"), str(tmp_path / "out"), execution=Execution(address, workers=2))
    assert digests(tmp_path / "out") == reference


def test_splitting_moves_the_episodes_and_keeps_the_clips(tmp_path):
    source, target = DATA / "h264_bframes", tmp_path / "out"
    result = prepare(str(source), str(target), max_episodes_per_file=2)
    assert result.rewrite is not None
    assert result.rewrite.files == 3
    assert result.verification is not None
    assert result.verification.error_count == 0
    rows = pq.read_table(
        target / "meta/episodes/chunk-000/file-000.parquet", columns=["episode_index", "data/file_index"]
    )
    for episode, file in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        held = pq.read_table(target / f"data/chunk-000/file-{file:03d}.parquet", columns=["episode_index"])
        assert episode in held["episode_index"].to_pylist()


def test_a_failed_file_names_itself_and_the_others_are_not_done_again(dataset, tmp_path, reference):
    video = dataset / "videos/observation.images.top/chunk-000/file-002.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[:20000])
    target = tmp_path / "out"
    with pytest.raises(WorkFailedError) as caught:
        prepare(str(dataset), str(target))
    assert [failure.label for failure in caught.value.failures] == [
        "videos/observation.images.top/chunk-000/file-002.mp4"
    ]
    assert not target.exists()
    assert (tmp_path / "out.partial").is_dir()
    assert "run the same command again" in str(caught.value)

    video.write_bytes(whole)
    result = prepare(str(dataset), str(target))
    assert result.is_resumed
    assert result.index is not None
    assert result.rewrite is not None
    assert (result.index.reused_files, result.rewrite.reused_files) == (11, 3)
    assert digests(target) == reference
    assert not (tmp_path / "out.partial").exists()


def test_finished_work_outlives_a_release_and_not_another_version_of_the_step(dataset, tmp_path, monkeypatch):
    video = dataset / "videos/observation.images.top/chunk-000/file-002.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[:20000])
    target = tmp_path / "out"
    with pytest.raises(WorkFailedError):
        prepare(str(dataset), str(target))
    with pytest.raises(WorkFailedError):
        index(str(dataset))
    video.write_bytes(whole)

    for version in ("episeek_schemas.sidecars.INDEX_VERSION", "episeek_pipelines.jobs.run_options.REWRITE_VERSION"):
        name = version.rpartition(".")[2].lower().replace("_", " ")
        with monkeypatch.context() as patch:
            patch.setattr(version, 99)
            with pytest.raises(DestinationError, match=rf"with {name} \d; expected {name} 99"):
                prepare(str(dataset), str(target))
    with monkeypatch.context() as patch:
        patch.setattr(sidecars, "INDEX_VERSION", 99)
        again = index(str(dataset)).index
        assert again is not None
        assert again.reused_files == 0
    monkeypatch.setattr("episeek_pipelines.index.merge.__version__", "9.9.9")
    result = prepare(str(dataset), str(target))
    assert result.index is not None
    assert result.rewrite is not None
    assert (result.index.reused_files, result.rewrite.reused_files) == (11, 3)


def test_a_file_that_changed_since_is_done_again(dataset, tmp_path):
    broken = dataset / "videos/observation.images.top/chunk-000/file-002.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(WorkFailedError):
        index(str(dataset))
    broken.write_bytes(whole)
    os.utime(dataset / "videos/observation.images.top/chunk-000/file-001.mp4", (1, 1))
    result = index(str(dataset))
    assert result.index is not None
    assert result.index.reused_files == 10


def test_killed_and_started_again_gives_the_same_bytes(dataset, tmp_path, reference):
    """The process is killed in the middle of its work; a receipt is there for what was finished, and only for that."""
    target = tmp_path / "out"
    script = (
        "import sys, time, episeek_pipelines.jobs.prepare as job, episeek_pipelines.jobs.node_functions as node_functions\n"
        "original = node_functions.index_one\n"
        "def slow(*arguments):\n"
        "    time.sleep(0.15)\n"
        "    return original(*arguments)\n"
        "node_functions.index_one = slow\n"
        "job.prepare(sys.argv[1], sys.argv[2], execution=job.Execution('sync'))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(dataset), str(target)])
    receipts = tmp_path / "out.partial/.episeek-work/index"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(receipts.glob("*.npz"))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    finished = len(list(receipts.glob("*.npz")))
    assert 3 <= finished < 12

    result = prepare(str(dataset), str(target))
    assert result.is_resumed
    assert result.index is not None
    assert result.index.reused_files == finished
    assert digests(target) == reference


def test_an_unfinished_run_of_something_else_is_refused(dataset, tmp_path):
    video = dataset / "videos/observation.images.top/chunk-000/file-002.mp4"
    video.write_bytes(b"")
    with pytest.raises(WorkFailedError):
        prepare(str(dataset), str(tmp_path / "out"))
    refused = (
        r"unfinished run with no --max-episodes-per-file; expected --max-episodes-per-file 1, as in this run; hint: run"
    )
    with pytest.raises(DestinationError, match=refused):
        prepare(str(dataset), str(tmp_path / "out"), max_episodes_per_file=1)


def test_an_unforeseen_error_names_the_file(tmp_path, monkeypatch):
    def broken(item, *_):
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(node_functions, "rewrite_one", broken)
    with pytest.raises(WorkFailedError, match=r"data/chunk-000/file-000\.parquet: ZeroDivisionError: surprise"):
        rewrite(str(DATA / "hevc"), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []  # nothing was finished, nothing is kept


def test_index_in_place_replaces_what_is_there(dataset):
    first = index(str(dataset))
    found = digests(dataset)
    assert set(SIDECARS) <= set(found)
    assert not [path for path in found if "partial" in path or "work" in path]
    again = index(str(dataset))
    assert digests(dataset) == found
    assert first.index is not None
    assert again.index is not None
    assert first.index.build_id == again.index.build_id

    change_episodes(dataset, "videos/observation.images.top/to_timestamp", 9, 2.3333)
    changed = index(str(dataset)).index
    assert changed is not None
    assert changed.build_id != first.index.build_id
    assert verify(str(dataset)).error_count == 0


def test_a_failed_index_leaves_the_old_one(dataset):
    index(str(dataset))
    before = digests(dataset / "meta/byte_index")
    (dataset / "videos/observation.images.top/chunk-000/file-002.mp4").write_bytes(b"")
    with pytest.raises(WorkFailedError):
        index(str(dataset))
    assert digests(dataset / "meta/byte_index") == before


def test_a_failed_index_leaves_the_old_one_also_after_a_run_killed_between_its_two_renames(dataset):
    index(str(dataset))
    sidecars = dataset / "meta/byte_index"
    before = digests(sidecars)
    (dataset / "meta/byte_index.partial").mkdir()
    sidecars.rename(dataset / "meta/byte_index.partial/replaced")
    video = next(dataset.rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:100])
    with pytest.raises(WorkFailedError):
        index(str(dataset))
    assert digests(sidecars) == before


def test_index_below_another_root(tmp_path):
    source = DATA / "hevc"
    index(str(source), output=str(tmp_path / "overlay"))
    assert sorted(digests(tmp_path / "overlay")) == SIDECARS
    opened = episeek.open(tmp_path / "overlay", data_root=source)
    assert opened.clip(1, opened.cameras[1]).frame_count == 29


def test_a_store_behind_fsspec(tmp_path):
    """Source and destination in an object store: no rename there, and no work left behind."""
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.put(f"{DATA / 'hevc'}/", "/hevc-source/", recursive=True)
    try:
        result = prepare("memory://hevc-source", "memory://hevc-out", execution=Execution("threads"), keyframes="all")
        assert result.verification is not None
        assert result.verification.error_count == 0
        opened = episeek.open("memory://hevc-out", "memory://hevc-source")
        assert opened.clip(1, opened.cameras[1]).decode("pyav").data.shape == (29, 3, 96, 128)
        assert not [path for path in fs.find("/hevc-out") if ".episeek-work" in path]
        fs.get("/hevc-out/", str(tmp_path / "remote/"), recursive=True)
        prepare(str(DATA / "hevc"), str(tmp_path / "local"))
        remote, local = digests(tmp_path / "remote"), digests(tmp_path / "local")
        assert remote == local
        assert prepare("memory://hevc-source", "memory://hevc-out", keyframes="all").is_current
        with pytest.raises(DestinationError, match=r"--keyframes all \(now no --keyframes\)"):
            prepare("memory://hevc-source", "memory://hevc-out")
        with pytest.raises(DestinationError, match="objects"):
            prepare("memory://hevc-source", "memory://hevc-out", force=True)
    finally:
        fs.rm("/hevc-source", recursive=True)
        fs.rm("/hevc-out", recursive=True)


@pytest.mark.parametrize("inside", ["", "inner", ".."])
def test_source_and_destination_may_not_overlap(inside, dataset):
    target = (dataset / inside).resolve()
    with pytest.raises(DestinationError):
        prepare(str(dataset), str(target))


def test_results_pickle_with_their_failures():
    import pickle

    from episeek_pipelines.jobs.nodes import Failure

    error = WorkFailedError("out", "1 of 2", "both", "again", (Failure("a", "b", "c"),))
    copied = pickle.loads(pickle.dumps(error))
    assert copied.failures == error.failures
    assert str(copied) == str(error)


def test_files_of_a_source_that_changed_since_do_not_stay(dataset, tmp_path):
    """A run fails after rewriting; then the source loses its last data file and the episodes in it."""
    source = copy_dataset("av1_multifile", tmp_path / "other")
    broken = source / "videos/observation.images.top/chunk-000/file-002.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(WorkFailedError):
        prepare(str(source), str(tmp_path / "out"))
    assert (tmp_path / "out.partial/data/chunk-000/file-002.parquet").is_file()
    broken.write_bytes(whole)
    shutil.rmtree(source / "data")
    shutil.rmtree(source / "meta")
    shutil.copytree(dataset / "meta", source / "meta")
    shutil.copytree(dataset / "data", source / "data")
    (source / "data/chunk-000/file-002.parquet").unlink()
    path = source / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path).slice(0, 7), path)
    result = prepare(str(source), str(tmp_path / "out"))
    assert result.is_resumed
    assert sorted(path for path in digests(tmp_path / "out") if path.startswith("data/")) == [
        "data/chunk-000/file-000.parquet",
        "data/chunk-000/file-001.parquet",
    ]


def test_two_runs_do_not_write_the_same_destination(dataset, tmp_path):
    source, target = Root(str(dataset)), Root(str(tmp_path / "out"))
    with open_dataset_staging(source, target, {}) as staging:
        with pytest.raises(DestinationError, match="another run"):
            open_dataset_staging(source, target, {})
        staging.root.remove("")
    assert not (tmp_path / "out.partial").exists()
    prepare(str(dataset), str(tmp_path / "out"))


@pytest.mark.parametrize("after", first([2, 1]))
def test_killed_while_the_result_gets_its_name(after, dataset, tmp_path, monkeypatch, reference):
    """Killed after one or both of the renames that make the result visible."""
    rename = os.rename
    done: list[object] = []

    def killed(source, target):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(source)
        rename(source, target)

    target = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", killed)
        if after == 2:
            patch.setattr(Root, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(dataset), str(target))
    assert target.exists() == (after == 2)
    assert prepare(str(dataset), str(target)).is_current == (after == 2)
    assert digests(target) == reference
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_linked_directories_are_part_of_a_dataset(dataset, tmp_path, reference):
    """Videos on another disk, as people link them; a link that leads back to its own directory ends the walk."""
    camera = dataset / "videos/observation.images.top"
    moved = tmp_path / "other-disk"
    shutil.move(camera, moved)
    camera.symlink_to(moved)
    (moved / "loop").symlink_to(moved)
    prepare(str(dataset), str(tmp_path / "out"))
    assert digests(tmp_path / "out") == reference


_KILLED_AT = """
import os, signal, sys
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
call = int(sys.argv[4])
count = 0
def killing(function):
    def replacement(*arguments, **options):
        global count
        count += 1
        if count == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return replacement
os.replace, os.rename = killing(os.replace), killing(os.rename)
execution = Execution("sync")
if sys.argv[1] == "prepare":
    prepare(sys.argv[2], sys.argv[3], execution=execution)
else:
    index(sys.argv[2], output=sys.argv[3], execution=execution)
"""


@pytest.mark.parametrize("command", ["prepare", "index"])
def test_killed_at_every_write_and_rename(command, tmp_path, warm_python):
    """The process dies at each step that makes something visible, in turn; the next run completes it, to the same bytes."""
    source = str(DATA / "hevc")
    if command == "prepare":
        prepare(source, str(tmp_path / "reference"))
    else:
        index(source, output=str(tmp_path / "reference"))
        index(source, output=str(tmp_path / "out"))  # there is one to replace
    expected = digests(tmp_path / "reference")
    for call in range(1, 40, amount(1, 5)):
        target = tmp_path / "out"
        code, said = warm_python.run(_KILLED_AT, command, source, str(target), str(call))
        if code == 0:
            break
        assert code == -signal.SIGKILL, said
        if command == "prepare":
            assert not target.exists() or digests(target) == expected
            prepare(source, str(target))
        else:
            index(source, output=str(target))
        assert digests(target) == expected
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "reference"]
        if command == "prepare":
            shutil.rmtree(target)
    assert 8 < call < 39
    assert digests(tmp_path / "out") == expected


def test_unfinished_sidecars_of_the_source_are_not_copied(dataset, tmp_path, reference):
    video = dataset / "videos/observation.images.top/chunk-000/file-002.mp4"
    whole = video.read_bytes()
    video.write_bytes(b"")
    with pytest.raises(WorkFailedError):
        index(str(dataset))
    video.write_bytes(whole)
    assert (dataset / "meta/byte_index.partial").is_dir()
    prepare(str(dataset), str(tmp_path / "out"))
    assert digests(tmp_path / "out") == reference


def test_a_store_gets_info_json_last(monkeypatch):
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.put(f"{DATA / 'hevc'}/", "/order-source/", recursive=True)
    written = []
    put_file = type(fs).put_file

    def noting(self, local, remote, **options):
        written.append(remote)
        return put_file(self, local, remote, **options)

    monkeypatch.setattr(type(fs), "put_file", noting)
    try:
        prepare("memory://order-source", "memory://order-out", execution=Execution("sync"))
        shown = [path for path in written if "/.episeek" not in path]
        assert shown[-1].endswith("/meta/info.json")
    finally:
        fs.rm("/order-source", recursive=True)
        fs.rm("/order-out", recursive=True)


@pytest.mark.parametrize("url", ["nowhere://bucket/dataset", "http://127.0.0.1:9/dataset"])
def test_a_store_that_cannot_be_used_is_named(url, tmp_path):
    with pytest.raises(EpiseekError) as caught:
        prepare(url, str(tmp_path / "out"))
    assert url in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_writing_in_threads_leaves_the_process_mask_alone(tmp_path):
    before = os.umask(0o027)
    try:
        prepare(str(DATA / "hevc"), str(tmp_path / "out"), execution=Execution("threads", workers=8))
        assert os.umask(0o027) == 0o027
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*.parquet")}
        assert modes == {0o640}
    finally:
        os.umask(before)


@pytest.mark.parametrize("damage", every([b"", b"{}", b"[]", b'{"identity": "x'], 3))
def test_damaged_receipts_cost_their_work_and_nothing_else(damage, dataset, tmp_path, reference):
    video = dataset / "videos/observation.images.top/chunk-000/file-002.mp4"
    whole = video.read_bytes()
    video.write_bytes(b"")
    with pytest.raises(WorkFailedError):
        prepare(str(dataset), str(tmp_path / "out"))
    video.write_bytes(whole)
    work = tmp_path / "out.partial/.episeek-work"
    for receipt in work.glob("rewrite/*.json"):
        receipt.write_bytes(damage)
    fragments = sorted(work.glob("index/*.npz"))
    fragments[0].write_bytes(damage)
    flipped = bytearray(fragments[1].read_bytes())
    middle = slice(len(flipped) // 2, len(flipped) // 2 + 400)  # one byte alone may be one that nothing depends on
    flipped[middle] = bytes(byte ^ 0xFF for byte in flipped[middle])
    fragments[1].write_bytes(flipped)
    result = prepare(str(dataset), str(tmp_path / "out"))
    assert result.rewrite is not None
    assert result.index is not None
    assert (result.rewrite.reused_files, result.index.reused_files) == (0, 9)
    assert digests(tmp_path / "out") == reference


def test_finished_work_in_a_store_is_kept_too():
    """`index` of a dataset in a store fails at one file; the next run does that one alone."""
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.put(f"{DATA / 'hevc'}/", "/kept/", recursive=True)
    video = "/kept/videos/observation.images.top/chunk-000/file-000.mp4"
    whole = fs.cat_file(video)
    try:
        fs.pipe_file(video, b"")
        with pytest.raises(WorkFailedError, match="run the same command again"):
            index("memory://kept")
        fs.pipe_file(video, whole)
        result = index("memory://kept")
        assert result.index is not None
        assert result.index.reused_files == 1
        assert not [path for path in fs.find("/kept") if "partial" in path]
    finally:
        fs.rm("/kept", recursive=True)


def test_a_directory_that_cannot_be_read_is_named(dataset, tmp_path, monkeypatch):
    """A test that runs as root has no other way; files that cannot be listed may not be taken for none."""
    scandir = os.scandir

    def refused(path="."):
        if str(path).endswith("data/chunk-000"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(EpiseekError, match=r"data/chunk-000: found .*expected a readable directory"):
        prepare(str(dataset), str(tmp_path / "out"))
