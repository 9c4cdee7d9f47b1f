"""Read the recorded source of an overlay: the dataset from which it was prepared, and which contains its videos.

`episeek prepare` writes the record into local overlays. The record is never published. The record of a downloaded dataset could
point anywhere, so it is used only if the videos are missing, and its use is always reported.
"""

import json
import os
from contextlib import suppress
from typing import Any

from episeek.errors import without_password
from episeek.stores.kinds import is_local, local_path
from episeek_schemas import layout


def recorded_source(root: str) -> str | None:
    """Return the recorded source of a local overlay, an absolute path or a URL; None if the root has videos or no usable record.

    Args:
        root: Root of a dataset that has cameras: a path or a URL. The result for a URL is None, without any request.
    """
    if not is_local(root):
        return None
    folder = local_path(root)
    with suppress(OSError):
        if os.listdir(os.path.join(folder, layout.VIDEOS_DIR)):
            return None
    source = _preparation(folder).get("source")
    if not isinstance(source, str) or (is_local(source) and not os.path.isabs(local_path(source))):
        # a relative path means nothing in another working directory
        return None
    try:
        is_itself = is_local(source) and os.path.realpath(local_path(source)) == os.path.realpath(folder)
    except ValueError:
        # the text is not a valid path on this machine
        return None
    return None if is_itself else source


def skipped_count(root: str) -> int:
    """Return the number of episodes that a local overlay has left out of its source, according to the overlay's record.

    The result is 0 for a root in a store, and for an overlay without a usable record.
    """
    skipped = _preparation(local_path(root)).get("skip_episodes") if is_local(root) else None
    return len(skipped) if isinstance(skipped, list) else 0


def repaired_info_sha256(root: str) -> str | None:
    """Return the SHA-256, in hex, that the source's `meta/info.json` had when a local overlay with repairs was prepared.

    The result is None for any other dataset, and for a record without this digest. If `meta/info.json` of the source still has this
    digest, the overlay's `meta/info.json` differs from it only by the repairs.
    """
    record = _record(local_path(root)) if is_local(root) else {}
    files = record.get("files")
    if "repair" not in _preparation(local_path(root) if is_local(root) else "") or not isinstance(files, dict):
        return None
    identities = files.get(layout.INFO_PATH)
    known = [each for each in identities if isinstance(each, str)] if isinstance(identities, list) else []
    return next((each.removeprefix("sha256:") for each in known if each.startswith("sha256:")), None)


def _preparation(folder: str) -> dict[str, Any]:
    """Return the recorded preparation of the overlay in a folder; empty without a usable record."""
    preparation = _record(folder).get("plan")
    return preparation if isinstance(preparation, dict) else {}


def _record(folder: str) -> dict[str, Any]:
    """Return the record of the overlay in a folder; empty if there is no usable record."""
    record = os.path.join(folder, layout.SOURCE_RECORD_PATH)
    if not os.path.isfile(record):
        # opening a pipe would wait for its writer
        return {}
    try:
        with open(record, "rb") as stream:
            document = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def use_of_recorded_source(root: str, source: str) -> str:
    """Return the sentence that says that videos are read from a recorded source."""
    record = f"{root.rstrip('/')}/{layout.SOURCE_RECORD_PATH}"
    return f"videos are read from {without_password(source)}, the source recorded in {record}"
