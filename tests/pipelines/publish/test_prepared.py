"""Tests of `prepare --publish`: a dataset of the Hub becomes seekable in one step, and its videos stay there."""

import json
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import AccessError, DestinationError, EpiseekError
from episeek_pipelines.cli import main
from episeek_pipelines.dataset.provenance import read_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.publish.card.section import UnusableCardError
from episeek_pipelines.publish.errors import ConflictError, RefusedPublicationError
from episeek_pipelines.publish.hub.options import PublishOptions
from episeek_pipelines.publish.hub.publish import publish
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_pipelines.publish.overlay.target_check import TargetMismatchError
from episeek_pipelines.publish.prepared import prepare_and_publish, working_directory
from episeek_schemas import layout
from tests.pipelines.conftest import DATA
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, QUICK, SMALL, TAG

pytestmark = CLIENT_WARNINGS

SOURCE = f"hf://datasets/{NAME}"


@pytest.fixture
def hub(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path / "cache"))
    return hub


def run(destination=None, *, source=SOURCE, cap=None, **options):
    chosen = PublishOptions(clip_count=4, **options)
    repository = HubClient(NAME, retry=QUICK)
    return prepare_and_publish(source, destination, max_episodes_per_file=cap, options=chosen, repository=repository)


def bytes_of_videos(hub):
    """Return the bytes of videos that were fetched, and the size of the videos."""
    tree = hub.hub.repository(NAME).find(TAG).tree
    videos = {entry.sha256: entry.size for path, entry in tree.items() if path.endswith(".mp4")}
    fetched = [e for e in hub.hub.exchanges() if e.server == "cdn" and any(digest in e.path for digest in videos)]
    return sum(exchange.sent_bytes for exchange in fetched), sum(videos.values())


def folders(tmp_path):
    """Return the working directories that exist."""
    return [path.name for path in (tmp_path / "cache" / "publications").iterdir() if not path.name.endswith(".lock")]


def test_in_one_go(hub, tmp_path):
    base = hub.head
    done = run()
    assert done.preparation is not None
    assert done.publication is not None
    assert done.preparation.verification is not None
    assert done.preparation.verification.error_count == 0
    assert done.publication.parent == done.publication.base_commit == base
    assert hub.main_commits[:2] == [done.publication.commit, base]
    assert hub.tag == hub.head
    assert hub.tree().keys() >= SIDECAR_PATHS
    assert not hub.asked("PUT", ".mp4")
    assert folders(tmp_path) == []
    opened = episeek.open(f"hf://datasets/{NAME}@{TAG}")
    hub.hub.clear()
    clip = opened.clip(1, opened.cameras[0], 2, 6)
    assert clip.decode("pyav").data.shape[0] == 4
    assert len([e for e in hub.hub.exchanges() if e.server == "cdn"]) == 1, "a header was asked for: no identity"
    hub.hub.clear()
    again = run().publication
    assert again is not None
    assert not again.is_new
    assert hub.changing() == []


def padded(mp4, byte_count):
    """Return a video with more media data, in which there is no sample."""
    start = mp4.index(b"mdat") - 4
    size = int.from_bytes(mp4[start : start + 4], "big")
    stop = start + size
    return mp4[:start] + (size + byte_count).to_bytes(4, "big") + mp4[start + 4 : stop] + bytes(byte_count) + mp4[stop:]


def test_videos_are_not_downloaded(running, tmp_path):
    """Longer videos are used: headers are most of the sample datasets' ones."""
    files = files_of(DATA / "av1_multifile")
    files = {path: padded(content, 1 << 20) if path.endswith(".mp4") else content for path, content in files.items()}
    running.start(NAME, files)
    done = run(str(tmp_path / "out"))
    assert done.publication is not None
    assert done.publication.is_new
    fetched, total = bytes_of_videos(running)
    assert 0 < fetched < total / 10


def test_a_kept_destination(hub, tmp_path):
    out = tmp_path / "out"
    done = run(str(out))
    assert done.publication is not None
    record = read_record(Root(str(out)))
    assert record is not None
    assert record.commit == hub.head == done.publication.commit
    hub.hub.clear()
    again = run(str(out))
    assert again.preparation is None
    assert again.publication is not None
    assert (again.publication.is_new, again.publication.commit) == (False, hub.head)
    with pytest.raises(DestinationError, match=r"no --max-episodes-per-file \(now --max-episodes-per-file 1\)"):
        run(str(out), cap=1)
    hub.hub.commit(NAME, {"notes.txt": b"n"})
    with pytest.raises(DestinationError, match="with changed files in "):
        run(str(out))


@pytest.mark.parametrize("path", ["/resolve/.*wrist.*mp4", "/commit/", "/tag/"])
def test_a_run_that_was_stopped_goes_on(path, hub):
    old = hub.tree()
    hub.hub.inject(Fault("status", status=500, method=".*", path=path, times=99))
    with pytest.raises(EpiseekError):
        run()
    hub.hub.clear_faults()
    is_published = path == "/tag/"
    assert (hub.tree() == old) is not is_published
    hub.hub.clear()
    done = run()
    assert done.publication is not None
    if path.startswith("/resolve"):
        assert done.preparation is not None
        assert done.preparation.is_resumed
    else:
        assert done.preparation is None, "prepared twice"
    assert done.publication.is_new is not is_published
    assert hub.tag == hub.head
    assert len(hub.main_commits) == 3


def test_another_commit_while_it_prepares(hub):
    stats = b'{"of": "others"}'
    hub.before("POST", "/preupload/", 2, lambda: hub.hub.commit(NAME, {layout.STATS_PATH: stats}))
    with pytest.raises(
        ConflictError, match=f"which also changes {layout.STATS_PATH}|{layout.STATS_PATH} changed since"
    ):
        run()
    done = run()
    assert done.preparation is not None, "what was prepared is of an earlier commit"
    assert done.publication is not None
    assert hub.hub.state.store.blobs[hub.tree()[layout.STATS_PATH].oid] == stats


def test_errors_are_not_published(hub):
    info = json.loads((DATA / SMALL / layout.INFO_PATH).read_text())
    hub.hub.commit(NAME, {layout.INFO_PATH: json.dumps({**info, "total_tasks": 99}).encode()})
    before = hub.head
    done = run()
    assert done.publication is None
    assert done.preparation is not None
    assert done.preparation.verification is not None
    assert done.preparation.verification.error_count > 0
    with pytest.raises(RefusedPublicationError, match="the first TSK014"):
        run()  # what was prepared is there
    assert hub.changing() == []
    assert hub.head == before


def test_errors_of_rows_are_not_published(hub, tmp_path):
    """Running the command again does not publish them, although a verification before a publication reads no rows."""
    path = "data/chunk-000/file-000.parquet"
    table = pq.read_table(DATA / SMALL / path)
    frames = table.column("frame_index").to_pylist()
    frames[1], frames[2] = frames[2], frames[1]
    column = table.schema.get_field_index("frame_index")
    pq.write_table(
        table.set_column(column, table.schema.field(column), pa.array(frames, pa.int64())), tmp_path / "swapped"
    )
    hub.hub.commit(NAME, {path: (tmp_path / "swapped").read_bytes()})
    before = hub.head
    assert run(str(tmp_path / "out")).publication is None
    with pytest.raises(RefusedPublicationError, match="the first ROW016"):
        run(str(tmp_path / "out"))
    with pytest.raises(RefusedPublicationError, match="the first ROW016"):
        hub.publish(str(tmp_path / "out"), options=PublishOptions())
    assert hub.head == before


def test_one_run_at_a_time(hub):
    """Only one run at a time works in a working directory."""
    refused = []

    def second():
        try:
            run()
        except DestinationError as error:
            refused.append(str(error))

    def begin_second():
        threading.Thread(target=second).start()
        time.sleep(0.5)

    hub.before("POST", "/preupload/", 1, begin_second)
    assert run().publication is not None
    assert len(refused) == 1
    assert "another run that uses this folder" in refused[0]


@pytest.mark.parametrize("reason", ["rights", "card"])
def test_what_cannot_be_published_is_not_prepared(reason, hub, tmp_path):
    name, error = ("other/ds", AccessError) if reason == "rights" else ("acme/card", UnusableCardError)
    card = {} if reason == "rights" else {"README.md": b"---\ntags: [a\n---\n"}
    hub.hub.add_dataset(name, {**files_of(DATA / SMALL), **card})
    repository, source = HubClient(name, retry=QUICK), f"hf://datasets/{name}"
    with pytest.raises(error):
        prepare_and_publish(source, repository=repository)
    assert folders(tmp_path) == []
    assert not [exchange for exchange in hub.hub.exchanges() if "parquet" in exchange.path]
    if reason == "rights":
        done = prepare_and_publish(source, options=PublishOptions(dry_run=True), repository=repository)
        assert done.publication is not None


def test_a_dataset_of_version_2_is_not_replaced(hub, tmp_path):
    hub.hub.add_dataset("acme/old", files_of(DATA / "v21_images"))
    repository = HubClient("acme/old", retry=QUICK)
    with pytest.raises(
        DestinationError, match=r"found codebase_version 'v2.1'; expected a dataset of version 3.0.* hint: prepare"
    ):
        prepare_and_publish("hf://datasets/acme/old", repository=repository)
    prepare("hf://datasets/acme/old", str(tmp_path / "out"))
    with pytest.raises(TargetMismatchError, match=r"found codebase_version 'v2\.1' in the target"):
        publish(str(tmp_path / "out"), "acme/old", options=PublishOptions(), repository=repository)
    assert not hub.changing()


def test_another_branch(hub):
    base = hub.head
    hub.hub.move_branch(NAME, base, "next")
    done = run(source=f"{SOURCE}@next")
    assert done.publication is not None
    assert hub.hub.head(NAME, "next") == done.publication.commit
    assert hub.head == hub.tag == base


def test_a_pull_request_and_a_dry_run(hub, tmp_path):
    base = hub.head
    dry = run(dry_run=True)
    assert dry.publication is not None
    assert hub.changing() == []
    assert folders(tmp_path) == ["acme--ds"]
    done = run(create_pr=True)
    assert done.preparation is None, "prepared twice"
    assert done.publication is not None
    assert done.publication.pull_request is not None
    assert [a.path for a in dry.publication.changes.additions] == [a.path for a in done.publication.changes.additions]
    assert hub.head == hub.tag == base


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (str(DATA / SMALL), None),
        (f"{SOURCE}/folder", None),
        (f"{SOURCE}@{TAG}", None),
        (f"{SOURCE}@{'0' * 40}", None),
        ("hf://buckets/acme/ds", None),
        (SOURCE, "s3://bucket/out"),
        (SOURCE, "hf://datasets/acme/out"),
    ],
)
def test_other_sources_and_destinations(source, destination, hub):
    with pytest.raises(DestinationError):
        run(destination, source=source)
    assert hub.changing() == []


# --- the command line -----------------------------------------------------------------------------------------------------


def command(capsys, *arguments):
    code = main.main(["prepare", *arguments])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


def test_what_the_command_says(hub, capsys):
    code, out, err = command(capsys, SOURCE, "--publish", "--message", "mine")
    assert (code, len(err)) == (0, 1)
    assert working_directory(SOURCE) in err[0]
    words = [line.split()[0] for line in out[: out.index("")] if not line.startswith(" ")]
    assert words == ["rewrite", "index", "verify", "base", "change", "send", "arrival", "tag", "done"]
    assert hub.hub.repository(NAME).commits[hub.head].title == "mine"
    code, out, err = command(capsys, SOURCE, "--publish", "--json", "--no-tag", "--quiet")
    document = json.loads("\n".join(out))
    assert (code, err) == (0, [])
    assert (document["publication"]["is_new"], document["publication"]["tag"]) == (False, None)
    assert document["preparation"]["verification"]["summary"]["errors"] == 0


def test_the_exit_code_of_errors(hub, capsys):
    info = json.loads((DATA / SMALL / layout.INFO_PATH).read_text())
    hub.hub.commit(NAME, {layout.INFO_PATH: json.dumps({**info, "total_tasks": 99}).encode()})
    code, out, err = command(capsys, SOURCE, "--publish")
    assert code == 1
    assert "error TSK014" in "\n".join(out)
    assert err[-1] == "episeek: error: nothing was published: verification found errors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "DST: found none"),
        (["out", "--create-pr"], "--create-pr: found without --publish"),
        (["out", "--no-tag"], "--no-tag: found without --publish"),
        (["--publish", "--force"], "--force: found with --publish"),
        (["--publish", "--videos", "copy"], "--videos: found with --publish"),
        (["out", "--publish", "--tag", "no tag"], "--tag: found 'no tag'"),
    ],
)
def test_arguments_that_do_not_go_together(arguments, message, capsys):
    code, out, (said,) = command(capsys, SOURCE, *arguments)
    assert (code, out) == (2, [])
    assert message in said
