"""The choice of keyframes to look at, for options: this module imports nothing."""

from typing import Literal, get_args

KeyframeChoice = Literal["auto", "all"]
"""All of a local file and a few of a file in a store, or all of both."""

KEYFRAME_CHOICES: tuple[str, ...] = get_args(KeyframeChoice)
