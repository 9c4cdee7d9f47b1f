"""Show a dataset of version 2.x with the metadata of version 3.0 in place of its documents.

Code that reads datasets of version 3.0 through a root can therefore read datasets of version 2.x as well. The metadata files exist
only in memory, and are made from the documents once in each process. Episodes can be left out. The remaining episodes are then
renumbered, in the metadata and in the rows of the data files.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from episeek.errors import ChangedFileError, MetadataError, MissingFileError, ParquetError, first_line
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.documents import DocumentProblem, V2Documents, read_documents
from episeek_pipelines.dataset.v2.tables import files_as_v3, first_rows, kept_episodes
from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_schemas import layout, lerobot, lerobot_v2

_DOCUMENTS: Final = (layout.INFO_PATH, *lerobot_v2.DOCUMENTS)
"""The files that the metadata of version 3.0 replaces."""


@dataclass(frozen=True, slots=True, eq=False)
class V2View:
    """A dataset of version 2.x converted to version 3.0."""

    documents: V2Documents
    files: Mapping[str, bytes]
    """The metadata files of version 3.0 by path; empty if the documents do not say which files belong to which episode."""
    problems: tuple[DocumentProblem, ...]
    """All problems of the documents."""
    shifts: Mapping[str, tuple[int, int]]
    """For each data file with renumbered rows, the number to subtract from `episode_index`, and the new `index` of row 0."""


@dataclass(frozen=True, slots=True)
class V2Root(Root):
    """The root of a dataset of version 2.x that lists and reads converted metadata of version 3.0."""

    skipped: tuple[int, ...] = ()
    """The numbers, in the documents, of the episodes that are left out, ascending."""
    state: str = ""
    """A digest of the versions of the documents from which the metadata is made; empty if the files cannot change (`is_pinned`)."""

    @property
    def physical(self) -> Root:
        """The root that shows only stored files, including the documents of version 2.x."""
        return Root(self.url)

    @property
    def view(self) -> V2View:
        """The dataset converted to version 3.0.

        Raises:
            ChangedFileError: A document has changed since the root was opened.
            MetadataError: `meta/info.json` is not a JSON object.
            ReadError: A document cannot be read.
        """
        return _view(self.url, self.skipped, self.state)

    @property
    def version(self) -> str:
        """The `codebase_version` of the documents."""
        return self.view.documents.version

    def pinned(self) -> "V2Root":
        """Return the root at the commit that its revision points to now."""
        return V2Root(Root.pinned(self).url, self.skipped, self.state)

    def held(self, path: str) -> bytes | None:
        """Return the contents of a converted or renumbered file, or None for a file that is read unchanged from the store."""
        if path.startswith(f"{layout.META_DIR}/"):
            return self.view.files.get(path)
        shift = self.view.shifts.get(path) if self.skipped else None
        return None if shift is None else _renumbered(self.physical, path, *shift)

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""
        return self._is_made(path) or (path not in _DOCUMENTS and Root.exists(self, path))

    def list(self, directory: str = "", *, suffix: str = "") -> list[str]:
        """Return the sorted paths of all files below a directory; empty if it does not exist."""
        made = [path for path in self._made(directory) if path.endswith(suffix)]
        own = [path for path in Root.list(self, directory, suffix=suffix) if path not in _DOCUMENTS]
        return sorted({*made, *own})

    def files(self, directory: str = "") -> dict[str, FileIdentity | None]:
        """Return the files below a directory, sorted by path, with their identities (size and version).

        The identity of a file that exists only in memory consists of its size alone.
        """
        found = {path: identity for path, identity in Root.files(self, directory).items() if path not in _DOCUMENTS}
        found |= {path: FileIdentity(len(self.view.files[path])) for path in self._made(directory)}
        return dict(sorted(found.items()))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        held = self.held(path)
        return Root.size(self, path) if held is None else len(held)

    def version_of(self, path: str) -> str:
        """Return a text that differs between versions of a file."""
        if self._is_made(path):
            return f"{len(self.view.files[path])}:{self.state}"
        shift = self.view.shifts.get(path) if self.skipped else None
        return Root.version_of(self, path) + ("" if shift is None else f":{shift}")

    def read_bytes(self, path: str, *, file_size: int | None = None) -> bytes:
        """Return the contents of a small file."""
        held = self.held(path)
        if held is None and path in _DOCUMENTS:
            raise MissingFileError(self.join(path), "no such file", "a file of the dataset")
        return Root.read_bytes(self, path, file_size=file_size) if held is None else held

    def open_parquet(self, path: str, *, file_size: int | None = None, **options: Any) -> pq.ParquetFile:
        """Open a Parquet file for reading. The caller closes it, for example with `with`."""
        held = self.held(path)
        if held is None:
            return Root.open_parquet(self, path, file_size=file_size, **options)
        return pq.ParquetFile(pa.BufferReader(held), **options)

    def _is_made(self, path: str) -> bool:
        return path.startswith(f"{layout.META_DIR}/") and path in self.view.files

    def _made(self, directory: str) -> "tuple[str, ...]":
        prefix = f"{directory}/" if directory else ""
        return tuple(path for path in self.view.files if path.startswith(prefix)) if _holds_metadata(directory) else ()


def open_v2(root: Root, info: Mapping[str, Any], *, skipped: tuple[int, ...] = ()) -> V2Root:
    """Return a root that shows a dataset of version 2.x as version 3.0, without the episodes `skipped`.

    Args:
        root: The dataset.
        info: Its parsed meta/info.json.
        skipped: Numbers of episodes to leave out.

    Raises:
        MetadataError: An episode to leave out does not exist, no episode would remain, or episodes are to be left out although the
            documents do not say which files belong to which episode.
        ReadError: A document cannot be read.
    """
    opened = V2Root(root.url, tuple(sorted({*skipped})), _state(root))
    if skipped:
        view = opened.view
        view.documents.require_translatable(root.url)
        numbers = {episode.episode_index for episode in view.documents.episodes}
        unknown = sorted({*skipped} - numbers)
        if unknown:
            where = root.join(lerobot_v2.EPISODES_PATH)
            raise MetadataError(where, f"episode {unknown[0]} to leave out", f"an episode from 0 to {len(numbers) - 1}")
        if len({*skipped}) == len(numbers):
            where = root.join(lerobot_v2.EPISODES_PATH)
            raise MetadataError(where, f"all {len(numbers)} episodes to leave out", "an episode to keep")
    return opened


def is_v2_dataset(root: Root, info: Mapping[str, Any]) -> bool:
    """Return whether a root contains a dataset of version 2.x.

    The result is True if meta/info.json declares version 2.x. The exception is a root with files of meta/episodes, as in version
    3.0, but without `meta/episodes.jsonl` and `meta/tasks.jsonl`: for such a root, the result is False.
    """
    return lerobot_v2.is_v2(info) and (
        any(root.exists(path) for path in (lerobot_v2.EPISODES_PATH, lerobot_v2.TASKS_PATH))
        or not root.list(layout.EPISODES_DIR, suffix=".parquet")
    )


def _holds_metadata(directory: str) -> bool:
    return not directory or directory == layout.META_DIR or directory.startswith(f"{layout.META_DIR}/")


def _state(root: Root) -> str:
    """Return a digest of the versions of all documents; empty if the files of the root cannot change (`is_pinned`)."""
    if root.is_pinned:
        return ""
    versions = []
    for path in _DOCUMENTS:
        try:
            versions.append(root.version_of(path))
        except MissingFileError:
            versions.append("")
    return hashlib.sha256(repr(versions).encode()).hexdigest()[:16]


@lru_cache(maxsize=16)
def _view(url: str, skipped: tuple[int, ...], state: str) -> V2View:
    """Return the dataset at a URL converted to version 3.0. The documents are read and parsed once."""
    root = Root(url)
    if _state(root) != state:
        found = "documents that have changed since the dataset was opened"
        raise ChangedFileError(root.join(layout.META_DIR), found, "the same documents", "run the command again")
    try:
        info = lerobot.parse_document(root.read_bytes(layout.INFO_PATH))
    except lerobot.DocumentError as error:
        raise MetadataError(root.join(layout.INFO_PATH), error.found, error.expected) from None
    documents = read_documents(root, info, skipped)
    if not documents.is_translatable:
        return V2View(documents, {}, documents.problems, {})
    files, problems = files_as_v3(documents, skipped)
    return V2View(documents, files, (*documents.problems, *problems), _shifts(documents, skipped))


def _shifts(documents: V2Documents, skipped: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """Return the shifts of a `V2View`. They depend only on the lengths of the episodes that remain."""
    info = lerobot.parse_info(lerobot_v2.info_as_v3(documents.info))
    kept = kept_episodes(documents, skipped)
    shifts = {}
    for new, (episode, first_row) in enumerate(zip(kept, first_rows(kept), strict=True)):
        old = episode.episode_index
        if new != old:
            shifts[info.data_file(old // info.chunks_size, old)] = (old - new, first_row)
    return shifts


def _renumbered(root: Root, path: str, episode_shift: int, first_index: int) -> bytes:
    """Return the bytes of a data file with new numbers in `episode_index` and `index`, in one row group.

    The schema does not change, and rows that did not count up by one still do not.

    Args:
        root: The dataset.
        path: The data file.
        episode_shift: The number to subtract from `episode_index`.
        first_index: The new `index` of the first row. It does not depend on the old number, since this follows from the number of
            rows of the episodes that are left out.

    Raises:
        ParquetError: The file cannot be read, or a new number does not fit the type of its column.
    """
    with root.open_parquet(path) as file:
        try:
            table = file.read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise ParquetError(root.join(path), first_line(error), "readable data pages") from None
    for name in (lerobot.EPISODE_INDEX, lerobot.INDEX):
        position = table.schema.get_field_index(name)
        if position >= 0 and pa.types.is_integer(table.schema.field(position).type):
            field = table.schema.field(position)
            try:
                numbers = table.column(position).cast(pa.int64())
                shift = episode_shift if name == lerobot.EPISODE_INDEX else _usual_first_index(numbers) - first_index
                lower = pc.subtract_checked(numbers, pa.scalar(shift, pa.int64())).cast(field.type)
            except pa.ArrowInvalid as error:
                where = f"{root.join(path)}, column {name}"
                raise ParquetError(where, first_line(error), f"numbers of the type {field.type}") from None
            table = table.set_column(position, field, lower)
    stream = io.BytesIO()
    pq.write_table(
        table, stream, compression="none", use_compliant_nested_type=False, row_group_size=max(1, len(table))
    )
    return stream.getvalue()


def _usual_first_index(numbers: pa.ChunkedArray) -> int:
    """Return the `index` of row 0 that most rows imply if `index` counts up by one; the lowest if several are as frequent.

    A single wrong row, be it the first, therefore does not move the others. Rows with a null imply nothing.
    """
    is_known = is_valid(numbers)
    implied = (numpy_values(numbers) - np.arange(len(numbers)))[is_known]
    found, counts = np.unique(implied, return_counts=True)
    return int(found[np.argmax(counts)]) if len(found) else 0
