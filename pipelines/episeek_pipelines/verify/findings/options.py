"""Options of a verification: what it checks, and with which tolerances."""

from dataclasses import dataclass, field, replace
from typing import Final

from episeek_pipelines.verify.rules import LEVELS, Level, includes

TIMESTAMP_TOLERANCE_SECONDS: Final = 1e-4
"""LeRobot's default `tolerance_s`."""

DECODED_EPISODES: Final = 8
"""Episodes of each camera that the level `decode` decodes by default."""


DECODED_WINDOWS: Final = 4
"""Windows of each file that the level `decode` compares by default."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Options of one verification.

    Raises:
        ValueError: A value is out of range.
    """

    level: Level | None = None
    """Level of the checks; None leaves it to `with_level`, which looks at where the dataset is."""
    tolerance_seconds: float = TIMESTAMP_TOLERANCE_SECONDS
    """Tolerance for timestamps in rows, and for from_timestamp against the time of a frame."""
    world_size: int | None = None
    """Number of ranks of a training job; None does not apply TRN037."""
    num_workers: int = 0
    """Number of data loading workers of each rank; with 0 the rank itself reads."""
    decoded_episodes: int | None = DECODED_EPISODES
    """Episodes of each camera that the level `decode` decodes; None decodes all."""
    decoded_windows: int | None = None
    """Windows of each file, from later sync samples than its first, to compare with decoding the whole file. None: as many as
    `DECODED_WINDOWS` at the level `decode`, none at others. A number applies from the level `layout` on.
    """
    seed: int = 0
    """Seed of the choice of the episodes and windows to decode."""
    burned_in_bits: int | None = None
    """Number of bits of the frame numbers that are burned into the pictures; None if there are none.

    A bit is a cell of 6 x 6 pixels, white for 1. The cells start at the top left, with the least significant bit first.
    Numbers count from 0 in each episode, modulo 2**bits.
    """
    level_reason: str = field(default="", compare=False)
    """Why it is this level, as reports say it after a comma: `the default for a local dataset`; set with the level."""

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in LEVELS:
            raise ValueError(f"level: found {self.level!r}; expected one of {', '.join(LEVELS)}")
        if not 0 < self.tolerance_seconds < 1:
            raise ValueError(f"tolerance_seconds: found {self.tolerance_seconds}; expected more than 0 and less than 1")
        for name, least in (
            ("world_size", 1),
            ("num_workers", 0),
            ("decoded_episodes", 1),
            ("decoded_windows", 0),
            ("burned_in_bits", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: found {value}; expected {least} or more")

    @property
    def window_count(self) -> int:
        """Return the number of windows of each file."""
        if self.decoded_windows is None:
            return DECODED_WINDOWS if self.looks_at("decode") else 0
        return self.decoded_windows

    def looks_at(self, part: Level) -> bool:
        """Return whether the level includes everything that the level `part` reads. The level must be chosen."""
        return includes(self.require_level(), part)

    def require_level(self) -> Level:
        """Return the level.

        Raises:
            ValueError: It is not chosen yet.
        """
        if self.level is None:
            raise ValueError("level: found None; expected a level, as with_level chooses it")
        return self.level


def with_level(options: VerifyOptions, *, is_local: bool, is_compared: bool) -> VerifyOptions:
    """Return options with a level and its reason: those of the options, or the default for a dataset.

    By default rows are read where that costs no requests, as broken times and numbers are errors that nothing else shows, and
    where values are compared with those of a source.

    Args:
        options: The options of a caller.
        is_local: Whether the data files are on this machine.
        is_compared: Whether the dataset is compared with a source.
    """
    if options.level is not None:
        return options if options.level_reason else replace(options, level_reason="as the caller asked")
    if is_compared:
        return replace(options, level="rows", level_reason="which a comparison with a source needs")
    if is_local:
        return replace(options, level="rows", level_reason="the default for a local dataset")
    return replace(options, level="layout", level_reason="the default for a dataset in a store")


DEFAULT_OPTIONS: Final = VerifyOptions()
