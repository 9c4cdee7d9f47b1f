"""Functions that match paths below the dataset root with globs. A glob has to match the whole path.

- `*` matches any number of characters within a segment (the part of a path between slashes), including a leading dot. `?` matches
  one character.
- `[abc]` and `[a-c]` match one of these characters, and `[!abc]` matches any one character except these. `[*]`, `[?]` and `[[]`
  match the characters `*`, `?` and `[` themselves.
- `**` as a whole segment matches any number of folders. At the end of a glob, it matches everything below a folder.
- Case matters, and only `**` matches across slashes.

These are the globs of fsspec and `datasets`, which dataset cards also use.
"""

import re
from fnmatch import translate
from functools import lru_cache

from episeek_pipelines.verify.settings.rule_codes import ConfigurationError


def validate_pattern(pattern: str, where: str) -> None:
    """Raise ConfigurationError if a glob can match no path, or has `**` next to other characters in a segment.

    Args:
        pattern: The glob.
        where: The option or key that has the glob, for messages.
    """
    segments = pattern.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ConfigurationError(where, repr(pattern), "a glob of paths below the dataset root, such as videos/**")
    if any("**" in segment and segment != "**" for segment in segments):
        raise ConfigurationError(where, repr(pattern), "** only as a whole segment, such as data/**/*.parquet")


@lru_cache(maxsize=1 << 16)
def matches(path: str, pattern: str) -> bool:
    """Return whether a relative POSIX path matches a glob."""
    if "**" not in pattern and pattern.count("/") != path.count("/"):
        return False
    segments = _compiled(pattern)
    # Each number in `reached` is a number of leading segments of the glob that can match the path before `name`.
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
    """Extend `reached`, a set of positions in the glob, by the positions after a `**` that matches zero folders, and return it."""
    for position, segment in enumerate(segments):
        if position in reached and segment is None:
            reached.add(position + 1)
    return reached


@lru_cache(maxsize=1 << 10)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """Return a regular expression for each segment of a glob, with None for each segment `**`."""
    segments = pattern.split("/")
    if segments[-1] == "**":
        # A final `**` matches everything below a folder, but not the folder itself.
        segments.append("*")
    return tuple(None if segment == "**" else re.compile(translate(segment)) for segment in segments)
