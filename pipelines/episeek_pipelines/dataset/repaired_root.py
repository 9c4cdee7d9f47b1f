"""Show a dataset with repaired files of `meta/` and `data/` in place of its own files.

The repaired files are below another root, the layer: the folder of a run's intermediate files, or a local directory. Code that
reads the dataset through this root reads the repaired dataset. The dataset itself is not written to.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.root import Root


@dataclass(frozen=True, slots=True)
class RepairedRoot(Root):
    """A root that shows repaired files, which are below another root (the layer), in place of its own files."""

    layer: str = ""
    """The URL of the root of the repaired files, which have the same relative paths there."""
    paths: tuple[str, ...] = ()
    """The paths of the repaired files, sorted."""
    hidden: tuple[str, ...] = ()
    """The paths of files that are not part of the repaired dataset, sorted."""

    @property
    def physical(self) -> Root:
        """The same root with its own files, without the repaired files in their place."""
        return Root(self.url)

    def pinned(self) -> "RepairedRoot":
        """Return this root unchanged, since its files already come from one commit."""
        return self

    def held(self, path: str) -> bytes | None:
        """Return the contents of a repaired file, or None for any other file."""
        return Root(self.layer).read_bytes(path) if path in self.paths else None

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""
        return path in self.paths or (path not in self.hidden and Root.exists(self, path))

    def list(self, directory: str = "", *, suffix: str = "") -> list[str]:
        """Return the sorted paths of all files below a directory; empty if it does not exist."""
        repaired = (path for path in self._below(directory) if path.endswith(suffix))
        return sorted({*Root.list(self, directory, suffix=suffix), *repaired} - {*self.hidden})

    def files(self, directory: str = "") -> dict[str, FileIdentity | None]:
        """Return the files below a directory, sorted by path, with their identities (size and version).

        The identity of a repaired file consists of its size alone.
        """
        layer = Root(self.layer)
        found = {
            **Root.files(self, directory),
            **{path: FileIdentity(layer.size(path)) for path in self._below(directory)},
        }
        return {path: identity for path, identity in sorted(found.items()) if path not in self.hidden}

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return Root(self.layer).size(path) if path in self.paths else Root.size(self, path)

    def version_of(self, path: str) -> str:
        """Return a text that differs between versions of a file.

        For a repaired file, it contains the size of the repaired file and the version of the original.
        """
        if path not in self.paths:
            return Root.version_of(self, path)
        own = Root.version_of(self, path) if Root.exists(self, path) else ""
        return f"repaired:{Root(self.layer).size(path)}:{own}"

    def read_bytes(self, path: str, *, file_size: int | None = None) -> bytes:
        """Return the contents of a small file."""
        held = self.held(path)
        return Root.read_bytes(self, path, file_size=file_size) if held is None else held

    def open_parquet(self, path: str, *, file_size: int | None = None, **options: Any) -> pq.ParquetFile:
        """Open a Parquet file for reading. The caller closes it, for example with `with`."""
        if path in self.paths:
            return Root(self.layer).open_parquet(path, **options)
        return Root.open_parquet(self, path, file_size=file_size, **options)

    def _below(self, directory: str) -> "tuple[str, ...]":
        prefix = f"{directory}/" if directory else ""
        return tuple(path for path in self.paths if path.startswith(prefix))
