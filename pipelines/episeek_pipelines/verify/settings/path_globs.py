"""Globs for paths below the dataset root. A glob matches a whole path.

- `*` matches any characters within a segment, or none; it also matches a leading dot. `?` matches one character.
- `[abc]`, `[a-c]` and `[!abc]` match one character. `[*]`, `[?]` and `[[]` match these characters literally.
- `**` as a segment of its own matches any number of folders, or none. At the end it matches everything below a folder.
- Case matters, and no wildcard matches a slash.

These are the globs of fsspec and `datasets`, which the dataset card uses, too.
"""

import re
from fnmatch import translate
from functools import lru_cache

from episeek_pipelines.verify.settings.rule_codes import ConfigurationError


def validate_pattern(pattern: str, where: str) -> None:
    """Check that a glob can match the path of a file.

    Raises:
        ConfigurationError: The glob can match no path, or has `**` within a segment.
    """
    segments = pattern.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ConfigurationError(where, repr(pattern), "a glob of paths below the dataset root, such as videos/**")
    if any("**" in segment and segment != "**" for segment in segments):
        raise ConfigurationError(where, repr(pattern), "** as a segment of its own, such as data/**/*.parquet")


@lru_cache(maxsize=1 << 16)
def matches(path: str, pattern: str) -> bool:
    """Return whether a relative POSIX path matches a glob."""
    if "**" not in pattern and pattern.count("/") != path.count("/"):
        return False
    segments = _compiled(pattern)
    # The numbers of segments of the glob that the path so far can match.
    reached = _skipping_folders({0}, segments)
    for name in path.split("/"):
        following = set()
        for position in reached:
            if position < len(segments):
                segment = segments[position]
                if segment is None:
                    following.add(position)
                elif segment.match(name):
                    following.add(position + 1)
        reached = _skipping_folders(following, segments)
    return len(segments) in reached


def _skipping_folders(reached: set[int], segments: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    """Add the positions after each `**`, since `**` also matches no folder."""
    for position, segment in enumerate(segments):
        if position in reached and segment is None:
            reached.add(position + 1)
    return reached


@lru_cache(maxsize=1 << 10)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """Return a regular expression for each segment, and None for `**`."""
    segments = pattern.split("/")
    if segments[-1] == "**":
        # A final `**` matches what is below a folder, not the folder itself.
        segments.append("*")
    return tuple(None if segment == "**" else re.compile(translate(segment)) for segment in segments)
