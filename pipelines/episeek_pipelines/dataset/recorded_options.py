"""Say recorded options of a preparation in words: the differences between two runs, and the command that makes a run again."""

import re
from collections.abc import Mapping
from typing import Any, Final

_REPAIR: Final = "repair"
_NAMES: Final = {
    "index_version": "index version",
    "rewrite_version": "rewrite version",
    "cap": "--max-episodes-per-file",
    "videos": "--videos",
    "keyframes": "--keyframes",
    "video_file_size_mb": "--video-file-size",
    "pack_version": "pack version",
    "skip_episodes": "--skip-episodes",
    "repair": "repairs",
    "repair version": "repair version",
    "only": "--only",
    "skip": "--skip",
    "skip_lost_episodes": "--skip-lost-episodes",
    "picture_statistics": "--picture-statistics",
}
"""Names of recorded options in messages, by key. An option that is missing here is named by its key."""

_COMMAND_OPTIONS: Final = (
    "cap",
    "videos",
    "video_file_size_mb",
    "keyframes",
    "skip_episodes",
    "only",
    "skip",
    "skip_lost_episodes",
    "picture_statistics",
)
"""The keys of the options that a command is given, in the order in which `command_again` writes them."""
_COMMANDS: Final = ("prepare", "upgrade")
_WORD: Final = re.compile(r"[\w.,]*")
"""The values that can be in a command; a record may have been written by anybody."""


def differing_options(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the options that differ between two runs, as text for messages: those of the first and of the second run.

    The result is None if the options are the same.

    Args:
        recorded: The recorded options of an earlier run.
        now: The options of this run.
    """
    before, after = _flat(recorded), _flat(now)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not names:
        return None
    if _REPAIR in names:
        # without repairs, a run has no version of the repairs either
        names = [name for name in names if name != f"{_REPAIR} version"]
    return _in_words(before, names), _in_words(after, names)


def command_again(preparation: Mapping[str, Any], source: str = "SRC", destination: str = "DST") -> str:
    """Return the command line that prepares a source as an earlier run did, such as `episeek prepare SRC DST --skip-episodes 3`.

    Args:
        preparation: The recorded options of the earlier run.
        source: The source, as the command names it.
        destination: The destination, as the command names it.
    """
    options = _flat(preparation)
    recorded = options.get("command")
    command = "repair" if _REPAIR in options else recorded if recorded in _COMMANDS else "prepare"
    given = [name for name in _COMMAND_OPTIONS if name in options and (name, options[name]) != ("videos", "none")]
    words = [f"{_NAMES[name]} {options[name]}".strip() for name in given if _WORD.fullmatch(options[name])]
    return " ".join(("episeek", command, source, destination, *words))


def _flat(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the options as texts, by key, with the choice of repairs as options of their own.

    Options without effect are left out. The text of an option without a value is empty.
    """
    repair = options.get(_REPAIR)
    chosen = {_REPAIR: True, **repair} if isinstance(repair, Mapping) else {}
    if "version" in chosen:
        chosen[f"{_REPAIR} version"] = chosen.pop("version")
    every = {**{name: value for name, value in options.items() if name != _REPAIR}, **chosen}
    return {name: _text(value) for name, value in every.items() if value is not None and value is not False}


def _text(value: Any) -> str:
    if value is True:
        return ""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _in_words(options: Mapping[str, str], names: list[str]) -> str:
    found = [(_NAMES.get(name, name), options.get(name)) for name in names]
    return ", ".join(f"no {name}" if value is None else f"{name} {value}".strip() for name, value in found)
