"""Globs, matched against the whole of a path below the dataset root.

- `*` is any run of characters of one segment, also none, and also in a name that starts with a dot; `?` is one character;
- `[abc]`, `[a-c]` and `[!abc]` are one character; `[*]`, `[?]` and `[[]` are those characters themselves;
- `**`, a segment of its own, is any number of folders, also none; at the end it is everything below;
- upper and lower case differ, and no wildcard stands for a slash.
"""

import re
from fnmatch import translate
from functools import lru_cache

from episeek_pipelines.verify.settings.rule_codes import ConfigurationError


def validate_pattern(pattern: str, where: str) -> None:
    """Check that a glob can match the path of a file.

    Raises:
        ConfigurationError: It cannot, or has `**` within a segment.
    """
    segments = pattern.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ConfigurationError(where, repr(pattern), "a glob of paths below the dataset root, such as videos/**")
    if any("**" in segment and segment != "**" for segment in segments):
        raise ConfigurationError(where, repr(pattern), "** as a segment of its own, such as data/**/*.parquet")


@lru_cache(maxsize=1 << 16)
def matches(path: str, pattern: str) -> bool:
    """Whether a path, relative and POSIX, matches a glob; the module says what globs mean."""
    segments = _compiled(pattern)
    reached = _without_folders({0}, segments)  # how many segments of the glob the path up to here can use up
    for name in path.split("/"):
        after = set()
        for position in reached:
            if position < len(segments):
                segment = segments[position]
                if segment is None:
                    after.add(position)
                elif segment.match(name):
                    after.add(position + 1)
        reached = _without_folders(after, segments)
    return len(segments) in reached


def _without_folders(reached: set[int], segments: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    """With the positions behind each `**`, which may be no folder at all."""
    for position, segment in enumerate(segments):
        if position in reached and segment is None:
            reached.add(position + 1)
    return reached


@lru_cache(maxsize=1 << 10)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """A regular expression for each segment, None for `**`."""
    segments = pattern.split("/")
    if segments[-1] == "**":
        segments.append("*")  # what is below, not the folder itself
    return tuple(None if segment == "**" else re.compile(translate(segment)) for segment in segments)
