"""Identify the existing sidecars below a root: read the footers of the four tables, and the rows of `files`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import pyarrow as pa

from episeek.errors import (
    FormatVersionError,
    MissingFileError,
    MissingSidecarError,
    ParquetError,
    SidecarLayoutError,
    first_line,
)
from episeek.sidecars.file_record import FileProperties, FileRecord
from episeek.sidecars.files import check_build, check_version, with_current_columns
from episeek.sidecars.mapped_table import footer_metadata
from episeek_pipelines.dataset.root import Root
from episeek_schemas import sidecars

_HINT = "write the sidecars again with `episeek index`"


@dataclass(frozen=True, slots=True)
class ExistingBuild:
    """The identity of one build of the sidecars: values from the footers of its tables, and the rows of its table `files`."""

    build_id: str
    format_version: str
    index_version: str
    description: str
    """The dataset's description, as `episeek_pipelines.index.merge.dataset_description` makes it."""
    files: Mapping[str, FileRecord]
    """The rows of the table `files`, by the path of the video file, in the order of the table."""

    def outdated(self) -> tuple[str, str] | None:
        """Return the build's version and this release's version as texts if they differ, otherwise None."""
        return sidecars.outdated(format_version=self.format_version, index_version=self.index_version)


def read_existing_build(root: Root) -> ExistingBuild:
    """Read the footers of the sidecars below a root, and the rows of `files`. No local copy is kept.

    Raises:
        MissingSidecarError: A table does not exist.
        FormatVersionError: The tables have a format version that this release does not read.
        MixedBuildError: The tables come from different builds.
        SidecarLayoutError: A table is damaged or has other columns.
        ReadError: The store does not answer.
    """
    footers: dict[str, dict[str, str]] = {}
    files: list[FileRecord] = []
    for name, (path, _) in sidecars.TABLES.items():
        where = root.join(path)
        try:
            with root.open_parquet(path) as file:
                footers[name] = footer_metadata(file.metadata)
                check_version(footers[name], where)
                version = footers[name][sidecars.FORMAT_VERSION_KEY]
                expected = sidecars.schema_of(name, version=version, found=file.schema_arrow)
                _check_columns(file.schema_arrow, expected, where)
                if name == "files":
                    table = with_current_columns(file.read(use_threads=False))
                    files = [FileRecord(**row) for row in table.to_pylist()]
        except MissingFileError:
            raise MissingSidecarError(where, "no such file", "a sidecar table", "run `episeek index`") from None
        except ParquetError as error:
            raise SidecarLayoutError(where, error.found, error.expected, _HINT) from None
        except (pa.ArrowException, ValueError) as error:
            if isinstance(error, SidecarLayoutError | FormatVersionError):
                raise
            raise SidecarLayoutError(where, first_line(error), "a readable Parquet table", _HINT) from None
    build_id = check_build(footers, {name: root.join(path) for name, (path, _) in sidecars.TABLES.items()})
    for number, file_record in enumerate(files):
        problem = file_record.problem()
        if problem or file_record.file_id != number:
            where = f"{root.join(sidecars.TABLES['files'][0])}, row {number}"
            found = problem or f"file_id {file_record.file_id}"
            raise SidecarLayoutError(where, found, "a row that the index step could have written", _HINT)
    footer = footers["files"]
    return ExistingBuild(
        build_id,
        format_version=footer[sidecars.FORMAT_VERSION_KEY],
        index_version=sidecars.index_version_of(footer),
        description=footer.get(sidecars.DATASET_KEY, ""),
        files={record.file_path: record for record in files},
    )


def properties_of(record: FileRecord) -> FileProperties:
    """Return a row of `files` without its file_id."""
    return FileProperties(**{field.name: getattr(record, field.name) for field in fields(FileProperties)})


def _check_columns(found: pa.Schema, expected: pa.Schema, where: str) -> None:
    if found.names != expected.names or found.types != expected.types:
        columns = ", ".join(f"{field.name} {field.type}" for field in found)
        raise SidecarLayoutError(where, f"columns {columns}", f"columns {', '.join(expected.names)}", _HINT)
