"""Functions that find and read the configuration file of a dataset, a TOML file with the keys of `configuration_keys`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from episeek.errors import MissingFileError, first_line
from episeek.stores.kinds import is_local, local_path
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.quoting import as_json
from episeek_pipelines.verify.settings.configuration_keys import (
    CONFIGURATION_FILE,
    PROJECT_FILE,
    TOOL_TABLE,
    checked_table,
)
from episeek_pipelines.verify.settings.rule_codes import ConfigurationError


def read_at_root(root: Root, files: Mapping[str, object] | None) -> tuple[str | None, dict[str, Any]]:
    """Return the path and the checked values of the configuration file at the root of a dataset.

    The result is (None, {}) if the dataset has no such file.

    Args:
        root: The dataset.
        files: A listing of the dataset by relative path. Without a listing, both possible configuration files are requested.

    Raises:
        ConfigurationError: The file is invalid, or the dataset has two such files.
        ReadError: The store could not deliver an existing file.
    """
    tables = {}
    for name in (CONFIGURATION_FILE, PROJECT_FILE):
        data = _read_if_exists(root, name, files)
        table = None if data is None else _table(data, root.join(name), is_project=name == PROJECT_FILE)
        if table is not None:
            tables[name] = table
    if len(tables) > 1:
        found = f"{CONFIGURATION_FILE}, and [{'.'.join(TOOL_TABLE)}] in {PROJECT_FILE}"
        raise ConfigurationError(root.url, found, "a configuration in only one of the two files")
    for name, table in tables.items():
        place = _place(root.join(name), is_project=name == PROJECT_FILE)
        values = checked_table(table, place)
        if "baseline" in values:
            values["baseline"] = root.join(_inside(values["baseline"], f"{place}baseline"))
        return root.join(name), values
    return None, {}


def _read_if_exists(root: Root, name: str, files: Mapping[str, object] | None) -> bytes | None:
    if files is not None and name not in files:
        return None
    try:
        return root.read_bytes(name)
    except MissingFileError:
        return None


def read_given_file(config_path: str) -> tuple[str, dict[str, Any]]:
    """Return the path and the checked values of the file that the user names with `--config`.

    Raises:
        ConfigurationError: The file is not local, cannot be read or is invalid.
    """
    if not is_local(config_path):
        raise ConfigurationError("--config", config_path, "a local file")
    path = Path(local_path(config_path))
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        # A path that contains a null character raises ValueError.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise ConfigurationError("--config", f"{config_path}: {reason.lower()}", "a readable file") from None
    is_project = path.name == PROJECT_FILE
    table = _table(data, str(path), is_project=is_project)
    if table is None:
        raise ConfigurationError(str(path), "no such table", f"[{'.'.join(TOOL_TABLE)}]")
    values = checked_table(table, _place(str(path), is_project=is_project))
    if "baseline" in values and is_local(values["baseline"]):
        values["baseline"] = str(path.parent / local_path(values["baseline"]))
    return str(path), values


def _table(data: bytes, where: str, *, is_project: bool) -> dict[str, Any] | None:
    """Return the table with the configuration, or None if a pyproject.toml has no table `[tool.episeek]`."""
    try:
        table: Any = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        # UnicodeDecodeError and TOMLDecodeError are ValueErrors.
        raise ConfigurationError(where, first_line(error), "a TOML file in UTF-8") from None
    if not is_project:
        return dict(table)
    for depth, key in enumerate(TOOL_TABLE, start=1):
        if key not in table:
            return None
        table = table[key]
        if not isinstance(table, dict):
            raise ConfigurationError(f"{where}, {'.'.join(TOOL_TABLE[:depth])}", as_json(table), "a table")
    return dict(table)


def _place(path: str, *, is_project: bool) -> str:
    return f"{path}, {'.'.join(TOOL_TABLE)}." if is_project else f"{path}, "


def _inside(path: str, where: str) -> str:
    """Check that a relative path stays below the dataset root, and return the path in POSIX form.

    Raises:
        ConfigurationError: The path leads outside of the root.
    """
    if path.startswith("/") or ".." in path.split("/") or "://" in path or "::" in path:
        hint = "give a baseline outside of the dataset with --baseline"
        raise ConfigurationError(where, as_json(path), "a path below the dataset root", hint)
    return PurePosixPath(path).as_posix()
