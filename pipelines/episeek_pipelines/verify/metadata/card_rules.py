"""HUB007 and HUB035: check which files `load_dataset` and the dataset viewer load, according to the front matter of `README.md`.

The YAML is parsed to nodes, from which no objects are constructed. Only `configs` is examined, and aliases are not expanded.

Patterns match as in `datasets`, which uses the globs of fsspec: `*`, `?` and `[...]` within a name, `**` for any number of
folders, and no `{a,b}`. Names that start with `.` and folders that start with `__` match only if the pattern spells them out.
Patterns that point outside the repository (URLs, absolute paths) are ignored. The file `.huggingface.yaml` is not read.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Final

import yaml

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import CARD_GLOB, CARD_SIDECARS
from episeek_pipelines.verify.settings import path_globs
from episeek_pipelines.words import counted
from episeek_schemas import layout, sidecars

EXPECTED: Final = "configs with data_files: data/*/*.parquet"
MOST_PATTERNS: Final = 1000
"""Largest number of patterns of one config that are examined. Further patterns are ignored."""

_CONFIGS: Final = "configs"
_YAML: Final = "YAML between the lines ---"
_EVERYTHING: Final = "**"
_SHARDED: Final = "data/*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*.*"
_SIDECARS: Final = tuple(path for path, _ in sidecars.TABLES.values())
_FRONT_MATTER = re.compile(r"\A(\s*---(?:\r\n|\r|\n))(.*?)(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z)", re.DOTALL)
_STRING: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_KEYS: Final = (_STRING, "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")


@dataclass(frozen=True, slots=True)
class CardConfig:
    """One entry of `configs` in the front matter of a dataset card."""

    name: str
    """The value of `config_name`."""
    patterns: tuple[str, ...] | None
    """The patterns of `data_files`, relative to `data_dir`; None without `data_files`, so that `datasets` chooses the files."""
    data_dir: str = ""
    """The folder that the patterns are relative to, as a path below the root; empty for the root itself."""
    is_default: bool = False
    """Whether the entry has `default: true`."""


class CardError(ValueError):
    """The error for a front matter that cannot be used.

    Args:
        found: The part that cannot be used.
        expected: The form that `datasets` accepts.
        line: Number of the line in the card, from 1; None if it is unknown.
        hint: Advice in the imperative; empty if there is none.
    """

    def __init__(self, found: str, expected: str, line: int | None = None, hint: str = "") -> None:
        super().__init__(found, expected, line, hint)
        self.found = found
        self.expected = expected
        self.line = line
        self.hint = hint

    @property
    def found_at_line(self) -> str:
        """Return `found`, preceded by the number of its line if this is known."""
        return self.found if self.line is None else f"line {self.line}: {self.found}"

    def __str__(self) -> str:
        return f"{self.found_at_line}; expected {self.expected}"


def check_card(
    card: str | None, files: Collection[str], *, is_published: bool, has_sidecars: bool
) -> Iterator[Finding]:
    """Yield HUB007 and HUB035 for configs that make `datasets` load wrong files.

    HUB007 reports front matter that `datasets` refuses, and a default config that loads files outside of data/ or none at all.
    HUB035 reports each config that loads sidecars (the Parquet files of the byte index) together with other files.

    Args:
        card: Text of README.md; None without such a file.
        files: Paths of all files, relative to the root.
        is_published: Whether the dataset is on the Hub. A dataset elsewhere needs no card.
        has_sidecars: Whether the dataset has sidecars or will have them, even if `files` does not list them.
    """
    if card is None and not is_published:
        return
    where = Location(file=layout.CARD_PATH, column=_CONFIGS)
    try:
        configs = [] if card is None else parse_configs(card)
    except CardError as error:
        yield finding(CARD_GLOB, error.found_at_line, error.expected, where)
        return
    lacking = "no dataset card" if card is None else "" if configs else "no configs"
    configs = configs or [CardConfig("default", None)]
    parquet = sorted({path for path in files if path.endswith(".parquet")} | set(_SIDECARS if has_sidecars else ()))
    default = default_config(configs)
    for config in configs:
        taken = taken_files(config, parquet)
        if config is default:
            yield from _check_default(config, lacking, taken, files, where)
        indexes = [path for path in taken if _is_below(path, layout.BYTE_INDEX_DIR)]
        # A config with sidecars alone is allowed, since it does not mix them with rows.
        if indexes and len(indexes) < len(taken):
            found = f"config {config.name[:60]!r} loads {indexes[0]}: {len(indexes)} of its {len(taken)} Parquet files are sidecars"
            yield finding(CARD_SIDECARS, found, EXPECTED, where)


def parse_configs(card: str) -> list[CardConfig]:
    """Return the configs in the front matter of a card; an empty list without a front matter or without `configs`.

    Raises:
        CardError: The YAML does not parse, has a key that is not text, or has configs that `datasets` refuses.
    """
    match = _FRONT_MATTER.match(card)
    if match is None:
        return []
    first_line = len(match[1].splitlines()) + 1
    try:
        document = yaml.compose(match[2], Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + first_line
        raise CardError((error.problem or error.context or "")[:100], _YAML, line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CardError(type(error).__name__, _YAML) from None
    if document is None:
        return []
    if not isinstance(document, yaml.MappingNode):
        raise CardError(f"a {_kind(document)} as front matter", "keys and values")
    for key, _ in document.value:
        if key.tag not in _KEYS:
            found = (
                f"the key {key.value[:60] or '~'}" if isinstance(key, yaml.ScalarNode) else f"a {_kind(key)} as a key"
            )
            raise CardError(f"{found}, which is not text", "text keys", _line(key, first_line))
    configs = _value(document, _CONFIGS)
    if configs is None or _is_null(configs):
        return []
    if not isinstance(configs, yaml.SequenceNode):
        raise CardError(f"a {_kind(configs)} as configs", "a list", _line(configs, first_line))
    return [_config(node, first_line) for node in configs.value]


def matches(pattern: str, path: str) -> bool:
    """Return whether `pattern` matches the file `path` in `datasets`. Both are relative to the root of the repository."""
    return path_globs.matches(path, pattern) and _special_counts(pattern.split("/")) == _special_counts(path.split("/"))


def _special_counts(parts: Sequence[str]) -> tuple[int, int]:
    """Return the number of hidden names, such as `.cache`, and of special folders, such as `__pycache__`, in a path or pattern.

    `datasets` loads a file only if both numbers are the same for its path and for the pattern.
    """
    hidden = sum(part.startswith(".") and part.strip(".") != "" for part in parts)
    return hidden, sum(part.startswith("__") for part in parts[:-1])


def _check_default(
    config: CardConfig, lacking: str, taken: Sequence[str], files: Collection[str], where: Location
) -> Iterator[Finding]:
    others = [path for path in taken if not path.startswith((f"{layout.DATA_DIR}/", f"{layout.BYTE_INDEX_DIR}/"))]
    by = lacking or f"config {config.name[:60]!r}"
    if others:
        more = f" and {counted(len(others) - 1, 'other Parquet file')}" if len(others) > 1 else ""
        verb = ": `load_dataset` and the dataset viewer load" if lacking else " loads"
        yield finding(CARD_GLOB, f"{by}{verb} {others[0]}{more} outside of data/ as data", EXPECTED, where)
    elif not taken and config.patterns and any(_is_below(path, layout.DATA_DIR) for path in files):
        patterns = [_joined(config.data_dir, pattern) for pattern in config.patterns]
        if not any(pattern is None or any(matches(pattern, path) for path in files) for pattern in patterns):
            yield finding(CARD_GLOB, f"{by} matches no file with {config.patterns[0][:60]!r}", EXPECTED, where)


def default_config(configs: Sequence[CardConfig]) -> CardConfig | None:
    """Return the config that `load_dataset` uses without a config name; None if `load_dataset` requires a name."""
    if len(configs) == 1:
        return configs[0]
    return next((config for config in configs if config.name == "default" or config.is_default), None)


def taken_files(config: CardConfig, parquet: Iterable[str]) -> list[str]:
    """Return the files in `parquet` that `datasets` loads with a config."""
    if config.patterns is not None:
        joined = (_joined(config.data_dir, pattern) for pattern in config.patterns)
        patterns = [pattern for pattern in joined if pattern is not None]
        return [path for path in parquet if any(matches(pattern, path) for pattern in patterns)]
    # Without data_files, `datasets` tries these patterns in this order.
    for choice in (_SHARDED, _EVERYTHING):
        pattern = _joined(config.data_dir, choice)
        taken = [path for path in parquet if pattern is not None and matches(pattern, path)]
        if taken:
            return taken
    return []


def _joined(data_dir: str, pattern: str) -> str | None:
    """Return a pattern of `data_files` relative to the root; None if it points outside the repository."""
    if "://" in pattern or "::" in pattern or "://" in data_dir:
        return None
    joined = PurePosixPath(data_dir) / pattern
    return None if joined.is_absolute() else joined.as_posix()


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


# --- YAML ------------------------------------------------------------------------------------------------------------


def _config(node: yaml.Node, first_line: int) -> CardConfig:
    line = _line(node, first_line)
    if not isinstance(node, yaml.MappingNode):
        raise CardError(f"a {_kind(node)} as a config", "a mapping with config_name and data_files", line)
    name = _value(node, "config_name")
    if not isinstance(name, yaml.ScalarNode):
        raise CardError("a config without config_name", "config_name", line)
    data_files, data_dir, default = (_value(node, key) for key in ("data_files", "data_dir", "default"))
    patterns: tuple[str, ...] | None = None
    if data_files is not None and not _is_null(data_files):
        patterns = tuple(islice(_patterns(data_files, first_line), MOST_PATTERNS))
        for pattern in patterns:
            if any("**" in part and part != "**" for part in pattern.split("/")):
                raise CardError(f"data_files {pattern[:60]!r}", "** only as a whole part between slashes", line)
    return CardConfig(
        name=name.value,
        patterns=patterns,
        data_dir=data_dir.value if isinstance(data_dir, yaml.ScalarNode) and not _is_null(data_dir) else "",
        is_default=isinstance(default, yaml.ScalarNode) and default.value.lower() in ("true", "yes", "on"),
    )


def _patterns(node: yaml.Node, first_line: int) -> Iterator[str]:
    """Yield the patterns in `node`, the value of `data_files`.

    The value is a pattern, a list of patterns, or a list of mappings `{split, path}`. There, `path` is a pattern or a list of
    patterns.
    """
    for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if isinstance(item, yaml.MappingNode) and item is not node:
            path = _value(item, "path")
            if path is None or _value(item, "split") is None or len(item.value) != 2:
                raise CardError("an entry of data_files with other keys", "split and path", _line(item, first_line))
            for part in path.value if isinstance(path, yaml.SequenceNode) else [path]:
                yield _pattern(part, first_line)
        else:
            yield _pattern(item, first_line)


def _pattern(node: yaml.Node, first_line: int) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != _STRING:
        expected = "a pattern, a list of patterns, or a list of mappings with split and path"
        raise CardError(f"a {_kind(node)} in data_files", expected, _line(node, first_line))
    return str(node.value)


def _value(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    for name, value in node.value:
        if isinstance(name, yaml.ScalarNode) and name.value == key:
            return value if isinstance(value, yaml.Node) else None
    return None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def _kind(node: yaml.Node) -> str:
    return (
        "mapping" if isinstance(node, yaml.MappingNode) else "list" if isinstance(node, yaml.SequenceNode) else "value"
    )


def _line(node: yaml.Node, first_line: int) -> int:
    return int(node.start_mark.line) + first_line if node.start_mark is not None else first_line
