"""Check the datasets that the command line gives, and find the videos of overlays (prepared datasets without their videos)."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from episeek.errors import NotADatasetError

_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""Pattern of the name of a repository on the Hub, `ORG/NAME`."""

COMMANDS_WITH_VIDEOS: Final = frozenset({"verify", "extract", "index", "publish", "bench"})
"""Commands that read the videos of an overlay."""


def require_sources(options: argparse.Namespace) -> None:
    """Raise an error for the common mistake of giving a dataset on the Hub without `hf://datasets/`.

    Raises:
        NotADatasetError: A source is not an existing local path, and looks like the name of a dataset on the Hub.
    """
    places = [getattr(options, name, None) for name in ("source", "data_root", "against", "first", "second")]
    for place in (*places, *getattr(options, "sources", ())):
        if place and _HUB_NAME.fullmatch(place) and not Path(place).exists():
            hint = f"give hf://datasets/{place} for a dataset on the Hub"
            raise NotADatasetError(place, "no such directory", "the directory of a dataset, or a URL", hint)


def use_recorded_source(options: argparse.Namespace) -> tuple[str, ...]:
    """Set `--data-root`, unless it is given, to the source that a local overlay records, and return a notice about it.

    Raises:
        MissingFileError: The command needs the videos, and the recorded source no longer exists.
    """
    if options.command not in COMMANDS_WITH_VIDEOS or options.data_root is not None:
        return ()
    if not options.source:
        # The command line gives several datasets. This function is called again for each of them.
        return ()
    from episeek.errors import MissingFileError
    from episeek.sidecars.recorded_source import recorded_source, use_of_recorded_source

    if recorded_source(options.source) is None:
        return ()
    from episeek_pipelines.api import Root, recorded_videos

    try:
        videos = recorded_videos(Root(options.source))
    except MissingFileError:
        if options.command == "publish":
            # Without the videos of the source, published clips are decoded instead of being compared with the source.
            return ()
        raise
    if videos is None or (options.command == "publish" and not videos.is_local):
        return ()
    options.data_root = videos.url
    return (f"{use_of_recorded_source(options.source, videos.url)}; --data-root overrides",)


def dataset_places(sources: Sequence[str]) -> list[str]:
    """Return the paths and URLs of the datasets at the given paths and URLs, without duplicates.

    A path or URL that is not a dataset itself stands for all datasets below it.

    Raises:
        NotADatasetError: Several paths are given, and one of them does not exist.
        ReadError: A folder cannot be listed.
    """
    from episeek.stores.kinds import is_local, local_path
    from episeek_pipelines.api import datasets_at

    places: dict[str, None] = {}
    for source in sources:
        if len(sources) > 1 and is_local(source) and not Path(local_path(source)).is_dir():
            raise NotADatasetError(source, "no such directory", "the directory of a dataset, or a URL")
        places.update(dict.fromkeys(datasets_at(source)))
    return list(places)
