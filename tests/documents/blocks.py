"""The fenced code blocks of a Markdown document."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block: its language, its text, and the line of the document that it starts on."""

    language: str
    text: str
    line: int


def blocks_of(document: Path) -> Iterator[Block]:
    """Yield the blocks of a document in order."""
    text = document.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        yield Block(match[1], match[2], text.count("\n", 0, match.start()) + 2)


def commands_of(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block of `sh` or `console` with the output that the document shows for it."""
    command, shown = "", list[str]()
    for line in block.text.splitlines():
        is_command = line.startswith("$ ") if block.language == "console" else line.strip() != ""
        if is_command:
            if command:
                yield command, shown
            command, shown = re.sub(r"\s+# .*", "", line.removeprefix("$ ")).strip(), []
        elif block.language == "console":
            shown.append(line)
    if command:
        yield command, shown
