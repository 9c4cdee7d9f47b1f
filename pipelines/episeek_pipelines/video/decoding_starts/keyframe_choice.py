"""The type of the option `keyframes`. This module is quick to import, so that option parsers can use it."""

from typing import Literal, get_args

KeyframeChoice = Literal["auto", "all"]
"""The keyframes whose bytes are read.

"auto" reads all keyframes of a local file, and a few keyframes of a file in a store. "all" reads all keyframes of either.
"""

KEYFRAME_CHOICES: tuple[str, ...] = get_args(KeyframeChoice)
