"""The source that an overlay was prepared from, as `episeek prepare` records it: where the videos are that the overlay lacks.

Only local overlays have such a record; it is never published. A dataset that was downloaded with one could point anywhere, so a
record is used only where the videos are missing, and whoever uses it says so.
"""

import json
import os
from contextlib import suppress

from episeek.stores.kinds import is_local, local_path
from episeek_schemas import layout


def recorded_source(root: str) -> str | None:
    """Return the source that an overlay records, an absolute path or a URL; None where it has videos or no usable record.

    Args:
        root: Root of a dataset that has cameras: a path or a URL. No request is made for a URL.
    """
    if not is_local(root):
        return None
    folder = local_path(root)
    with suppress(OSError):
        if os.listdir(os.path.join(folder, layout.VIDEOS_DIR)):
            return None
    try:
        with open(os.path.join(folder, layout.SOURCE_RECORD_PATH), "rb") as stream:
            source = json.load(stream)["plan"]["source"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(source, str) or (is_local(source) and not os.path.isabs(local_path(source))):
        return None  # a relative path says nothing in another working directory
    return source


def use_of_recorded_source(root: str, source: str) -> str:
    """Return the sentence that says that videos are read from a recorded source."""
    return f"videos are read from {source}, which {root.rstrip('/')}/{layout.SOURCE_RECORD_PATH} names"
