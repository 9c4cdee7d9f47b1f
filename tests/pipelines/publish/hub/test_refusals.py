"""Publications onto a repository that are refused: nothing is sent."""

import json
import shutil

import pytest

from episeek.errors import DestinationError, EpiseekError
from episeek_pipelines.publish.card.section import UnusableCardError
from episeek_pipelines.publish.errors import RefusedPublicationError
from episeek_pipelines.publish.hub import publish as publishing
from episeek_pipelines.publish.hub.options import PublishOptions
from episeek_pipelines.publish.hub.publish import publish
from episeek_pipelines.publish.overlay.target_check import TargetMismatchError
from episeek_schemas import layout
from tests.pipelines.conftest import DATA
from tests.pipelines.publish.overlays import cut_one_data_file, prepared
from tests.servers.hub_refs import open_discussion
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, SMALL

pytestmark = CLIENT_WARNINGS


def test_a_video_that_has_changed(hub):
    path = "videos/observation.images.top/chunk-000/file-000.mp4"
    hub.hub.commit(NAME, {path: (DATA / SMALL / path).read_bytes() + b"more"})
    with pytest.raises(TargetMismatchError, match=path):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.changing() == []


def test_a_repository_that_has_grown_since(hub):
    info = json.loads((DATA / SMALL / layout.INFO_PATH).read_text())
    for key in ("total_episodes", "total_frames"):
        grown = {**info, key: info[key] + 1}
        hub.hub.commit(NAME, {layout.INFO_PATH: json.dumps(grown).encode()})
        with pytest.raises(TargetMismatchError, match=f"{key} {info[key] + 1} in the target"):
            hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.changing() == []


def test_a_broken_overlay(hub, tmp_path):
    shutil.copytree(prepared(SMALL).local, tmp_path / "overlay")
    cut_one_data_file(tmp_path / "overlay")
    with pytest.raises(
        RefusedPublicationError, match=r"found \d+ errors?, the first [A-Z]{3}\d+ .*; expected .*--no-verify"
    ):
        hub.publish(str(tmp_path / "overlay"), source=SMALL, options=PublishOptions(clip_count=2))
    assert hub.is_untouched


def test_a_card_that_cannot_be_kept(hub):
    hub.hub.commit(NAME, {"README.md": b"---\ntags: [a\n---\n"})
    with pytest.raises(UnusableCardError):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.changing() == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("s3://bucket/x", "found the URL of a store with the scheme s3"),
        ("gs://bucket/x", "found the URL of a store with the scheme gs"),
        ("hf://buckets/acme/b", "found a bucket"),
        ("hf://models/acme/b", "expected"),
        ("hf://datasets/acme/b@main", "a revision or folder"),
        ("acme", "neither the name of a repository nor a URL"),
        ("a/b/c", "neither the name of a repository nor a URL"),
    ],
)
def test_other_targets(target, message):
    with pytest.raises(EpiseekError, match=message):
        publish(prepared(SMALL).url, target)


def test_an_overlay_that_does_not_exist_is_refused_before_the_hub_is_asked(tmp_path):
    with pytest.raises(DestinationError, match="found no such directory; expected the output of `episeek prepare`"):
        publish(str(tmp_path / "missing"), NAME)


def test_an_overlay_in_a_store(hub):
    with pytest.raises(DestinationError, match="the URL of a store"):
        publish("s3://bucket/x", NAME)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch": "refs/pr/1"}, "found branch 'refs/pr/1'; expected the name of a branch"),
        ({"branch": "nowhere"}, "found no branch 'nowhere'; expected an existing branch"),
        ({"branch": "v3.0"}, r"found no branch 'v3\.0'"),
        ({"branch": ""}, "found no branch ''"),
        ({"base": ""}, "found an empty revision"),
        ({"base": "nowhere"}, "ds@nowhere: found HTTP 404"),
        ({"create": True, "private": True}, "found a public repository; expected a private repository"),
    ],
)
def test_options_that_do_not_fit_the_repository(hub, monkeypatch, options, message):
    """They are refused before the verification, which may take long."""
    monkeypatch.setattr(publishing, "verify_overlay", lambda *_: pytest.fail("it was verified first"))
    open_discussion(hub.hub.repository(NAME), "theirs", author="outsider", is_pull_request=True)
    with pytest.raises(EpiseekError, match=message):
        hub.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(clip_count=2, **options))
    assert hub.is_untouched
    assert hub.hub.repository(NAME).refs["refs/pr/1"] == hub.head


@pytest.mark.parametrize("options", [{"branch": "next"}, {"base": ""}])
def test_nothing_is_made_for_options_that_do_not_fit(hub, options):
    with pytest.raises(EpiseekError, match=r"no branch 'next'|an empty revision"):
        hub.publish(
            prepared(SMALL).url,
            source=SMALL,
            name="acme/new",
            options=PublishOptions(is_verified=False, create=True, **options),
        )
    assert hub.changing() == []
