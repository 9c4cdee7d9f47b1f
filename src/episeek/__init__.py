"""episeek: any frame of any LeRobot episode in one range request, as a complete MP4, decoded exactly.

Example:
    >>> import episeek
    >>> index = episeek.open("/data/pusht")
    >>> clip = index.clip(7, "observation.images.top", start=10, stop=20)
    >>> clip.decode().data.shape
"""

from episeek.byte_index import ByteIndex, EpisodeSpan, Keyframes
from episeek.byte_index import open_index as open
from episeek.clip import Clip
from episeek.decode import DecodedFrames
from episeek.errors import (
    BackendUnavailableError,
    CameraNotFoundError,
    DecodeError,
    EpiseekError,
    EpisodeNotFoundError,
    FormatVersionError,
    FrameRangeError,
    MissingFileError,
    MissingSidecarError,
    MixedBuildError,
    ReadError,
    ShortReadError,
    SidecarError,
    SidecarLayoutError,
    SidecarLayoutWarning,
)
from episeek.file_record import FileRecord

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailableError",
    "ByteIndex",
    "CameraNotFoundError",
    "Clip",
    "DecodeError",
    "DecodedFrames",
    "EpiseekError",
    "EpisodeNotFoundError",
    "EpisodeSpan",
    "FileRecord",
    "FormatVersionError",
    "FrameRangeError",
    "Keyframes",
    "MissingFileError",
    "MissingSidecarError",
    "MixedBuildError",
    "ReadError",
    "ShortReadError",
    "SidecarError",
    "SidecarLayoutError",
    "SidecarLayoutWarning",
    "__version__",
    "open",
]
