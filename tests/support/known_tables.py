"""What pandera says of a table, asked once for each table: it says the same of the same table, and takes half of a verification."""

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from episeek_schemas.checks import ColumnProblem, check_table

_known: dict[tuple[object, ...], list[ColumnProblem]] = {}


def ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that verify the same tables many times, and look at other things than `check_table`."""
    for module in ("episodes.values", "sidecars.rules"):
        monkeypatch.setattr(f"episeek_pipelines.verify.{module}.check_table", _check_table)


def _check_table(table: pa.Table, name: Any, *, video_keys: Any = (), **place: Any) -> list[ColumnProblem]:
    key = (_digest(table), name, tuple(video_keys), *sorted(place.items()))
    if key not in _known:
        _known[key] = check_table(table, name, video_keys=video_keys, **place)
    return list(_known[key])


def _digest(table: pa.Table) -> bytes:
    """Of values, types, nulls, order and metadata."""
    written = pa.BufferOutputStream()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(written.getvalue()).digest()
