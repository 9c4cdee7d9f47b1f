"""The keys of a configuration file, and functions that check their values.

The file is `episeek.toml` at the dataset root, or a `pyproject.toml` there, or the file that `--config` gives. In a file with the
name `pyproject.toml`, the keys are in the table `[tool.episeek]`. The keys are named after the long options:

    level = "rows"                       # meta, layout, rows, decode
    select = ["VID", "ROW017"]           # only these rules; VER000 and VER001 always count
    ignore = ["VID022W"]
    fail-on = "warning"                  # error, warning, never
    tolerance-seconds = 1e-4
    world-size = 8
    num-workers = 4
    decode-episodes = "all"              # or a number of episodes of each camera
    decode-windows = 8                   # of each video
    baseline = "episeek-baseline.json"   # below the folder of this file
    max-findings = 20

    [severity]
    VID024W = "error"

    [per-path-ignores]
    "videos/observation.images.wrist/**" = ["VID039"]   # globs as in `path_globs`
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from episeek_pipelines.verify.findings.quoting import as_json
from episeek_pipelines.verify.rules import FAIL_ON, LEVELS
from episeek_pipelines.verify.settings.path_globs import validate_pattern
from episeek_pipelines.verify.settings.rule_codes import (
    SEVERITIES,
    ConfigurationError,
    did_you_mean,
    validate_codes,
    validate_ignored,
    validate_severity,
)

CONFIGURATION_FILE: Final = "episeek.toml"
PROJECT_FILE: Final = "pyproject.toml"
TOOL_TABLE: Final = ("tool", "episeek")

ALL: Final = "all"
"""The value of `decode-episodes` that means all episodes."""


def checked_table(table: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the table of a configuration file after checking its keys and values.

    Args:
        table: The table.
        place: The start of each error message, to which a key is appended: the path of the file and the table in the file.

    Raises:
        ConfigurationError: A key is unknown, or a value is invalid.
    """
    for key, value in table.items():
        if key not in _CHECKS:
            like = did_you_mean(key.lower().replace("_", "-"), _CHECKS)
            raise ConfigurationError(f"{place}{_name(key)}", f"an unknown key{like}", f"one of {', '.join(_CHECKS)}")
        check_value(key, value, f"{place}{key}")
    return table


def check_value(key: str, value: Any, where: str) -> None:
    """Raise ConfigurationError if a value is not valid for a key.

    Args:
        key: A key of a configuration file.
        value: The value, as TOML or the command line gives it.
        where: The file and the key, or the command line option, for messages.
    """
    expected, is_valid, check_further = _CHECKS[key]
    if not is_valid(value):
        choices = _CHOICES.get(key, ())
        like = did_you_mean(value.lower(), choices) if isinstance(value, str) else ""
        raise ConfigurationError(where, f"{as_json(value)}{like}", expected)
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
            raise ConfigurationError(inner, as_json(codes), _CODES)
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
    "decode-windows": ("a whole number, 0 or more", _at_least(0), None),
    "baseline": ("the path of a file", _is_path, None),
    "max-findings": ("a whole number, 1 or more", _at_least(1), None),
}
"""For each key: the expected value in words, a test of the value, and a function that raises if codes or globs in it are wrong."""


def _name(key: str) -> str:
    """Return a key in TOML syntax, with quotes if the syntax requires them."""
    return key if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) else json.dumps(key)
