"""The kinds of stores and their abilities. The beginning of a URL decides the kind of its store. `KINDS` lists all kinds."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from episeek.errors import Extra, install_hint

Transport = Literal["local", "hub", "obstore", "fsspec"]
ObstoreClass = Literal["HTTPStore", "S3Store", "GCSStore", "AzureStore"]

MAX_DELETED_AT_ONCE: Final = 1000
"""Largest number of files that one request deletes. It is the limit of S3, and is used for every store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKind:
    """One kind of store. The default values are right for any file system of fsspec."""

    prefixes: tuple[str, ...] = ()
    """Beginnings of the URLs of this kind. If several beginnings match a URL, the longest one decides the kind."""
    transport: Transport = "fsspec"
    """The transport that reads the files. If obstore is not installed or does not support the options, fsspec replaces it."""
    obstore_class: ObstoreClass | None = None
    """Name of the class in `obstore.store` that reads the files; None if obstore cannot read them."""
    extra: Extra | None = None
    """The extra of the package `episeek` that installs the transports of this kind; None if no extra does."""
    fsspec_range_has_identity: bool = False
    """Whether the answer to a range request through fsspec contains the size and the ETag of the file."""
    fsspec_etags_agree: bool = True
    """Whether fsspec and obstore report the same ETag for the same file."""
    has_folders: bool = True
    """Whether a folder can exist without a file in it."""
    has_history: bool = False
    """Whether every write is a commit in the history of a repository."""
    has_whole_puts: bool = False
    """Whether readers see a new file only when it is complete."""
    has_exclusive_create: bool = False
    """Whether a file can be created on the condition that no file of this name exists, so that no existing file is replaced."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """Schemes of the URLs of this kind, without `://`."""
        return tuple(dict.fromkeys(prefix.partition("://")[0] for prefix in self.prefixes))

    @property
    def hint(self) -> str:
        """The hint with the command that installs the transports of this kind; empty if `extra` is None."""
        return "" if self.extra is None else install_hint(self.extra)


LOCAL: Final = StoreKind(prefixes=("file://", "local://"), transport="local")
"""Folders of this machine, with or without a scheme."""

HUB_REPOSITORY: Final = StoreKind(
    prefixes=("hf://",), transport="hub", extra="hub", has_folders=False, has_history=True, has_whole_puts=True
)
"""Repositories of datasets, models and spaces on the Hugging Face Hub."""

HUB_BUCKET: Final = StoreKind(
    prefixes=("hf://buckets/",), transport="hub", extra="hub", has_folders=False, has_whole_puts=True
)
"""Buckets on the Hugging Face Hub. A bucket replaces an existing file without an error."""

HTTP: Final = StoreKind(
    prefixes=("http://", "https://"),
    transport="obstore",
    obstore_class="HTTPStore",
    extra="http",
    fsspec_range_has_identity=True,
)

S3: Final = StoreKind(
    prefixes=("s3://", "s3a://"),
    transport="obstore",
    obstore_class="S3Store",
    extra="s3",
    fsspec_range_has_identity=True,
    has_folders=False,
    has_whole_puts=True,
    has_exclusive_create=True,
)

GOOGLE_CLOUD_STORAGE: Final = StoreKind(
    prefixes=("gs://", "gcs://"),
    transport="obstore",
    obstore_class="GCSStore",
    extra="gcs",
    # fsspec uses the JSON API and obstore the XML API, and the ETags of the two differ.
    fsspec_etags_agree=False,
    has_folders=False,
    has_whole_puts=True,
    has_exclusive_create=True,
)

AZURE: Final = StoreKind(
    prefixes=("az://", "abfs://"),
    transport="obstore",
    obstore_class="AzureStore",
    extra="azure",
    has_folders=False,
    has_whole_puts=True,
)

AZURE_DATA_LAKE: Final = StoreKind(prefixes=("adl://",), extra="azure", has_folders=False, has_whole_puts=True)
"""Azure Data Lake Storage, first generation."""

MEMORY: Final = StoreKind(prefixes=("memory://",), has_whole_puts=True)
"""fsspec's files in the memory of one process."""

OTHER: Final = StoreKind()
"""Any other file system that fsspec knows."""

KINDS: Final = (
    LOCAL,
    HUB_REPOSITORY,
    HUB_BUCKET,
    HTTP,
    S3,
    GOOGLE_CLOUD_STORAGE,
    AZURE,
    AZURE_DATA_LAKE,
    MEMORY,
    OTHER,
)

_BY_PREFIX: Final = sorted(
    ((prefix, kind) for kind in KINDS for prefix in kind.prefixes), key=lambda item: len(item[0]), reverse=True
)


def kind_of(url: str) -> StoreKind:
    """Return the kind of the store that a URL or a local path belongs to."""
    if "://" not in url:
        return LOCAL
    return next((kind for prefix, kind in _BY_PREFIX if url.startswith(prefix)), OTHER)


def kind_of_scheme(scheme: str) -> StoreKind:
    """Return the kind of store for the scheme of a URL, such as `s3`. A protocol of fsspec is also a scheme."""
    return kind_of(f"{scheme}://")


def is_local(url: str) -> bool:
    """Return whether a URL is a path on this machine: it has no scheme, or the scheme `file` or `local`."""
    return kind_of(url) is LOCAL


def is_hub(url: str) -> bool:
    """Return whether a URL refers to a repository or a bucket on the Hugging Face Hub."""
    return kind_of(url).transport == "hub"


def local_path(url: str) -> str:
    """Return the path of a local URL, with `~` expanded."""
    _, separator, path = url.partition("://")
    return str(Path(os.path.expanduser(path if separator else url)))
