"""Fragments: the rows of one video file, kept as a small `.npz` with a receipt until all files are indexed.

A run that resumes a stopped run uses a fragment again if its receipt records the same file, the same declared episodes and
the same index version.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from episeek.sidecars.file_record import FileProperties
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.build_id import fragment_digest
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.file_rows import index_file
from episeek_pipelines.index.sample_widths import wide_columns
from episeek_pipelines.index.units import Arrays, IndexUnit
from episeek_schemas import sidecars

_BINARY_COLUMNS = tuple(field.name for field in sidecars.FILES if pa.types.is_binary(field.type))


@dataclass(frozen=True, slots=True)
class FragmentSummary:
    """The summary of a fragment. Fragments are ordered and checked by their summaries before any fragment is opened."""

    fragment: str
    """Path relative to the work directory."""
    properties: FileProperties
    camera_index: int
    digest: str
    """The SHA-256 of everything in the fragment, in hex."""
    episode_bounds: tuple[int, int]
    """The first and the last episode in the fragment, both inclusive."""
    wide_columns: tuple[str, ...]
    """Columns of `samples` whose values need 64 bits."""
    bytes_read: int
    request_count: int
    """Number of requests to a store that reading the file took."""
    is_reused: bool
    """Whether a stopped run had already written the fragment."""
    is_unchanged: bool = False
    """Whether the rows were copied from the existing sidecars."""
    warnings: tuple[str, ...] = ()
    """Sentences about episodes whose declaration contradicts the file."""
    retry_count: int = 0
    """Number of requests to a store that had to be repeated."""


def index_to_fragment(
    data_root: Root, work: Root, fragment: str, unit: IndexUnit, *, fps: float, existing: ExistingRows | None = None
) -> FragmentSummary:
    """Index one file and keep the result in `work` under the name `fragment`.

    A fragment that a stopped run has already written is used again. The rows of an unchanged file are copied from `existing`.
    """
    if unit.identity is None:
        unit = replace(unit, identity=data_root.source().identity(unit.path))
    identity = _identity(unit, fps)
    reused = _finished_fragment(work, fragment, identity)
    if reused is not None:
        return reused
    properties, arrays, request_count, byte_count, retry_count = unit.unchanged, None, 0, 0, 0
    warnings: tuple[str, ...] = ()
    if properties is not None and existing is not None:
        arrays = existing.arrays(unit.episodes.episode_index, unit.camera_index)
    is_unchanged = arrays is not None
    if properties is None or arrays is None:
        properties, arrays, source, warnings = index_file(data_root, unit, fps=fps)
        # only reads from a store count as requests
        request_count, byte_count = 0 if data_root.is_local else source.request_count, source.byte_count
        retry_count = source.transfers().retry_count
    summary = FragmentSummary(
        fragment,
        properties,
        unit.camera_index,
        fragment_digest(properties, arrays),
        (int(unit.episodes.episode_index.min()), int(unit.episodes.episode_index.max())),
        wide_columns(arrays),
        byte_count,
        request_count,
        is_reused=False,
        is_unchanged=is_unchanged,
        warnings=warnings,
        retry_count=retry_count,
    )
    receipt = {
        **asdict(summary),
        "identity": identity,
        "properties": {
            name: value.hex() if name in _BINARY_COLUMNS else value for name, value in asdict(properties).items()
        },
    }
    buffer = io.BytesIO()
    np.savez(buffer, receipt=np.frombuffer(json.dumps(receipt).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    work.write_bytes(fragment, buffer.getvalue())
    return summary


def load_fragment(work: Root, fragment: str) -> Arrays:
    """Return the arrays of a fragment."""
    with _open_fragment(work, fragment) as archive:
        return {name: archive[name] for name in archive.files if name != "receipt"}


@contextmanager
def _open_fragment(work: Root, fragment: str) -> Iterator[Any]:
    """Open the archive of a fragment. Its arrays are read when they are used.

    The stream is opened here because `np.load` does not close its own stream when it fails.
    """
    with (
        open(work.join(fragment), "rb") if work.is_local else io.BytesIO(work.read_bytes(fragment)) as stream,
        np.load(stream, allow_pickle=False) as archive,
    ):
        yield archive


def _identity(unit: IndexUnit, fps: float) -> str:
    """Return a digest of everything that determines a fragment: file, episodes, frame rate, options and index version."""
    declared = unit.episodes.digest(camera_index=unit.camera_index, fps=fps)
    chosen = f"index {sidecars.INDEX_VERSION} {unit.path} {unit.identity} {declared} {unit.keyframes}{' whole' * unit.is_whole}"
    return hashlib.sha256(chosen.encode()).hexdigest()


def _finished_fragment(work: Root, fragment: str, identity: str) -> FragmentSummary | None:
    try:
        with _open_fragment(work, fragment) as archive:
            receipt = json.loads(archive["receipt"].tobytes())
            if receipt.pop("identity") != identity:
                return None
            arrays = {name: archive[name] for name in archive.files if name != "receipt"}
        stored = receipt.pop("properties")
        properties = FileProperties(**{**stored, **{name: bytes.fromhex(stored[name]) for name in _BINARY_COLUMNS}})
        is_whole = receipt["digest"] == fragment_digest(properties, arrays)
        lists = {name: tuple(receipt[name]) for name in ("episode_bounds", "wide_columns", "warnings")}
        known = {"properties": properties, **lists, "is_reused": True}
        return FragmentSummary(**{**receipt, **known}) if is_whole else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile):
        # the file is damaged or not a fragment, so the fragment is made again
        return None
