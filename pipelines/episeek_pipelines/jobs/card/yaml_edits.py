"""Change single keys in the text of a YAML mapping, without changing any other byte.

Each change takes three steps: parse the text, edit it in one place, and parse it again. If the result is not exactly the wanted
mapping, the edit is refused. Therefore edits only have to handle the usual forms.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from episeek.errors import first_line
from episeek_pipelines.verify.metadata.card_rules import CardError

Pair = tuple[yaml.Node, yaml.Node]
"""A key and its value."""


class YamlMapping:
    """The text of a YAML mapping with its nodes and values.

    Args:
        text: Whole lines that form a mapping, or an empty text.
        newline: The line end of added lines.
        line: The number of the first line, for errors.

    Raises:
        CardError: The mapping cannot be loaded.
    """

    def __init__(self, text: str, *, newline: str, line: int) -> None:
        self.text, self._newline, self._line = text, newline, line
        self.root, self.values = self._parsed(text)

    def _parsed(self, text: str) -> tuple[yaml.Node | None, dict[str, Any]]:
        # for huggingface_hub, the line end before the closing line is not part of the mapping
        text = re.sub(r"\r?\n\Z", "", text)
        try:
            root, values = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
            if values is not None and not isinstance(values, dict):
                raise TypeError(f"a {type(values).__name__}")
            return root, values or {}
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
            found = getattr(error, "problem", None) or first_line(error)
            line = None if mark is None else self._line + mark.line
            raise CardError(found[:100], "YAML that huggingface_hub loads", line) from None

    def line_of(self, node: yaml.Node | None) -> int:
        """Return the number of the line at which a node starts, or at which the mapping starts if the node is None."""
        return self._line + (node.start_mark.line if node is not None and node.start_mark is not None else 0)

    def text_of(self, node: yaml.Node) -> str:
        """Return the text of a node that is a scalar or a collection in brackets."""
        assert node.start_mark is not None
        return self.text[node.start_mark.index : _stop(node)]

    def pair(self, key: str, mapping: yaml.Node | None = None) -> Pair | None:
        """Return the nodes of a key and of its value, or None if the key does not exist.

        Args:
            key: The key.
            mapping: The mapping inside this mapping that has the key; None if this mapping has the key.

        Raises:
            CardError: A key occurs twice, or a merge key (`<<`) adds keys.
        """
        node = mapping or self.root
        pairs = (
            {str(name.value): (name, value) for name, value in node.value} if isinstance(node, yaml.MappingNode) else {}
        )
        if node is not None and ("<<" in pairs or len(pairs) < len(node.value)):
            raise CardError(
                "a key that comes twice, or a merge key <<", "each key once, without merging", self.line_of(node)
            )
        return pairs.get(key)

    def change(self, key: str, value: object, text: str, *, hint: str) -> None:
        """Replace the text of the mapping by `text`. In `text`, `key` must have the value `value`, and other keys their old values.

        Raises:
            CardError: `text` has other values. The error gets the hint `hint`, which says what the user should write.
        """
        try:
            root, values = self._parsed(text)
        except CardError:
            values = {}
        # the values are compared as YAML text, since comparing nested aliases as values could take forever
        wanted, found = (yaml.safe_dump(part, sort_keys=False) for part in ({**self.values, key: value}, values))
        if found != wanted or not text.endswith("\n"):
            pair = self.pair(key)
            line = self.line_of(pair and pair[0])
            raise CardError(f"{key} in a form that cannot be edited", "a plain list", line, hint)
        self.text, self.root, self.values = text, root, values

    def with_key(self, lines: Sequence[str]) -> str:
        """Return the text of the mapping with the lines of a new key at the end, below all existing comments."""
        return self._with_lines(len(self.text), lines, self.root)

    def with_addition(self, node: yaml.Node, *, flow: str, lines: Sequence[str]) -> str:
        """Return the text with an addition at the end of a list or a mapping.

        Args:
            node: The list or the mapping.
            flow: The addition to a list or a mapping in brackets.
            lines: The lines of the addition to a list or a mapping without brackets. They are indented like the node.
        """
        if isinstance(node, yaml.CollectionNode) and node.flow_style:
            before = self.text[: _stop(node) - 1].rstrip()
            separator = {"[": "", "{": "", ",": " "}.get(before[-1:], ", ")
            return before + separator + flow + self.text[len(before) :]
        # the end of a block scalar is after its last line end
        return self._with_lines(self.text.find("\n", _last_stop(node) - 1) + 1, lines, node)

    def with_value(self, pair: Pair, value: str) -> str:
        """Return the text with `value`, on one line, as the value of a key."""
        return f"{self.text[: _stop(pair[0])]}: {value}{self.text[_last_stop(pair[1]) :]}"

    def _with_lines(self, place: int, lines: Sequence[str], sibling: yaml.Node | None) -> str:
        indent = " " * (sibling.start_mark.column if sibling is not None and sibling.start_mark is not None else 0)
        return self.text[:place] + "".join(f"{indent}{line}{self._newline}" for line in lines) + self.text[place:]


def on_one_line(values: Sequence[object]) -> str:
    """Return a list as one line of YAML, in brackets."""
    written = yaml.safe_dump([*values], default_flow_style=True, allow_unicode=True, width=float("inf"))
    return str(written).strip()


def _stop(node: yaml.Node) -> int:
    assert node.end_mark is not None
    return node.end_mark.index


def _last_stop(node: yaml.Node) -> int:
    """Return the position at which the last scalar of a node ends.

    A block-style collection itself ends where the next node begins.
    """
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    return _stop(node)
