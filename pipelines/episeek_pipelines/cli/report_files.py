"""Write reports, baselines (lists of accepted findings) and rows of measurements to files, but never over the files of a
dataset.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from episeek.errors import DestinationError
from episeek.stores.kinds import is_local, local_path
from episeek_pipelines.verify.settings.configuration_keys import CONFIGURATION_FILE, PROJECT_FILE
from episeek_schemas import layout

_NAMES_OF_OTHER_FILES = (layout.CARD_PATH, CONFIGURATION_FILE, PROJECT_FILE, ".gitattributes", ".gitignore", "LICENSE")
_DATASET_FOLDERS = (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR)


def report_target(file: str, *, roots: Iterable[str | None]) -> str:
    """Return the absolute path or the URL of a report, after checking that the report may be written there.

    Args:
        file: The path or URL that the command line gives.
        roots: The paths or URLs of the datasets that the command reads.

    Raises:
        DestinationError: The path is a directory, is a file that is no report, or is among the files of a dataset.
    """
    if not is_local(file):
        return file
    path = Path(local_path(file)).resolve()
    if path.name in _NAMES_OF_OTHER_FILES and path.is_file():
        raise DestinationError(file, "a file that is not a report", "a new file or an existing report")
    for root in roots:
        if root is None or not is_local(root):
            continue
        base = Path(local_path(root)).resolve()
        if any(path.is_relative_to(base / folder) for folder in _DATASET_FOLDERS):
            raise DestinationError(
                file, "a path among the files of the dataset", "a file outside data/, meta/ and videos/"
            )
    if path.exists() and path.is_dir():
        raise DestinationError(file, "a directory", "a file to write")
    return str(path) if path.exists() and not path.is_file() else os.path.abspath(local_path(file))


def write_report(target: str, text: str) -> None:
    """Write a report to a path or URL that `report_target` returned; an existing file is replaced as a whole."""
    from episeek_pipelines.api import Root

    data = (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "backslashreplace")
    if is_local(target) and Path(target).exists() and not Path(target).is_file():
        # The target is a pipe, such as /dev/stdout.
        with open(target, "wb") as stream:
            stream.write(data)
        return
    folder, _, name = target.rpartition("/")
    Root(folder or "/").write_bytes(name, data)


def append_row(target: str, values: Mapping[str, object]) -> None:
    """Append a row to a CSV file whose path or URL `report_target` returned; a new file gets a header first.

    Raises:
        DestinationError: The columns of the file are not the columns of the row.
    """
    from episeek_pipelines.api import Root

    folder, _, name = target.rpartition("/")
    root = Root(folder or "/")
    is_file = not is_local(target) or Path(target).is_file()
    before = root.read_bytes(name).decode("utf-8", "replace") if is_file and root.exists(name) else ""
    header, row = (_csv_line(cells) for cells in (values.keys(), values.values()))
    if before and before.partition("\n")[0].rstrip("\r") != header.rstrip("\n"):
        raise DestinationError(target, "a file with other columns", "a new file, or a file of the same episeek version")
    write_report(target, f"{before.rstrip()}\n{row}" if before else header + row)


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(list(cells))
    return text.getvalue()
