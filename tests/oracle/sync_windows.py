"""Windows at later sync samples, of every kind that a file has: random windows of a long file seldom start at a rare one."""

from pathlib import Path

import numpy as np

from episeek.mp4.sample_table import SampleTable

LENGTH = 6
KINDS = 8
"""Kinds of sync samples that are tried."""

HEAD_BYTES = 1 << 14


def sync_windows(path: Path, table: SampleTable) -> list[tuple[int, int]]:
    """For each kind of later sync sample: from its first and its last one, and with a lead-in from the first one."""
    order = table.presentation_order()
    rank = np.full(len(table), -1)
    rank[order] = np.arange(len(order))
    kinds: dict[object, list[int]] = {}
    with path.open("rb") as stream:
        for sample in np.flatnonzero(table.is_sync)[1:].tolist():
            if rank[sample] < 0:
                continue
            stream.seek(int(table.offset[sample]))
            head = stream.read(min(int(table.size[sample]), HEAD_BYTES))
            entry = None if table.description_index is None else int(table.description_index[sample])
            kinds.setdefault((entry, _parts(table.codec, head)), []).append(int(rank[sample]))
    chosen = []
    for ranks in list(kinds.values())[:KINDS]:
        first, last = min(ranks), max(ranks)
        chosen += [(first, first + LENGTH), (last, last + LENGTH), (first + 2, first + 2 + LENGTH)]
    return [(start, min(stop, len(order))) for start, stop in dict.fromkeys(chosen) if start < len(order)]


def _parts(codec: str, head: bytes) -> tuple[int, ...]:
    """The types of the NAL units, of the OBUs or of the start codes at the head of a sample: samples of one kind have the same."""
    if codec in ("avc1", "avc3", "hvc1", "hev1"):
        return tuple(dict.fromkeys(_nal_types(head, is_hevc=codec.startswith("h"))))
    if codec == "av01":
        return tuple(dict.fromkeys(_obu_types(head)))
    return tuple(dict.fromkeys(head[at + 3] for at in range(len(head) - 3) if head[at : at + 3] == b"\0\0\1"))


def _nal_types(head: bytes, *, is_hevc: bool) -> list[int]:
    """Of units with lengths of four bytes; other lengths give other numbers, which tell kinds apart as well."""
    types, at = [], 0
    while at + 4 < len(head):
        types.append(head[at + 4] >> 1 & 63 if is_hevc else head[at + 4] & 31)
        at += 4 + int.from_bytes(head[at : at + 4], "big")
    return types


def _obu_types(head: bytes) -> list[int]:
    types, at = [], 0
    while at < len(head):
        header = head[at]
        types.append(header >> 3 & 15)
        at += 2 if header & 4 else 1
        size = shift = 0
        while header & 2 and at < len(head):
            size |= (head[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not head[at - 1] & 128:
                break
        if not header & 2:
            break
        at += size
    return types
