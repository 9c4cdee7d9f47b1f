"""An S3 endpoint: moto's server in a process of its own, with one bucket.

Its own process, because moto keeps all buckets of a process together and leaves threads behind.
"""

import http.client
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlsplit

from tests.servers.server_process import ServerProcess, serve_in_this_process

_KEY = "testing"
PUBLIC = {"x-amz-acl": "public-read"}


class S3Server(ServerProcess):
    """A bucket at `url` while the context lasts; path-style addressing, any credentials are right."""

    def __init__(self, bucket: str = "episeek") -> None:
        super().__init__("tests.servers.s3", {})
        self.bucket = bucket

    def __enter__(self) -> Self:
        super().__enter__()
        self._request("PUT", "")
        return self

    def put(self, path: str, content: bytes | Path, *, is_public: bool = False) -> str:
        """Store an object; returns its ETag, quotes included. Only public ones can be read without credentials."""
        data = content.read_bytes() if isinstance(content, Path) else content
        return self._request("PUT", path.strip("/"), data, PUBLIC if is_public else {})

    def delete(self, path: str) -> None:
        self._request("DELETE", path.strip("/"))

    def environment(self) -> dict[str, str]:
        """Variables for boto3, s3fs, obstore and whatever else reads AWS's names."""
        return {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def storage_options(self, url: str | None = None) -> dict[str, Any]:
        """Options for s3fs; `url` is that of a proxy in front of this server."""
        return {"key": _KEY, "secret": _KEY, "client_kwargs": {"endpoint_url": url or self.url}}

    def obstore_options(self, url: str | None = None) -> dict[str, Any]:
        """Keyword options for `obstore.store.S3Store(bucket, ...)`."""
        return {
            "endpoint": url or self.url,
            "access_key_id": _KEY,
            "secret_access_key": _KEY,
            "region": "us-east-1",
            "client_options": {"allow_http": True},
        }

    def _request(self, method: str, key: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> str:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc)
        try:
            connection.request(method, f"/{self.bucket}/{quote(key)}", body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise OSError(f"{method} {key!r}: moto answered {answer.status}, {text[:200]!r}")
            return answer.getheader("ETag", "")
        finally:
            connection.close()


class S3Bucket(S3Server):
    """A new bucket on the one S3 endpoint of this test run, which starts with the first bucket: that takes seconds."""

    _endpoint: ClassVar[S3Server | None] = None
    _numbers: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self, bucket: str = "episeek") -> None:
        super().__init__(f"{bucket}-{next(self._numbers)}")

    def __enter__(self) -> Self:
        if S3Bucket._endpoint is None:
            S3Bucket._endpoint = S3Server("first").__enter__()
        self.url = S3Bucket._endpoint.url
        self._request("PUT", "")
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the endpoint as it is: `end` ends it."""

    @classmethod
    def end(cls) -> None:
        """End the endpoint, if it was started."""
        if S3Bucket._endpoint is not None:
            endpoint, S3Bucket._endpoint = S3Bucket._endpoint, None
            endpoint.__exit__(None, None, None)


class _Moto:
    """moto's server in this process."""

    def __enter__(self) -> Self:
        from moto.moto_server import werkzeug_app
        from moto.server import ThreadedMotoServer

        werkzeug_app.MotoRequestHandler.disable_nagle_algorithm = True  # TCP_NODELAY
        werkzeug_app.MotoRequestHandler.log = lambda *_: None  # type: ignore[method-assign]  # no line per request
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop: the threads are daemons and end with the process."""


if __name__ == "__main__":
    serve_in_this_process(_Moto)
