"""INF021: compare the documents of meta/ in a rewritten dataset with those of its source."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import INFO_CHANGED
from episeek_schemas import layout

_MERGED_KEYS: Final = frozenset({"data_path"})
"""Keys of meta/info.json that may differ after an upgrade from version 2.x, which merges data files."""


def check_documents(
    found: Mapping[str, bytes],
    expected: Mapping[str, bytes],
    *,
    has_other_videos: bool = False,
    is_upgrade: bool = False,
    recomputed: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield INF021 for each document that differs from the same document of the source.

    meta/info.json is compared key by key, and all other documents byte by byte. In an upgrade of version 2.x, meta/stats.json may
    have additional statistics.

    Args:
        found: Contents of the files below meta/ of the rewritten dataset, by path.
        expected: Contents of the files below meta/ of the source, by path. Each has to exist in the rewritten dataset.
        has_other_videos: Whether the rewritten dataset has video files of its own, so that `video_path` may differ.
        is_upgrade: Whether the source is of version 2.x, so that `data_path` and the additional statistics may differ.
        recomputed: Features whose statistics an upgrade computes from the rows, so that they differ by rounding at least. STA029
            compares them with the rows.
    """
    for path, old in expected.items():
        where = Location(file=path)
        if path not in found:
            yield finding(INFO_CHANGED, "no such file", "the file of the source", where)
        elif found[path] != old and path == layout.INFO_PATH:
            may_change = {"video_path"} if has_other_videos else set()
            yield from _compare_info(found[path], old, frozenset(may_change | (_MERGED_KEYS if is_upgrade else set())))
        elif found[path] != old and path == layout.STATS_PATH and is_upgrade:
            yield from _compare_statistics(found[path], old, recomputed)
        elif found[path] != old:
            yield finding(
                INFO_CHANGED, f"other contents, {len(found[path])} bytes", f"the {len(old)} bytes of the source", where
            )


def _compare_statistics(found: bytes, expected: bytes, recomputed: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each feature whose statistics in the source are missing or changed in the rewritten dataset.

    Additional statistics in the rewritten dataset are allowed. Those of the features `recomputed` only have to exist.
    """
    new, old = json.loads(found), json.loads(expected)
    for feature, entry in old.items():
        held = new.get(feature)
        if feature in recomputed and isinstance(held, dict):
            continue
        kept = {name: held.get(name) for name in entry} if isinstance(held, dict) and isinstance(entry, dict) else held
        if kept != entry:
            where = Location(file=layout.STATS_PATH, column=feature)
            yield finding(
                INFO_CHANGED, _value_text(new, feature), f"{_value_text(old, feature)}, as in the source", where
            )


def _compare_info(found: bytes, expected: bytes, may_change: frozenset[str]) -> Iterator[Finding]:
    new, old = json.loads(found), json.loads(expected)
    for key in sorted({*new, *old} - may_change):
        if new.get(key) != old.get(key) or (key in new) != (key in old):
            yield finding(
                INFO_CHANGED,
                _value_text(new, key),
                f"{_value_text(old, key)}, as in the source",
                Location(file=layout.INFO_PATH, column=key),
            )


def _value_text(document: Mapping[str, object], key: str) -> str:
    return str(document[key])[:60] if key in document else "no such key"
