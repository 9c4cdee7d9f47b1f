"""Add two tags and a pin to the front matter of a dataset card. The pin restricts the default config to the data files.

Without the pin, `load_dataset` and the dataset viewer would treat the sidecars as data. A default config that already selects only
data files is not changed. Other configs may select any files, but not sidecars together with other files.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from episeek_pipelines.jobs.card.parts import newline_of, split_card
from episeek_pipelines.jobs.card.yaml_edits import YamlMapping, on_one_line
from episeek_pipelines.verify.metadata.card_rules import (
    CardConfig,
    CardError,
    default_config,
    parse_configs,
    taken_files,
)
from episeek_schemas import layout, sidecars

DATA_GLOB: Final = "data/*/*.parquet"
TAGS: Final = ("LeRobot", "episeek")

_PIN: Final = f"data_files: {DATA_GLOB}"
_CONFIG: Final = f"{{config_name: default, {_PIN}}}"
_SIDECARS: Final = frozenset(path for path, _ in sidecars.TABLES.values())
_DATA_FILE: Final = layout.DEFAULT_DATA_PATH.format(chunk_index=0, file_index=0)
_PARQUET: Final = (_DATA_FILE, f"{layout.EPISODES_DIR}/chunk-000/file-000.parquet", layout.TASKS_PATH, *_SIDECARS)
"""One Parquet file of each kind in a published dataset, on which patterns are tested."""


def pinned_card(card: str) -> str:
    """Return a card with configs that do not treat sidecars as data. A card that needs no change is returned byte for byte.

    Raises:
        CardError: The card has a form that cannot be edited here.
    """
    parts, newline = split_card(card), newline_of(card)
    mapping, configs = _loaded(parts.front_matter, opening=parts.opening, newline=newline)
    _pin_configs(mapping, configs)
    return card if mapping.text == parts.front_matter else parts.with_front_matter(mapping.text, newline)


def with_pin_and_tags(front_matter: str, *, opening: str, newline: str) -> str:
    """Return the lines of a front matter after adding the pin and the tags that it lacks.

    Args:
        front_matter: Whole lines, or nothing.
        opening: The text of the card before the front matter; errors count lines from its start.
        newline: The line end of added lines.

    Raises:
        CardError: The front matter cannot be loaded, is not a mapping, has configs that `datasets` would refuse, or has tags or
            configs in a form that cannot be edited here. In the last case, the error's `hint` contains the lines to paste.
    """
    mapping, configs = _loaded(front_matter, opening=opening, newline=newline)
    _add_tags(mapping)
    _pin_configs(mapping, configs)
    return mapping.text


def _loaded(front_matter: str, *, opening: str, newline: str) -> tuple[YamlMapping, list[CardConfig]]:
    configs = parse_configs(f"{opening}{front_matter}---\n") if front_matter else []
    return YamlMapping(front_matter, newline=newline, line=opening.count("\n") + 1), configs


def _add_tags(mapping: YamlMapping) -> None:
    tags, pair = mapping.values.get("tags"), mapping.pair("tags")
    if pair is not None and isinstance(pair[1].value, list) and not isinstance(tags, list):
        hint = f"write `tags: [{', '.join(TAGS)}]`"
        raise CardError("tags with keys and values", "a list", mapping.line_of(pair[0]), hint)
    present = [] if tags is None else tags if isinstance(tags, list) else [tags]
    lower = {str(tag).casefold() for tag in present}
    lacking = [tag for tag in TAGS if tag.casefold() not in lower]
    if not lacking:
        return
    lines = [f"- {tag}" for tag in lacking]
    if pair is None:
        text = mapping.with_key(["tags:", *lines])
    elif isinstance(tags, list):
        text = mapping.with_addition(pair[1], flow=", ".join(lacking), lines=lines)
    else:
        written = [] if tags is None else [mapping.text_of(pair[1])]
        text = mapping.with_value(pair, f"[{', '.join([*written, *lacking])}]")
    wanted = [*present, *lacking]
    mapping.change("tags", wanted, text, hint=f"write `tags: {on_one_line(wanted)}`")


def _pin_configs(mapping: YamlMapping, configs: Sequence[CardConfig]) -> None:
    pair = mapping.pair("configs")
    if not configs:
        # LeRobot writes the configs after the tags
        lines = ["configs:", "- config_name: default", f"  {_PIN}"]
        text = mapping.with_key(lines) if pair is None else mapping.with_value(pair, f"[{_CONFIG}]")
        wanted = [{"config_name": "default", "data_files": DATA_GLOB}]
        mapping.change("configs", wanted, text, hint=f"write `configs: [{_CONFIG}]`")
        return
    line = mapping.line_of(pair and pair[1])
    if len({config.name for config in configs}) < len(configs):
        raise CardError("two configs with the same name", "a different config_name for each config", line)
    default_count = sum(config.name == "default" or config.is_default for config in configs)
    if len(configs) > 1 and default_count > 1:
        raise CardError(f"{default_count} default configs", "at most one, as `datasets` requires", line)
    for index, config in enumerate(configs):
        _pin(mapping, index, config, is_default=config is default_config(configs))


def _pin(mapping: YamlMapping, index: int, config: CardConfig, *, is_default: bool) -> None:
    """Restrict a config to the data files, if necessary.

    The default config is restricted if it selects any other file. Another config is restricted if it selects both sidecars and
    other files.
    """
    pair = mapping.pair("configs")
    assert pair is not None
    node = pair[1].value[index]
    data_files = mapping.pair("data_files", node)
    taken = set(taken_files(config, _PARQUET))
    if is_default and taken <= {_DATA_FILE} and config.patterns != ():
        return
    if not is_default and (not taken & _SIDECARS or taken <= _SIDECARS):
        return
    name = f"config {config.name[:60]!r}"
    item = mapping.values["configs"][index]
    if not isinstance(item, dict):
        raise CardError(f"{name} with a YAML tag (!...)", "a plain mapping", mapping.line_of(node))
    value = item.get("data_files")
    has_splits = isinstance(value, list) and any(isinstance(part, dict) for part in value)
    takes_data = is_default or _DATA_FILE in taken
    if has_splits or PurePosixPath(config.data_dir) != PurePosixPath() or not takes_data:
        found = f"{name}, which selects {min(taken - {_DATA_FILE}, default='no files')}"
        expected = (
            f"only files of {layout.DATA_DIR}/"
            if takes_data
            else f"patterns that do not match {layout.BYTE_INDEX_DIR}/"
        )
        hint = (
            f"write `{_PIN}` in this config, and remove its data_dir"
            if takes_data
            else f"write one pattern for each folder below {layout.META_DIR}/"
        )
        raise CardError(found, expected, mapping.line_of(node), hint)
    text = (
        mapping.with_addition(node, flow=_PIN, lines=[_PIN])
        if data_files is None
        else mapping.with_value(data_files, DATA_GLOB)
    )
    wanted = [*mapping.values["configs"]]
    wanted[index] = {**item, "data_files": DATA_GLOB}
    mapping.change("configs", wanted, text, hint=f"write `{_PIN}` in the {name}")
