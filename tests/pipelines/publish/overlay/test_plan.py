"""The files that a publication adds, deletes and keeps, and those that no repository can hold."""

import hashlib
import os
import shutil
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek.errors import MissingSidecarError, MixedBuildError, NotADatasetError, ReadError
from episeek_pipelines.dataset import digests as digests_module
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.local_files import TEMPORARY_SUFFIX
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.hub_limits import MAX_REPOSITORY_FILES
from episeek_pipelines.publish.overlay.changes import Addition, Changes
from episeek_pipelines.publish.overlay.files import sendable_files
from episeek_pipelines.publish.overlay.plan import UnpublishableError, plan_changes, split_changes
from episeek_schemas import layout, sidecars
from tests.pipelines.conftest import DATA, digests
from tests.pipelines.publish.overlays import in_git, in_lfs, prepared, repository_of
from tests.support.amount import examples

SIDECARS = sorted(path for path, _ in sidecars.TABLES.values())
NAMES = ("av1_multifile", "h264_bframes", "hevc", "images", "edited")


@pytest.fixture
def overlay(tmp_path):
    """A copy of a prepared overlay that a test may change."""
    shutil.copytree(prepared("av1_multifile").local, tmp_path / "overlay")
    return Root(str(tmp_path / "overlay"))


@pytest.fixture
def remote():
    return repository_of(DATA / "av1_multifile")


def planned(overlay, remote, *, card=None, sidecars_only=False, **options):
    return plan_changes(overlay, remote, card=card, sidecars_only=sidecars_only, **options)


def paths(changes):
    return [addition.path for addition in changes.additions]


def put(root, path, content=b"x"):
    target = root.local / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


# --- what is sent ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_files_that_differ(name):
    overlay, remote = prepared(name), repository_of(DATA / name)
    changes = planned(overlay, remote)
    mine, theirs = digests(overlay.local), digests(DATA / name)
    assert paths(changes) == sorted(path for path in mine if mine[path] != theirs.get(path))
    assert changes.unchanged_count == sum(mine[path] == theirs.get(path) for path in mine)
    assert {addition.path: addition.sha256 for addition in changes.additions}.items() <= mine.items()
    assert all(addition.size == overlay.size(addition.path) for addition in changes.additions)
    assert all(os.path.samefile(str(a.source), overlay.join(a.path)) for a in changes.additions)
    replaced = {path for path in theirs if path.startswith(("data/", "meta/episodes/"))} - mine.keys()
    assert set(changes.deletions) == replaced


def test_no_changes_where_all_files_are_the_same(overlay):
    changes = planned(overlay, repository_of(overlay.local))
    assert (changes.additions, changes.deletions) == ((), ())
    assert changes.unchanged_count == len(digests(overlay.local))


@pytest.mark.parametrize("make", [in_git, in_lfs])
def test_content_decides_in_git_and_in_lfs(make, overlay):
    remote = {path: make(path, overlay.read_bytes(path)) for path in overlay.list()}
    assert planned(overlay, remote).operation_count == 0
    content = overlay.read_bytes(layout.INFO_PATH)
    changed = make(layout.INFO_PATH, content[:-1] + bytes([content[-1] ^ 1]))  # of the same size
    assert paths(planned(overlay, {**remote, layout.INFO_PATH: changed})) == [layout.INFO_PATH]


def test_videos_are_sent_where_the_overlay_holds_them_and_they_differ(remote):
    overlay = prepared("av1_multifile", "link")
    videos = sorted(path for path in remote if path.endswith(".mp4"))
    assert len(videos) == 12
    assert not [path for path in paths(planned(overlay, remote)) if path.endswith(".mp4")]
    others = {path: file for path, file in remote.items() if path != videos[0]}
    others[videos[1]] = in_lfs(videos[1], b"other")
    assert [path for path in paths(planned(overlay, others)) if path.endswith(".mp4")] == videos[:2]


def test_sidecars_only(overlay, remote):
    put(overlay, layout.INFO_PATH, b"{}")
    stale = {"data/chunk-000/file-009.parquet", "meta/byte_index.partial/files.parquet"}
    changes = planned(
        overlay, {**remote, **{path: in_lfs(path, b"") for path in stale}}, card=b"---", sidecars_only=True
    )
    assert paths(changes) == ["README.md", *SIDECARS]
    assert changes.deletions == ()
    for folder in ("data", "meta/episodes"):  # as `episeek index --output` leaves it
        shutil.rmtree(overlay.local / folder)
    (overlay.local / layout.INFO_PATH).unlink()
    assert paths(planned(overlay, remote, sidecars_only=True)) == SIDECARS


def test_only_files_that_the_rewrite_replaced_are_deleted(overlay, remote):
    kept = [
        "videos/observation.images.top/chunk-009/file-000.mp4",
        "videos/a.parquet",
        "README.md",
        ".gitattributes",
        "meta/other.parquet",
        "meta/byte_index/other.parquet",
        "data/readme.txt",
        "metadata/episodes/a.parquet",
        "data.parquet",
    ]
    gone = [
        "data/chunk-000/file-099.parquet",
        "data/other/deep/a.parquet",
        "meta/byte_index.partial/work.npz",
        "meta/episodes/chunk-001/file-000.parquet",
    ]
    more = {path: in_lfs(path, b"1") for path in (*kept, *gone)}
    assert planned(overlay, {**remote, **more}).deletions == tuple(gone)


def test_what_is_never_sent(overlay, remote, tmp_path):
    before = planned(overlay, remote)
    for path in (
        f"meta/x{TEMPORARY_SUFFIX}",
        f"data/.file.parquet.0123{TEMPORARY_SUFFIX}",
        ".git/config",
        ".cache/huggingface/download",
        ".gitattributes",
        "meta/.hidden/a.json",
        "meta/byte_index.partial/files.parquet",
        "data/work.partial",
        "meta/byte_index/notes.txt",
    ):
        put(overlay, path)
    (tmp_path / "outside.json").write_bytes(b"{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.json").write_bytes(b"{}")
    (overlay.local / "meta/outside.json").symlink_to(tmp_path / "outside.json")
    (overlay.local / "meta/folder").symlink_to(tmp_path / "folder")
    (overlay.local / "meta/nowhere.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(overlay.local / "meta/pipe")
    assert planned(overlay, remote) == before
    (overlay.local / "meta/inside.json").symlink_to(overlay.local / layout.INFO_PATH)
    assert paths(planned(overlay, remote)) == sorted([*paths(before), "meta/inside.json"])


def test_the_given_card_is_sent(overlay, remote):
    put(overlay, layout.CARD_PATH, b"# the overlay's")
    has_one = {**remote, layout.CARD_PATH: in_git(layout.CARD_PATH, b"# mine")}
    assert layout.CARD_PATH not in paths(planned(overlay, has_one))
    assert layout.CARD_PATH not in paths(planned(overlay, has_one, card=b"# mine"))
    changed = next(a for a in planned(overlay, has_one, card=b"# new").additions if a.path == layout.CARD_PATH)
    assert changed == Addition(layout.CARD_PATH, b"# new", 5, hashlib.sha256(b"# new").hexdigest())
    assert layout.CARD_PATH in paths(planned(overlay, remote))


def test_replaced_files_are_sent_instead_of_those_of_the_overlay(overlay, remote, tmp_path):
    (tmp_path / "other").write_bytes(b"other")
    replaced = {layout.STATS_PATH: b"{}", SIDECARS[0]: str(tmp_path / "other")}
    found = {a.path: a for a in planned(overlay, remote, replaced_files=replaced).additions}
    assert found[layout.STATS_PATH].source == b"{}"
    assert found[SIDECARS[0]] == Addition(SIDECARS[0], str(tmp_path / "other"), 5, hashlib.sha256(b"other").hexdigest())
    only = planned(overlay, remote, replaced_files=replaced, sidecars_only=True)
    assert paths(only) == SIDECARS


def test_each_file_is_read_once_and_again_when_it_changed(overlay, remote, monkeypatch):
    hashed = []
    digests_of = digests_module._Hashing.digests

    def counted(self):
        hashed.append(1)
        return digests_of(self)

    monkeypatch.setattr(digests_module._Hashing, "digests", counted)
    known = LocalDigests()
    first = planned(overlay, remote, digests=known)
    count = len(sendable_files(overlay))
    assert len(hashed) == count
    assert planned(overlay, remote, digests=known) == first
    assert len(hashed) == count
    put(overlay, layout.STATS_PATH, b"{ }")
    again = planned(overlay, remote, digests=known)
    assert len(hashed) == count + 1
    assert layout.STATS_PATH in paths(again)


def test_large_files_are_hashed_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(digests_module, "_CHUNK_BYTES", 1000)
    content = bytes(range(256)) * 100
    (tmp_path / "large").write_bytes(content)
    (found,) = LocalDigests().of_all([str(tmp_path / "large")])
    assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert found.blob_id == in_git("large", content).blob_id
    monkeypatch.setattr(digests_module, "MAX_BLOB_BYTES", 1000)
    (larger,) = LocalDigests().of_all([content])
    assert (larger.sha256, larger.blob_id) == (found.sha256, "")


# --- what is refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SIDECARS)
@pytest.mark.parametrize("sidecars_only", [False, True])
def test_no_sidecars(path, sidecars_only, overlay, remote):
    (overlay.local / path).unlink()
    with pytest.raises(MissingSidecarError, match=f"{path}.*episeek prepare"):
        planned(overlay, remote, sidecars_only=sidecars_only)


def test_sidecars_of_two_builds(overlay, remote):
    shutil.copyfile(prepared("edited").local / SIDECARS[0], overlay.local / SIDECARS[0])
    with pytest.raises(MixedBuildError):
        planned(overlay, remote)


def test_no_dataset(overlay, remote):
    with pytest.raises(NotADatasetError, match=r"the repository: found no meta/info\.json"):
        planned(overlay, {}, sidecars_only=True)
    (overlay.local / layout.INFO_PATH).unlink()
    with pytest.raises(NotADatasetError, match=r"no meta/info\.json"):
        planned(overlay, remote)


@pytest.mark.parametrize("folder", ["data", "meta/episodes"])
def test_an_overlay_without_files_to_replace_the_existing_ones(folder, overlay, remote):
    shutil.rmtree(overlay.local / folder)
    with pytest.raises(NotADatasetError, match="no Parquet files"):
        planned(overlay, remote)


@pytest.mark.parametrize(
    "path",
    [
        "../a.json",
        "meta/../a.json",
        "/a.json",
        "meta//a.json",
        "meta/./a.json",
        ".git/config",
        "meta/.cache/a",
        "meta/a\nb.json",
        "meta/a\x7fb.json",
        "meta/a\udcffb.json",
        "meta/a\\b.json",
        f"meta/{'é' * 128}",
        "/".join(["d" * 250] * 20),
        "",
    ],
)
def test_paths_that_a_repository_cannot_hold(path, overlay, remote):
    with pytest.raises(UnpublishableError):
        planned(overlay, remote, replaced_files={path: b"x"})


def test_names_of_the_overlay_that_a_repository_cannot_hold(overlay, remote):
    put(overlay, "meta/a\nb.json")
    with pytest.raises(UnpublishableError, match="control character"):
        planned(overlay, remote)


def test_names_that_differ_in_case_alone(overlay, remote):
    put(overlay, "meta/Notes.json")
    assert "meta/Notes.json" in paths(planned(overlay, remote))
    with pytest.raises(UnpublishableError, match=r"meta/Notes\.json: found 'notes\.json'"):
        planned(overlay, {**remote, "meta/notes.json": in_git("meta/notes.json", b"x")})
    with pytest.raises(UnpublishableError, match=r"found 'META'"):
        planned(overlay, {**remote, "META/other.json": in_git("META/other.json", b"x")})
    replaced = "data/chunk-000/FILE-000.parquet"  # deleted by the same change
    without = {path: file for path, file in remote.items() if not path.startswith("data/")}
    assert planned(overlay, {**without, replaced: in_lfs(replaced, b"x")}).deletions == (replaced,)
    theirs = ("videos/A.mp4", "videos/a.mp4")  # neither is of this change
    assert planned(overlay, {**remote, **{path: in_lfs(path, b"x") for path in theirs}})


def test_a_file_where_a_folder_is(overlay, remote):
    put(overlay, "meta/notes/a.json")
    with pytest.raises(UnpublishableError, match="'meta/notes', which is a file"):
        planned(overlay, {**remote, "meta/notes": in_git("meta/notes", b"x")})
    put(overlay, "meta/other")
    remote["meta/other/b.json"] = in_git("meta/other/b.json", b"x")
    with pytest.raises(UnpublishableError, match="meta/other: found a folder"):
        planned(overlay, remote)


def test_more_files_than_a_folder_may_have(overlay, remote):
    full = {path: in_lfs(path, b"x") for path in (f"meta/byte_index/{number}" for number in range(9997))}
    with pytest.raises(UnpublishableError, match="meta/byte_index: found 10001 entries"):
        planned(overlay, {**remote, **full})
    full.pop("meta/byte_index/0")
    assert planned(overlay, {**remote, **full})
    elsewhere = {path: in_lfs(path, b"x") for path in (f"videos/{number}" for number in range(10_001))}
    assert planned(overlay, {**remote, **elsewhere})  # a folder that nothing is added to


def test_more_files_than_a_repository_may_have(overlay, remote):
    room = MAX_REPOSITORY_FILES - len(remote) - len(SIDECARS)
    many = {path: in_lfs(path, b"x") for path in (f"other/{n // 5000}/{n}" for n in range(room))}
    assert planned(overlay, {**remote, **many})
    one_more = {**remote, **many, "other/more": in_lfs("other/more", b"")}
    with pytest.raises(UnpublishableError, match="100001 files after the change"):
        planned(overlay, one_more)


def test_an_unreadable_file(overlay, remote, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(digests_module, "open", refuse, raising=False)
    with pytest.raises(ReadError, match="Permission denied"):
        planned(overlay, remote)


# --- the same by a model --------------------------------------------------------------------------------------------------------

EXTRA = st.sampled_from(
    [
        f"{folder}/{name}"
        for folder in ("data/x", "meta/episodes/y", "videos/z", "meta", "other")
        for name in ("a.parquet", "b.json")
    ]
)
CONTENT = st.sampled_from([b"1", b"2", b"33"])


@settings(deadline=None, max_examples=examples(40))
@given(mine=st.dictionaries(EXTRA, CONTENT), theirs=st.dictionaries(EXTRA, CONTENT), is_lfs=st.booleans())
def test_after_the_change_the_repository_has_the_overlay_and_the_kept_files(mine, theirs, is_lfs):
    overlay, make = prepared("edited"), in_lfs if is_lfs else in_git
    remote = {**repository_of(DATA / "edited"), **{path: make(path, content) for path, content in theirs.items()}}
    changes = planned(overlay, remote, replaced_files=mine)
    assert not set(paths(changes)) & set(changes.deletions)
    assert set(changes.deletions) <= remote.keys()
    after = {path: file.sha256 or file.blob_id for path, file in remote.items() if path not in changes.deletions}
    after.update({a.path: a.sha256 for a in changes.additions})
    for path, content in mine.items():
        assert after[path] in (hashlib.sha256(content).hexdigest(), in_git(path, content).blob_id)
    for path in theirs.keys() - mine.keys():
        assert (path in after) == (not path.startswith(("data/", "meta/episodes/")) or path.endswith(".json"))
    for path in set(paths(changes)) & theirs.keys():
        assert theirs[path] != mine[path]


# --- parts ----------------------------------------------------------------------------------------------------------------------

NAME = st.text("abc", min_size=1, max_size=3)
PATH = st.one_of(
    st.builds(
        "{}/{}.parquet".format,
        st.sampled_from(["data/chunk-000", "meta/episodes/chunk-000", "meta", "videos/top"]),
        NAME,
    ),
    st.sampled_from([layout.INFO_PATH, layout.CARD_PATH, layout.STATS_PATH, *SIDECARS, "other.txt"]),
)


@st.composite
def changes_of(draw):
    added = draw(st.sets(PATH, max_size=40))
    gone = draw(st.sets(PATH, max_size=40)) - added
    additions = tuple(Addition(path, path.encode(), len(path), "") for path in sorted(added))
    return Changes(additions, tuple(sorted(gone)), draw(st.integers(0, 5)))


@given(changes=changes_of(), limit=st.integers(1, 12))
def test_the_parts_add_up_to_the_changes_in_order(changes, limit):
    parts = split_changes(changes, limit)
    assert parts == split_changes(changes, limit)
    added = [a for part in parts for a in part.additions]
    gone = [path for part in parts for path in part.deletions]
    assert sorted(added, key=lambda a: a.path) == list(changes.additions)
    assert sorted(gone) == list(changes.deletions)
    assert all(1 <= part.operation_count <= limit for part in parts)
    assert len(parts) == -(-changes.operation_count // limit) or len(parts) == -(-changes.operation_count // limit) + 1
    assert sum(part.unchanged_count for part in parts) == (changes.unchanged_count if parts else 0)
    assert all(list(part.additions) == sorted(part.additions, key=lambda a: a.path) for part in parts)

    number_of = {a.path: number for number, part in enumerate(parts) for a in part.additions}
    last = max(number_of.values(), default=0)
    assert all(number >= last for number, part in enumerate(parts) if part.deletions)
    visible = [path for path in number_of if path == layout.INFO_PATH or path.startswith("meta/episodes/")]
    if len(visible) <= limit:
        assert all(number_of[path] == last for path in visible)

    def positions(*prefixes):
        return [number_of[path] for path in number_of if path.startswith(prefixes) and path not in visible]

    index = positions(layout.BYTE_INDEX_DIR + "/")
    meta = [number_of[path] for path in number_of if path.startswith("meta/") and path not in [*visible, *SIDECARS]]
    orders = [positions("data/"), meta, index, positions(layout.CARD_PATH), [number_of[path] for path in visible]]
    for earlier, later in pairwise(orders):
        assert not earlier or not later or max(earlier) <= min(later)


def test_one_part_where_there_is_room(overlay, remote):
    changes = planned(overlay, remote, card=b"---")
    assert split_changes(changes) == [changes]
    assert split_changes(Changes((), (), 7)) == []
    with pytest.raises(ValueError, match="max_operations"):
        split_changes(changes, 0)


def test_metadata_and_its_sidecars_are_in_one_part(overlay, remote):
    put(overlay, layout.INFO_PATH, overlay.read_bytes(layout.INFO_PATH) + b" ")
    parts = split_changes(planned(overlay, remote, card=b"---"), 7)
    assert paths(parts[1]) == ["README.md", "data/chunk-000/file-002.parquet", *SIDECARS, layout.INFO_PATH]
    assert paths(parts[0]) == ["data/chunk-000/file-000.parquet", "data/chunk-000/file-001.parquet"]
