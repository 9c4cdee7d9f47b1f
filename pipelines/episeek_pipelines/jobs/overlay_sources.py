"""Refuse overlays as sources of `prepare` and `repair`: their videos, which both commands need, are in another dataset."""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from episeek.errors import DatasetError, MissingFileError, without_password
from episeek.sidecars.recorded_source import recorded_source
from episeek_pipelines.dataset.metadata import read_info_document
from episeek_pipelines.dataset.provenance import read_record
from episeek_pipelines.dataset.recorded_options import command_again
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.run_options import REPAIR_KEY
from episeek_schemas import lerobot


def require_own_videos(source: Root, *, repairs: bool) -> None:
    """Raise an error if a source is a local overlay of a dataset with cameras. Other defects of the source are not examined.

    Args:
        source: The source of `prepare` or `repair`.
        repairs: Whether the source is to be repaired.

    Raises:
        MissingFileError: The source is an overlay. The hint is the command that reads the recorded source of the overlay instead.
    """
    origin = recorded_source(source.url)
    if origin is None:
        return
    with suppress(DatasetError):
        features = read_info_document(source).get("features")
        record = read_record(source)
        if record is not None and isinstance(features, Mapping) and lerobot.video_keys(features):
            found = f"an overlay, without the videos, which are in {without_password(origin)}"
            hint = _instead(record.preparation, origin, repairs=repairs, is_old=bool(record.version))
            raise MissingFileError(str(source), found, "a dataset with its videos", hint)


def _instead(preparation: Mapping[str, Any], origin: str, *, repairs: bool, is_old: bool) -> str:
    """Return the advice for an overlay.

    Args:
        preparation: The recorded options of the overlay.
        origin: The recorded source.
        repairs: Whether the overlay is to be repaired.
        is_old: Whether the recorded source is of version 2.x, which cannot be repaired itself.
    """
    place = shlex.quote(without_password(origin))
    if repairs and is_old:
        upgraded = command_again({**preparation, "command": "upgrade", "videos": "link"}, place, "NEW")
        return f"convert its source again, with the videos, and repair the result: `{upgraded}` and `episeek repair NEW DST`"
    wanted = {**preparation, "command": "prepare", **({REPAIR_KEY: preparation.get(REPAIR_KEY, {})} if repairs else {})}
    return f"read its source instead: `{command_again(wanted, place)}`"
