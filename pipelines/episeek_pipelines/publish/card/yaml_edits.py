"""Changes to a YAML mapping that leave every other byte of its text alone: comments, order, quotes, indentation, line ends.

The text is parsed for where things are, and changed there; nothing is written anew. An alias keeps its own place, other than
with composed nodes. What would change the meaning of something else, by an anchor, is refused. A mapping with merge keys
(`<<`) is for the caller to refuse.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import yaml

from episeek.errors import first_line

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_NULL_TAG: Final = "tag:yaml.org,2002:null"
_BLOCK_STYLES: Final = frozenset({"|", ">"})


class YamlEditError(ValueError):
    """Something that cannot be changed in place.

    Args:
        offset: Where, in characters from the start of the text.
        found: What is there.
        expected: What could be changed.
    """

    def __init__(self, offset: int, found: str, expected: str) -> None:
        super().__init__(offset, found, expected)
        self.offset = offset
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"character {self.offset}: found {self.found}; expected {self.expected}"


def require_loadable(text: str) -> None:
    """Refuse what parses and has no value: unknown tags, lists as keys, days that do not exist.

    Args:
        text: A mapping that parses, or nothing.

    Raises:
        YamlEditError: One of its values cannot be loaded.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
            try:
                loader.construct_document(value)
            except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
                raise _refusal(error, key.start_mark.index, "YAML that huggingface_hub loads") from None
    finally:
        loader.dispose()


def _refusal(error: Exception, offset: int, expected: str) -> YamlEditError:
    """What PyYAML says, and where: at `offset` where it does not say."""
    marked = error if isinstance(error, yaml.MarkedYAMLError) else None
    mark = marked.problem_mark if marked is not None else None
    found = marked.problem if marked is not None and marked.problem else first_line(error)
    return YamlEditError(offset if mark is None else mark.index, found[:100], expected)


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A node of the document and its place `[start, stop)`, anchor and tag included; a block ends where the next token starts."""

    kind: Literal["scalar", "list", "mapping", "alias"]
    start: int
    stop: int
    value: str = ""
    """Of a scalar; the name of an alias."""
    style: str = ""
    """`flow` of a list or a mapping in brackets, the quote or the sign of a scalar."""
    anchor: str | None = None
    tag: str | None = None
    children: list["Node"] = field(default_factory=list)
    """Items; keys and values in turn; the target of an alias."""

    @property
    def is_null(self) -> bool:
        """Whether it is a scalar without a value."""
        plain = self.tag is None and not self.style and self.value in _NULLS
        return self.kind == "scalar" and (plain or self.tag == _NULL_TAG)

    @property
    def resolved(self) -> "Node":
        """The target of an alias, anything else itself."""
        return self.children[0] if self.kind == "alias" else self

    @property
    def entries(self) -> list[tuple["Node", "Node"]]:
        """Keys and values of a mapping."""
        return list(zip(self.children[::2], self.children[1::2], strict=True)) if self.kind == "mapping" else []

    def get(self, key: str) -> "Node | None":
        """The value of a key of a mapping; an alias is not followed."""
        return next((value for name, value in self.entries if name.kind == "scalar" and name.value == key), None)

    def outline(self) -> Iterator[tuple[str, str, str, str | None, str | None]]:
        """The node and all below it without their places: equal for nodes that mean and are written the same."""
        yield self.kind, self.value, self.style, self.anchor, self.tag
        if self.kind != "alias":
            for child in self.children:
                yield from child.outline()
            yield "end", "", "", None, None


class YamlText:
    """The text of one document, and the changes to it.

    Args:
        text: Whole lines, or nothing.
        newline: The line end of what is added.

    Raises:
        YamlEditError: The text does not parse.
    """

    def __init__(self, text: str, newline: str) -> None:
        self.text = text
        self.newline = newline
        self._nodes: list[Node] = []
        self._edits: list[tuple[int, int, str]] = []
        try:
            places = [(token, *_place(token)) for token in yaml.scan(text, Loader=yaml.SafeLoader)]
            self.root = self._parse()
        except yaml.YAMLError as error:
            raise _refusal(error, 0, "YAML") from None
        self._tokens = [place for place in places if place[1] < place[2]]
        self._starts = [start for _, start, _ in self._tokens]

    def _parse(self) -> Node | None:
        root: Node | None = None
        anchors: dict[str, Node] = {}
        open_nodes: list[Node] = []
        for event in yaml.parse(self.text, Loader=yaml.SafeLoader):
            start, stop = _place(event)
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop().stop = stop
                continue
            if not isinstance(event, yaml.NodeEvent):
                continue
            if isinstance(event, yaml.AliasEvent):
                name = event.anchor or ""
                if name not in anchors:
                    raise YamlEditError(start, f"an alias of nothing, *{name[:60]}", "an anchor before it")
                node = Node("alias", start, stop, value=name, children=[anchors[name]])
            elif isinstance(event, yaml.ScalarEvent):
                node = Node("scalar", start, stop, event.value, event.style or "", event.anchor, event.tag)
            else:
                assert isinstance(event, yaml.CollectionStartEvent)
                kind: Literal["list", "mapping"] = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
                style = "flow" if event.flow_style else ""
                node = Node(kind, start, stop, style=style, anchor=event.anchor, tag=event.tag)
            self._nodes.append(node)
            if open_nodes:
                open_nodes[-1].children.append(node)
            root = root or node
            if node.kind in ("list", "mapping"):
                open_nodes.append(node)
            if node.anchor is not None and node.kind != "alias":
                anchors[node.anchor] = node
        return root

    def replace(self, node: Node, value: str) -> None:
        """Write `value`, one line, in the place of a value of a mapping or of an item of a list."""
        if node.style != "" or node.kind in ("scalar", "alias"):
            tail = self.newline if node.style in _BLOCK_STYLES else ""
            lead = " " if node.start == node.stop else ""
            self._edits.append((node.start, node.stop, f"{lead}{value}{tail}"))
            return
        last, _, stop = self._last_token(node.stop)
        tail = self.newline if _is_block_scalar(last) else ""
        before = bisect_left(self._starts, node.start) - 1  # the colon: a list in block style may be indented less
        self._edits.append((self._tokens[before][2], stop, f" {value}{tail}"))

    def enclose(self, node: Node, items: Sequence[str]) -> None:
        """Make a scalar, or an alias, the first item of a list."""
        written = self.text[node.start : node.stop]
        if node.style in _BLOCK_STYLES or "\n" in node.value:
            raise YamlEditError(node.start, "a text of several lines", "a list")
        if node.kind == "scalar" and not node.style and any(sign in written for sign in ",[]{}\n"):
            quoted = node.value.replace("'", "''")
            self._edits.append((node.start, node.stop, f"['{quoted}', {', '.join(items)}]"))
            return
        self._edits.append((node.start, node.start, "["))
        self._edits.append((node.stop, node.stop, f", {', '.join(items)}]"))

    def append(self, node: Node, items: Sequence[str]) -> None:
        """Add items at the end of a list."""
        if node.style == "flow":
            self._append_in_brackets(node, ", ".join(items))
            return
        dash = next(
            start for token, start, _ in self._tokens_from(node.start) if isinstance(token, yaml.BlockEntryToken)
        )
        self._add_lines([f"- {item}" for item in items], first=dash, stop=node.stop)

    def add(self, node: Node, key: str, flow: str, block: Sequence[str] = ()) -> None:
        """Add a key at the end of a mapping: `key: flow`, or on lines of its own `key:` and `block` where there are lines."""
        if node.style == "flow":
            self._append_in_brackets(node, f"{key}: {flow}")
            return
        lines = [f"{key}:", *block] if block else [f"{key}: {flow}"]
        self._add_lines(lines, first=node.children[0].start, stop=node.stop, is_root=node is self.root)

    def result(self) -> str:
        """The text with all changes.

        Raises:
            YamlEditError: One of them changes what an alias elsewhere refers to.
        """
        targets = {id(node.resolved) for node in self._nodes if node.kind == "alias"}
        for node in (node for node in self._nodes if id(node) in targets):
            if any(_touches(node, start, stop) for start, stop, _ in self._edits):
                raise YamlEditError(
                    node.start,
                    f"the anchor &{(node.anchor or '')[:60]} on what has to change, and aliases of it",
                    "no aliases",
                )
        parts, end = [], 0
        for start, stop, text in sorted(self._edits, key=lambda edit: edit[0]):  # stable: in the order they were made
            if start < end:
                raise YamlEditError(start, "changes that overlap", "plain lists and mappings")
            parts += [self.text[end:start], text]
            end = stop
        return "".join([*parts, self.text[end:]])

    def _tokens_from(self, start: int) -> Iterator[tuple[yaml.Token, int, int]]:
        return iter(self._tokens[bisect_left(self._starts, start) :])

    def _last_token(self, stop: int) -> tuple[yaml.Token, int, int]:
        """The last token that starts before `stop`."""
        return self._tokens[bisect_left(self._starts, stop) - 1]

    def _append_in_brackets(self, node: Node, written: str) -> None:
        token, _, stop = self._last_token(node.stop - 1)
        if any(place == stop for _, place, _ in self._edits):  # behind what was added before
            lead = ", "
        elif isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken):
            lead = ""
        else:
            lead = " " if isinstance(token, yaml.FlowEntryToken) else ", "
        self._edits.append((stop, stop, lead + written))

    def _add_lines(self, lines: Sequence[str], *, first: int, stop: int, is_root: bool = False) -> None:
        """Add lines in the column of `first`, below the content that ends before `stop`.

        Not below a text in block style, which may gain a line end by that: above all of it then, at `first`.
        """
        indent = self.newline + " " * (first - self._line_start(first))
        last, _, end = self._last_token(stop)
        if _is_block_scalar(last):
            self._edits.append((first, first, "".join(line + indent for line in lines)))
            return
        # comments at the end of the document belong to what is above them
        place = self._line_start(stop) if is_root else self.text.find("\n", end) + 1 or len(self.text)
        self._edits.append((place, place, indent.join(["", *lines]).removeprefix(self.newline) + self.newline))

    def _line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1


def _place(part: yaml.Token | yaml.Event) -> tuple[int, int]:
    assert part.start_mark is not None
    assert part.end_mark is not None
    return part.start_mark.index, part.end_mark.index


def _is_block_scalar(token: yaml.Token) -> bool:
    return isinstance(token, yaml.ScalarToken) and token.style in _BLOCK_STYLES


def _touches(node: Node, start: int, stop: int) -> bool:
    if start < stop:
        return start < node.stop and stop > node.start
    return node.start < start < node.stop or (node.kind != "scalar" and start == node.stop and node.style != "flow")
