"""The front matter of a published dataset's card: the pin of `data_files`, and tags.

The default config has to take the data files and nothing else: `load_dataset` and the dataset viewer would take the sidecars
for data. A pin that does so is left as it is. Other configs may take what they like, but sidecars beside something else.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Final

from episeek_pipelines.publish.card.yaml_edits import Node, YamlEditError, YamlText, require_loadable
from episeek_pipelines.verify.metadata.card_rules import CardConfig, CardError, matches, parse_configs
from episeek_schemas import layout

DATA_GLOB: Final = "data/*/*.parquet"
TAGS: Final = ("LeRobot", "episeek")

_CONFIGS: Final = "configs"
_TAGS: Final = "tags"
_DATA_FILES: Final = "data_files"
_TAG_LINES: Final = (f"{_TAGS}:", *(f"- {tag}" for tag in TAGS))
_CONFIG_LINES: Final = (f"{_CONFIGS}:", "- config_name: default", f"  {_DATA_FILES}: {DATA_GLOB}")
_CONFIG_FLOW: Final = f"{{config_name: default, {_DATA_FILES}: {DATA_GLOB}}}"
_TAGS_FLOW: Final = f"[{', '.join(TAGS)}]"

_SIDECARS: Final = (layout.FILES_PATH, layout.EPISODES_PATH, layout.KEYFRAMES_PATH, layout.SAMPLES_PATH)
_PARQUET: Final = (
    layout.DEFAULT_DATA_PATH.format(chunk_index=0, file_index=0),
    f"{layout.EPISODES_DIR}/chunk-000/file-000.parquet",
    layout.TASKS_PATH,
    *_SIDECARS,
)
"""The Parquet files of any published dataset, one of a kind: what patterns are tried on."""


def with_pin_and_tags(front_matter: str, *, opening: str, newline: str) -> str:
    """The lines of a front matter, changed in place.

    Args:
        front_matter: Whole lines, or nothing.
        opening: What is before it in the card, for the lines that errors name.
        newline: The line end of what is added.

    Raises:
        CardError: It does not parse, is no mapping, or has configs that `datasets` would refuse.
        YamlEditError: It cannot be changed in place, or `huggingface_hub` could not load it; places are relative to `front_matter`.
    """
    configs = _configs(front_matter, opening)
    yaml_text = YamlText(front_matter, newline)
    require_loadable(front_matter)
    root = yaml_text.root
    if root is None:
        return front_matter + newline.join([*_TAG_LINES, *_CONFIG_LINES, ""])
    _refuse_repeated(root, (_CONFIGS, _TAGS))
    if root.get(_CONFIGS) is None or root.get(_TAGS) is None:
        _refuse_merge(root)
    _pin(yaml_text, root, configs)
    _tag(yaml_text, root)
    if root.get(_CONFIGS) is None:  # after the tags, as LeRobot writes them
        yaml_text.add(root, _CONFIGS, f"[{_CONFIG_FLOW}]", _CONFIG_LINES[1:])
    changed = yaml_text.result()
    if not _is_as_wanted(front_matter, changed):
        raise YamlEditError(root.start, "tags or configs in a form that cannot be changed in place", "plain YAML")
    return changed


def _configs(front_matter: str, opening: str) -> list[CardConfig]:
    return parse_configs(f"{opening}{front_matter}---\n") if front_matter else []


def _as_read(front_matter: str) -> Node | None:
    """As huggingface_hub reads it: without the line end before the closing line."""
    return YamlText(re.sub(r"\r?\n\Z", "", front_matter), "\n").root


def _is_as_wanted(original: str, changed: str) -> bool:
    """Whether the result is pinned and tagged, and all else is written and means what it did."""
    try:
        configs = _configs(changed, "---\n")
        before, after = _as_read(original), _as_read(changed)
    except (CardError, YamlEditError):
        return False
    tags, value = (after.get(_TAGS), after.get(_CONFIGS)) if after is not None else (None, None)
    if before is None or after is None or tags is None or value is None or _lacking_tags(tags.resolved) or not configs:
        return False
    default = _default_index(value, configs)
    if any(_needs_pin(config, is_default=index == default) for index, config in enumerate(configs)):
        return False
    had_tags, has_tags = _tags_of(before), _tags_of(after)
    if had_tags not in (has_tags[: len(had_tags)], has_tags[len(has_tags) - len(had_tags) :]):
        return False
    had_configs = bool(_items(before))
    return _kept(before, with_configs=had_configs) == _kept(after, with_configs=had_configs)


def _kept(root: Node, *, with_configs: bool) -> list[object]:
    """Outlines of all that may not change: anything but the tags, and `data_files` of configs."""
    pairs = [pair for pair in root.entries if pair[0].value not in (_CONFIGS, _TAGS)]
    for item in _items(root) if with_configs else ():
        pairs += [pair for pair in item.resolved.entries if pair[0].value != _DATA_FILES]
    return [part for key, value in pairs for part in chain(key.outline(), value.outline())]


def _tags_of(root: Node) -> list[tuple[str, str, str | None, str | None]]:
    """What the tags mean, without quotes: one that is alone may get them."""
    value = root.get(_TAGS)
    if value is None or value.resolved.is_null:
        return []
    items = value.resolved.children if value.resolved.kind == "list" else [value]
    return [(item.kind, item.value, item.anchor, item.tag) for item in items]


def _items(root: Node) -> list[Node]:
    value = root.get(_CONFIGS)
    return value.resolved.children if value is not None else []


def _pin(yaml_text: YamlText, root: Node, configs: Sequence[CardConfig]) -> None:
    value = root.get(_CONFIGS)
    if value is None:
        return
    if not configs:
        if value.resolved.kind == "list":
            yaml_text.append(value.resolved, [_CONFIG_FLOW])
        else:
            yaml_text.replace(value, f"[{_CONFIG_FLOW}]")
        return
    default = _default_index(value, configs)
    for index, (config, item) in enumerate(zip(configs, value.resolved.children, strict=True)):
        node = item.resolved
        _refuse_repeated(node, ("config_name", _DATA_FILES, "data_dir", "default"))
        if _needs_pin(config, is_default=index == default):
            _refuse_merge(node)
            _pin_config(yaml_text, node, config, is_default=index == default)


def _default_index(value: Node, configs: Sequence[CardConfig]) -> int | None:
    """The config that `datasets` takes when it is given no name."""
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise YamlEditError(value.start, "two configs of the same name", "one config_name for each of configs")
    defaults = [index for index, config in enumerate(configs) if config.name == "default" or config.is_default]
    if len(configs) > 1 and len(defaults) > 1:
        raise YamlEditError(value.start, f"{len(defaults)} default configs", "one, as `datasets` does")
    return 0 if len(configs) == 1 else defaults[0] if defaults else None


def _needs_pin(config: CardConfig, *, is_default: bool) -> bool:
    """Whether the default config takes more than data, or any config mixes sidecars with something else."""
    taken = set(_taken(config))
    if is_default:
        return config.patterns == () or any(not path.startswith(f"{layout.DATA_DIR}/") for path in taken)
    return 0 < len(taken.intersection(_SIDECARS)) < len(taken)


def _taken(config: CardConfig) -> Iterable[str]:
    """Which of `_PARQUET` a config takes."""
    for pattern in ("**",) if config.patterns is None else config.patterns:
        joined = PurePosixPath(config.data_dir) / pattern
        is_elsewhere = "://" in f"{config.data_dir} {pattern}" or "::" in pattern or joined.is_absolute()
        if not is_elsewhere:
            yield from (path for path in _PARQUET if matches(joined.as_posix(), path))


def _pin_config(yaml_text: YamlText, node: Node, config: CardConfig, *, is_default: bool) -> None:
    name = f"config {config.name[:60]!r}"
    if PurePosixPath(config.data_dir) != PurePosixPath():
        found = f"{name} with data_dir {config.data_dir[:60]!r}"
        raise YamlEditError(node.start, found, f"{_DATA_FILES}: {DATA_GLOB} without data_dir")
    if not is_default and not any(path.startswith(f"{layout.DATA_DIR}/") for path in _taken(config)):
        expected = f"patterns that leave {layout.BYTE_INDEX_DIR}/ out"
        raise YamlEditError(node.start, f"{name}, which takes the sidecars and no data", expected)
    value = node.get(_DATA_FILES)
    if value is None:
        yaml_text.add(node, _DATA_FILES, DATA_GLOB)
        return
    yaml_text.replace(_what_to_narrow(value, name), DATA_GLOB)


def _what_to_narrow(value: Node, name: str) -> Node:
    """All patterns of a config: its value, the path of its only split, or the only item of either."""
    entries = [item for item in value.resolved.children if item.resolved.kind == "mapping"]
    if len(value.resolved.children) == 1 and entries:
        value = entries[0].resolved.get("path") or value
    elif entries:
        found = f"{name}, whose splits take more than {layout.DATA_DIR}/"
        raise YamlEditError(value.start, found, f"a pattern for each split that leaves {layout.META_DIR}/ out")
    return value.children[0] if value.kind == "list" and len(value.children) == 1 else value


def _tag(yaml_text: YamlText, root: Node) -> None:
    value = root.get(_TAGS)
    if value is None:
        yaml_text.add(root, _TAGS, _TAGS_FLOW, _TAG_LINES[1:])
        return
    node = value.resolved
    if node.kind == "mapping":
        raise YamlEditError(value.start, "tags of keys and values", "a list")
    lacking = _lacking_tags(node)
    if node.is_null:
        yaml_text.replace(value, _TAGS_FLOW)
    elif lacking and node.kind == "scalar":
        yaml_text.enclose(value, lacking)
    elif lacking:
        yaml_text.append(node, lacking)


def _lacking_tags(node: Node) -> list[str]:
    items = [item.resolved for item in node.children] if node.kind == "list" else [node]
    present = {item.value.casefold() for item in items if item.kind == "scalar"}
    return [tag for tag in TAGS if tag.casefold() not in present]


def _refuse_repeated(node: Node, keys: Iterable[str]) -> None:
    names = [(name.value, name.start) for name, _ in node.entries if name.kind == "scalar"]
    for key in keys:
        starts = [start for name, start in names if name == key]
        if len(starts) > 1:
            raise YamlEditError(starts[1], f"a second key {key}", "each key once")


def _refuse_merge(node: Node) -> None:
    merge = next((name for name, _ in node.entries if name.kind == "scalar" and name.value == "<<"), None)
    if merge is not None:
        raise YamlEditError(merge.start, "a merge key <<", "all keys written out")
