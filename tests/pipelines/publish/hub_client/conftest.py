"""A repository of the offline Hub, empty but for a few files."""

import pytest

from tests.support.hub_client import hub_client
from tests.support.repository_changes import NAME, OLD, Hub, repository_of


@pytest.fixture
def hub(tmp_path):
    with hub_client(tmp_path) as patch, Hub() as hub:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            patch.delenv(name, raising=False)
        hub.base = hub.add_dataset(NAME, OLD)
        yield hub


@pytest.fixture
def repository(hub):
    return repository_of(hub)
