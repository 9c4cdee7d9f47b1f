"""The dataset card of a published, seekable dataset: everything in it stays, and a section for readers is added.

Two places of the card change, and no other byte: the front matter gets the pin of `data_files`, without which the dataset viewer
and `load_dataset` take the sidecars for data, and two tags; the text gets one section between two comments. Updating an updated
card changes nothing.
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
    """A dataset card that cannot be kept and added to: its front matter, its section or its text is not what it should be.

    Args:
        where: The card, with the line where it is known.
        found: The part of the card that cannot be used.
        expected: A usable form of that part.
        hint: The text to write instead; empty where there is none.
        line: Number of the line, from 1; None where it is unknown.
    """

    def __init__(self, where: str, found: str, expected: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(where, found, expected, hint)
        self.line = line

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.hint, self.line)


@dataclass(frozen=True, slots=True)
class DatasetFigures:
    """The numbers that the section shows; the same for every commit that holds the same dataset."""

    episode_count: int
    frame_count: int
    camera_count: int
    fps: float
    sidecar_bytes: int


def decoded_card(content: bytes, *, repository_id: str) -> str:
    """Decode the text of a card and keep its line ends.

    Raises:
        UnusableCardError: It is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(repository_id, line, f"byte 0x{content[error.start]:02x}", "UTF-8") from None


def updated_card(
    card: str | None, *, repository_id: str, format_version: int, figures: DatasetFigures, url: str | None = None
) -> str:
    """Return the card of a dataset with its sidecars.

    Args:
        card: Text of README.md with its own line ends; None when there is no card.
        repository_id: ORG/NAME.
        format_version: The format version of the sidecars.
        figures: The numbers that the section shows.
        url: The URL that readers open; None for the repository's.

    Raises:
        UnusableCardError: The front matter cannot be loaded, is not closed or is no mapping; `datasets` would refuse `configs`;
            `configs` or `tags` are in a form that is not edited here; or the two comments do not enclose one section.
    """
    if _REPOSITORY_ID.fullmatch(repository_id) is None:
        raise UnusableCardError("repository_id", repr(repository_id[:100]), "ORG/NAME")
    text = f"\n# {repository_id.split('/')[-1]}\n" if card is None else card
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise _unusable(repository_id, line, f"character U+{ord(text[error.start]):04X}", "text of UTF-8") from None
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
    # PyYAML's own words may begin with "found"
    return UnusableCardError(where, found.removeprefix("found "), expected, hint, line)


def _section_markers(parts: CardParts, repository_id: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """Return the two comments around the section; None when there is no section."""
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
    """Append the section; the result ends with a line end where the card did."""
    if not card.endswith("\n"):
        return card + newline * 2 + section
    gap = "" if card.endswith(("\n\n", "\n\r\n")) else newline
    return card + gap + section + newline


def _section_lines(url: str, format_version: int, figures: DatasetFigures) -> list[str]:
    install = kind_of(url).hint or "pip install episeek"
    seekable = (
        "Any frames of an episode are one small download, of exactly their bytes: whole videos need not be fetched."
    )
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
        f"- all else is a LeRobot {lerobot.CODEBASE_VERSION} dataset, for any of its readers",
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
