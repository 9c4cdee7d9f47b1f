"""Reading the header of an MP4: the moov box and where mdat starts, by following box sizes.

Nothing of the pictures is read. The first request is one small probe; a moov that lies in it costs nothing more.
Otherwise the rest of the moov is read, or, when mdat comes first, the place behind it is probed.
"""

from dataclasses import dataclass

from episeek.errors import FragmentedMp4Error, MalformedBoxError, TruncatedMp4Error
from episeek.isobmff import MAX_BOX_HEADER_BYTES, Box, find_child, parse_box
from episeek.sources import ByteSource

MAX_MOOV_BYTES = 1 << 29
"""A moov of 40 million samples; more is a size that lies."""

MAX_PROBES = 64


@dataclass(frozen=True, slots=True)
class Mp4Header:
    """The moov box of one file, and where things lie in it (bytes)."""

    file_path: str
    file_size: int
    moov: bytes
    """The whole box, its header included."""
    moov_offset: int
    mdat_offset: int
    """First byte of the first mdat box."""

    @property
    def is_faststart(self) -> bool:
        """Whether moov comes before mdat."""
        return self.moov_offset < self.mdat_offset

    def __repr__(self) -> str:
        return (
            f"Mp4Header({self.file_path!r}, file_size={self.file_size}, moov=[{len(self.moov)} bytes at {self.moov_offset}], "
            f"mdat_offset={self.mdat_offset})"
        )


def read_header(source: ByteSource, path: str, *, file_size: int | None = None) -> Mp4Header:
    """Find and read the moov box of `path`.

    Reads at most the moov and two probes when the file is laid out as encoders do it (moov and mdat in either order).

    Args:
        source: Where the file is.
        path: Relative to the source's root.
        file_size: Bytes, where the caller knows it already.

    Raises:
        MissingFileError: There is no such file.
        TruncatedMp4Error: A box reaches past the end of the file, or moov or mdat is missing.
        FragmentedMp4Error: The file starts with a movie fragment.
        MalformedBoxError: A box size that cannot be right.
    """
    size = source.size(path) if file_size is None else file_size
    reader = _ProbingReader(source, path, size)
    moov: Box | None = None
    mdat: Box | None = None
    position = 0
    while position < size and (moov is None or mdat is None):
        box = reader.box_at(position)
        if box.type == "moov" and moov is None:
            if box.size > MAX_MOOV_BYTES:
                raise MalformedBoxError(path, f"a moov box of {box.size} bytes", f"at most {MAX_MOOV_BYTES}")
            moov = box
            if mdat is None:  # the header of what follows comes with the same request
                reader.cover(box.start, min(box.end + 2 * MAX_BOX_HEADER_BYTES, size))
        elif box.type == "mdat" and mdat is None:
            mdat = box
        elif box.type == "moof":
            if moov is None:
                raise FragmentedMp4Error(
                    path, "a movie fragment (moof) without a moov before it", "one moov that holds every sample"
                )
            break
        position = box.end
    if moov is None:
        raise TruncatedMp4Error(
            path, f"no moov box in {size} bytes", "a complete MP4: recording may have stopped before it was closed"
        )
    data = reader.read(moov.start, moov.end)
    if mdat is None and not _is_fragmented(data, path):
        raise TruncatedMp4Error(path, f"no mdat box in {size} bytes", "a complete MP4 with its media data")
    return Mp4Header(path, size, data, moov.start, mdat.start if mdat is not None else size)


def _is_fragmented(moov: bytes, path: str) -> bool:
    """An init segment: a moov that announces fragments, which are in other files."""
    root = parse_box(moov, 0, len(moov), where=path)
    return find_child(moov, root, "mvex", where=path) is not None


class _ProbingReader:
    """One window of the file, moved when something outside it is asked for."""

    def __init__(self, source: ByteSource, path: str, size: int) -> None:
        self._source = source
        self._path = path
        self._size = size
        self._start = 0
        self._data = b""
        self._probe_count = 0

    def box_at(self, position: int) -> Box:
        need = min(position + MAX_BOX_HEADER_BYTES, self._size)
        if not self._covers(position, need):
            self._probe_count += 1
            if self._probe_count > MAX_PROBES:
                raise MalformedBoxError(self._path, f"no moov box after {MAX_PROBES} probes", "few boxes before moov")
            self._fetch(position, min(position + self._source.probe_bytes, self._size))
        local = position - self._start
        return parse_box(self._data, local, self._size - self._start, where=self._path, origin=self._start)

    def cover(self, start: int, stop: int) -> None:
        """Extend the window, which holds the box header at `start`, to `stop`."""
        window_stop = self._start + len(self._data)
        if stop > window_stop:
            kept = self._data[start - self._start :]
            self._data = kept + self._source.get_ranges(self._path, [(window_stop, stop)])[0]
            self._start = start

    def read(self, start: int, stop: int) -> bytes:
        if not self._covers(start, stop):
            if self._covers(start, start + 1):
                self.cover(start, stop)
            else:
                self._fetch(start, stop)
        return self._data[start - self._start : stop - self._start]

    def _covers(self, start: int, stop: int) -> bool:
        return self._start <= start and stop <= self._start + len(self._data)

    def _fetch(self, start: int, stop: int) -> None:
        self._data = self._source.get_ranges(self._path, [(start, stop)])[0]
        self._start = start
