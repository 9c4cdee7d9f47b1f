"""Runs of sample descriptions: the columns of the `files` table that determine the description of a sample from its byte offset.

Nearly every file has one description and no runs. The sidecars do not record the description of each sample: it follows from the
offset of the sample in the file. A second column of runs determines the description to use if decoding starts at a sample. In some
files such a description also contains decoder state from earlier samples, which a clip does not contain.
"""

import numpy as np
import numpy.typing as npt

from episeek.errors import SampleDescriptionError
from episeek_schemas.sidecars import DESCRIPTION_RUN

Int64Array = npt.NDArray[np.int64]


def description_runs(offset: Int64Array, description_index: Int64Array | None, *, where: str) -> bytes:
    """Return the runs of sample descriptions of a file; empty if all samples use the first description.

    Args:
        offset: Offsets of the samples in the file, in bytes and in any order, shape [sample_count].
        description_index: Description of each sample, from 1, shape [sample_count]; None if all use the first description.
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
            where, "samples at one offset with two sample descriptions", "one description for each offset"
        )
    return runs.tobytes()


def description_of(runs: bytes, offset: Int64Array) -> Int64Array | None:
    """Return the description, from 1, of the sample at each of these offsets; None if all samples use the first description."""
    if not runs:
        return None
    table = np.frombuffer(runs, DESCRIPTION_RUN)
    row = np.maximum(np.searchsorted(table["byte_offset"], offset, side="right") - 1, 0)
    index: Int64Array = table["description_index"][row].astype(np.int64)
    return None if np.all(index == 1) else index


def clip_descriptions(runs: bytes, start_runs: bytes, offset: Int64Array) -> Int64Array | None:
    """Return the description, from 1, with which each sample of a clip is decoded; None if all use the first description.

    The first sample is decoded with its description in `start_runs`. So are the samples after it, until the description in `runs`
    changes for the first time. From there on, each sample is decoded with its description in `runs`.

    Args:
        runs: The file's `sample_description_runs`: the description of each sample in the file.
        start_runs: The file's `start_description_runs`: the description to use if decoding starts at a sample; empty if it
            always is the description in `runs`.
        offset: Offsets of the clip's samples in the file, in decode order, bytes; not empty.
    """
    own = description_of(runs, offset)
    if not start_runs:
        return own
    start = description_of(start_runs, offset[:1])
    own = np.ones(len(offset), np.int64) if own is None else own
    return started_with(own, 1 if start is None else int(start[0]))


def started_with(own: Int64Array, start: int) -> Int64Array | None:
    """Return the description with which each sample of a clip is decoded, if the first sample is decoded with `start`.

    The samples after the first one are also decoded with `start`, as long as they have the same description in the file as the
    first sample. From the first sample with a different description on, each sample is decoded with its description in the file.

    Args:
        own: The description of each sample in the file, from 1.
        start: The description for the first sample, from 1.

    Returns:
        The descriptions, from 1; None if all of them are 1.
    """
    used = own.copy()
    others = np.flatnonzero(own != own[0])
    used[: others[0] if len(others) else None] = start
    return None if np.all(used == 1) else used


def runs_problem(runs: bytes, *, entry_count: int) -> str:
    """Return a clause that describes what is wrong with the runs of a file with `entry_count` sample entries, or an empty text."""
    if len(runs) % DESCRIPTION_RUN.itemsize:
        return f"of {len(runs)} bytes"
    table = np.frombuffer(runs, DESCRIPTION_RUN)
    index = table["description_index"]
    if np.any(np.diff(table["byte_offset"]) <= 0) or np.any((index < 1) | (index > entry_count)):
        return f"with offsets that do not rise, or with sample entries outside 1 to {entry_count}"
    return ""
