"""Find files whose contents were not fetched: Git LFS pointers, and symbolic links to files that do not exist.

A pointer is neither a Parquet file, nor an MP4 file, nor a JSON file, so that errors of readers about it mislead: its contents are
not lost. The same holds for a symbolic link of git-annex or of the Hub's cache to a file that was not downloaded.
"""

from collections.abc import Iterable
from typing import Final

from episeek.errors import EpiseekError, MissingFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.words import counted

_SIGNATURE: Final = b"version https://git-lfs.github.com/spec/v"
_MAX_POINTER_BYTES: Final = 1024
"""A pointer file has fewer bytes than this, according to the Git LFS specification."""

POINTER_FOUND: Final = "a Git LFS pointer: the file was not fetched with the clone"


def find_pointers(root: Root, files: Iterable[tuple[str, int | None]]) -> frozenset[str]:
    """Return the paths of the files that are Git LFS pointers. Only local files are checked: for a store the result is empty.

    Args:
        root: The dataset, or the root of its videos.
        files: (path, size in bytes) of each file; the size is None if the listing does not give it.
    """
    if not root.is_local:
        return frozenset()
    small = [(path, size) for path, size in files if size is not None and len(_SIGNATURE) <= size < _MAX_POINTER_BYTES]
    return frozenset(path for path, size in small if _is_pointer(root, path))


def require_fetched(root: Root, folder: str) -> None:
    """Raise an error if a file below a folder was not fetched. Only local files are checked.

    Args:
        root: The dataset.
        folder: The folder, relative to the root.

    Raises:
        MissingFileError: A file is a Git LFS pointer, or a symbolic link to a file that does not exist. The error names the first.
    """
    if not root.is_local:
        return
    files = root.files(folder)
    pointers = find_pointers(root, ((path, file.size) for path, file in files.items() if file is not None))
    links = sorted({*root.list(folder)} - files.keys())
    for paths, found, hint in (
        (sorted(pointers), POINTER_FOUND, "run `git lfs pull` in the clone"),
        (
            links,
            "a symbolic link to a file that does not exist",
            "fetch the file, for example with `hf download` or `git annex get`; remove the link only if the file is lost",
        ),
    ):
        if paths:
            more = f", and {counted(len(paths) - 1, 'further file')} like it" if len(paths) > 1 else ""
            raise MissingFileError(root.join(paths[0]), f"{found}{more}", "the file itself", hint)


def _is_pointer(root: Root, path: str) -> bool:
    try:
        return root.source().get_ranges(path, [(0, len(_SIGNATURE))])[0] == _SIGNATURE
    except EpiseekError:
        # The step that reads the whole file reports the error.
        return False
