"""Which sample description the samples of a file use, as the `files` table keeps it: runs by byte offset.

Nearly every file has one description and no runs. Samples say nothing of it themselves: their place in the file does.
"""

import numpy as np
import numpy.typing as npt

from episeek.errors import SampleDescriptionError
from episeek_schemas.sidecars import DESCRIPTION_RUN

Int64Array = npt.NDArray[np.int64]


def description_runs(offset: Int64Array, description_index: Int64Array | None, *, where: str) -> bytes:
    """The runs of a file's samples; empty where all use the first description.

    Args:
        offset: Absolute offsets, bytes, in any order, shape [sample_count].
        description_index: From 1, shape [sample_count]; None: all use the first.
        where: The file, for messages.

    Raises:
        SampleDescriptionError: Samples at one offset use different descriptions.
    """
    if description_index is None:
        return b""
    order = np.argsort(offset, kind="stable")
    sorted_offset, sorted_index = offset[order], description_index[order]
    changes = np.concatenate([[0], np.flatnonzero(np.diff(sorted_index)) + 1])
    runs = np.empty(len(changes), DESCRIPTION_RUN)
    runs["byte_offset"], runs["description_index"] = sorted_offset[changes], sorted_index[changes]
    if np.any(sorted_offset[changes[1:]] == sorted_offset[changes[1:] - 1]):
        raise SampleDescriptionError(where, "one place read with two sample descriptions", "one for each sample")
    return runs.tobytes()


def description_of(runs: bytes, offset: Int64Array) -> Int64Array | None:
    """The description, from 1, of samples at absolute offsets; None when all use the first."""
    if not runs:
        return None
    table = np.frombuffer(runs, DESCRIPTION_RUN)
    row = np.maximum(np.searchsorted(table["byte_offset"], offset, side="right") - 1, 0)
    index: Int64Array = table["description_index"][row].astype(np.int64)
    return None if np.all(index == 1) else index


def runs_problem(runs: bytes, *, entry_count: int) -> str:
    """What cannot be right about the runs of a file with so many sample entries; empty when nothing is."""
    if len(runs) % DESCRIPTION_RUN.itemsize:
        return f"sample_description_runs of {len(runs)} bytes"
    table = np.frombuffer(runs, DESCRIPTION_RUN)
    index = table["description_index"]
    if np.any(np.diff(table["byte_offset"]) <= 0) or np.any((index < 1) | (index > entry_count)):
        return f"sample_description_runs that do not rise, or name other entries than 1 to {entry_count}"
    return ""
