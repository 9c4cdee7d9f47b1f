"""Which files of a repository others have changed since the commit that an overlay was prepared from, and a publication would
replace or delete.
"""

from episeek_pipelines.publish.changes import Changes, RemoteFiles
from episeek_pipelines.publish.contents import differing_paths
from episeek_schemas import layout


def changed_since(base: RemoteFiles, now: RemoteFiles, changes: Changes) -> tuple[str, ...]:
    """Paths, sorted; without the card, which is added to, and the sidecars, which are compared with the videos.

    Args:
        base: The repository's files at the commit that the overlay was prepared from.
        now: Its files at the commit that is built upon.
        changes: What would be published there: files that are the same already are not in it.
    """
    changed = differing_paths(base, now) & changes.paths
    derived = (f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/")
    return tuple(sorted(path for path in changed if path != layout.CARD_PATH and not path.startswith(derived)))
