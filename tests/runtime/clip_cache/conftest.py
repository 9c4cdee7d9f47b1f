"""A dataset on disk and over HTTP, to be read through a cache of clips."""

import pytest

import episeek
from tests.servers.range_server import RangeServer
from tests.support.build_index import DATA
from tests.support.clip_caching import NAME, QUICK, Watched


@pytest.fixture
def index(sidecar_roots):
    """An index of its own for each test, with a source that can be watched."""
    index = episeek.open(sidecar_roots[NAME], data_root=DATA / NAME, retry=QUICK)
    source = index.source = Watched(index.source)
    yield index
    source.gate.set()


@pytest.fixture
def truth(indexes):
    """Return the bytes of a clip's range from the file."""

    def read(request):
        clip = indexes[NAME].clip(*request)
        return (DATA / NAME / clip.file_path).read_bytes()[slice(*clip.byte_range)]

    return read


@pytest.fixture(scope="module")
def server():
    with RangeServer(DATA / NAME) as server:
        yield server


@pytest.fixture
def served(server, sidecar_roots):
    """An index over HTTP that checks sizes only, so that every request is for a range that is read."""
    server.clear_faults()
    server.shape()
    server.clear()
    return episeek.open(sidecar_roots[NAME], data_root=server.url, verify="size", retry=QUICK)
