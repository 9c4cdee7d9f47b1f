"""All feature files, the folder they are written to, and the table that describes them."""

from collections.abc import Sequence
from pathlib import Path

from tests.features import (
    codec_features,
    cut_features,
    description_features,
    edit_features,
    ffmpeg_features,
    fragment_features,
    fragment_value_features,
    layout_features,
    lenient_features,
    matroska_features,
    refused_features,
    state_features,
    sync_features,
    timing_features,
)
from tests.features.registry import STANDARD, Feature

GROUPS = {
    "Boxes, chunks, tracks": layout_features.registry,
    "Headers that writers got wrong": lenient_features.registry,
    "Times": timing_features.registry,
    "Edit lists": edit_features.registry,
    "Sync samples": sync_features.registry,
    "Decoder state and wrong flags": state_features.registry,
    "Sample entries": description_features.registry,
    "Codecs": codec_features.registry,
    "FFmpeg's own muxer": ffmpeg_features.registry,
    "Fragments: where samples are": fragment_features.registry,
    "Fragments: what is said of samples": fragment_value_features.registry,
    "Fragments: recordings cut short, and other times": cut_features.registry,
    "Matroska": matroska_features.registry,
    "Refused": refused_features.registry,
}
FEATURES: tuple[Feature, ...] = tuple(feature for group in GROUPS.values() for feature in group.features)
TABLE = "README.md"
MISREAD_SUFFIX = "-misread-by-ffmpeg"


def table() -> str:
    """Markdown: a section for each group, a row for each file."""
    lines = ["# Generated video files, one feature each", ""]
    lines += [
        "Frames carry their number in the picture (`tests/support/bar_code.py`). What is expected to be right by the standard,"
    ]
    lines += [f"where FFmpeg is not, lies in the folder beside this one, `*{MISREAD_SUFFIX}`.", ""]
    for title, group in GROUPS.items():
        lines += [f"## {title}", "", "| file | what it covers | expected |", "|---|---|---|"]
        lines += [f"| {feature.name} | {feature.covers} | {_expectation(feature)} |" for feature in group.features]
        lines.append("")
    return "\n".join(lines)


def _expectation(feature: Feature) -> str:
    if feature.is_refused:
        return f"refused {feature.expected}"
    return f"{feature.expected}, {_ranges(feature.numbers)}"


def _ranges(numbers: Sequence[int]) -> str:
    """The frames presented."""
    missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
    return f"frames {numbers[0]} to {numbers[-1]}" + (f" but {missing}" if missing else "")


def write_all(folder: Path) -> None:
    """Every file and the table; the same bytes on every run. What FFmpeg misreads is no matter for comparing with it, and lies in a
    folder beside.
    """
    misread = folder.with_name(f"{folder.name}{MISREAD_SUFFIX}")
    for feature in FEATURES:
        place = misread if feature.expected == STANDARD else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / feature.name).write_bytes(feature.build())
    (folder / TABLE).write_text(table(), encoding="utf-8")
