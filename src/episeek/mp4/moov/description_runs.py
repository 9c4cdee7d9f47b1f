"""Runs of sample descriptions: the column of the `files` table that gives each sample its description, by byte offset.

Nearly every file has one description and no runs. The tables of samples do not say which description a sample uses: its offset
in the file decides.
"""

import numpy as np
import numpy.typing as npt

from episeek.errors import SampleDescriptionError
from episeek_schemas.sidecars import DESCRIPTION_RUN

Int64Array = npt.NDArray[np.int64]


def description_runs(offset: Int64Array, description_index: Int64Array | None, *, where: str) -> bytes:
    """Return the runs of the samples of a file; empty if all samples use the first description.

    Args:
        offset: Offsets in the file, bytes, in any order, shape [sample_count].
        description_index: Description of each sample, from 1, shape [sample_count]; None if all use the first one.
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
        raise SampleDescriptionError(
            where, "one place read with two sample descriptions", "one description for each place"
        )
    return runs.tobytes()


def description_of(runs: bytes, offset: Int64Array) -> Int64Array | None:
    """Return the description, from 1, of each sample at these offsets in the file; None if all use the first one."""
    if not runs:
        return None
    table = np.frombuffer(runs, DESCRIPTION_RUN)
    row = np.maximum(np.searchsorted(table["byte_offset"], offset, side="right") - 1, 0)
    index: Int64Array = table["description_index"][row].astype(np.int64)
    return None if np.all(index == 1) else index


def runs_problem(runs: bytes, *, entry_count: int) -> str:
    """Return what cannot be right about the runs of a file with `entry_count` sample entries; empty if nothing is."""
    if len(runs) % DESCRIPTION_RUN.itemsize:
        return f"sample_description_runs of {len(runs)} bytes"
    table = np.frombuffer(runs, DESCRIPTION_RUN)
    index = table["description_index"]
    if np.any(np.diff(table["byte_offset"]) <= 0) or np.any((index < 1) | (index > entry_count)):
        return f"sample_description_runs that do not rise, or with other entries than 1 to {entry_count}"
    return ""
