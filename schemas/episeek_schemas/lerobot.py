"""The metadata of LeRobot v3.0 datasets: the entries of `meta/info.json` and the columns of `meta/episodes`.

Three functions check a parsed `info.json`. `validate_info` returns every problem and never raises an error. `is_info` returns a
bool. `parse_info` returns a `DatasetInfo`, or raises `InfoProblemsError` with all problems. Unknown keys are ignored, because
LeRobot drops them when it writes the file again.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from types import MappingProxyType
from typing import Any, Final, TypeGuard

from episeek_schemas.layout import (
    DEFAULT_CHUNKS_SIZE,
    DEFAULT_DATA_PATH,
    DEFAULT_VIDEO_FILES_SIZE_IN_MB,
    DEFAULT_VIDEO_PATH,
)

SUPPORTED_MAJOR: Final = 3

CODEBASE_VERSION: Final = f"v{SUPPORTED_MAJOR}.0"
"""The `codebase_version` that LeRobot writes. On the Hub, it is also the name of the tag at which LeRobot reads a dataset."""

# Columns of meta/episodes/chunk-*/file-*.parquet.
EPISODE_INDEX: Final = "episode_index"
LENGTH: Final = "length"
DATA_CHUNK_INDEX: Final = "data/chunk_index"
DATA_FILE_INDEX: Final = "data/file_index"
DATASET_FROM_INDEX: Final = "dataset_from_index"
DATASET_TO_INDEX: Final = "dataset_to_index"
EPISODE_COLUMNS: Final = (
    EPISODE_INDEX,
    LENGTH,
    DATA_CHUNK_INDEX,
    DATA_FILE_INDEX,
    DATASET_FROM_INDEX,
    DATASET_TO_INDEX,
)

# Columns of the data files that LeRobot adds to every row (`episode_index` has the same name there).
FRAME_INDEX: Final = "frame_index"
INDEX: Final = "index"
TIMESTAMP: Final = "timestamp"
TASK_INDEX: Final = "task_index"
ACTION: Final = "action"
"""The feature `action`. Its statistics may describe relative actions instead of the stored actions."""
STATE: Final = "observation.state"
SUBTASK_INDEX: Final = "subtask_index"
"""An optional feature. Its values are row numbers in `meta/subtasks.parquet`."""
ROW_COLUMNS: Final = (EPISODE_INDEX, FRAME_INDEX, INDEX, TIMESTAMP, TASK_INDEX)

LANGUAGE_PERSISTENT: Final = "language_persistent"
LANGUAGE_EVENTS: Final = "language_events"
LANGUAGE_COLUMNS: Final = (LANGUAGE_PERSISTENT, LANGUAGE_EVENTS)
"""Columns of data files that contain language annotations. LeRobot recognises them by name, not by dtype."""

DATA_FEATURES_KEY: Final = "huggingface"
"""Key in the schema metadata of a data file. Its value is JSON from which `datasets` reads the features of the columns."""

# Column of meta/episodes with the list of an episode's task texts.
TASKS: Final = "tasks"

TASK_TEXT_COLUMNS: Final = ("__index_level_0__", "task")
"""Columns of `meta/tasks.parquet` that may contain the text of a task.

An unnamed pandas index is stored as `__index_level_0__`; an index or column may also be named `task`.
"""

OLD_DOCUMENTS: Final = ("meta/episodes.jsonl", "meta/tasks.jsonl", "meta/episodes_stats.jsonl")
"""Documents of LeRobot 2.x that version 3.0 has replaced by Parquet files."""

VIDEO_INFO_KEYS: Final = ("info", "video_info")
"""Keys of a feature that may contain the description of its video encoding: `info`, or `video_info` from old versions of LeRobot.
"""

PATH_FIELDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "data_path": frozenset({"chunk_index", "file_index"}),
        "video_path": frozenset({"video_key", "chunk_index", "file_index"}),
    }
)
"""The placeholders of each path template of meta/info.json."""

VIDEO_FIELDS: Final = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")

_FORMAT_SPEC = re.compile(r"(0?\d{1,2})?d?")
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?")


def video_column(camera_key: str, field: str) -> str:
    """Return the name of a column of `meta/episodes` for one camera, for example `videos/observation.images.top/from_timestamp`."""
    return f"videos/{camera_key}/{field}"


def statistics_column(feature: str, statistic: str) -> str:
    """Return the name of the column of `meta/episodes` with one statistic of one feature, for example `stats/action/min`."""
    return f"stats/{feature}/{statistic}"


def camera_of_column(column: str) -> str | None:
    """Return the camera key of a `videos/...` column of `meta/episodes`, or None for any other column."""
    prefix, _, rest = column.partition("/")
    camera_key, _, field = rest.rpartition("/")
    return camera_key if prefix == "videos" and camera_key and field in VIDEO_FIELDS else None


def video_info(feature: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the description of a feature's video encoding, the mapping at the key `key` (`info` or `video_info`).

    If the feature has no mapping at this key, return an empty mapping.
    """
    info = feature.get(key)
    return info if isinstance(info, Mapping) else {}


def is_depth(feature: Mapping[str, Any]) -> bool:
    """Return whether a feature is declared to be a depth map, at any of the keys that LeRobot reads."""
    info, old = (video_info(feature, key) for key in VIDEO_INFO_KEYS)
    return bool(info.get("is_depth_map") or info.get("video.is_depth_map") or old.get("video.is_depth_map"))


@dataclass(frozen=True, slots=True)
class InfoProblem:
    """One problem of `meta/info.json`: its key, the value that was found, and a description of the expected value."""

    key: str
    found: str
    expected: str


class InfoProblemsError(ValueError):
    """`meta/info.json` cannot be used; `problems` lists every reason."""

    def __init__(self, problems: Sequence[InfoProblem]) -> None:
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "; ".join(f"{p.key}: found {p.found}, expected {p.expected}" for p in self.problems)


class DocumentError(ValueError):
    """A document below `meta/` is not a JSON object; `found` and `expected` are noun phrases for a message."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.found}; expected {self.expected}"


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The entries of `meta/info.json` that locate the files and define the meaning of the values."""

    codebase_version: str
    fps: float
    total_episodes: int
    total_frames: int
    chunks_size: int
    data_path: str
    video_path: str | None
    video_keys: tuple[str, ...]
    """Keys of the cameras that are stored as video, in the order of `features`. The position of a camera is its camera index."""
    image_keys: tuple[str, ...] = ()
    """Keys of the cameras whose pictures are stored in the data files, in the order of `features`."""
    video_files_size_in_mb: float = DEFAULT_VIDEO_FILES_SIZE_IN_MB
    """The size in MB up to which LeRobot adds episodes to a video file."""

    def data_file(self, chunk_index: int, file_index: int) -> str:
        """Return the path of the data file with these numbers, relative to the root of the dataset."""
        return self.data_path.format(chunk_index=chunk_index, file_index=file_index)

    def data_file_numbers(self, path: str) -> tuple[int, int] | None:
        """Return the chunk_index and file_index in the path of a data file, or None if the path does not match `data_path`."""
        fields = _fields_of(self.data_path, path)
        return None if fields is None else (int(fields["chunk_index"]), int(fields["file_index"]))

    def video_camera(self, path: str) -> str | None:
        """Return the camera key in the path of a video file, or None if the path does not match `video_path`."""
        fields = None if self.video_path is None else _fields_of(self.video_path, path)
        return None if fields is None else fields["video_key"]

    def video_file_numbers(self, path: str) -> tuple[int, int] | None:
        """Return the chunk_index and file_index in the path of a video file, or None if the path does not match `video_path`."""
        fields = None if self.video_path is None else _fields_of(self.video_path, path)
        return None if fields is None else (int(fields["chunk_index"]), int(fields["file_index"]))

    def video_file(self, camera_key: str, chunk_index: int, file_index: int) -> str:
        """Return the path of the video file of a camera with these numbers, relative to the root of the dataset.

        Raises:
            ValueError: The dataset has no `video_path`.
        """
        if self.video_path is None:
            raise ValueError(f"{camera_key}: the dataset has no video_path")
        return self.video_path.format(video_key=camera_key, chunk_index=chunk_index, file_index=file_index)


def codebase_major(version: object) -> int | None:
    """Return the major version number of a `codebase_version` such as `v3.0`, or None if it cannot be parsed."""
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    return int(match[1]) if match else None


def image_keys(features: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of the features whose pictures are stored in the data files, in the order of `features`."""
    return tuple(
        key for key, feature in features.items() if isinstance(feature, Mapping) and feature.get("dtype") == "image"
    )


def video_keys(features: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of the features that are stored as video, in the order of `features`."""
    return tuple(key for key, spec in features.items() if isinstance(spec, Mapping) and spec.get("dtype") == "video")


def parse_document(data: bytes) -> dict[str, Any]:
    """Parse the bytes of `meta/info.json` or another document below `meta/`, and return the JSON object.

    The bytes are decoded as UTF-8, as LeRobot does. `json.loads` would guess the encoding of bytes.

    Raises:
        DocumentError: The bytes are not JSON, or the JSON is not an object.
    """
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DocumentError(str(error).partition("\n")[0], "a JSON document") from None
    if not isinstance(document, dict):
        raise DocumentError(type(document).__name__, "a JSON object")
    return document


def with_slashes(document: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    r"""Replace `\` by `/` in the path templates of a parsed `meta/info.json`, since LeRobot on Windows may have written `\`.

    Returns:
        A copy of the document, and the keys of the templates that changed.
    """
    changed: dict[str, str] = {}
    for key in PATH_FIELDS:
        template = document.get(key)
        if isinstance(template, str) and "\\" in template:
            changed[key] = template.replace("\\", "/")
    return {**document, **changed}, tuple(changed)


def validate_info(document: object) -> list[InfoProblem]:
    """Return every reason why a parsed `meta/info.json` cannot be used, or an empty list if it can be used."""
    if not isinstance(document, Mapping):
        return [InfoProblem("(document)", type(document).__name__, "a JSON object")]
    problems = []
    if codebase_major(document.get("codebase_version")) != SUPPORTED_MAJOR:
        problems.append(_problem(document, "codebase_version", f"version {SUPPORTED_MAJOR}.x"))
    fps = document.get("fps")
    if not isinstance(fps, (int, float)) or isinstance(fps, bool) or not 0 < fps < 1e6:
        problems.append(_problem(document, "fps", "a positive number"))
    for key in ("total_episodes", "total_frames"):
        if not _is_count(document.get(key)):
            problems.append(_problem(document, key, "a whole number, 0 or more"))
    if "chunks_size" in document and not (_is_count(document["chunks_size"]) and document["chunks_size"] > 0):
        problems.append(_problem(document, "chunks_size", "a whole number, 1 or more"))
    features = document.get("features")
    if not isinstance(features, Mapping):
        problems.append(_problem(document, "features", "an object"))
    has_video = isinstance(features, Mapping) and bool(video_keys(features))
    _, with_backslashes = with_slashes(document)
    for key, fields in PATH_FIELDS.items():
        template = document.get(key)
        if template is None and (key not in document or (key == "video_path" and not has_video)):
            continue
        if key in with_backslashes:
            problems.append(InfoProblem(key, f"{str(template)[:80]}, with backslashes", "a path with the separator /"))
        elif not _is_template(template, fields):
            problems.append(
                _problem(document, key, "a relative path with " + ", ".join(f"{{{f}}}" for f in sorted(fields)))
            )
    return problems


def is_info(document: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a parsed `meta/info.json` can be used."""
    return not validate_info(document)


def parse_info(document: object) -> DatasetInfo:
    """Return the entries of a parsed `meta/info.json` that episeek uses.

    Raises:
        InfoProblemsError: The document cannot be used; the error lists every problem.
    """
    problems = validate_info(document)
    if problems or not isinstance(document, Mapping):
        raise InfoProblemsError(problems)
    cameras = video_keys(document["features"])
    video_path = document.get("video_path", DEFAULT_VIDEO_PATH if cameras else None)
    return DatasetInfo(
        codebase_version=document["codebase_version"],
        fps=float(document["fps"]),
        total_episodes=int(document["total_episodes"]),
        total_frames=int(document["total_frames"]),
        chunks_size=int(document.get("chunks_size", DEFAULT_CHUNKS_SIZE)),
        data_path=document.get("data_path", DEFAULT_DATA_PATH),
        video_path=video_path,
        video_keys=cameras,
        image_keys=image_keys(document["features"]),
        video_files_size_in_mb=_size_in_mb(document.get("video_files_size_in_mb")),
    )


def _fields_of(template: str, path: str) -> dict[str, str] | None:
    """Match a path with a valid path template, and return the text of each placeholder, or None if the path does not match."""
    pattern, seen = "", set[str]()
    for text, field, _, _ in Formatter().parse(template):
        pattern += re.escape(text)
        if field is not None:
            value = ".+" if field == "video_key" else r"\d+"
            pattern += f"(?P={field})" if field in seen else f"(?P<{field}>{value})"
            seen.add(field)
    match = re.fullmatch(pattern, path, re.ASCII)
    if match is None:
        return None
    fields = match.groupdict()
    values = {name: value if name == "video_key" else int(value) for name, value in fields.items()}
    return fields if template.format(**values) == path else None


def _size_in_mb(value: object) -> float:
    """Return `video_files_size_in_mb` of `meta/info.json`, or the default if the value is missing or is not a positive number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return value
    return DEFAULT_VIDEO_FILES_SIZE_IN_MB


def _problem(document: Mapping[str, Any], key: str, expected: str) -> InfoProblem:
    return InfoProblem(key, repr(document[key])[:80] if key in document else "nothing", expected)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_template(template: object, fields: frozenset[str]) -> bool:
    if not isinstance(template, str):
        return False
    try:
        parsed = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
        if not all(_FORMAT_SPEC.fullmatch(spec or "") and not conversion for _, spec, conversion in parsed):
            # refuse a format such as a width of a billion, which would exhaust the memory
            return False
        used_fields = {name for name, _, _ in parsed}
        rendered = template.format(**dict.fromkeys(fields - {"video_key"}, 0), video_key="key")
    except (ValueError, KeyError, IndexError, AttributeError):
        return False
    return used_fields == fields and not rendered.startswith("/") and ".." not in rendered.split("/")
