"""Add to a dataset card (README.md) a section that tells readers how to open the dataset with episeek.

Only two parts of the card change. The front matter gets two tags and the entry `data_files`, without which the dataset viewer and
`load_dataset` would read the byte index as data. The text gets a section between two comments. If the card contains these parts
already, the card does not change.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final

from episeek.errors import EpiseekError
from episeek.stores.kinds import kind_of
from episeek_pipelines.jobs.card.front_matter import with_pin_and_tags
from episeek_pipelines.jobs.card.parts import CardParts, newline_of, split_card
from episeek_pipelines.verify.metadata.card_rules import CardError
from episeek_pipelines.words import counted, human_bytes
from episeek_schemas import layout, lerobot

BEGIN: Final = "<!-- episeek:begin -->"
END: Final = "<!-- episeek:end -->"

_MARKER = re.compile(r"<!--\s*episeek:(begin|end)\s*-->")
_REPOSITORY_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")


class UnusableCardError(EpiseekError, ValueError):
    """A dataset card cannot be extended, because its front matter, its section about episeek or its text is malformed.

    Args:
        where: The card, with the number of the line if the error is about one line.
        found: The part of the card that is malformed.
        expected: What a well-formed card contains instead.
        hint: The text to write instead; empty for no suggestion.
        line: Number of the line, counted from 1; None if the error is not about one line.
    """

    def __init__(self, where: str, found: str, expected: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(where, found, expected, hint)
        self.line = line

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.hint, self.line)


@dataclass(frozen=True, slots=True)
class DatasetFigures:
    """The numbers that the section shows. They depend only on the dataset, so publishing the dataset again does not change them."""

    episode_count: int
    frame_count: int
    camera_count: int
    fps: float
    sidecar_bytes: int


def decoded_card(content: bytes, *, repository_id: str) -> str:
    """Decode the content of a card as UTF-8, without changing line ends, and return the text.

    Raises:
        UnusableCardError: The content is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(repository_id, line, f"byte 0x{content[error.start]:02x}", "UTF-8") from None


def updated_card(
    card: str | None, *, repository_id: str, format_version: int, figures: DatasetFigures, url: str | None = None
) -> str:
    """Return the text of a dataset's card with the section about episeek, the tags and `data_files` added or updated.

    Args:
        card: The text of README.md with its own line ends; None if there is no card.
        repository_id: The name of the dataset, `ORG/NAME`.
        format_version: The format version of the sidecars, the tables of the byte index.
        figures: The numbers that the section shows.
        url: The URL that readers open; None for `hf://datasets/ORG/NAME`.

    Raises:
        UnusableCardError: The front matter is not valid YAML, has no end or is not a mapping; the library `datasets` would refuse
            its `configs`; this function cannot edit its `configs` or `tags`; or the two comments do not enclose one section.
    """
    if _REPOSITORY_ID.fullmatch(repository_id) is None:
        raise UnusableCardError("repository_id", repr(repository_id[:100]), "ORG/NAME")
    text = f"\n# {repository_id.split('/')[-1]}\n" if card is None else card
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise _unusable(repository_id, line, f"character U+{ord(text[error.start]):04X}", "text in UTF-8") from None
    newline = newline_of(text)
    try:
        parts = split_card(text)
        front_matter = with_pin_and_tags(parts.front_matter, opening=parts.opening, newline=newline)
    except CardError as error:
        raise _unusable(repository_id, error.line, error.found, error.expected, error.hint) from None
    section = newline.join(_section_lines(url or f"hf://datasets/{repository_id}", format_version, figures))
    head = replace(parts, text="").with_front_matter(front_matter, newline)
    markers = _section_markers(parts, repository_id)
    if markers is not None:
        return head + parts.text[: markers[0].start()] + section + parts.text[markers[1].end() :]
    return _appended(head + parts.text, section, newline)


def _unusable(repository_id: str, line: int | None, found: str, expected: str, hint: str = "") -> UnusableCardError:
    where = f"{layout.CARD_PATH} of {repository_id}" + (f", line {line}" if line is not None else "")
    # A message of PyYAML may begin with "found", and the error's message says "found" itself.
    return UnusableCardError(where, found.removeprefix("found "), expected, hint, line)


def _section_markers(parts: CardParts, repository_id: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """Return the two comments that enclose the section, or None if the card has no section.

    Raises:
        UnusableCardError: The card has only one of the comments, or more than two, or the comments are in the wrong order.
    """
    markers = list(_MARKER.finditer(parts.text))
    if not markers:
        return None
    if [marker[1] for marker in markers] == ["begin", "end"]:
        return markers[0], markers[1]
    lines_before = (parts.opening + parts.front_matter + parts.closing).count("\n")
    lines = [lines_before + parts.text.count("\n", 0, marker.start()) + 1 for marker in markers]
    found = ", ".join(
        f"episeek:{marker[1]} in line {line}" for marker, line in list(zip(markers, lines, strict=True))[:5]
    )
    raise _unusable(repository_id, lines[0], found, f"{BEGIN} and {END} once each, in this order, or neither")


def _appended(card: str, section: str, newline: str) -> str:
    """Return the card with the section at its end, after an empty line. A line end at the end of the card is preserved."""
    if not card.endswith("\n"):
        return card + newline * 2 + section
    gap = "" if card.endswith(("\n\n", "\n\r\n")) else newline
    return card + gap + section + newline


def _section_lines(url: str, format_version: int, figures: DatasetFigures) -> list[str]:
    install = kind_of(url).hint or "pip install episeek"
    seekable = "Any frames of an episode can be read with one small download of exactly their bytes, without the rest of the video."
    lines = [
        "clip = index.clip(0, index.cameras[0], start=0, stop=1)  # an episode, a camera, frames [start, stop)",
        "mp4 = clip.read()  # one request; a complete MP4 of these frames",
        "frames = clip.decode()  # or pictures, with TorchCodec or PyAV",
    ]
    if figures.camera_count == 0:
        seekable = "There are no videos; the index lists the episodes."
        lines = ["print(index.episode_count)"]
    return [
        BEGIN,
        "",
        "## Seekable",
        "",
        seekable,
        "",
        f"- {counted(figures.episode_count, 'episode')}, {counted(figures.frame_count, 'frame')} at {figures.fps:g} fps,"
        f" {counted(figures.camera_count, 'camera')}",
        f"- the index: four Parquet tables in [`{layout.BYTE_INDEX_DIR}/`]({layout.BYTE_INDEX_DIR}), format version"
        f" {format_version}, {human_bytes(figures.sidecar_bytes)}",
        f"- the other files: a LeRobot {lerobot.CODEBASE_VERSION} dataset, which any LeRobot reader can open",
        "",
        "```bash",
        install,
        "```",
        "",
        "```python",
        "import episeek",
        "",
        f"index = episeek.open({json.dumps(url, ensure_ascii=False)})",
        *lines,
        "```",
        "",
        END,
    ]
