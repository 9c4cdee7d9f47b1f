"""What the index step keeps of one MP4 until all are done: its rows as a small `.npz` with a receipt, and a summary.

A fragment whose receipt says that it is of the same file, as declared now, by this code, is used again by a run that goes on
where another was stopped.
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
import numpy.typing as npt

from episeek.sidecars.file_record import FileFacts
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.file_rows import (
    index_file,
)
from episeek_pipelines.index.units import (
    WRITER,
    Arrays,
    IndexUnit,
)

_BINARY_FACTS = ("sample_description", "track_matrix", "sample_description_runs")


@dataclass(frozen=True, slots=True)
class FragmentSummary:
    """What the reduction needs to know of a fragment."""

    fragment: str
    """Relative path in the work directory."""
    facts: FileFacts
    camera_index: int
    digest: str
    """SHA-256 of everything in the fragment."""
    bytes_read: int
    request_count: int
    is_reused: bool
    """True when a run that was stopped had finished it."""
    is_unchanged: bool = False
    """True when it was taken over from the sidecars of an earlier run."""


def index_to_fragment(
    data_root: Root, work: Root, fragment: str, unit: IndexUnit, *, fps: float, existing: ExistingRows | None = None
) -> FragmentSummary:
    """`index_file`, kept in `work` under the name `fragment`; a fragment that a run that was stopped had finished is used
    as it is, and the rows of an unchanged file are taken from the `earlier` sidecars.
    """
    if unit.identity is None:
        unit = replace(unit, identity=data_root.source().identity(unit.path))
    identity = _identity(unit, fps)
    reused = _finished_fragment(work, fragment, identity)
    if reused is not None:
        return reused
    facts, arrays, request_count, byte_count = unit.unchanged, None, 0, 0
    if facts is not None and existing is not None:
        arrays = existing.arrays(unit.episodes.episode_index, unit.camera_index)
    is_unchanged = arrays is not None
    if facts is None or arrays is None:
        facts, arrays, source = index_file(data_root, unit, fps=fps)
        request_count, byte_count = source.request_count, source.byte_count
    summary = FragmentSummary(
        fragment,
        facts,
        unit.camera_index,
        fragment_digest(facts, arrays),
        byte_count,
        request_count,
        is_reused=False,
        is_unchanged=is_unchanged,
    )
    receipt = {
        **asdict(summary),
        "identity": identity,
        "facts": {name: value.hex() if name in _BINARY_FACTS else value for name, value in asdict(facts).items()},
    }
    buffer = io.BytesIO()
    np.savez(buffer, receipt=np.frombuffer(json.dumps(receipt).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    work.write_bytes(fragment, buffer.getvalue())
    return summary


def load_fragment(work: Root, fragment: str) -> Arrays:
    """The arrays of a fragment."""
    with _open_fragment(work, fragment) as archive:
        return {name: archive[name] for name in archive.files if name != "receipt"}


def fragment_episodes(work: Root, fragment: str) -> npt.NDArray[np.int64]:
    """The episodes in a fragment; of a local file, nothing else is read."""
    with _open_fragment(work, fragment) as archive:
        episodes: npt.NDArray[np.int64] = archive["episodes/episode_index"]
        return episodes


@contextmanager
def _open_fragment(work: Root, fragment: str) -> Iterator[Any]:
    """A lazily read archive. The stream is opened here because `np.load` leaves its own open when it fails."""
    with (
        open(work.join(fragment), "rb") if work.is_local else io.BytesIO(work.read_bytes(fragment)) as stream,
        np.load(stream, allow_pickle=False) as archive,
    ):
        yield archive


def _identity(unit: IndexUnit, fps: float) -> str:
    """What a fragment depends on: the file as it was listed, what is declared about it, and this code's version."""
    declared = unit.episodes.digest(camera_index=unit.camera_index, fps=fps)
    return hashlib.sha256(f"{WRITER} {unit.path} {unit.identity} {declared}".encode()).hexdigest()


def _finished_fragment(work: Root, fragment: str, identity: str) -> FragmentSummary | None:
    try:
        with _open_fragment(work, fragment) as archive:
            receipt = json.loads(archive["receipt"].tobytes())
            if receipt.pop("identity") != identity:
                return None
            arrays = {name: archive[name] for name in archive.files if name != "receipt"}
        stored = receipt.pop("facts")
        facts = FileFacts(**{**stored, **{name: bytes.fromhex(stored[name]) for name in _BINARY_FACTS}})
        is_whole = receipt["digest"] == fragment_digest(facts, arrays)
        return FragmentSummary(**{**receipt, "facts": facts, "is_reused": True}) if is_whole else None
    except FileNotFoundError:
        return None
    except (
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
    ):  # damaged, or not one of ours: made anew
        return None


def fragment_digest(facts: FileFacts, arrays: Arrays) -> str:
    """SHA-256 of everything in a fragment; the build's id follows from those of all files."""
    digest = hashlib.sha256(repr(facts).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {len(arrays[name])}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
