"""Every error this package raises on purpose.

One base, `EpiseekError`, and leaves that are builtins too, so that `except FileNotFoundError` works as a caller
expects. A message says where, what was found and what was expected. All of them survive pickling: workers of a process
pool raise them as they are.
"""

import re
from typing import Any, Literal

Extra = Literal["prepare", "hub", "http", "s3", "gcs", "azure", "torch"]
"""What `pip install 'episeek[...]'` installs besides the runtime."""


class EpiseekError(Exception):
    """Something named is wrong: `where` it is, what was `found`, what was `expected`.

    Args:
        where: The file, table, episode or argument concerned.
        found: What is there.
        expected: What should be there.
        hint: What the reader can do about it, as an imperative sentence without a full stop; empty where nothing is known.
    """

    def __init__(self, where: str, found: str, expected: str, hint: str = "") -> None:
        where, found, expected, hint = map(without_password, (where, found, expected, hint))
        Exception.__init__(self, where, found, expected, hint)  # OSError's takes them for errno, strerror and filename
        self.where = where
        self.found = found
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.where}: found {self.found}; expected {self.expected}{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.hint)


def install_hint(extra: Extra) -> str:
    """Return the command that installs what is missing, as the `hint` of an error."""
    return f"pip install 'episeek[{extra}]'"


def without_password(text: str) -> str:
    """A text with URLs in it, for people: `https://user:password@host/` without the two."""
    return _USER_INFO.sub("://***@", text)


_USER_INFO = re.compile(r"://[^/@\s:]*:[^/@\s]*@")


def first_line(error: BaseException) -> str:
    """What an error says, on one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def described(error: BaseException) -> str:
    """The same of a store's error, with its class; queries of URLs are left out: they may hold signatures."""
    return f"{type(error).__name__}: {_QUERY.sub('?...', first_line(error))}"


_QUERY = re.compile(r"\?[^\s'\"]+=[^\s'\"]*")


# --- bytes and files -------------------------------------------------------------------------------------------------------------


class MissingFileError(EpiseekError, FileNotFoundError):
    """A file that the dataset or a sidecar names does not exist."""


class ReadError(EpiseekError, OSError):
    """A store could not deliver the bytes asked for."""


class ShortReadError(ReadError):
    """Fewer bytes came back than the file should have."""


class ChangedFileError(ReadError):
    """A file is not the one that was indexed: another size, store identity or header."""


class RangeNotHonouredError(ReadError):
    """A server or a proxy answered a range request with something else than that range."""


class CorruptBytesError(ReadError):
    """Two reads of the same bytes differ."""


class AccessError(ReadError, PermissionError):
    """A store refuses access: credentials that are missing, wrong or expired."""


class WaitLimitError(ReadError, TimeoutError):
    """Something did not happen within the time it is given."""


class WriteError(EpiseekError, OSError):
    """A destination could not be written: no space, no permission, a broken store."""


class DestinationError(EpiseekError, FileExistsError):
    """A destination holds something already, or is not a place for a dataset."""


# --- datasets --------------------------------------------------------------------------------------------------------------------


class DatasetError(EpiseekError, ValueError):
    """A directory is not a dataset this project reads."""


class NotADatasetError(DatasetError):
    """There is no usable `meta/info.json`."""


class UnsupportedVersionError(DatasetError):
    """The dataset's `codebase_version` is not 3.x."""


class MetadataError(DatasetError):
    """`meta/episodes` contradicts itself or lacks what is needed."""


class ParquetError(DatasetError):
    """A Parquet file has no footer, or cannot be read."""


class RowOrderError(DatasetError):
    """The rows of a data file are not whole episodes in contiguous runs."""


# --- MP4 -------------------------------------------------------------------------------------------------------------------------


class Mp4Error(EpiseekError, ValueError):
    """A video file that cannot be indexed; each leaf says why."""


class TruncatedMp4Error(Mp4Error):
    """A box reaches past the end of the file, or there is no moov box."""


class MalformedBoxError(Mp4Error):
    """A box whose size or contents cannot be right."""


class SampleTableError(Mp4Error):
    """The sample tables disagree with each other or with the file, or say what cannot be read here."""


class NoVideoTrackError(Mp4Error):
    """The file has no video track."""


class FragmentedMp4Error(Mp4Error):
    """Movie fragments without the moov that describes them, or a moov without the fragments it announces."""


class EncryptedMp4Error(Mp4Error):
    """The samples are encrypted (sample entry encv)."""


class SampleDescriptionError(Mp4Error):
    """The track has no sample description, or several that differ in codec or picture size."""


class ContainerError(Mp4Error):
    """The file is of another container, or its samples do not lie in it as they are."""


class EditListError(Mp4Error):
    """The edit list does more than delay or trim one run of the media."""


# --- sidecars --------------------------------------------------------------------------------------------------------------------


class SidecarError(EpiseekError, ValueError):
    """A sidecar table is not what the format says."""


class MissingSidecarError(SidecarError, FileNotFoundError):
    """A sidecar table is not there."""


class FormatVersionError(SidecarError):
    """The sidecars have a format version this release does not know, or none."""


class MixedBuildError(SidecarError):
    """The sidecar tables come from different builds."""


class SidecarLayoutError(SidecarError):
    """A sidecar table has other columns or types, or values that cannot be found in the file."""


class SpanTooLargeError(EpiseekError, OverflowError):
    """An episode's bytes or ticks do not fit the sidecars' 32-bit columns."""


class SidecarLayoutWarning(UserWarning):
    """A sidecar table was rewritten by another tool: it is read into memory instead of being mapped."""


# --- episodes, frames, decoding --------------------------------------------------------------------------------------------------


class EpisodeNotFoundError(EpiseekError, IndexError):
    """The dataset has no such episode."""


class CameraNotFoundError(EpiseekError, LookupError):
    """The dataset has no such camera."""


class FrameRangeError(EpiseekError, IndexError):
    """A window `[start, stop)` that is empty or reaches past the episode's frames."""


class EpisodeOutsideFileError(EpiseekError, ValueError):
    """An episode's declared seconds lie outside its MP4."""


class FileNotIndexedError(EpiseekError, IndexError):
    """The `files` table has no such row."""


class EpisodeFramesError(EpiseekError, ValueError):
    """An episode's frames cannot be told: two have one presentation time, or its seconds and the lengths contradict each other."""


class BackendUnavailableError(EpiseekError, ImportError):
    """A decoder, or a package that a command needs, is not installed."""


class DecodeError(EpiseekError, RuntimeError):
    """A decoder failed, or returned other frames than were asked for."""
