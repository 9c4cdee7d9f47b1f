"""What a verification is told: the command line over a configuration file over defaults.

`configuration_keys` says what may be in the file. The command line wins; what it ignores and the severities that it sets are
added to the file's. A file that comes with a dataset can name no baseline outside of it: whoever reads the dataset did not
write it. Nothing is written here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.options import (
    DECODED_EPISODES,
    TIMESTAMP_TOLERANCE_SECONDS,
    VerifyOptions,
)
from episeek_pipelines.verify.formats.names import MAX_FINDINGS
from episeek_pipelines.verify.settings.configuration_file import read_at_root, read_named_file
from episeek_pipelines.verify.settings.configuration_keys import ALL, check_value
from episeek_pipelines.verify.settings.policy import Policy
from episeek_pipelines.verify.settings.rule_codes import (
    SEVERITIES,
    ConfigurationError,
    validate_severity,
)


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
        check_value(key, value, f"--{key}")
    path, configured = read_named_file(config_path) if config_path is not None else read_at_root(root, files)
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
