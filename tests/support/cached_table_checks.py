"""A cache of the pandera checks of tables, which take half of a verification; equal tables give equal results."""

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from episeek_schemas.checks import ColumnProblem, check_table

_checked: dict[tuple[object, ...], list[ColumnProblem]] = {}


def cache_table_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check each table once; for tests that verify the same tables many times and are not about `check_table`."""
    for module in ("episodes.values", "sidecars.rules"):
        monkeypatch.setattr(f"episeek_pipelines.verify.{module}.check_table", _check_table)


def _check_table(table: pa.Table, name: Any, *, video_keys: Any = (), **place: Any) -> list[ColumnProblem]:
    key = (_digest(table), name, tuple(video_keys), *sorted(place.items()))
    if key not in _checked:
        _checked[key] = check_table(table, name, video_keys=video_keys, **place)
    return list(_checked[key])


def _digest(table: pa.Table) -> bytes:
    """Return a digest of values, types, nulls, order and metadata."""
    written = pa.BufferOutputStream()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(written.getvalue()).digest()
