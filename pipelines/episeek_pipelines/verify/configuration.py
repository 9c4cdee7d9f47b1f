"""What a verification is told: the command line over a configuration file over defaults.

The file is `episeek.toml` at the dataset root, or the table `[tool.episeek]` of a `pyproject.toml` there, or the one
that `--config` names, which is read as `pyproject.toml` when that is its name. Its keys are the long options:

    level = "rows"                       # meta, layout, rows, decode
    select = ["VID", "ROW017"]           # only these; VER000 and VER001 always count
    ignore = ["VID022W"]
    fail-on = "warning"                  # error, warning, never
    tolerance-seconds = 1e-4
    world-size = 8
    num-workers = 4
    decode-episodes = "all"              # or how many of each camera
    baseline = "episeek-baseline.json"   # below the folder of this file
    max-findings = 20

    [severity]
    VID024W = "error"

    [per-path-ignores]
    "videos/observation.images.wrist/**" = ["VID039"]   # globs as in `policy`

The command line wins; what it ignores and the severities that it sets are added to the file's. A file that comes with a
dataset can name no baseline outside of it: whoever reads the dataset did not write it. Nothing is written here.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import EllipsisType
from typing import Any, Final

from episeek.byte_source import is_local, local_path
from episeek.errors import MissingFileError, first_line
from episeek_pipelines.storage import Root
from episeek_pipelines.verify.formats.grouping import MAX_FINDINGS
from episeek_pipelines.verify.options import DECODED_EPISODES, TIMESTAMP_TOLERANCE_SECONDS, VerifyOptions
from episeek_pipelines.verify.policy import (
    FAIL_ON,
    SEVERITIES,
    ConfigurationError,
    Policy,
    did_you_mean,
    shown,
    validate_codes,
    validate_ignored,
    validate_pattern,
    validate_severity,
)
from episeek_pipelines.verify.rules import LEVELS

CONFIGURATION_FILE: Final = "episeek.toml"
PROJECT_FILE: Final = "pyproject.toml"
TOOL_TABLE: Final = ("tool", "episeek")

ALL: Final = "all"
"""With `decode-episodes`."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a verification is told."""

    policy: Policy = field(default_factory=Policy)
    options: VerifyOptions = field(default_factory=VerifyOptions)
    baseline_path: str | None = None
    """A path or a URL; of the command line relative to the working directory, of a file to the folder that it is in."""
    max_findings: int = MAX_FINDINGS
    path: str | None = None
    """The file that some of it comes from."""


def configure(
    root: Root,
    *,
    config_path: str | None = None,
    files: Mapping[str, object] | None = None,
    level: str | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    severity: Iterable[str] = (),
    fail_on: str | None = None,
    tolerance_seconds: float | None = None,
    world_size: int | None = None,
    num_workers: int | None = None,
    decoded_episodes: int | EllipsisType | None = ...,
    baseline: str | None = None,
    max_findings: int | None = None,
) -> Configuration:
    """What was given on the command line, then what the dataset's configuration file says, then defaults.

    Args:
        root: The dataset.
        config_path: A local file to read instead of those at the root.
        files: A listing of the dataset by relative path; without it, each of the two files is asked for.
        level: As `--level`; None here and below: not given.
        select: Codes and families, each text one or several with commas between; replaces the file's.
        ignore: The same, added to the file's.
        severity: `CODE=error` or `CODE=warning`, as `select`; added to the file's.
        fail_on: As `--fail-on`.
        tolerance_seconds: As `--tolerance-seconds`.
        world_size: As `--world-size`.
        num_workers: As `--num-workers`.
        decoded_episodes: As `--decode-episodes`; None: all, `...`: not given.
        baseline: As `--baseline`.
        max_findings: As `--max-findings`.

    Raises:
        ConfigurationError: An option or the file is wrong, or there are two files.
        ReadError: The store could not deliver a file that is there.
    """
    decoded = ALL if decoded_episodes is None else None if decoded_episodes is ... else decoded_episodes
    given: dict[str, object] = {
        "level": level,
        "select": _split(select) or None,
        "ignore": _split(ignore) or None,
        "severity": _severities(_split(severity)) or None,
        "fail-on": fail_on,
        "tolerance-seconds": tolerance_seconds,
        "world-size": world_size,
        "num-workers": num_workers,
        "decode-episodes": decoded,
        "baseline": baseline,
        "max-findings": max_findings,
    }
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        _check(key, value, f"--{key}")
    path, configured = _read_explicit(config_path) if config_path is not None else _read_at_root(root, files)
    return _configuration({**configured, **given, **_added(configured, given)}, path)


def _configuration(values: dict[str, Any], path: str | None) -> Configuration:
    """From values that were checked."""
    decoded = values.get("decode-episodes", DECODED_EPISODES)
    return Configuration(
        Policy(
            select=tuple(values.get("select", ())),
            ignore=tuple(values.get("ignore", ())),
            severity=values.get("severity", {}),
            per_path_ignores=tuple((glob, tuple(codes)) for glob, codes in values.get("per-path-ignores", {}).items()),
            fail_on=values.get("fail-on", "error"),
        ),
        VerifyOptions(
            level=values.get("level", "layout"),
            tolerance_seconds=float(values.get("tolerance-seconds", TIMESTAMP_TOLERANCE_SECONDS)),
            world_size=values.get("world-size"),
            num_workers=values.get("num-workers", 0),
            decoded_episodes=None if decoded == ALL else decoded,
        ),
        values.get("baseline"),
        values.get("max-findings", MAX_FINDINGS),
        path,
    )


def _added(configured: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys whose values of the command line are added to the file's."""
    ignored = (*configured.get("ignore", ()), *given.get("ignore", ()))
    return {
        "ignore": tuple(dict.fromkeys(ignored)),
        "severity": {**configured.get("severity", {}), **given.get("severity", {})},
    }


def _split(texts: Iterable[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",")]


def _severities(texts: Iterable[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for code, equals, severity in pairs:
        if not equals:
            raise ConfigurationError("--severity", repr(code), f"CODE=SEVERITY, one of {', '.join(SEVERITIES)}")
        validate_severity(code, severity, "--severity")
    return {code: severity for code, _, severity in pairs}


# --- files -----------------------------------------------------------------------------------------------------------------------


def _read_at_root(root: Root, files: Mapping[str, object] | None) -> tuple[str | None, dict[str, Any]]:
    """The path and the checked values of the one configuration file of a dataset; None and nothing when it has none."""
    tables = {}
    for name in (CONFIGURATION_FILE, PROJECT_FILE):
        data = _read_if_there(root, name, files)
        table = None if data is None else _table(data, root.join(name), is_project=name == PROJECT_FILE)
        if table is not None:
            tables[name] = table
    if len(tables) > 1:
        found = f"{CONFIGURATION_FILE}, and [{'.'.join(TOOL_TABLE)}] in {PROJECT_FILE}"
        raise ConfigurationError(root.url, found, "one of the two")
    for name, table in tables.items():
        place = _place(root.join(name), is_project=name == PROJECT_FILE)
        values = _checked(table, place)
        if "baseline" in values:
            values["baseline"] = root.join(_inside(values["baseline"], f"{place}baseline"))
        return root.join(name), values
    return None, {}


def _read_if_there(root: Root, name: str, files: Mapping[str, object] | None) -> bytes | None:
    if files is not None and name not in files:
        return None
    try:
        return root.read_bytes(name)
    except MissingFileError:
        return None


def _read_explicit(config_path: str) -> tuple[str, dict[str, Any]]:
    """The path and the checked values of the file that `--config` names."""
    if not is_local(config_path):
        raise ConfigurationError("--config", config_path, "a local file")
    path = Path(local_path(config_path))
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise ConfigurationError("--config", f"{config_path}: {reason.lower()}", "a readable file") from None
    is_project = path.name == PROJECT_FILE
    table = _table(data, str(path), is_project=is_project)
    if table is None:
        raise ConfigurationError(str(path), "no such table", f"[{'.'.join(TOOL_TABLE)}]")
    values = _checked(table, _place(str(path), is_project=is_project))
    if "baseline" in values and is_local(values["baseline"]):
        values["baseline"] = str(path.parent / local_path(values["baseline"]))
    return str(path), values


def _table(data: bytes, where: str, *, is_project: bool) -> dict[str, Any] | None:
    """The table with the keys; None when a project's file has none."""
    try:
        table: Any = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise ConfigurationError(where, first_line(error), "a TOML file in UTF-8") from None
    if not is_project:
        return dict(table)
    for depth, key in enumerate(TOOL_TABLE, start=1):
        if key not in table:
            return None
        table = table[key]
        if not isinstance(table, dict):
            raise ConfigurationError(f"{where}, {'.'.join(TOOL_TABLE[:depth])}", shown(table), "a table")
    return dict(table)


def _place(path: str, *, is_project: bool) -> str:
    return f"{path}, {'.'.join(TOOL_TABLE)}." if is_project else f"{path}, "


def _inside(path: str, where: str) -> str:
    """A relative path that stays below the dataset root."""
    if path.startswith("/") or ".." in path.split("/") or "://" in path or "::" in path:
        raise ConfigurationError(where, shown(path), "a path below the dataset root (or use --baseline, or --config)")
    return PurePosixPath(path).as_posix()


# --- values ----------------------------------------------------------------------------------------------------------------------


def _checked(table: dict[str, Any], place: str) -> dict[str, Any]:
    for key, value in table.items():
        if key not in _CHECKS:
            like = did_you_mean(key.lower().replace("_", "-"), _CHECKS)
            raise ConfigurationError(f"{place}{_name(key)}", f"an unknown key{like}", f"one of {', '.join(_CHECKS)}")
        _check(key, value, f"{place}{key}")
    return table


def _check(key: str, value: Any, where: str) -> None:
    expected, is_right, check_further = _CHECKS[key]
    if not is_right(value):
        known = _CHOICES.get(key, ())
        like = did_you_mean(value.lower(), known) if isinstance(value, str) else ""
        raise ConfigurationError(where, f"{shown(value)}{like}", expected)
    if check_further is not None:
        check_further(value, where)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _at_least(least: int) -> Callable[[Any], bool]:
    return lambda value: _is_whole(value) and value >= least


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in choices


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_tolerance(value: object) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\0" not in value


def _check_severities(table: Mapping[str, object], where: str) -> None:
    for code, severity in table.items():
        validate_severity(code, severity, where if where.startswith("--") else f"{where}.{_name(code)}")


def _check_per_path_ignores(table: Mapping[str, Any], where: str) -> None:
    for pattern, codes in table.items():
        validate_pattern(pattern, where)
        inner = f"{where}.{_name(pattern)}"
        if not _is_texts(codes):
            raise ConfigurationError(inner, shown(codes), _CODES)
        validate_ignored(codes, inner)


_CODES: Final = "an array of codes"

_CHOICES: Final[dict[str, tuple[str, ...]]] = {"level": LEVELS, "fail-on": FAIL_ON, "decode-episodes": (ALL,)}

_CHECKS: Final[dict[str, tuple[str, Callable[[Any], bool], Callable[[Any, str], None] | None]]] = {
    "level": (f"one of {', '.join(LEVELS)}", _one_of(LEVELS), None),
    "select": (_CODES, _is_texts, validate_codes),
    "ignore": (_CODES, _is_texts, validate_ignored),
    "severity": (
        f"a table of codes, each with one of {', '.join(SEVERITIES)}",
        lambda value: isinstance(value, dict),
        _check_severities,
    ),
    "per-path-ignores": (
        "a table of globs, each with an array of codes",
        lambda value: isinstance(value, dict),
        _check_per_path_ignores,
    ),
    "fail-on": (f"one of {', '.join(FAIL_ON)}", _one_of(FAIL_ON), None),
    "tolerance-seconds": ("a number of more than 0 and less than 1", _is_tolerance, None),
    "world-size": ("a whole number, 1 or more", _at_least(1), None),
    "num-workers": ("a whole number, 0 or more", _at_least(0), None),
    "decode-episodes": (
        f'a whole number, 1 or more, or "{ALL}"',
        lambda value: _at_least(1)(value) or value == ALL,
        None,
    ),
    "baseline": ("the path of a file", _is_path, None),
    "max-findings": ("a whole number, 1 or more", _at_least(1), None),
}
"""By key: what is expected, whether a value is that, and what more there is to check."""


def _name(key: str) -> str:
    """A key as TOML writes it."""
    return key if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) else json.dumps(key)
