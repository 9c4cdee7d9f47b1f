"""A memory of what was last published from this machine into each repository and store, in the cache directory.

Files that have not changed since then can be replaced: nobody else has edited them, even if an overlay that was prepared anew has
no record of them. The directory may be removed at any time. Then a publication may need `--base` or `--overwrite`.
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
    """Return the commit last published into a repository; None where there is none."""
    with suppress(ValueError, TypeError, KeyError):
        return str(_read(repository_id)["commit"])
    return None


def remember_commit(repository_id: str, commit: str) -> None:
    """Remember the commit published into a repository, if the cache directory can be written."""
    _write(repository_id, {"commit": commit})


def last_files(url: str) -> dict[str, FileIdentity]:
    """Return the files last published into a store, by path; empty where there are none."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        return {path: FileIdentity(size, tuple(ids)) for path, (size, *ids) in _read(url)["files"].items()}
    return {}


def remember_files(url: str, files: Mapping[str, FileIdentity]) -> None:
    """Remember the files published into a store, if the cache directory can be written."""
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
