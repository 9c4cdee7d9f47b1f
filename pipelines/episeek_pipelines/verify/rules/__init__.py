"""All rules of `episeek verify`: their codes, titles, purposes and remedies.

A code is a family and the number of the invariant. Families: INF `meta/info.json` and the files that it implies, EPI
`meta/episodes`, TSK tasks, STA statistics, ROW data files, VID videos, IDX sidecars, HUB the dataset card, TRN training,
VER the verification itself. An invariant has the same number wherever it is checked. An invariant that can also be broken
in a harmless way has a second rule: a warning with the same number and the suffix `W`. Codes never change their meaning,
and the number of a removed rule is not used again.
"""

from typing import Final

from episeek_pipelines.verify.rules.metadata import (
    CARD_GLOB,
    CARD_SIDECARS,
    COLUMN_STYLE,
    COLUMNS,
    CONSTANT_DIMENSION,
    DATA_POINTER,
    EPISODE_ORDER,
    EPISODE_VALUES,
    EPISODES_CHANGED,
    EPISODES_FOOTER,
    FILE_ORDER,
    FOLDER_LIMITS,
    FPS,
    INFO,
    INFO_CHANGED,
    LFS_POINTER,
    MISSING_FILE,
    ORPHAN_FILE,
    SHARDS,
    SPLITS,
    STATISTICS,
    TASKS,
    TILING,
    TOTALS,
    VIDEO_COLUMNS,
    WORKER_SHARDS,
)
from episeek_pipelines.verify.rules.registry import FAIL_ON, LEVELS, RULES, FailOn, Level, Rule, Severity, includes
from episeek_pipelines.verify.rules.rows import (
    DATA_FOOTER,
    EPISODE_ROWS,
    FINITE,
    FOOTER_SIZE,
    IMAGES,
    LANGUAGE,
    PAGE_INDEX,
    ROW_GROUPS,
    ROW_GROUPS_OF_INDEXED,
    ROW_NUMBERS,
    ROWS_CHANGED,
    TIMESTAMPS,
)
from episeek_pipelines.verify.rules.sidecars import (
    INDEXED_FILES,
    INDEXED_SAMPLES,
    INDEXED_SPANS,
    OUTDATED,
    SIDECAR_FORMAT,
    STALE,
)
from episeek_pipelines.verify.rules.verification import CRASHED, UNREADABLE
from episeek_pipelines.verify.rules.videos import (
    DECODED,
    DRIFT,
    FRAME_GRID,
    FROZEN,
    KEYFRAME_INTERVAL,
    NOT_FASTSTART,
    REORDERED,
    SYNC_START,
    UNUSABLE_VIDEO,
    VIDEO_FORMAT,
    VIDEO_LONG,
    VIDEO_SHORT,
)

COMPARISONS: Final = frozenset(rule.code for rule in (INFO_CHANGED, EPISODES_CHANGED, ROWS_CHANGED))
"""Codes of the rules that need a source dataset to compare with."""

HOLES: Final = frozenset(rule.code for rule in (CRASHED, UNREADABLE))
"""Codes of findings that say that something could not be checked."""

MOOT_WHEN_INDEXED: Final = frozenset(code for code, rule in RULES.items() if rule.moot_because)
"""Codes of problems that do not matter in a video that the sidecars index: they are notes then, not findings."""

__all__ = [
    "CARD_GLOB",
    "CARD_SIDECARS",
    "COLUMNS",
    "COLUMN_STYLE",
    "COMPARISONS",
    "CONSTANT_DIMENSION",
    "CRASHED",
    "DATA_FOOTER",
    "DATA_POINTER",
    "DECODED",
    "DRIFT",
    "EPISODES_CHANGED",
    "EPISODES_FOOTER",
    "EPISODE_ORDER",
    "EPISODE_ROWS",
    "EPISODE_VALUES",
    "FAIL_ON",
    "FILE_ORDER",
    "FINITE",
    "FOLDER_LIMITS",
    "FOOTER_SIZE",
    "FPS",
    "FRAME_GRID",
    "FROZEN",
    "HOLES",
    "IMAGES",
    "INDEXED_FILES",
    "INDEXED_SAMPLES",
    "INDEXED_SPANS",
    "INFO",
    "INFO_CHANGED",
    "KEYFRAME_INTERVAL",
    "LANGUAGE",
    "LEVELS",
    "LFS_POINTER",
    "MISSING_FILE",
    "MOOT_WHEN_INDEXED",
    "NOT_FASTSTART",
    "ORPHAN_FILE",
    "OUTDATED",
    "PAGE_INDEX",
    "REORDERED",
    "ROWS_CHANGED",
    "ROW_GROUPS",
    "ROW_GROUPS_OF_INDEXED",
    "ROW_NUMBERS",
    "RULES",
    "SHARDS",
    "SIDECAR_FORMAT",
    "SPLITS",
    "STALE",
    "STATISTICS",
    "SYNC_START",
    "TASKS",
    "TILING",
    "TIMESTAMPS",
    "TOTALS",
    "UNREADABLE",
    "UNUSABLE_VIDEO",
    "VIDEO_COLUMNS",
    "VIDEO_FORMAT",
    "VIDEO_LONG",
    "VIDEO_SHORT",
    "WORKER_SHARDS",
    "FailOn",
    "Level",
    "Rule",
    "Severity",
    "includes",
]
