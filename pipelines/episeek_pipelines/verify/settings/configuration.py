"""Functions that derive the configuration of a verification from the command line, a configuration file and defaults.

`configuration_keys` describes the configuration file. The command line takes precedence over the file, but ignored rules and
severities from both are combined. A configuration file in a dataset cannot refer to a baseline outside of the dataset, because the
user who verifies the dataset may not be its author.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.options import DECODED_EPISODES, TIMESTAMP_TOLERANCE_SECONDS, VerifyOptions
from episeek_pipelines.verify.formats.names import MAX_FINDINGS
from episeek_pipelines.verify.rules import includes
from episeek_pipelines.verify.settings.configuration_file import read_at_root, read_given_file
from episeek_pipelines.verify.settings.configuration_keys import ALL, check_value
from episeek_pipelines.verify.settings.policy import Policy
from episeek_pipelines.verify.settings.rule_codes import SEVERITIES, ConfigurationError, validate_severity


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration of a verification, combined from the command line, a configuration file and defaults."""

    policy: Policy = field(default_factory=Policy)
    options: VerifyOptions = field(default_factory=VerifyOptions)
    baseline_path: str | None = None
    """Path or URL of the baseline; None without a baseline.

    A path on the command line is relative to the working directory. A path in a configuration file is relative to the folder of
    that file.
    """
    max_findings: int = MAX_FINDINGS
    """Largest number of findings that the formats `text`, `markdown` and `github` list."""
    path: str | None = None
    """Path or URL of the configuration file; None without such a file."""


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
    decoded_windows: int | None = None,
    baseline: str | None = None,
    max_findings: int | None = None,
    is_compared: bool = False,
) -> Configuration:
    """Return the configuration. The command line takes precedence over the configuration file, and the file over the defaults.

    Args:
        root: The dataset.
        config_path: A local configuration file to read instead of a file at the root of the dataset.
        files: A listing of the dataset by relative path. Without a listing, both possible configuration files are requested.
        level: Value of `--level`. For this and all other options, None means that the option was not given.
        select: Rule codes and families such as VID, separated by commas, which replace the selection of the file.
        ignore: Rule codes and families, separated by commas, which are added to the ignored codes of the file.
        severity: `CODE=error` or `CODE=warning`, separated by commas, which are added to the severities of the file.
        fail_on: Value of `--fail-on`.
        tolerance_seconds: Value of `--tolerance-seconds`.
        world_size: Value of `--world-size`.
        num_workers: Value of `--num-workers`.
        decoded_episodes: Value of `--decode-episodes`. Only here, None means all episodes, and `...` means that the option was not
            given.
        decoded_windows: Value of `--decode-windows`.
        baseline: Value of `--baseline`.
        max_findings: Value of `--max-findings`.
        is_compared: Whether the dataset is compared with a source. If it is, a level below `rows` in the file is ignored, since a
            comparison without the values of the rows proves nothing.

    Raises:
        ConfigurationError: An option or the file is invalid, or the dataset has two configuration files.
        ReadError: The store could not deliver an existing file.
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
        "decode-windows": decoded_windows,
        "baseline": baseline,
        "max-findings": max_findings,
    }
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        check_value(key, value, f"--{key}")
    path, configured = read_given_file(config_path) if config_path is not None else read_at_root(root, files)
    if is_compared and not includes(configured.get("level", "rows"), "rows"):
        configured = {key: value for key, value in configured.items() if key != "level"}
    reason = (
        "as --level says" if level is not None else "as the configuration file says" if "level" in configured else ""
    )
    return _configuration({**configured, **given, **_added(configured, given)}, path, reason)


def _configuration(values: dict[str, Any], path: str | None, level_reason: str) -> Configuration:
    """Return the configuration with the given values, which have been checked and have the keys of a configuration file."""
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
            level=values.get("level"),
            level_reason=level_reason,
            tolerance_seconds=float(values.get("tolerance-seconds", TIMESTAMP_TOLERANCE_SECONDS)),
            world_size=values.get("world-size"),
            num_workers=values.get("num-workers", 0),
            decoded_episodes=None if decoded == ALL else decoded,
            decoded_windows=values.get("decode-windows"),
        ),
        values.get("baseline"),
        values.get("max-findings", MAX_FINDINGS),
        path,
    )


def _added(configured: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `ignore` and `severity`, each combined from the configuration file and the command line."""
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
            raise ConfigurationError(
                "--severity", repr(code), f"CODE=SEVERITY, with SEVERITY one of {', '.join(SEVERITIES)}"
            )
        validate_severity(code, severity, "--severity")
    return {code: severity for code, _, severity in pairs}
