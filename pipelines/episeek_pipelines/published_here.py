"""The last commit that was published from this machine onto each repository, kept below the cache directory.

What is there and has not changed since is nobody else's, whatever the record of an overlay that was prepared anew says. The
directory may be removed at any time: then `--base` is asked for.
"""

import hashlib
import json
import os
from contextlib import suppress

from episeek.errors import EpiseekError
from episeek.sidecar_cache import cache_directory
from episeek_pipelines.storage import Root


def last_published(repository_id: str) -> str | None:
    """The commit; None where none is known."""
    with suppress(EpiseekError, ValueError, TypeError, KeyError):
        return str(json.loads(_folder().read_bytes(_name(repository_id)))["commit"])
    return None


def remember_published(repository_id: str, commit: str) -> None:
    """Keep a commit, where that can be written."""
    document = {"repository": repository_id, "commit": commit}
    with suppress(EpiseekError):
        _folder().write_bytes(_name(repository_id), json.dumps(document).encode())


def _folder() -> Root:
    return Root(os.fspath(cache_directory() / "published"))


def _name(repository_id: str) -> str:
    return f"{hashlib.sha256(repository_id.encode()).hexdigest()[:24]}.json"
