"""The type of the option `keyframes`. This module is quick to import, so that option parsers can use it."""

from typing import Literal, get_args

KeyframeChoice = Literal["auto", "all"]
"""The keyframes whose bytes are read.

"auto" reads all keyframes of a local file. For a file in a store, it reads a few keyframes, or none if the file's header is
trusted.
If the few allow no conclusion about the others, it reads all. "all" reads all keyframes, wherever the file is.
"""

KEYFRAME_CHOICES: tuple[str, ...] = get_args(KeyframeChoice)
