"""What the sidecars of an earlier run say without their rows: the footers of the four tables, and the table `files`."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from episeek.errors import (
    FormatVersionError,
    MissingFileError,
    MissingSidecarError,
    ParquetError,
    SidecarLayoutError,
    first_line,
)
from episeek.sidecars.file_record import FileRecord
from episeek.sidecars.files import check_build, check_version
from episeek.sidecars.mapped_table import footer_metadata
from episeek_pipelines.dataset.root import Root
from episeek_schemas import sidecars

_ANEW = "write it anew with `episeek index`"


@dataclass(frozen=True, slots=True)
class ExistingBuild:
    """Footers and `files` of one build."""

    build_id: str
    writer: str
    description: str
    """Of the dataset, as `episeek_pipelines.index.merge.dataset_description` makes it."""
    files: Mapping[str, FileRecord]
    """By path, in the order of the table."""


def read_existing_build(root: Root) -> ExistingBuild:
    """Read the footers of the sidecars below a root, and its `files`; nothing is kept anywhere.

    Raises:
        MissingSidecarError, FormatVersionError, MixedBuildError, SidecarLayoutError: By what is wrong with them.
        ReadError: The store does not answer.
    """
    footers: dict[str, dict[str, str]] = {}
    files: list[FileRecord] = []
    for name, (path, schema) in sidecars.TABLES.items():
        where = root.join(path)
        try:
            with root.open_parquet(path) as file:
                footers[name] = footer_metadata(file.metadata)
                check_version(footers[name], where)
                _check_columns(file.schema_arrow, schema, where)
                if name == "files":
                    files = [FileRecord(**row) for row in file.read(use_threads=False).to_pylist()]
        except MissingFileError:
            raise MissingSidecarError(where, "no such file", "a sidecar table: run `episeek index`") from None
        except ParquetError as error:
            raise SidecarLayoutError(where, error.found, error.expected) from None
        except (pa.ArrowException, ValueError) as error:
            if isinstance(error, SidecarLayoutError | FormatVersionError):
                raise
            raise SidecarLayoutError(where, first_line(error), "a readable Parquet table") from None
    build_id = check_build(footers, {name: root.join(path) for name, (path, _) in sidecars.TABLES.items()})
    first = footers["files"]
    for number, file_record in enumerate(files):
        problem = file_record.problem()
        if problem or file_record.file_id != number:
            where = f"{root.join(sidecars.TABLES['files'][0])}, row {number}"
            raise SidecarLayoutError(
                where, problem or f"file_id {file_record.file_id}", f"a row as the index writes it: {_ANEW}"
            )
    return ExistingBuild(
        build_id,
        first.get(sidecars.WRITER_KEY, ""),
        first.get(sidecars.DATASET_KEY, ""),
        {record.file_path: record for record in files},
    )


def _check_columns(found: pa.Schema, expected: pa.Schema, where: str) -> None:
    if found.names != expected.names or found.types != expected.types:
        columns = ", ".join(f"{field.name} {field.type}" for field in found)
        raise SidecarLayoutError(where, f"columns {columns}", f"columns {', '.join(expected.names)}: {_ANEW}")
