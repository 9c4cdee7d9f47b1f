"""What a verification looks at, and by which measure."""

from dataclasses import dataclass
from typing import Final

from episeek_pipelines.verify.rules import LEVELS, Level, includes

TIMESTAMP_TOLERANCE_SECONDS: Final = 1e-4
"""LeRobot's default `tolerance_s`."""

DECODED_EPISODES: Final = 8
"""Episodes that the level `decode` decodes of each camera, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Options of one verification.

    Raises:
        ValueError: A value is out of range.
    """

    level: Level = "layout"
    tolerance_seconds: float = TIMESTAMP_TOLERANCE_SECONDS
    """For timestamps in rows, and for from_timestamp against the time of a frame."""
    world_size: int | None = None
    """Ranks that training will run with; None leaves TRN037 out."""
    num_workers: int = 0
    """Data loading workers of each rank; with 0 the rank itself reads."""
    decoded_episodes: int | None = DECODED_EPISODES
    """Episodes of each camera that are decoded at the level `decode`; None decodes all of them."""
    seed: int = 0
    """Decides which episodes are decoded."""
    burned_in_bits: int | None = None
    """Frame numbers are burned into the pictures: this many bits, as cells of 6 x 6 pixels from the top left, the least
    significant first, white for 1; numbers count from 0 in each episode, modulo 2**bits. None: they are not.
    """

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level: found {self.level!r}; expected one of {', '.join(LEVELS)}")
        if not 0 < self.tolerance_seconds < 1:
            raise ValueError(f"tolerance_seconds: found {self.tolerance_seconds}; expected more than 0 and less than 1")
        for name, least in (("world_size", 1), ("num_workers", 0), ("decoded_episodes", 1), ("burned_in_bits", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: found {value}; expected {least} or more")

    def looks_at(self, part: Level) -> bool:
        """Whether what the level `part` looks at is looked at."""
        return includes(self.level, part)


DEFAULT_OPTIONS: Final = VerifyOptions()
