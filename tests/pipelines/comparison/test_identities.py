"""Which files have the same bytes, by what stores say of them."""

import pytest

from episeek.stores.identity import FileIdentity
from episeek_pipelines.comparison.identities import FilePair, same_by_identity, same_by_reading
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.root import Root

MD5 = "etag:" + "0a" * 16
SHA, OTHER_SHA = "sha256:" + "1b" * 32, "sha256:" + "2c" * 32
HUB, S3, GCS, AZURE = "hf://datasets/o/n@" + "a" * 40, "s3://bucket/one", "gs://bucket/one", "az://bucket/one"


def same(one: str, a: tuple[str, ...], other: str, b: tuple[str, ...], *, sizes=(5, 5), paths=("x", "y")):
    ours, theirs = (FileIdentity(size, ids) for size, ids in zip(sizes, (a, b), strict=True))
    return same_by_identity(Root(one), paths[0], ours, Root(other), paths[1], theirs)


@pytest.mark.parametrize(
    ("one", "a", "other", "b", "expected"),
    [
        (HUB, (SHA,), HUB, (SHA,), True),
        (HUB, (SHA, "xet:1"), S3, (SHA,), True),
        (HUB, (SHA,), HUB, (OTHER_SHA,), False),
        (HUB, ("xet:1",), "hf://buckets/o/n", ("xet:1", "etag:q"), True),
        # Git's id of the blob
        (HUB, ("etag:" + "3d" * 20,), HUB, ("etag:" + "3d" * 20,), True),
        (HUB, ("etag:1",), HUB, ("etag:2",), None),
        (S3, (MD5,), "s3://bucket/two", (MD5,), True),
        (S3, (f"{MD5}-7",), "s3://bucket/two", (f"{MD5}-7",), True),
        (S3, (MD5,), "s3://bucket/two", ("etag:" + "0b" * 16,), None),
        # the ETag of an upload with a key of KMS is no MD5, but may look like one, and differs
        (S3, (MD5,), GCS, (MD5,), None),
        # a number of the version
        (GCS, ("etag:CJ=",), "gs://bucket/two", ("etag:CJ=",), None),
        (AZURE, ("etag:0x8D",), "az://bucket/two", ("etag:0x8D",), None),
        (S3, (), "s3://bucket/two", (), None),
    ],
)
def test_identities_decide_where_they_are_digests(one, a, other, b, expected):
    assert same(one, a, other, b) is expected
    assert same(other, b, one, a) is expected


def test_the_same_object_and_other_sizes():
    assert same(AZURE, ("etag:0x8D",), AZURE, ("etag:0x8D",), paths=("x", "x")) is True
    assert same(HUB, (SHA,), HUB, (SHA,), sizes=(5, 6)) is False


def test_local_files(tmp_path):
    (tmp_path / "a").write_bytes(b"same!")
    (tmp_path / "b").write_bytes(b"same!")
    (tmp_path / "c").write_bytes(b"other")
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    (tmp_path / "soft").symlink_to("a")
    root, local = Root(str(tmp_path)), str(tmp_path)
    assert [same(local, (), local, (), paths=("a", other)) for other in ("a", "hard", "soft", "b")] == [
        True,
        True,
        True,
        None,
    ]
    assert [same_by_reading(FilePair("a", other, 5), root, root, {}) for other in ("b", "c")] == [True, False]
    (found,) = LocalDigests().of_all([str(tmp_path / "a")])
    hub = Root(HUB)
    for ids, expected in (
        ((f"sha256:{found.sha256}",), True),
        ((f"etag:{found.blob_id}",), True),
        ((OTHER_SHA, f"etag:{found.blob_id}"), False),
        ((), False),
    ):
        known = {hub.join("x"): FileIdentity(5, ids)}
        assert same_by_reading(FilePair("a", "x", 5), root, hub, known) is expected
        assert same_by_reading(FilePair("x", "a", 5), hub, root, known) is expected
    assert not same_by_reading(FilePair("a", "x", 5), root, hub, {})
