import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault
from tests.servers.raw_client import ask_range
from tests.servers.s3 import S3Server

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        server.put("folder/x y.bin", DATA)
        yield server


@pytest.fixture
def proxy(s3) -> Iterator[FaultProxy]:
    with FaultProxy(s3.url) as proxy:
        yield proxy


def s3_files(options):
    s3fs = pytest.importorskip("s3fs")
    return s3fs.S3FileSystem(skip_instance_cache=True, **options)


def test_serves_ranges_of_what_was_put(s3, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"from a file")
    etag = s3.put("from-file", path, is_public=True)
    answer = ask_range(f"{s3.url}/{s3.bucket}/from-file", 5, 6)
    assert (answer.status, answer.body, answer.headers["ETag"]) == (206, b"a", etag)
    s3.delete("from-file")
    assert ask_range(f"{s3.url}/{s3.bucket}/from-file", 0, 1).status == 404


def test_other_objects_need_credentials(s3):
    assert ask_range(f"{s3.url}/{s3.bucket}/folder/x%20y.bin", 0, 1).status == 403


def test_s3fs_reads_and_writes(s3):
    files = s3_files(s3.storage_options())
    assert files.ls(f"{s3.bucket}/folder") == [f"{s3.bucket}/folder/x y.bin"]
    assert files.cat_file(f"{s3.bucket}/folder/x y.bin", start=10, end=20) == DATA[10:20]
    files.pipe_file(f"{s3.bucket}/written", b"written")
    assert files.cat_file(f"{s3.bucket}/written") == b"written"


def test_obstore_reads(s3):
    obstore = pytest.importorskip("obstore")
    from obstore.store import S3Store

    store = S3Store(s3.bucket, **s3.obstore_options())
    assert bytes(obstore.get_range(store, "folder/x y.bin", start=10, end=20)) == DATA[10:20]
    parts = obstore.get_ranges(store, "folder/x y.bin", starts=[0, 5000], ends=[4, 5004])
    assert [bytes(part) for part in parts] == [DATA[:4], DATA[5000:5004]]


def test_clients_read_the_environment(s3):
    code = (
        "import sys, s3fs; from obstore.store import S3Store; import obstore;"
        "path = 'folder/x y.bin';"
        "print(len(s3fs.S3FileSystem().cat_file(sys.argv[1] + '/' + path)),"
        " len(bytes(obstore.get(S3Store(sys.argv[1]), path).bytes())))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ran = subprocess.run(
        [sys.executable, "-c", code, s3.bucket],
        env=environment | s3.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.split() == [str(len(DATA))] * 2


def test_faults_between_clients_and_moto(s3, proxy):
    obstore = pytest.importorskip("obstore")
    from obstore.store import S3Store

    path = "folder/x y.bin"
    proxy.inject(Fault("status", status=503, times=2))
    files = s3_files(s3.storage_options(proxy.url))
    assert files.cat_file(f"{s3.bucket}/{path}", start=10, end=20) == DATA[10:20]
    assert [exchange.status for exchange in proxy.exchanges() if exchange.method == "GET"] == [503, 503, 206]
    proxy.clear()
    proxy.inject(Fault("truncate", at_byte=3))
    store = S3Store(s3.bucket, **s3.obstore_options(proxy.url))
    assert bytes(obstore.get_range(store, path, start=10, end=20)) == DATA[10:20]
    assert [(exchange.fault, exchange.sent_bytes) for exchange in proxy.exchanges()] == [("truncate", 3), ("", 7)]


def test_moto_ends_with_the_context():
    with S3Server("other") as server:
        url = server.url
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)
