"""episeek: any frame of any LeRobot episode in one range request, as a complete MP4, decoded exactly.

Example:
    >>> import episeek
    >>> index = episeek.open("/data/pusht")
    >>> clip = index.clip(7, "observation.images.top", start=10, stop=20)
    >>> clip.decode().data.shape
"""

from episeek.byte_index import ByteIndex, EpisodeSpan, Keyframes
from episeek.byte_index import open_index as open
from episeek.cache import CacheStats, ClipCache
from episeek.clip import Clip
from episeek.decode import DecodedFrames
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
    WaitLimitError,
)
from episeek.sidecars.file_record import FileRecord
from episeek.stores.requests.retry import RetryPolicy
from episeek.stores.transfers import Transfers
from episeek.version import __version__

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
    "Transfers",
    "WaitLimitError",
    "__version__",
    "open",
]
