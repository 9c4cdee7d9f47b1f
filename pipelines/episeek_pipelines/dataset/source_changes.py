"""Find the files that have changed in the source of an overlay (a prepared dataset without its videos) since its preparation.

An overlay contains data and metadata from the time of its preparation, but reads the current videos of its source. Readers of the
sidecars refuse videos that have changed. Episodes that were added to the source later are not in the overlay's tables.
"""

from contextlib import suppress

from episeek.errors import EpiseekError
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.provenance import local_identity, read_record
from episeek_pipelines.dataset.root import Root
from episeek_schemas import layout


def changed_source_files(overlay: Root, source: Root) -> tuple[str, ...]:
    """Return the files of a source below `meta/` and `data/` that have changed since an overlay was prepared from it, sorted.

    Metadata files are compared by their contents. Data files are compared by their sizes, since an edit of rows also changes the
    metadata.

    The result is empty if the overlay has no usable record of its source, if the source has no metadata (such as a folder of
    videos), or if either root is in a store. The identities of videos in a store are compared when the videos are read.

    Args:
        overlay: The root of the overlay, which contains the record of its source.
        source: The current root of the source.
    """
    if not (overlay.is_local and source.is_local) or overlay == source or not source.exists(layout.INFO_PATH):
        return ()
    with suppress(EpiseekError):
        record = read_record(overlay)
        if record is None or not record.files:
            return ()
        sidecars = (f"{layout.BYTE_INDEX_DIR}/", f"{layout.BYTE_INDEX_PARTIAL_DIR}/")
        now = [path for folder in (layout.DATA_DIR, layout.META_DIR) for path in source.list(folder)]
        present = {path for path in now if not path.startswith(sidecars) and source.exists(path)}
        changed = present ^ record.files.keys()
        common = sorted(present & record.files.keys())
        changed |= {path for path in common if source.size(path) != record.files[path].size}
        documents = [path for path in common if path.startswith(f"{layout.META_DIR}/") and path not in changed]
        digests = LocalDigests().of_all([source.join(path) for path in documents])
        for path, found in zip(documents, digests, strict=True):
            if record.files[path].is_content(local_identity(found).store_id) is False:
                changed.add(path)
        return tuple(sorted(changed))
    return ()
