"""The id of a build of the sidecars: a digest of the contents of the four tables.

The id does not depend on the release that writes the tables. All releases with the same format version and index version give a
dataset the same id.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import fields

import numpy as np

from episeek.sidecars.file_record import FileProperties
from episeek_pipelines.index.units import Arrays
from episeek_schemas import sidecars

_ROW_NAME = "FileFacts"
"""A name that is hashed into every id. It stays the same even if the class of a row is renamed, since ids must not change."""


def build_id_of(description: str, digests: Iterable[str]) -> str:
    """Return the id of a build: 32 hex digits.

    Args:
        description: The dataset's description, as `episeek_pipelines.index.merge.dataset_description` makes it.
        digests: The `fragment_digest` of each file, in the order of the file paths.
    """
    build = hashlib.sha256(f"{sidecars.FORMAT_VERSION}\n{sidecars.INDEX_VERSION}\n{description}\n".encode())
    for digest in digests:
        build.update(digest.encode())
    return build.hexdigest()[:32]


def fragment_digest(properties: FileProperties, arrays: Arrays) -> str:
    """Return the SHA-256, in hex, of all rows of one file: its row of `files` without file_id, and its arrays."""
    values = ", ".join(f"{field.name}={getattr(properties, field.name)!r}" for field in fields(FileProperties))
    digest = hashlib.sha256(f"{_ROW_NAME}({values})".encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {len(arrays[name])}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
