"""Where a report, or a baseline, is written: anywhere but among the files of the dataset that it is about."""

import os
from collections.abc import Iterable
from pathlib import Path

from episeek.errors import DestinationError
from episeek.stores.kinds import is_local, local_path
from episeek_pipelines.verify.settings.configuration_keys import CONFIGURATION_FILE, PROJECT_FILE
from episeek_schemas import layout

_NAMES_OF_OTHERS = (layout.CARD_PATH, CONFIGURATION_FILE, PROJECT_FILE, ".gitattributes", ".gitignore", "LICENSE")
_DATASET_FOLDERS = (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR)


def report_target(file: str, *, roots: Iterable[str | None]) -> str:
    """The absolute path, or the URL, of a report that goes to `file`.

    Args:
        file: As given on the command line.
        roots: What is verified, and what it is compared with.

    Raises:
        DestinationError: It would replace something that is no report.
    """
    if not is_local(file):
        return file
    path = Path(local_path(file)).resolve()
    if path.name in _NAMES_OF_OTHERS and path.is_file():
        raise DestinationError(file, "a file that is no report", "an output of its own")
    for root in roots:
        if root is None or not is_local(root):
            continue
        base = Path(local_path(root)).resolve()
        if any(path.is_relative_to(base / folder) for folder in _DATASET_FOLDERS):
            raise DestinationError(
                file, "a place among the dataset's files", "an output apart from data/, meta/ and videos/"
            )
    if path.exists() and path.is_dir():
        raise DestinationError(file, "a directory", "a file to write")
    return str(path) if path.exists() and not path.is_file() else os.path.abspath(local_path(file))


def write_report(target: str, text: str) -> None:
    """Write a report to what `report_target` gave: a file at once, or a pipe."""
    from episeek_pipelines.api import Root

    data = (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "backslashreplace")
    if is_local(target) and Path(target).exists() and not Path(target).is_file():  # /dev/stdout, a pipe
        with open(target, "wb") as stream:
            stream.write(data)
        return
    folder, _, name = target.rpartition("/")
    Root(folder or "/").write_bytes(name, data)
