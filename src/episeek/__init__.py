"""episeek: any frame of any LeRobot episode in one range request, as a complete MP4, decoded exactly.

Names are imported when they are first used: importing the package alone loads neither numpy nor pyarrow nor fsspec.

Example:
    >>> import episeek
    >>> index = episeek.open("/data/pusht")
    >>> clip = index.clip(7, "observation.images.top", start=10, stop=20)
    >>> clip.decode().data.shape
"""

from importlib import import_module
from typing import TYPE_CHECKING

from episeek.errors import (
    AccessError,
    BackendUnavailableError,
    CameraNotFoundError,
    ChangedFileError,
    CorruptBytesError,
    DecodeError,
    EpiseekError,
    EpisodeNotFoundError,
    FileNotIndexedError,
    FormatVersionError,
    FrameRangeError,
    MissingFileError,
    MissingSidecarError,
    MixedBuildError,
    RangeNotHonouredError,
    ReadError,
    ShortReadError,
    SidecarError,
    SidecarLayoutError,
    SidecarLayoutWarning,
    StaleSidecarsError,
    StaleSidecarsWarning,
    WaitLimitError,
)
from episeek.stores.processes import forks as _forks  # noqa: F401 - registers its hook before any fork
from episeek.version import __version__

if TYPE_CHECKING:
    from episeek.byte_index import ByteIndex
    from episeek.cache import CacheStats, ClipCache
    from episeek.clip import Clip
    from episeek.decode import DecodedFrames
    from episeek.opening import open_index as open
    from episeek.sidecars.file_record import FileRecord
    from episeek.spans import EpisodeSpan, Keyframes
    from episeek.stores.requests.retry import RetryPolicy
    from episeek.stores.transfers import Transfers

__all__ = [
    "AccessError",
    "BackendUnavailableError",
    "ByteIndex",
    "CacheStats",
    "CameraNotFoundError",
    "ChangedFileError",
    "Clip",
    "ClipCache",
    "CorruptBytesError",
    "DecodeError",
    "DecodedFrames",
    "EpiseekError",
    "EpisodeNotFoundError",
    "EpisodeSpan",
    "FileNotIndexedError",
    "FileRecord",
    "FormatVersionError",
    "FrameRangeError",
    "Keyframes",
    "MissingFileError",
    "MissingSidecarError",
    "MixedBuildError",
    "RangeNotHonouredError",
    "ReadError",
    "RetryPolicy",
    "ShortReadError",
    "SidecarError",
    "SidecarLayoutError",
    "SidecarLayoutWarning",
    "StaleSidecarsError",
    "StaleSidecarsWarning",
    "Transfers",
    "WaitLimitError",
    "__version__",
    "open",
]

_IMPORTED_ON_USE = {
    "ByteIndex": ("episeek.byte_index", "ByteIndex"),
    "CacheStats": ("episeek.cache", "CacheStats"),
    "Clip": ("episeek.clip", "Clip"),
    "ClipCache": ("episeek.cache", "ClipCache"),
    "DecodedFrames": ("episeek.decode", "DecodedFrames"),
    "EpisodeSpan": ("episeek.spans", "EpisodeSpan"),
    "FileRecord": ("episeek.sidecars.file_record", "FileRecord"),
    "Keyframes": ("episeek.spans", "Keyframes"),
    "RetryPolicy": ("episeek.stores.requests.retry", "RetryPolicy"),
    "Transfers": ("episeek.stores.transfers", "Transfers"),
    "open": ("episeek.opening", "open_index"),
}

# type checkers do not see this function, since every name would then exist for them
if not TYPE_CHECKING:

    def __getattr__(name):
        try:
            module, attribute = _IMPORTED_ON_USE[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = globals()[name] = getattr(import_module(module), attribute)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
