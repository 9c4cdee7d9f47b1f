"""The files of LeRobot v2.0 and v2.1: one Parquet file and one MP4 per camera for each episode, and documents of JSON lines.

The two versions differ only in their statistics: v2.1 has statistics of each episode, and v2.0 of the whole dataset.
`validate_info_v2` returns every problem of a `meta/info.json`. `info_as_v3` converts a `meta/info.json` to version 3.0. The files
keep their paths, because path templates of version 3.0 can describe these paths, with the number of the episode as `file_index`.
"""

from collections.abc import Mapping
from string import Formatter
from types import MappingProxyType
from typing import Any, Final

from episeek_schemas import lerobot
from episeek_schemas.lerobot import InfoProblem

MAJOR: Final = 2

EPISODES_PATH: Final = "meta/episodes.jsonl"
TASKS_PATH: Final = "meta/tasks.jsonl"
EPISODE_STATISTICS_PATH: Final = "meta/episodes_stats.jsonl"
"""The file of version 2.1 with the statistics of each episode."""
STATISTICS_PATH: Final = "meta/stats.json"
"""The file of version 2.0 with the statistics of the whole dataset. Version 3.0 has the same file."""

DOCUMENTS: Final = (EPISODES_PATH, TASKS_PATH, EPISODE_STATISTICS_PATH, STATISTICS_PATH)
"""Paths of the documents below `meta/` other than `meta/info.json`."""

EPISODE_INDEX: Final = "episode_index"
LENGTH: Final = "length"
TASKS: Final = "tasks"
TASK_INDEX: Final = "task_index"
TASK: Final = "task"
STATISTICS: Final = "stats"

DEFAULT_CHUNKS_SIZE: Final = 1000
"""Default of `chunks_size` in `meta/info.json`: the number of episodes in a chunk folder."""

_V3_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {"episode_chunk": "chunk_index", "episode_index": "file_index", "video_key": "video_key"}
)
_TEMPLATES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "data_path": frozenset({"episode_chunk", "episode_index"}),
        "video_path": frozenset({"video_key", "episode_chunk", "episode_index"}),
    }
)
_GONE: Final = frozenset({"total_chunks", "total_videos"})
"""Keys of `meta/info.json` that version 3.0 has removed."""

_SIZES: Final[Mapping[str, int]] = MappingProxyType({"data_files_size_in_mb": 100, "video_files_size_in_mb": 200})
"""Keys that version 3.0 has added, with LeRobot's defaults: the size in MB at which a recording begins a new file."""


def is_v2(document: Mapping[str, Any]) -> bool:
    """Return whether a parsed `meta/info.json` declares a version 2.x."""
    return lerobot.codebase_major(document.get("codebase_version")) == MAJOR


def has_episode_statistics(document: Mapping[str, Any]) -> bool:
    """Return whether the version in a parsed `meta/info.json` has statistics of each episode: every version except 2.0."""
    version = str(document.get("codebase_version", ""))
    return version.lstrip("v").split(".")[:2] != ["2", "0"]


def validate_info_v2(document: Mapping[str, Any]) -> list[InfoProblem]:
    """Return every reason why a parsed `meta/info.json` of version 2.x cannot be used, or an empty list if it can be used."""
    problems = []
    if not is_v2(document):
        problems.append(InfoProblem("codebase_version", repr(document.get("codebase_version"))[:80], "version 2.x"))
    features = document.get("features")
    has_video = isinstance(features, Mapping) and bool(lerobot.video_keys(features))
    usable: dict[str, Any] = {}
    for key, fields in _TEMPLATES.items():
        template = document.get(key)
        if template is None and key == "video_path" and not has_video:
            usable[key] = None
        elif _fields(template) == fields:
            usable[key] = _as_v3(str(template))
        else:
            found = repr(template)[:80] if key in document else "nothing"
            expected = "a relative path with " + ", ".join(f"{{{field}}}" for field in sorted(fields))
            problems.append(InfoProblem(key, found, expected))
    others = {name: value for name, value in document.items() if name not in _TEMPLATES}
    return problems + lerobot.validate_info({**others, **usable, "codebase_version": lerobot.CODEBASE_VERSION})


def info_as_v3(document: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a valid `meta/info.json` of version 2.x to version 3.0, and return it. The new path templates give the same paths.

    Features other than videos get the entry `fps`, as in files that LeRobot writes. `total_chunks` and `total_videos` are removed.
    Other totals, splits and unknown keys do not change.
    """
    kept = {key: value for key, value in document.items() if key not in _GONE}
    features = {
        name: spec
        if not isinstance(spec, Mapping) or spec.get("dtype") == "video"
        else {**spec, "fps": document["fps"]}
        for name, spec in document["features"].items()
    }
    templates = {key: None if document.get(key) is None else _as_v3(document[key]) for key in _TEMPLATES}
    sizes = {key: size for key, size in _SIZES.items() if key not in kept}
    chunks = {"chunks_size": kept.get("chunks_size", DEFAULT_CHUNKS_SIZE)}
    return {**kept, "codebase_version": lerobot.CODEBASE_VERSION, **chunks, **templates, **sizes, "features": features}


def _fields(template: object) -> frozenset[str]:
    """Return the names of the placeholders in a path template, or an empty set if the value is not a template."""
    try:
        return frozenset(name for _, name, _, _ in Formatter().parse(str(template)) if name is not None)
    except ValueError:
        return frozenset()


def _as_v3(template: str) -> str:
    """Return a path template of version 2.x with the placeholders of version 3.0, for example `file_index` for `episode_index`."""
    parts = []
    for text, name, spec, conversion in Formatter().parse(template):
        parts.append(text.replace("{", "{{").replace("}", "}}"))
        if name is not None:
            suffix = (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            parts.append(f"{{{_V3_FIELDS[name]}{suffix}}}")
    return "".join(parts)
