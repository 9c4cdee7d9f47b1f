"""Find files whose contents were not fetched: pointers of Git LFS and git-annex, failed downloads, and broken symbolic links.

A pointer is neither a Parquet file, nor an MP4 file, nor a JSON file, so that errors of readers about it mislead: its contents are
not lost. The same holds for a text in place of a Parquet or MP4 file, such as the page of an error that a server sent, and for a
symbolic link of git-annex or of the Hub's cache to a file that was not downloaded.
"""

import re
from collections.abc import Iterable
from typing import Final

from episeek.errors import EpiseekError, MissingFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.words import counted

_SIGNATURE: Final = b"version https://git-lfs.github.com/spec/v"
_MAX_POINTER_BYTES: Final = 1024
"""A pointer file has fewer bytes than this, according to the Git LFS specification."""

POINTER_FOUND: Final = "a pointer of Git LFS or git-annex: the file was not fetched with the clone"
_LFS_FOUND: Final = "a Git LFS pointer: the file was not fetched with the clone"

_ANNEX_POINTER: Final = re.compile(rb"(/|(\.\./)*\.git/)annex/objects/")
"""The beginning of a pointer of git-annex: of an unlocked file, or of a symbolic link that a file system stores as text."""

_LEAST_POINTER_BYTES: Final = len("/annex/objects/")
"""A pointer file has at least this number of bytes."""

_ANNEX_FOUND: Final = "a pointer of git-annex: the file was not fetched with the clone"
_LFS_HINT: Final = "run `git lfs pull` in the clone"
_ANNEX_HINT: Final = "run `git annex get .` or `datalad get .` in the clone"
_TEXT_HINT: Final = "download the file again; remove it only if its contents are lost"

_HEAD_BYTES: Final = 512
"""Number of bytes at the start of a file that are checked."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BINARY_SUFFIXES: Final = (".parquet", ".mp4", ".mkv")
_MAGIC: Final = b"PAR1"
_CONTROL_BYTES: Final = re.compile(rb"[^\t\n\f\r\x20-\xff]")
_MOST_SHOWN: Final = 40


def find_pointers(root: Root, files: Iterable[tuple[str, int | None]]) -> frozenset[str]:
    """Return the paths of the files that are pointers of Git LFS or git-annex.

    Only local files are checked: for a store the result is empty.

    Args:
        root: The dataset, or the root of its videos.
        files: (path, size in bytes) of each file; the size is None if the listing does not give it.
    """
    if not root.is_local:
        return frozenset()
    small = [
        (path, size) for path, size in files if size is not None and _LEAST_POINTER_BYTES <= size < _MAX_POINTER_BYTES
    ]
    return frozenset(path for path, size in small if _is_pointer(_head(root, path, size)))


def require_fetched(root: Root, folder: str) -> None:
    """Raise an error if a file below a folder was not fetched. Only local files are checked.

    Args:
        root: The dataset.
        folder: The folder, relative to the root.

    Raises:
        MissingFileError: A file is a pointer, a text in place of a Parquet or MP4 file, or a symbolic link to a file that does not
            exist. The error names the first.
    """
    if not root.is_local:
        return
    files = root.files(folder)
    require_contents(root, ((path, file.size) for path, file in files.items() if file is not None))
    links = sorted({*root.list(folder)} - files.keys())
    if links:
        hint = "fetch the file, for example with `hf download` or `git annex get`; remove the link only if the file is lost"
        raise _unfetched(root, links, "a symbolic link to a file that does not exist", hint)


def require_contents(root: Root, files: Iterable[tuple[str, int | None]]) -> None:
    """Raise an error if a file is a pointer, or a text in place of a Parquet or MP4 file.

    Args:
        root: The dataset, local or in a store.
        files: (path, size in bytes) of each file. Files without a known size are not checked.

    Raises:
        MissingFileError: A file is a pointer or such a text. The error names the first, and counts those of the same kind.
    """
    kinds: dict[tuple[str, str], list[str]] = {}
    texts: dict[str, str] = {}
    for path, size in files:
        head = _head(root, path, size)
        if head.startswith(_SIGNATURE):
            kinds.setdefault((_LFS_FOUND, _LFS_HINT), []).append(path)
        elif _ANNEX_POINTER.match(head):
            kinds.setdefault((_ANNEX_FOUND, _ANNEX_HINT), []).append(path)
        elif path.endswith(_BINARY_SUFFIXES) and _is_text(head):
            texts[path] = " ".join(head.decode(errors="replace").split())[:_MOST_SHOWN]
    for (found, hint), paths in kinds.items():
        raise _unfetched(root, sorted(paths), found, hint)
    if texts:
        first = min(texts)
        found = f"a text that begins with {texts[first]!r}, as after a failed download"
        raise _unfetched(root, sorted(texts), found, _TEXT_HINT)


def _unfetched(root: Root, paths: list[str], found: str, hint: str) -> MissingFileError:
    more = f", and {counted(len(paths) - 1, 'further file')} like it" if len(paths) > 1 else ""
    return MissingFileError(root.join(paths[0]), f"{found}{more}", "the file itself", hint)


def _head(root: Root, path: str, size: int | None) -> bytes:
    """Return the first bytes of a file without a byte order mark; empty if they cannot be read."""
    if not size or (size >= _MAX_POINTER_BYTES and not path.endswith(_BINARY_SUFFIXES)):
        return b""
    try:
        head = root.source().get_ranges(path, [(0, min(size, _HEAD_BYTES))])[0]
    except EpiseekError:
        # The step that reads the whole file reports the error.
        return b""
    return head.removeprefix(_BYTE_ORDER_MARK)


def _is_pointer(head: bytes) -> bool:
    return head.startswith(_SIGNATURE) or _ANNEX_POINTER.match(head) is not None


def _is_text(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a text, in UTF-8 or another encoding that extends ASCII."""
    return bool(head.strip()) and not head.startswith(_MAGIC) and _CONTROL_BYTES.search(head) is None
