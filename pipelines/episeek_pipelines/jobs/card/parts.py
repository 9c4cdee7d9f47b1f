"""Split a dataset card into the same parts as huggingface_hub does."""

import re
from dataclasses import dataclass
from typing import Final

from episeek_pipelines.verify.metadata.card_rules import CardError

_OPENING: Final = re.compile(r"\A\s*---(?:\r\n|\r|\n|\Z)")
_ALMOST_OPENING: Final = re.compile(r"\A(?:\ufeff\s*---[ \t]*|\s*---[ \t]+)(?:[\r\n]|\Z)")
_CLOSING: Final = re.compile(r"^---[ \t]*(?:\r\n|\n|\Z)", re.MULTILINE)
_LONE_RETURN: Final = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class CardParts:
    """The four parts of a card, in order. Joined, they are the whole card. Without a front matter, only `text` is not empty."""

    opening: str
    front_matter: str
    closing: str
    text: str

    def with_front_matter(self, lines: str, newline: str) -> str:
        """Return the card with other lines as its front matter. The enclosing lines `---` are added if the card has none."""
        fence = f"---{newline}"
        return (self.opening or fence) + lines + (self.closing or fence) + self.text


def newline_of(card: str) -> str:
    """Return the line end of the first line of a card."""
    return "\r\n" if card.partition("\n")[0].endswith("\r") else "\n"


def split_card(card: str) -> CardParts:
    """Return the parts of a card: opening line, front matter, closing line and text.

    Raises:
        CardError: huggingface_hub would not recognize the first or last line of the front matter, or a line ends with a carriage
            return alone.
    """
    if _ALMOST_OPENING.match(card):
        start = card.index("---")
        found = "a byte order mark" if card.startswith("\ufeff") else repr(card[start:].splitlines()[0][:60])
        line = card.count("\n", 0, start) + 1
        raise CardError(f"{found} before or in the line that opens the front matter", "the line ---", line)
    opening = _OPENING.match(card)
    if opening is None:
        return CardParts("", "", "", card)
    line = card.count("\n", 0, card.index("---")) + 1
    closing = _CLOSING.search(card, opening.end())
    if closing is None:
        raise CardError("a front matter without an end", "a second line ---", line)
    lone = _LONE_RETURN.search(card, 0, closing.start())
    if lone is not None:
        line = card.count("\n", 0, lone.start()) + 1
        raise CardError("a carriage return alone in the front matter", "lines that end with LF or CRLF", line)
    return CardParts(opening[0], card[opening.end() : closing.start()], closing[0], card[closing.end() :])
