"""The type of the option `keyframes`. This module imports nothing, so that option parsers can import it."""

from typing import Literal, get_args

KeyframeChoice = Literal["auto", "all"]
"""The keyframes whose bytes are read: "auto" for all of a local file and a few of a file in a store, "all" for all of both."""

KEYFRAME_CHOICES: tuple[str, ...] = get_args(KeyframeChoice)
