import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.servers.faults import Fault
from tests.servers.hub import TOKEN, FakeHub
from tests.servers.hub_store import Entry, tree_oids
from tests.servers.hub_xet import XetStore
from tests.servers.raw_client import ask

DATA = np.random.default_rng(2).bytes(200_000)
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


@pytest.mark.parametrize("mode", ["lfs", "http", "local"])
def test_the_real_client_works(mode):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.servers.hub_client_checks", mode],
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ["failed: none"]), ran.stdout + ran.stderr


def test_the_environment_is_all_a_client_needs(hub, tmp_path):
    hub.add_dataset("acme/films", {"v/film.mp4": DATA})
    code = (
        "from huggingface_hub import HfFileSystem;"
        "print(len(HfFileSystem().cat_file('datasets/acme/films/v/film.mp4', 100, 200)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | hub.environment(tmp_path),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.strip() == "100"


def test_lfs_files_are_redirected_to_the_other_origin(hub):
    revision = hub.add_dataset("acme/films", {"film.mp4": DATA, "meta/info.json": b"{}"})
    url = f"{hub.url}/datasets/acme/films/resolve/{revision}/"
    for method in ("GET", "HEAD"):
        answer = ask(url + "film.mp4", method=method, headers=AUTHORIZED)
        assert (answer.status, answer.headers["X-Linked-Size"]) == (302, str(len(DATA)))
        assert answer.headers["X-Repo-Commit"] == revision
    location = answer.headers["Location"]
    assert location.startswith(hub.cdn_url)
    part = ask(location, headers={"Range": "bytes=100-199"})
    assert (part.status, part.body, part.headers["ETag"]) == (206, DATA[100:200], answer.headers["ETag"])
    assert ask(url + "meta/info.json").body == b"{}"
    assert ask(url + "meta/info.json", headers={"Range": "bytes=0-0"}).body == b"{"
    assert [(e.server, e.method, e.has_authorization, e.status) for e in hub.exchanges()] == [
        ("hub", "GET", True, 302),
        ("hub", "HEAD", True, 302),
        ("cdn", "GET", False, 206),
        ("hub", "GET", False, 200),
        ("hub", "GET", False, 206),
    ]


def test_signed_urls_expire(hub):
    hub.add_dataset("acme/films", {"film.mp4": DATA})
    url = f"{hub.url}/datasets/acme/films/resolve/main/film.mp4"
    old = ask(url).headers["Location"]
    assert ask(old).status == 200
    hub.expire_signed_urls()
    assert ask(old).status == 403
    assert ask(old.partition("?")[0]).status == 403
    assert ask(ask(url).headers["Location"]).body == DATA


def test_private_repositories_and_buckets_need_a_token(hub):
    hub.add_dataset("acme/secret", {"x.mp4": DATA}, private=True)
    hub.add_dataset("other/secret", {"x.mp4": DATA}, private=True)
    hub.add_bucket("acme/hidden", {"x.mp4": DATA}, private=True)
    for path, status in (
        ("/datasets/acme/secret/resolve/main/x.mp4", 302),
        ("/datasets/other/secret/resolve/main/x.mp4", 404),
        ("/api/datasets/acme/secret", 200),
        ("/buckets/acme/hidden/resolve/x.mp4", 302),
        ("/api/buckets/acme/hidden", 200),
    ):
        assert ask(hub.url + path).status == 401
        assert ask(hub.url + path, headers={"Authorization": "Bearer wrong"}).status == 401
        assert ask(hub.url + path, headers=AUTHORIZED).status == status


def test_rate_limits_are_faults(hub):
    hub.add_dataset("acme/films", {"film.mp4": DATA})
    hub.inject(Fault("status", path="/resolve/", status=429, headers={"RateLimit": '"resolvers";r=0;t=2'}))
    url = f"{hub.url}/datasets/acme/films/resolve/main/film.mp4"
    limited = ask(url)
    assert (limited.status, limited.headers["RateLimit"]) == (429, '"resolvers";r=0;t=2')
    assert ask(url).status == 302


def test_faults_pick_their_origin(hub):
    hub.add_dataset("acme/films", {"film.mp4": DATA})
    hub.inject(Fault("drop", server="cdn"))
    location = ask(f"{hub.url}/datasets/acme/films/resolve/main/film.mp4").headers["Location"]
    assert [ask(location).data == b"", ask(location).status] == [True, 200]


def test_branches_move(hub):
    first = hub.add_dataset("acme/films", {"a.txt": b"1", "b.txt": b"b"})
    second = hub.commit("acme/films", {"a.txt": b"2"}, delete=["b.txt"])
    url = f"{hub.url}/datasets/acme/films/resolve"
    assert [ask(f"{url}/{revision}/a.txt").body for revision in ("main", first, second)] == [b"2", b"1", b"2"]
    assert [ask(f"{url}/{revision}/b.txt").status for revision in (first, second)] == [200, 404]
    hub.add_tag("acme/films", "v1")
    hub.move_branch("acme/films", first)
    assert hub.head("acme/films") == first
    assert [ask(f"{url}/{revision}/a.txt").body for revision in ("main", "v1")] == [b"1", b"2"]
    with pytest.raises(KeyError, match="no revision nowhere"):
        hub.move_branch("acme/films", "nowhere")


def test_files_of_the_disk_are_served_from_there(hub, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(DATA)
    hub.add_dataset("acme/films", {"film.mp4": path})
    location = ask(f"{hub.url}/datasets/acme/films/resolve/main/film.mp4").headers["Location"]
    assert ask(location, headers={"Range": "bytes=-5"}).body == DATA[-5:]


def test_bucket_prefixes_are_lexical_when_recursive(hub):
    hub.add_bucket("acme/b", {"log/a.txt": b"a", "logs/b.txt": b"b", "top": b"t"})

    def listed(query: str) -> list[str]:
        return [row["path"] for row in json.loads(ask(f"{hub.url}/api/buckets/acme/b/tree{query}").body)]

    assert listed("") == ["log", "logs", "top"]
    assert listed("/log?recursive=true") == ["log/a.txt", "logs/b.txt"]
    assert listed("/log") == ["log/a.txt"]
    assert ask(f"{hub.url}/api/buckets/acme/nope").status == 401


def test_object_ids_are_those_of_git(tmp_path):
    content = {"a.txt": b"a\n", "a/b/c.txt": b"c\n", "a-b.txt": b"", "z/z": b"z"}
    for path, data in content.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def git(*arguments: str) -> str:
        ran = subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    git("init", "--quiet")
    git("-c", "core.autocrlf=false", "add", ".")
    oids = tree_oids({path: Entry.of_blob(data) for path, data in content.items()})
    root = git("write-tree")
    assert oids[""] == root
    assert oids["a/b"] == git("rev-parse", f"{root}:a/b")


def test_xet_ranges_cover_what_was_asked():
    store = XetStore()
    data = np.random.default_rng(3).bytes(300_000)
    file_hash = store.add_file(data, "00" * 32)
    assert store.read(file_hash) == data
    for start, stop in ((0, 1), (65_535, 65_537), (100_000, 299_999), (299_999, 300_000), (0, 300_000)):
        plan = store.reconstruction(file_hash, (start, stop), "v2", "{}")
        (term,) = plan["terms"]
        chunks = store.chunks(term["hash"])[term["range"]["start"] : term["range"]["end"]]
        unpacked = b"".join(store.xorbs[term["hash"]][chunk.start + 8 : chunk.stop] for chunk in chunks)
        skipped = plan["offset_into_first_range"]
        assert unpacked[skipped : skipped + stop - start] == data[start:stop]
        assert len(unpacked) == term["unpacked_length"] < stop - start + 2 * 65_536
    with pytest.raises(IndexError):
        store.reconstruction(file_hash, (300_000, 300_001), "v1", "{}")
