"""Render a comparison in its formats: text for people, JSON for programs, and an HTML page."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from episeek.version import __version__
from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.jobs.comparison.format_names import DiffFormat
from episeek_pipelines.jobs.comparison.sections import (
    dataset_words,
    episode_words,
    reading_words,
    sections_of,
    verdict_of,
)
from episeek_pipelines.verify.formats.json_document import dump_json

MAX_LINES: Final = 20
"""Default number of lines of each section that the text shows."""

SCHEMA_VERSION: Final = 1
"""Version of the JSON document. It changes when a key is removed or changes its meaning."""


def render_diff(
    comparison: Comparison, format: DiffFormat, *, counts_layout: bool = False, max_lines: int = MAX_LINES
) -> str:
    """Return a comparison as a string in one of its formats.

    Args:
        comparison: The result of `diff`.
        format: One of `DIFF_FORMATS`.
        counts_layout: Whether datasets that differ only in their layout count as different.
        max_lines: Number of lines of each section that the text shows. The other formats have all lines.
    """
    if format == "json":
        return _json(comparison, counts_layout=counts_layout)
    if format == "html":
        # only the page needs Jinja2
        from episeek_pipelines.jobs.comparison.page import diff_page

        return diff_page(comparison, counts_layout=counts_layout)
    return "\n".join(_text_lines(comparison, counts_layout=counts_layout, max_lines=max_lines))


def diff_summary(comparison: Comparison) -> list[str]:
    """Return a comparison as lines: one with the numbers of episodes, and one for each difference except those of the layout."""
    lines = [episode_words(comparison)]
    for section in sections_of(comparison):
        if section.is_difference:
            lines += [f"{section.title}: {line.name}: {line.text}" for line in section.lines]
    return lines


def _text_lines(comparison: Comparison, *, counts_layout: bool, max_lines: int) -> Iterator[str]:
    yield f"A  {dataset_words(comparison.a)}"
    yield f"B  {dataset_words(comparison.b)}"
    for section in sections_of(comparison):
        note = " (not counted)" if section.title == "layout" and not counts_layout else ""
        words = f": {episode_words(comparison)}" if section.title == "episodes" else ""
        yield f"{section.title}{note}{words}"
        for line in section.lines[:max_lines]:
            yield f"  {line.name}: {line.text}"
        if len(section.lines) > max_lines:
            yield f"  ... and {len(section.lines) - max_lines:,} more"
    yield reading_words(comparison)
    verdict, sentence = verdict_of(comparison, counts_layout=counts_layout)
    yield f"{verdict}: {sentence}"


def _json(comparison: Comparison, *, counts_layout: bool) -> str:
    verdict, _ = verdict_of(comparison, counts_layout=counts_layout)
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "episeek", "version": __version__},
        "verdict": verdict.lower(),
        "is_different": comparison.is_different,
        "has_other_layout": bool(comparison.layout),
        **asdict(comparison),
    }
    return dump_json(_finite(json.loads(json.dumps(document, default=str))))


def _finite(value: Any) -> Any:
    """Return a JSON value with NaN and infinities replaced by texts, since JSON does not have them."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
