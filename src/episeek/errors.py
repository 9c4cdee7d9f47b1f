"""All errors that this package raises on purpose.

They share the base class `EpiseekError`, and each also has a builtin base class, so that `except FileNotFoundError` works as a
caller expects. A message says where something is wrong, what was found, what was expected and, if it is known, what to do about
it. All errors can be pickled, so that they pass unchanged from worker processes.
"""

import re
from typing import Any, Literal, Self

Extra = Literal["prepare", "hub", "http", "s3", "gcs", "azure", "torch"]
"""Optional dependencies of this package, by the names that pyproject.toml gives them."""


class EpiseekError(Exception):
    """Base class of all errors of this package. The parts of its message are attributes, so that no code has to parse it.

    Args:
        where: The file, table, episode or argument concerned.
        found: A noun phrase for what is wrong there.
        expected: A noun phrase for what would be right.
        hint: Advice to the user, an imperative sentence without a full stop; empty if there is none.

    A single argument is the whole message, since `torch.utils.data.DataLoader` rebuilds the error of a worker process from its
    class and one text.
    """

    def __init__(self, where: str, found: str = "", expected: str = "", hint: str = "") -> None:
        where, found, expected, hint = map(without_password, (where, found, expected, hint))
        # OSError.__init__ would treat the arguments as errno, strerror and filename
        Exception.__init__(self, where, found, expected, hint)
        self.where = where
        self.found = found
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        if not self.found and not self.expected:
            return self.where
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.where}: found {self.found}; expected {self.expected}{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.hint)

    def within(self, place: str) -> Self:
        """Return a copy of this error with `place` added to `where`, for example the episode for which bytes were fetched."""
        return type(self)(f"{self.where} ({place})" if place else self.where, self.found, self.expected, self.hint)


def install_hint(extra: Extra) -> str:
    """Return a `hint` with the command that installs the missing packages of an extra."""
    return f"pip install 'episeek[{extra}]'"


def without_password(text: str) -> str:
    """Return a text with the user names and passwords in its URLs replaced by `***`."""
    return _USER_INFO.sub("://***@", text)


_USER_INFO = re.compile(r"://[^/@\s:]*:[^/@\s]*@")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def described(error: BaseException) -> str:
    """Return the class and the first line of a store's error. Queries of URLs, which may contain signatures, are removed."""
    return f"{type(error).__name__}: {_QUERY.sub('?...', first_line(error))}"


_QUERY = re.compile(r"\?[^\s'\"]+=[^\s'\"]*")


# --- bytes and files -------------------------------------------------------------------------------------------------------------


class MissingFileError(EpiseekError, FileNotFoundError):
    """A file that the dataset or a sidecar table refers to does not exist."""


class ReadError(EpiseekError, OSError):
    """A store could not deliver the requested bytes."""


class ShortReadError(ReadError):
    """Fewer bytes arrived than were requested, or the file is too short."""


class ChangedFileError(ReadError):
    """A file is not the one that was indexed: its size, store identity or header differs."""


class RangeNotHonouredError(ReadError):
    """A server or a proxy answered a range request with something other than that range."""


class CorruptBytesError(ReadError):
    """Two reads of the same bytes differ."""


class AccessError(ReadError, PermissionError):
    """A store refuses access because credentials are missing, wrong or expired."""


class WaitLimitError(ReadError, TimeoutError):
    """A request or another event did not finish within its time limit."""


class WriteError(EpiseekError, OSError):
    """A destination could not be written for lack of space or permission, or because the store failed."""


class DestinationError(EpiseekError, FileExistsError):
    """A destination already contains something else, or cannot contain a dataset."""


# --- datasets --------------------------------------------------------------------------------------------------------------------


class DatasetError(EpiseekError, ValueError):
    """A directory is not a dataset that this project can read."""


class NotADatasetError(DatasetError):
    """The directory has no usable `meta/info.json`."""


class UnsupportedVersionError(DatasetError):
    """The dataset's `codebase_version` is one that the operation does not support."""


class MetadataError(DatasetError):
    """`meta/episodes` contradicts itself, or lacks values that are needed."""


class ParquetError(DatasetError):
    """A Parquet file has no footer or cannot be read."""


class AmbiguousPagesError(ParquetError):
    """A Parquet file without a footer cannot be recovered, since its pages can be combined in several ways."""


class RowOrderError(DatasetError):
    """The rows of a data file do not form whole episodes, each in one contiguous run."""


# --- MP4 -------------------------------------------------------------------------------------------------------------------------


class Mp4Error(EpiseekError, ValueError):
    """A video file cannot be indexed; each subclass says why."""


class TruncatedMp4Error(Mp4Error):
    """A box reaches past the end of the file, or the moov box is missing."""


class MalformedBoxError(Mp4Error):
    """The size or the contents of a box cannot be right."""


class SampleTableError(Mp4Error):
    """The sample tables contradict each other or the file, or use a form that this project does not read."""


class NoVideoTrackError(Mp4Error):
    """The file has no video track."""


class FragmentedMp4Error(Mp4Error):
    """Movie fragments lack the moov box that describes them, or a moov box lacks the fragments that it announces."""


class EncryptedMp4Error(Mp4Error):
    """The samples are encrypted (sample entry encv)."""


class SampleDescriptionError(Mp4Error):
    """The track has no sample description, or its descriptions differ in codec or picture size."""


class ContainerError(Mp4Error):
    """The file is of another container format, or its samples are not stored as contiguous bytes."""


class EditListError(Mp4Error):
    """The edit list does something other than delay or trim the media."""


# --- sidecars --------------------------------------------------------------------------------------------------------------------


class SidecarError(EpiseekError, ValueError):
    """A sidecar table (a file of `meta/byte_index/`) does not follow the format."""


class MissingSidecarError(SidecarError, FileNotFoundError):
    """A sidecar table (a file of `meta/byte_index/`) is missing."""


class FormatVersionError(SidecarError):
    """The sidecars have no format version, or a version that this release does not know."""


class MixedBuildError(SidecarError):
    """The sidecar tables come from different builds."""


class SidecarLayoutError(SidecarError):
    """A sidecar table has other columns or types than the format, or is damaged."""


class StaleSidecarsError(SidecarError):
    """The dataset differs from its sidecars, for example in its episodes, because it was edited after it was indexed."""


class SpanTooLargeError(EpiseekError, OverflowError):
    """The bytes or ticks of an episode do not fit the 32-bit columns of the sidecars."""


class StaleSidecarsWarning(UserWarning):
    """The dataset differs from its sidecars, for example in its episodes. The reader uses the episodes of the sidecars."""


class SidecarLayoutWarning(UserWarning):
    """A sidecar table was rewritten by another tool, so it is read into memory instead of being mapped."""


# --- episodes, frames, decoding --------------------------------------------------------------------------------------------------


class EpisodeNotFoundError(EpiseekError, IndexError):
    """The dataset has no such episode."""


class CameraNotFoundError(EpiseekError, LookupError):
    """The dataset has no such camera."""


class FrameRangeError(EpiseekError, IndexError):
    """A window `[start, stop)` of frames is empty or reaches past the end of the episode."""


class EpisodeOutsideFileError(EpiseekError, ValueError):
    """The declared start or end of an episode lies outside its video file."""


class FileNotIndexedError(EpiseekError, IndexError):
    """The `files` table has no row for a file."""


class EpisodeFramesError(EpiseekError, ValueError):
    """The frames of an episode cannot be determined: two frames have the same time, or declared seconds and lengths disagree."""


class BackendUnavailableError(EpiseekError, ImportError):
    """A decoder, or a package that is needed, is not installed or cannot do what was requested."""


class DecodeError(EpiseekError, RuntimeError):
    """A decoder failed, or did not return the requested frames."""


class TimestampToleranceError(EpiseekError, ValueError):
    """The time of a row and the time of its picture differ by more than a training job allows."""


class SamplerStateError(EpiseekError, ValueError):
    """A sampler's state cannot be loaded, because it belongs to a sampler with another sequence of frames."""
