"""The table of the kinds of stores and their abilities. The beginning of a URL decides its kind. A new kind is one more entry."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from episeek.errors import Extra, install_hint

Transport = Literal["local", "hub", "obstore", "fsspec"]
ObstoreClass = Literal["HTTPStore", "S3Store", "GCSStore", "AzureStore"]

MAX_DELETED_AT_ONCE: Final = 1000
"""Greatest number of files in one request to delete files: the limit of S3, used for every store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKind:
    """One kind of store. The defaults hold for any file system that fsspec knows."""

    prefixes: tuple[str, ...] = ()
    """Beginnings of its URLs. The longest beginning that matches a URL decides the kind."""
    transport: Transport = "fsspec"
    """The transport that reads its files. fsspec reads them if obstore is not installed or does not support the options."""
    obstore_class: ObstoreClass | None = None
    """Class of `obstore.store` that reads it."""
    extra: Extra | None = None
    """The extra of the package `episeek` that installs its transports; None if there is none."""
    fsspec_range_has_identity: bool = False
    """Whether the answer to a range request through fsspec holds the size and the ETag of the file."""
    fsspec_etags_agree: bool = True
    """Whether fsspec and obstore report the same ETag for the same file."""
    has_folders: bool = True
    """Whether a folder exists even without a file in it."""
    has_history: bool = False
    """Whether every write is a commit in the history of a repository."""
    has_whole_puts: bool = False
    """Whether a file that is being written appears complete or not at all."""
    has_exclusive_create: bool = False
    """Whether a file can be created only if its name is free: the store refuses a second creation."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """Schemes of its URLs, without `://`."""
        return tuple(dict.fromkeys(prefix.partition("://")[0] for prefix in self.prefixes))

    @property
    def hint(self) -> str:
        """Return a hint with the command that installs its transports; empty if the package has no extra for it."""
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
    # fsspec uses the JSON API, obstore the XML API: their ETags differ
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
    """Return the kind of the stores that a scheme of URLs stands for, such as a protocol of fsspec."""
    return kind_of(f"{scheme}://")


def is_local(url: str) -> bool:
    """Return whether a URL is a path of this machine: it has no scheme, or `file:` or `local:`."""
    return kind_of(url) is LOCAL


def is_hub(url: str) -> bool:
    """Return whether a URL is one of the Hugging Face Hub's: a repository or a bucket."""
    return kind_of(url).transport == "hub"


def local_path(url: str) -> str:
    """Return the path of a local URL, with `~` expanded."""
    _, separator, path = url.partition("://")
    return str(Path(os.path.expanduser(path if separator else url)))
