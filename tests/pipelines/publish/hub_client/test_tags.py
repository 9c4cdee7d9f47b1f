"""Moving a tag on the offline Hub, where it can only be deleted and created."""

import pytest

from episeek.errors import MissingFileError, WriteError
from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.hub_client.tags import move_tag
from tests.servers.faults import Fault
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import FAULTS, NAME, asked, inject, tag
from tests.support.turns import before

pytestmark = CLIENT_WARNINGS


@pytest.fixture
def tagged(hub):
    hub.add_tag(NAME, "v3.0")
    return hub.commit(NAME, {"new.txt": b"n"})


def test_a_tag_moves(hub, repository, tagged):
    hub.clear()
    assert move_tag(repository, "v3.0", tagged)
    assert tag(hub) == tagged
    methods = [exchange.method for exchange in hub.exchanges()]
    assert methods == ["GET", "GET", "DELETE", "POST"]  # nothing between the two
    hub.clear()
    assert not move_tag(repository, "v3.0", tagged)
    assert [exchange.method for exchange in hub.exchanges()] == ["GET"]


def test_a_tag_that_was_lost_between_is_created(hub, repository, tagged):
    before(hub, "POST", "/tag/", 1, lambda: hub.inject(Fault("gone", method=".*")))
    hub.inject(Fault("gone", method="POST", path="/tag/"))
    with pytest.raises(
        WriteError, match=rf"@v3.0: .*may be missing now \(it was at {hub.base}\).*run the command again"
    ):
        move_tag(repository, "v3.0", tagged)
    hub.clear_faults()
    assert tag(hub) is None
    hub.clear()
    assert move_tag(repository, "v3.0", tagged)
    assert tag(hub) == tagged
    assert not asked(hub, "DELETE", "/tag/")


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/refs"), ("GET", "/revision/"), ("DELETE", "/tag/"), ("POST", "/tag/")]
)
def test_a_tag_moves_whatever_fails(hub, repository, tagged, method, path, name):
    inject(hub, name, method, path)
    assert move_tag(repository, "v3.0", tagged)
    assert [exchange for exchange in hub.exchanges() if exchange.fault]
    assert tag(hub) == tagged
    assert not [exchange for exchange in hub.exchanges() if exchange.status in (404, 409)], "deleted or created twice"


def test_a_tag_stays_where_there_is_no_such_commit(hub, repository, tagged):
    with pytest.raises(MissingFileError):
        move_tag(repository, "v3.0", "0" * 40)
    with pytest.raises(MissingFileError, match="a whole commit id"):
        move_tag(repository, "v3.0", tagged[:10])
    assert tag(hub) == hub.base


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("is_new", [True, False])
def test_somebody_else_moves_the_tag(hub, repository, tagged, is_same, is_new):
    if is_new:
        del hub.repository(NAME).refs["refs/tags/v3.0"]
    other = tagged if is_same else hub.commit(NAME, {"other.txt": b"o"})
    before(hub, "POST", "/tag/", 1, lambda: hub.add_tag(NAME, "v3.0", other))
    if is_same:
        assert move_tag(repository, "v3.0", tagged)
    else:
        with pytest.raises(ConflictError, match=f"the tag at {other}") as caught:
            move_tag(repository, "v3.0", tagged)
        assert caught.value.head == other
    assert tag(hub) == other


def test_somebody_else_deletes_the_tag(hub, repository, tagged):
    before(hub, "DELETE", "/tag/", 1, lambda: hub.repository(NAME).refs.pop("refs/tags/v3.0"))
    assert move_tag(repository, "v3.0", tagged)
    assert tag(hub) == tagged
