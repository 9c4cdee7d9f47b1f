"""Publications into stores at the same time as others, while people change files, and with a store that fails now and then."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import episeek
from episeek.errors import EpiseekError
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.store import attempts, publication_run
from episeek_pipelines.publish.store.contents import StoreContents
from episeek_pipelines.publish.store.journal import JOURNAL_PATH, Publication
from episeek_pipelines.publish.store.options import StorePublication
from episeek_pipelines.publish.store.plan import wanted_files
from episeek_schemas import layout
from tests.pipelines.conftest import DATA
from tests.pipelines.publish.overlays import change_one_data_file, prepared
from tests.pipelines.publish.store.test_publish import DATA_PATH, NAME, VIDEO_PATH
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.support.amount import IS_FULL, first, full_run
from tests.support.publish_s3 import ONCE, OVERWRITE, QUICK, STAGED


@pytest.fixture(scope="module")
def overlays(tmp_path_factory):
    """Overlays of the same dataset with other values in its rows."""
    made = []
    for number in range(8):
        overlay = tmp_path_factory.mktemp("overlays") / f"overlay-{number}"
        shutil.copytree(prepared(NAME).local, overlay)
        change_one_data_file(overlay, by=number + 1)
        made.append(str(overlay))
    return made


def ended(s3, overlays, url):
    """Publish several overlays at the same moment, and return the results and conflicts."""
    barrier = threading.Barrier(len(overlays))

    def published(overlay):
        barrier.wait(20)
        try:
            return s3.publish(overlay, url, source=NAME)
        except EpiseekError as error:
            return error

    with ThreadPoolExecutor(len(overlays)) as threads:
        return list(threads.map(published, overlays))


def check_whole(s3, url):
    assert not any(path.startswith(STAGED) for path in s3.files(url))
    report = verify(url)
    assert (report.error_count, report.level) == (0, "layout")
    found = episeek.open(url).clip(2, "observation.images.top", 3, 7).read()
    assert (
        found == episeek.open(prepared(NAME).url, data_root=DATA / NAME).clip(2, "observation.images.top", 3, 7).read()
    )


@pytest.mark.parametrize("count", [2, 8] if IS_FULL else [4])
def test_the_same_published_at_once(s3, count):
    url = s3.start(files_of(DATA / NAME))
    results = ended(s3, [prepared(NAME).url] * count, url)
    assert [result for result in results if not isinstance(result, StorePublication)] == []
    check_whole(s3, url)


@pytest.mark.parametrize("count", [2, 8] if IS_FULL else [4])
def test_others_published_at_once(s3, count, overlays):
    url = s3.start(files_of(DATA / NAME))
    results = ended(s3, overlays[:count], url)
    winners = [result for result in results if isinstance(result, StorePublication)]
    others = [result for result in results if not isinstance(result, StorePublication)]
    (winner,) = winners
    assert {type(other) for other in others} == {ConflictError}
    for conflict in others:
        assert "in progress" in str(conflict) or "changed by somebody else" in str(conflict)
    there = s3.files(url)
    (data,) = [addition for addition in winner.changes.additions if addition.path == DATA_PATH]
    with open(data.source, "rb") as stream:
        assert there[DATA_PATH] == stream.read()
    check_whole(s3, url)


@full_run
def test_another_publication_that_has_stopped(s3, overlays):
    """It keeps others out until it is run again, or its journal is removed."""
    url = s3.start(files_of(DATA / NAME))
    s3.proxy.inject(Fault("gone", method="PUT", path=f"{url[len('s3:/') :]}/{layout.META_DIR}/byte_index/files"))
    with pytest.raises(EpiseekError):
        s3.publish(overlays[0], url, source=NAME, retry=ONCE)
    s3.reset()
    before = s3.files(url)
    with pytest.raises(ConflictError, match=r"run that publication again .*or remove this file") as caught:
        s3.publish(overlays[1], url, source=NAME)
    assert caught.value.where == f"{url}/{JOURNAL_PATH}"
    assert s3.files(url) == before
    assert s3.changing() == []
    s3.datasets.change(url, {}, delete=(JOURNAL_PATH,))
    with pytest.raises(ConflictError, match="--overwrite"):
        s3.publish(overlays[1], url, source=NAME)
    assert s3.publish(overlays[1], url, source=NAME, options=OVERWRITE).is_new
    check_whole(s3, url)


def test_a_publication_continues_from_its_staged_files(s3):
    url = s3.start(files_of(DATA / NAME))
    s3.proxy.inject(Fault("gone", method="PUT", path=JOURNAL_PATH))
    with pytest.raises(EpiseekError):
        s3.publish(prepared(NAME).url, url, source=NAME, retry=ONCE)
    s3.reset()
    result = s3.publish(prepared(NAME).url, url, source=NAME)
    assert (result.sent_count, result.staged_count) == (0, len(result.changes.additions))
    assert [exchange for exchange in s3.sent() if exchange.received_bytes and JOURNAL_PATH not in exchange.path] == []
    check_whole(s3, url)


@pytest.mark.parametrize("path", [DATA_PATH, VIDEO_PATH, layout.INFO_PATH, "data/chunk-000/file-009.parquet"])
def test_a_file_that_somebody_changes_meanwhile(s3, path):
    before = files_of(DATA / NAME)
    url = s3.start(before)
    s3.before("PUT", JOURNAL_PATH, 1, lambda: s3.datasets.change(url, {path: b"other"}))
    with pytest.raises(ConflictError, match=f"found {path}, changed by somebody else"):
        s3.publish(prepared(NAME).url, url, source=NAME)
    assert s3.files(url) == {**before, path: b"other"}


def test_a_card_that_is_edited_meanwhile_is_added_to(s3):
    url = s3.start(files_of(DATA / NAME))
    s3.before("PUT", JOURNAL_PATH, 1, lambda: s3.datasets.change(url, {layout.CARD_PATH: b"# theirs\n"}))
    result = s3.publish(prepared(NAME).url, url, source=NAME)
    assert result.attempts == 2
    card = s3.files(url)[layout.CARD_PATH]
    assert b"# theirs\n" in card
    assert b"episeek:begin" in card
    check_whole(s3, url)


def test_a_run_that_gives_up_keeps_the_files_that_another_run_of_the_same_continues_from(s3, monkeypatch):
    """This run finds a file that a colleague has changed, while the other run is in the middle of the switch."""
    url = s3.start(files_of(DATA / NAME))
    overlay, seen = prepared(NAME).url, {}
    original = attempts.StorePublisher._changed_by_others

    def other_run_stops_in_its_switch():
        s3.proxy.inject(Fault("gone", method="PUT", path=f"{url[len('s3:/') :]}/{layout.META_DIR}/byte_index/files"))
        with pytest.raises(EpiseekError):
            s3.publish(overlay, url, source=NAME, retry=ONCE)
        s3.proxy.clear_faults()
        seen.update(s3.files(url))

    def changed_by_others(job, plan, now):
        monkeypatch.setattr(attempts.StorePublisher, "_changed_by_others", original)
        s3.datasets.change(url, {"meta/stats.json": b"{}"})
        other_run_stops_in_its_switch()
        return {"meta/stats.json"}

    monkeypatch.setattr(attempts.StorePublisher, "_changed_by_others", changed_by_others)
    with pytest.raises(ConflictError):
        s3.publish(overlay, url, source=NAME)
    assert any("/runs/" in path for path in seen)
    assert JOURNAL_PATH in seen
    assert s3.files(url) == seen
    assert s3.publish(overlay, url, source=NAME).is_resumed
    check_whole(s3, url)


def test_a_journal_that_another_run_of_the_same_has_removed_since_is_claimed_again(s3):
    """The journal exists when this run would write it, and is removed before this run reads it."""
    url, overlay = s3.start(files_of(DATA / NAME)), Root(prepared(NAME).url)
    wanted = StoreContents(Root(url), LocalDigests()).additions_of({**wanted_files(overlay, sidecars_only=False)})
    publication = Publication.of(wanted, sidecars_only=False).digest
    journal = json.dumps({"publication": publication, "run": "another"}).encode()
    s3.before("PUT", JOURNAL_PATH, 1, lambda: s3.datasets.change(url, {JOURNAL_PATH: journal}))
    s3.before("HEAD", JOURNAL_PATH, 2, lambda: s3.datasets.change(url, {}, delete=(JOURNAL_PATH,)))
    assert s3.publish(overlay.url, url, source=NAME).is_new
    answers = [e.status for e in s3.proxy.exchanges() if e.method == "PUT" and e.path.endswith(JOURNAL_PATH)]
    assert answers == [412, 200]
    check_whole(s3, url)


def test_the_journal_of_another_publication_that_has_begun_since_is_kept(s3, monkeypatch):
    """Another run of the same publication has finished it."""
    url = s3.start(files_of(DATA / NAME))
    finish = publication_run.PublicationRun.finish
    theirs = {JOURNAL_PATH: b'{"publication": "ffff"}', f"{STAGED}{'f' * 16}/data/file": b"staged"}

    def finished_twice(sending, listing):
        finish(sending, listing)
        s3.datasets.change(url, theirs)
        finish(sending, sending.writer.files())

    monkeypatch.setattr(publication_run.PublicationRun, "finish", finished_twice)
    assert s3.publish(prepared(NAME).url, url, source=NAME).is_new
    assert {path: content for path, content in s3.files(url).items() if path.startswith(STAGED)} == theirs


XML = {"Content-Type": "application/xml"}
BODY = b"<Error><Code>InternalError</Code><Message>again</Message></Error>"
FAULTS = {
    "500": Fault("status", status=500, headers=XML, body=BODY),
    "503": Fault("status", status=503, headers=XML, body=BODY),
    "reset": Fault("reset"),
    "lost": Fault("commit_then_drop"),
}
KINDS = {
    "listing": ("GET", "^/[^/]+$"),
    "range": ("GET", "mp4"),
    "staged": ("PUT", "partial/.*samples"),
    "journal": ("PUT", JOURNAL_PATH),
    "question": ("HEAD", "partial/.*samples"),
    "copy": ("PUT", "^/[^/]+/[^/]+/meta/byte_index/samples"),
    "deletion": ("POST", "^/[^/]+$"),
}


@pytest.mark.parametrize("name", first(["lost", "503", "500", "reset"], 2))
def test_published_whatever_fails_once(s3, name):
    url = s3.start({**files_of(DATA / NAME), "data/chunk-000/file-007.parquet": b"old"})
    for method, path in KINDS.values():
        s3.proxy.inject(replace(FAULTS[name], method=method, path=path))
    result = s3.publish(prepared(NAME).url, url, source=NAME, options=OVERWRITE, retry=QUICK)
    met = [exchange for exchange in s3.proxy.exchanges() if exchange.fault]
    assert len(met) == len(KINDS), "a fault was not met"
    assert result.is_new
    assert DATA_PATH in result.changes.paths
    assert "data/chunk-000/file-007.parquet" not in s3.files(url)
    check_whole(s3, url)
