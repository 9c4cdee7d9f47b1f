"""Rules that compare the listing of the dataset with the files that meta/episodes declares: INF004, INF004W, INF043.

IDX031 compares the listing with the videos in the byte index.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from episeek_pipelines.dataset.missing_folders import MissingFolder, missing_folders
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.checks import DataFile, IndexedFile, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.unicode_forms import form_of, in_other_form
from episeek_pipelines.verify.metadata.survey import Files, Survey
from episeek_pipelines.verify.rules import FILE_ORDER, INDEXED_FILES, MISSING_FILE, ORPHAN_FILE
from episeek_pipelines.words import counted
from episeek_schemas import layout

EPISODES_PLACE_REMEDY: Final = (
    "move the file to a folder below meta/episodes, such as meta/episodes/chunk-000/file-000.parquet. If there are several files, "
    "name them so that their paths sort in the order of their episodes"
)
DATA_PLACE_REMEDY: Final = (
    "move the files of data/ to paths such as data/chunk-000/file-000.parquet, and set data_path in meta/info.json to the "
    "template of these paths; do both or neither"
)


def check_missing(
    files: Sequence[DataFile | VideoFile], listed: Files, root: Root
) -> tuple[list[Finding], tuple[str, ...]]:
    """Find declared files that are missing or empty (INF004). If a whole folder is missing, it is reported in place of its files.

    Args:
        files: The declared files of one kind.
        listed: The existing files.
        root: The root of the dataset. It is listed only if a folder directly below it is missing.

    Returns:
        The findings, and the existing folders that probably contain the files of a missing folder under another name.
    """
    declared = {file.path for file in files}
    missing = [file.path for file in files if file.path not in listed]
    folders, _ = missing_folders(root, dict.fromkeys(missing), listed=listed, declared=declared)
    # A finding about a folder with a single file would say no more than one about the file.
    folders = [folder for folder in folders if len(folder.files) > 1 or folder.meant]
    in_folders = {path for folder in folders for path in folder.files}
    findings = [_missing_folder(folder) for folder in folders]
    for file in files:
        where = Location(file=file.path, camera=file.camera_key if isinstance(file, VideoFile) else None)
        if file.path not in listed:
            if file.path not in in_folders:
                expected = "a file that the metadata refers to"
                findings.append(finding(MISSING_FILE, "no such file", expected, where))
        elif file.file_size == 0:
            findings.append(finding(MISSING_FILE, "an empty file", "a file with the data of its episodes", where))
    return findings, tuple(folder.meant for folder in folders if folder.held)


def _missing_folder(missing: MissingFolder) -> Finding:
    count = counted(len(missing.files), "file")
    expected = f"the folder of {count} that the metadata refers to"
    remedy = "rename the folder to the name that the metadata gives" if missing.held else ""
    where = Location(file=missing.folder)
    is_other_form = in_other_form(missing.folder, (missing.meant,)) is not None
    form = f", the same name in the Unicode form {form_of(missing.meant)}" if is_other_form else ""
    return finding(MISSING_FILE, f"{missing.found}{form}", expected, where, remedy=remedy)


def check_orphans(
    listed: Files, directory: str, suffix: str, declared: set[str], meant: Sequence[str] = ()
) -> list[Finding]:
    """Return INF004W for each file below `directory` that no episode refers to.

    Files below the folders `meant` are skipped, since INF004 reports these folders.
    """
    below, others = f"{directory}/", tuple(f"{folder}/" for folder in meant)
    orphans = [p for p in listed if p.startswith(below) and p.endswith(suffix) and p not in declared]
    return [
        finding(
            ORPHAN_FILE,
            "a file that no episode refers to",
            "only files that meta/episodes declares",
            Location(file=path),
        )
        for path in orphans
        if not path.startswith(others)
    ]


def check_file_order(surveyed: Survey, files: Sequence[DataFile]) -> Iterator[Finding]:
    """Yield INF043 for each file that LeRobot skips or reads in a wrong order, because it reads `*/*.parquet` sorted by path.

    A file whose episodes do not follow one another may have a wrong pointer, which EPI012 reports. It is in order if some of its
    episodes are.
    """
    for path in surveyed.episode_paths:
        if path.count("/") != layout.EPISODES_DIR.count("/") + 2:
            yield finding(
                FILE_ORDER,
                "a file that is not exactly one folder below meta/episodes",
                "meta/episodes/*/*.parquet",
                Location(file=path),
                remedy=EPISODES_PLACE_REMEDY,
            )
    before, reached = "", -1
    for file in files:
        if file.path not in surveyed.files:
            continue
        if file.path.count("/") != 2 or not file.path.startswith(f"{layout.DATA_DIR}/"):
            yield finding(
                FILE_ORDER,
                "a file that is not exactly one folder below data",
                "data/*/*.parquet",
                Location(file=file.path),
                remedy=DATA_PLACE_REMEDY,
            )
        starts = _starts(file)
        if not starts:
            continue
        first = next((start for start in starts if start >= reached), starts[0])
        if first < reached:
            yield finding(
                FILE_ORDER,
                f"rows from {first} on, in a path that sorts after {before}, which has rows from {reached} on",
                "paths that sort in the order of their rows",
                Location(file=file.path),
            )
        before, reached = file.path, first


def _starts(file: DataFile) -> list[int]:
    """Return the first row of each run of episodes that follow one another, ascending. A file in a sound dataset has one run."""
    usable = np.flatnonzero(file.dataset_from_index >= 0)
    usable = usable[np.argsort(file.dataset_from_index[usable], kind="stable")]
    first, stop = file.dataset_from_index[usable], file.dataset_from_index[usable] + file.length[usable]
    found: list[int] = first[np.append(True, first[1:] > stop[:-1])[: len(first)]].tolist()
    return found


def check_indexed_files(indexed: dict[str, IndexedFile], videos: Sequence[VideoFile], listed: Files) -> list[Finding]:
    """Return IDX031 for each video in the byte index (`indexed`) that does not exist and that no episode declares."""
    deleted = sorted(set(indexed) - {file.path for file in videos} - set(listed))
    return [
        finding(
            INDEXED_FILES,
            f"a row for {path}, which does not exist",
            "rows for existing files only",
            Location(file=layout.FILES_PATH, row=indexed[path].row),
        )
        for path in deleted
    ]
