"""Record in the cache directory what this machine last published into each repository and each store.

The next publication may replace files that have not changed since the last publication, because nobody else has edited them. A
record in the folder of the prepared dataset is not enough, because a new run of `episeek prepare` removes the record. The records
in the cache directory may be deleted at any time; afterwards, a publication may need `--base` or `--overwrite`.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from episeek.errors import EpiseekError
from episeek.sidecars.local_copies import cache_directory
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.root import Root


def last_commit(repository_id: str) -> str | None:
    """Return the commit that this machine last published into a repository, or None if no commit is recorded."""
    with suppress(ValueError, TypeError, KeyError):
        return str(_read(repository_id)["commit"])
    return None


def remember_commit(repository_id: str, commit: str) -> None:
    """Record the commit that was published into a repository; do nothing if the cache directory cannot be written."""
    _write(repository_id, {"commit": commit})


def last_files(url: str) -> dict[str, FileIdentity]:
    """Return the identities of the files that this machine last published into a store, by path; empty if none are recorded."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        return {path: FileIdentity(size, tuple(ids)) for path, (size, *ids) in _read(url)["files"].items()}
    return {}


def remember_files(url: str, files: Mapping[str, FileIdentity]) -> None:
    """Record the files that were published into a store; do nothing if the cache directory cannot be written."""
    _write(url, {"files": {path: [identity.size, *identity.store_ids] for path, identity in files.items()}})


def _read(target: str) -> Any:
    with suppress(EpiseekError):
        return json.loads(_folder().read_bytes(_name(target)))
    return {}


def _write(target: str, document: dict[str, Any]) -> None:
    with suppress(EpiseekError):
        _folder().write_bytes(_name(target), json.dumps(document).encode())


def _folder() -> Root:
    return Root(os.fspath(cache_directory() / "published"))


def _name(target: str) -> str:
    return f"{hashlib.sha256(target.encode()).hexdigest()[:24]}.json"
