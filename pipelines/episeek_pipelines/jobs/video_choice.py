"""The type of the option `videos`, which chooses how videos get to the destination."""

from typing import Final, Literal, get_args

Videos = Literal["none", "link", "copy", "hardlink", "pack"]
"""How videos, and all other files except data and metadata, get to the destination.

"copy" copies the files, "link" clones them, and "hardlink" makes hard links. "pack" joins the videos into a few files, and copies
the other files. With "none", all these files stay in the source.
"""

VIDEO_CHOICES: Final[tuple[Videos, ...]] = get_args(Videos)
