"""Publications onto an offline Hub with faults: each is made once."""

from dataclasses import replace

import pytest

from tests.pipelines.publish.overlays import prepared
from tests.servers.faults import Fault
from tests.support.amount import IS_FULL, amount
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, SMALL

pytestmark = CLIENT_WARNINGS
FAULTS = {
    "429": Fault("status", status=429, headers={"Retry-After": "1"}),
    "500": Fault("status", status=500),
    "503": Fault("status", status=503),
    "reset": Fault("reset"),
    "lost": Fault("commit_then_drop"),
}
KINDS = [
    ("GET", "/datasets/acme/ds$"),
    ("GET", "/revision/"),
    ("GET", "/tree/"),
    ("HEAD", "/resolve/.*mp4"),
    ("GET", "^/lfs/"),
    ("POST", "/paths-info/"),
    ("POST", "/preupload/"),
    ("POST", "/objects/batch"),
    ("PUT", "^/lfs/"),
    ("POST", "/objects/verify"),
    ("POST", "/validate-yaml"),
    ("POST", "/commit/"),
    ("GET", "/resolve/.*README"),
    ("HEAD", "/resolve/.*byte_index"),
    ("GET", "/refs"),
    ("DELETE", "/tag/"),
    ("POST", "/tag/"),
]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        (*kind, name)
        for number, kind in enumerate(KINDS)
        for name in list(FAULTS)[number % 3 * (not IS_FULL) :: amount(1, 3)]
    ],
)
def test_published_once_whatever_fails_once(hub, method, path, name):
    hub.hub.inject(replace(FAULTS[name], method=method, path=path))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert [exchange for exchange in hub.hub.exchanges() if exchange.fault], "the fault was not met"
    assert result.is_new
    assert result.commit == hub.head == hub.tag
    assert len(hub.hub.repository(NAME).commits) == 3
    assert set(hub.tree()) >= {addition.path for addition in result.changes.additions}
    assert result.tag_moved
