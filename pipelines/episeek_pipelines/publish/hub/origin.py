"""Find the files that a publication would replace or delete although others have changed them since the dataset was prepared.

A file may be replaced if it has the same content as in the source that the dataset was prepared from, or as in a commit that the
dataset was prepared from or that this machine has published.
"""

from collections.abc import Mapping, Sequence

from episeek.stores.identity import FileIdentity
from episeek_pipelines.publish.overlay.changes import Changes, RemoteFile, RemoteFiles
from episeek_pipelines.publish.overlay.file_comparison import differing_paths
from episeek_pipelines.publish.overlay.target_check import identity_in_target
from episeek_schemas import layout

_DERIVED = (f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/")


def changed_by_others(
    now: RemoteFiles, changes: Changes, bases: Sequence[RemoteFiles], source: Mapping[str, FileIdentity]
) -> tuple[str, ...]:
    """Return the sorted paths of files that a publication would replace or delete although others have changed them.

    Two kinds of files are never returned: the card, because a publication only extends it, and the sidecars (the byte index),
    because `check_target` compares them with the videos.

    Args:
        now: The repository's files at the commit that the changes are planned for.
        changes: The planned changes. Files that need no change are not among them.
        bases: The files of each commit that the published dataset was prepared from, or that this machine has published.
        source: The files that the dataset was prepared from, as `episeek_pipelines.dataset.provenance` records them.
    """
    paths = {path for path in changes.paths if path != layout.CARD_PATH and not path.startswith(_DERIVED)}
    for base in bases:
        paths &= differing_paths(base, now)
    is_lost = {path for path in paths if path not in now} if not bases else set()
    return tuple(sorted(path for path in paths - is_lost if path not in now or not _is_of(source.get(path), now[path])))


def _is_of(identity: FileIdentity | None, file: RemoteFile) -> bool:
    """Return whether a file of a repository has the size of a source file, and at least one id in common with it.

    `identity` is the size and the ids of the source file. The result is False if it is None.
    """
    if identity is None or identity.size != file.size:
        return False
    mine = (*identity_in_target(file).store_ids, *(() if file.sha256 is not None else (f"blob:{file.blob_id}",)))
    return not set(mine).isdisjoint(identity.store_ids)
