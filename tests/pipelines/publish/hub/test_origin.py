"""Files that others have changed in a repository since the commit that an overlay was prepared from."""

import json
import shutil

import pytest

from episeek.errors import MissingFileError
from episeek_pipelines.cli import main
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.provenance import SourceRecord, local_identity, read_record, write_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.hub.options import PublishOptions
from episeek_pipelines.publish.hub.origin import changed_by_others
from episeek_pipelines.publish.overlay.changes import Addition, Changes
from episeek_schemas import layout
from episeek_schemas.layout import SOURCE_RECORD_PATH
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import in_git, prepared
from tests.pipelines.remote_datasets import files_of
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, SMALL

pytestmark = CLIENT_WARNINGS


@pytest.fixture
def overlay(hub, tmp_path):
    """An overlay prepared from the repository as it is."""
    prepare(f"hf://datasets/{NAME}", str(tmp_path / "overlay"))
    return str(tmp_path / "overlay")


def info_with(**more):
    return json.dumps({**json.loads((DATA / SMALL / layout.INFO_PATH).read_text()), **more}).encode()


def commit_known(overlay):
    record = read_record(Root(overlay))
    assert record is not None
    return record.commit


def test_only_what_both_change_counts():
    def tree(**contents):
        return {path: in_git(path, content) for path, content in contents.items()}

    def adding(*paths, deleting=()):
        return Changes(tuple(Addition(path, b"", 0, "") for path in paths), deleting, 0)

    base = tree(a=b"1", b=b"1", c=b"1")
    now = tree(a=b"2", b=b"1", d=b"1")

    def changed(changes, *bases, **source):
        known = {path: local_identity(LocalDigests().of_all([content])[0]) for path, content in source.items()}
        return changed_by_others(now, changes, bases, known)

    assert changed(adding("a", "b", "c", "d", "e"), base) == ("a", "c", "d")
    assert changed(adding("b"), base) == ()
    assert changed(adding("b", deleting=("d",)), base) == ("d",)
    assert changed(adding("a", "b", "c", "d"), base, now) == ()
    assert changed(adding("a", "b", "c", "d"), base, a=b"2", c=b"1", d=b"2") == ("c", "d")
    assert changed(adding("a", "b", "c", "d", "e"), a=b"2", b=b"3") == ("b", "d")
    assert changed(adding("a", "c")) == ("a",)
    derived = (layout.CARD_PATH, layout.FILES_PATH, f"{layout.BYTE_INDEX_PARTIAL_DIR}/x")
    assert changed_by_others({path: in_git(path, b"") for path in derived}, adding(*derived), [{}], {}) == ()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (layout.INFO_PATH, info_with(robot_type="another")),
        (layout.STATS_PATH, b"{}"),
        ("data/chunk-000/file-000.parquet", b"rows of others"),
    ],
)
def test_what_others_have_changed_is_not_replaced(path, content, hub, overlay):
    base, head = commit_known(overlay), hub.hub.commit(NAME, {path: content})
    with pytest.raises(ConflictError, match=f"{path}.* changed since {base}") as caught:
        hub.publish(overlay)
    assert caught.value.head == head
    assert f"replace the files with --base {head}" in str(caught.value)
    assert hub.changing() == []
    assert commit_known(overlay) == base
    result = hub.publish(overlay, options=PublishOptions(base="main", is_verified=False, clip_count=2))
    assert (result.is_new, result.base_commit) == (True, head)
    assert commit_known(overlay) == result.commit == hub.head


def test_what_others_have_changed_elsewhere_is_built_upon(hub, overlay):
    hub.hub.commit(NAME, {"notes.txt": b"n", "README.md": b"# theirs\n"})
    base = commit_known(overlay)
    result = hub.publish(overlay)
    assert (result.is_new, result.base_commit) == (True, base)
    assert hub.tree().keys() >= {"notes.txt"}


def test_own_publications_are_not_those_of_others(hub, overlay):
    base, first = commit_known(overlay), hub.publish(overlay)
    assert (first.base_commit, commit_known(overlay)) == (base, first.commit)
    write_record(Root(overlay), SourceRecord(base, {}))  # a run that was stopped before it could remember
    again = hub.publish(overlay)
    assert (again.is_new, again.commit, commit_known(overlay)) == (False, first.commit, first.commit)
    stats = Root(overlay).local / layout.STATS_PATH
    stats.write_bytes(stats.read_bytes() + b"\n")
    changed = hub.publish(overlay)
    assert changed.is_new
    assert [addition.path for addition in changed.changes.additions] == [layout.STATS_PATH]


@pytest.mark.parametrize("options", [PublishOptions(create_pr=True), PublishOptions(branch="next")])
def test_what_is_not_on_main_yet_is_not_the_base(options, hub, overlay):
    base = commit_known(overlay)
    hub.hub.move_branch(NAME, base, "next")
    hub.publish(overlay, options=options)
    assert commit_known(overlay) == base
    assert hub.publish(overlay).is_new


def test_another_repository_has_no_such_commit(hub, overlay):
    base = commit_known(overlay)
    hub.hub.add_dataset("acme/other", files_of(DATA / SMALL))
    result = hub.publish(overlay, name="acme/other")
    assert (result.is_new, result.base_commit) == (True, "")
    assert commit_known(overlay) == base


def test_files_of_the_source_are_known(hub, tmp_path):
    """No commit is known here: the repository has the files that were prepared here, or published from here."""
    source = copy_dataset(SMALL, tmp_path / "source")
    prepare(str(source), str(tmp_path / "first"))
    first = hub.publish(str(tmp_path / "first"), source=SMALL)
    assert (first.is_new, first.base_commit) == (True, "")
    stats = source / layout.STATS_PATH
    stats.write_bytes(stats.read_bytes() + b"\n")
    prepare(str(source), str(tmp_path / "second"))
    second = hub.publish(str(tmp_path / "second"), source=SMALL)
    assert [addition.path for addition in second.changes.additions] == [layout.STATS_PATH]
    stats.write_bytes(stats.read_bytes() + b"\n")
    prepare(str(source), str(tmp_path / "third"))
    hub.hub.commit(NAME, {layout.STATS_PATH: b"{}"})
    with pytest.raises(ConflictError, match=f"{layout.STATS_PATH} changed since {second.commit}"):
        hub.publish(str(tmp_path / "third"), source=SMALL)


def test_files_of_others_where_no_commit_is_known(hub, tmp_path):
    shutil.copytree(prepared(SMALL).local, tmp_path / "overlay")
    head = hub.hub.commit(NAME, {layout.STATS_PATH: b"{}"})
    with pytest.raises(ConflictError, match=f"{layout.STATS_PATH} is not the same as in the source of DST"):
        hub.publish(str(tmp_path / "overlay"), source=SMALL)
    (tmp_path / "overlay" / SOURCE_RECORD_PATH).unlink()
    with pytest.raises(ConflictError, match=r"are of unknown origin, since DST does not record its source.*--base "):
        hub.publish(str(tmp_path / "overlay"), source=SMALL)
    assert hub.changing() == []
    options = PublishOptions(base=head, is_verified=False, clip_count=2)
    assert hub.publish(str(tmp_path / "overlay"), source=SMALL, options=options).base_commit == head


def test_a_revision_that_is_not_there(hub):
    options = PublishOptions(base="nothing", is_verified=False)
    with pytest.raises(MissingFileError, match="@nothing"):
        hub.publish(prepared(SMALL).url, source=SMALL, options=options)


def test_what_the_command_says(hub, overlay, capsys):
    def lines(*arguments):
        assert main.main(["publish", *arguments, "--no-verify", "--dry-run"]) == 0
        return capsys.readouterr().out.splitlines()

    base = commit_known(overlay)
    assert f"the replaced files are unchanged since commit {base}" in lines(overlay, NAME)[1]
    local = (prepared(SMALL).url, NAME, "--data-root", str(DATA / SMALL))
    assert "the replaced files are the files that DST was prepared from" in lines(*local)[1]
    assert f"the replaced files are unchanged since commit {hub.head}" in lines(*local, "--base", "main")[1]
    assert json.loads("\n".join(lines(overlay, NAME, "--json")))["base"] == base
    hub.hub.commit(NAME, {layout.STATS_PATH: b"{}"})
    assert main.main(["publish", overlay, NAME, "--no-verify"]) == 2
    assert f"{layout.STATS_PATH} changed since {base}" in capsys.readouterr().err
