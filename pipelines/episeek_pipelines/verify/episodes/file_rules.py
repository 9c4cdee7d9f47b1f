"""Rules over the listing and the files that the metadata names: INF004 missing files, INF004W files that nothing names, INF043
their order, and the part of IDX031 about files that are gone.
"""

from collections.abc import Iterator, Sequence

from episeek_pipelines.verify.findings.checks import DataFile, IndexedFile, VideoFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.metadata.survey import Files, Survey
from episeek_pipelines.verify.rules import FILE_ORDER, INDEXED_FILES, MISSING_FILE, ORPHAN_FILE
from episeek_schemas import layout


def check_missing(files: Sequence[DataFile | VideoFile], there: Files) -> Iterator[Finding]:
    """INF004: files that the listing does not hold, or as empty."""
    for file in files:
        where = Location(file=file.path, camera=file.camera_key if isinstance(file, VideoFile) else None)
        if file.path not in there:
            yield finding(MISSING_FILE, "no such file", "a file that the metadata names", where)
        elif file.file_size == 0:
            yield finding(MISSING_FILE, "an empty file", "what its episodes hold", where)


def check_orphans(there: Files, directory: str, suffix: str, named: set[str]) -> list[Finding]:
    """INF004W: files below a directory that no episode refers to."""
    unnamed = [p for p in there if p.startswith(f"{directory}/") and p.endswith(suffix) and p not in named]
    return [
        finding(
            ORPHAN_FILE, "no episode refers to this file", "only files that meta/episodes names", Location(file=path)
        )
        for path in unnamed
    ]


def check_file_order(surveyed: Survey, files: Sequence[DataFile]) -> Iterator[Finding]:
    """INF043: `*/*.parquet` below meta/episodes and data/ is what LeRobot reads, sorted by path."""
    for path in surveyed.episode_paths:
        if path.count("/") != layout.EPISODES_DIR.count("/") + 2:
            yield finding(
                FILE_ORDER, "not in one folder below meta/episodes", "meta/episodes/*/*.parquet", Location(file=path)
            )
    before, reached = "", -1
    for file in files:
        if file.path not in surveyed.files:
            continue
        if file.path.count("/") != 2 or not file.path.startswith(f"{layout.DATA_DIR}/"):
            yield finding(FILE_ORDER, "not in one folder below data", "data/*/*.parquet", Location(file=file.path))
        known = file.dataset_from_index[file.dataset_from_index >= 0]
        if not len(known):
            continue
        first = int(known.min())
        if first < reached:
            yield finding(
                FILE_ORDER,
                f"rows from {first} on, behind {before} with rows from {reached} on",
                "paths in the order of rows",
                Location(file=file.path),
            )
        before, reached = file.path, first


def check_indexed_files(indexed: dict[str, IndexedFile], videos: Sequence[VideoFile], there: Files) -> list[Finding]:
    """IDX031: rows of files that no episode refers to and that do not exist."""
    unknown = sorted(set(indexed) - {file.path for file in videos} - set(there))
    return [
        finding(
            INDEXED_FILES,
            f"a row for {path}, which does not exist",
            "the files as they were indexed",
            Location(file=layout.FILES_PATH, row=indexed[path].row),
        )
        for path in unknown
    ]
