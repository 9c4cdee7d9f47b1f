"""Functions that compare a table of a rewritten dataset with the same table of its source, and report differences as findings."""

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.parquet.exact_values import first_difference
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import Rule


def compare_column(
    rule: Rule, expected: pa.ChunkedArray, found: pa.ChunkedArray, where: Location, first_row: int
) -> Iterator[Finding]:
    """Yield a finding for the first row in which a column differs from the same column of the source.

    Columns of different types yield nothing, because `schema_differences` reports them.

    Args:
        rule: The rule that a difference violates.
        expected: The column of the source.
        found: The column of the rewritten dataset, with the same number of rows.
        where: The location of the column: the file and the name of the column.
        first_row: The row number, within the file, of the first row of `found`.
    """
    if expected.type != found.type:
        return
    row = first_difference(found, expected)
    if row is not None:
        at = Location(where.file, where.episode, where.camera, first_row + row, where.column)
        yield finding(rule, f"{_text(found[row])}", f"{_text(expected[row])}, as in the source", at)


def schema_differences(found: pa.Schema, expected: pa.Schema, rule: Rule, path: str) -> list[Finding]:
    """Return findings for the columns, types and schema metadata entries that differ from the source.

    If the names or the order of the columns differ, one finding reports this difference, and types and metadata are not compared.
    """
    if found.equals(expected, check_metadata=True):
        return []
    where = Location(file=path)
    if found.names != expected.names:
        missing = [name for name in expected.names if name not in found.names]
        added = [name for name in found.names if name not in expected.names]
        parts = [f"without {', '.join(missing)}"] if missing else []
        parts += [f"with {', '.join(added)}"] if added else []
        difference = " and ".join(parts) or "in a different order"
        return [finding(rule, f"columns {difference}", "the columns of the source", where)]
    findings = []
    for new, old in zip(found, expected, strict=True):
        if not new.equals(old, check_metadata=True):
            at = Location(file=path, column=new.name)
            findings.append(finding(rule, _field_text(new), f"{_field_text(old)}, as in the source", at))
    for key in sorted({*(found.metadata or {}), *(expected.metadata or {})}):
        new_value, old_value = (found.metadata or {}).get(key), (expected.metadata or {}).get(key)
        if new_value != old_value:
            name = key.decode("utf-8", "replace")
            text = f"schema metadata {name!r}: {_bytes_text(new_value)}"
            findings.append(finding(rule, text, f"{_bytes_text(old_value)}, as in the source", where))
    return findings


def shared_columns(source: pq.ParquetFile, rewritten: pq.ParquetFile) -> list[str]:
    """Return the names of the columns that both files have once, in the order of the source. INF003 reports the other ones."""
    names, rewritten_names = source.schema_arrow.names, rewritten.schema_arrow.names
    return [name for name in names if names.count(name) == rewritten_names.count(name) == 1]


def _text(value: pa.Scalar) -> str:
    text = repr(value.as_py())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _field_text(field: pa.Field) -> str:
    nulls = "" if field.nullable else " not null"
    return f"type {field.type}{nulls}" + (f" with metadata {field.metadata}" if field.metadata else "")


def _bytes_text(value: bytes | None) -> str:
    if value is None:
        return "no such key"
    return f"{len(value)} bytes with SHA-256 {hashlib.sha256(value).hexdigest()[:12]}..."
