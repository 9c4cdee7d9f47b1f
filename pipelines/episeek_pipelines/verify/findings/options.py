"""The options of a verification, such as how much it reads and which tolerance it applies, with their default values."""

from dataclasses import dataclass, field, replace
from typing import Final

from episeek_pipelines.verify.rules import LEVELS, Level, includes

TIMESTAMP_TOLERANCE_SECONDS: Final = 1e-4
"""LeRobot's default `tolerance_s`."""

DECODED_EPISODES: Final = 8
"""Default number of episodes of each camera that the level `decode` decodes."""


DECODED_WINDOWS: Final = 4
"""Default number of windows of each video that the level `decode` compares with decoding the whole file."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """The options of one verification.

    Raises:
        ValueError: A value is out of range.
    """

    level: Level | None = None
    """The level. If it is None, `with_level` chooses a level for the dataset."""
    tolerance_seconds: float = TIMESTAMP_TOLERANCE_SECONDS
    """Largest allowed difference in seconds, both between a row's timestamp and frame_index / fps, and between from_timestamp and
    the time of the episode's first frame.
    """
    world_size: int | None = None
    """Number of ranks of a training job; with None, TRN037 and TRN037W are not applied."""
    num_workers: int = 0
    """Number of data loading workers of each rank; 0 if the rank itself loads the data."""
    decoded_episodes: int | None = DECODED_EPISODES
    """Number of episodes of each camera that the level `decode` decodes; None decodes all episodes."""
    decoded_windows: int | None = None
    """Number of windows of each video to compare with decoding the whole file.

    A window is a short range of frames that is decoded from a sync sample other than the video's first one. A number applies at
    the levels `layout`, `rows` and `decode`. None means `DECODED_WINDOWS` at the level `decode`, and 0 at all other levels.
    """
    seed: int = 0
    """Seed for choosing the episodes and windows to decode."""
    burned_in_bits: int | None = None
    """Number of bits of the frame numbers that are burned into the pictures; None if no numbers are burned in.

    A bit is a cell of 6 x 6 pixels, white for 1. The cells start at the top left, with the least significant bit first.
    Numbers count from 0 in each episode, modulo 2**bits.
    """
    level_reason: str = field(default="", compare=False)
    """The reason for the level, which reports add after a comma, such as `the default for a local dataset`."""

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
        """Return the number of windows (short ranges of frames) to decode from each video.

        Their pictures are compared with the pictures from decoding the whole file. If `decoded_windows` is None, the result is the
        default of the level.
        """
        if self.decoded_windows is None:
            return DECODED_WINDOWS if self.looks_at("decode") else 0
        return self.decoded_windows

    def looks_at(self, part: Level) -> bool:
        """Return whether this verification reads everything that the level `part` reads.

        Raises:
            ValueError: The level is None.
        """
        return includes(self.require_level(), part)

    def require_level(self) -> Level:
        """Return the level.

        Raises:
            ValueError: The level is None, because `with_level` has not chosen a level yet.
        """
        if self.level is None:
            raise ValueError(f"level: found None; expected one of {', '.join(LEVELS)} (with_level chooses a level)")
        return self.level


def with_level(options: VerifyOptions, *, is_local: bool, is_compared: bool) -> VerifyOptions:
    """Return the options with a level, and with the reason for this level.

    A level in `options` is kept. The default level is `rows` for a local dataset, and for a comparison with a source. Reading local
    rows takes no requests, and only rows show wrong timestamps and row numbers. The default for other datasets in a store is
    `layout`.

    Args:
        options: The options of the caller.
        is_local: Whether the data files are on this machine.
        is_compared: Whether the dataset is compared with a source.
    """
    if options.level is not None:
        return options if options.level_reason else replace(options, level_reason="as the caller requested")
    if is_compared:
        return replace(options, level="rows", level_reason="which a comparison with a source needs")
    if is_local:
        return replace(options, level="rows", level_reason="the default for a local dataset")
    return replace(options, level="layout", level_reason="the default for a dataset in a store")


DEFAULT_OPTIONS: Final = VerifyOptions()
