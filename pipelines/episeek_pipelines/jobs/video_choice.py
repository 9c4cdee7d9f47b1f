"""The choice how videos get to the destination."""

from typing import Final, Literal, get_args

Videos = Literal["none", "link", "copy", "hardlink", "pack"]
"""How videos, and all other files but data and metadata, get to the destination; "link" is by clones.

With "pack", the videos are put together into a few files, and all others are copied.
"""

VIDEO_CHOICES: Final[tuple[Videos, ...]] = get_args(Videos)
