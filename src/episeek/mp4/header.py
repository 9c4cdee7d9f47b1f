"""Read the headers of MP4 files: the moov box, the position of mdat and every moof box.

The boxes are found by following their sizes. No pictures are read. The first request is a small probe, and a moov box within the
probe needs no other request. Otherwise the rest of the moov box is read or, if mdat comes first, the bytes after mdat are probed.
Each fragment needs a probe, and probes grow if fragments lie close together. sidx and mfra boxes are not used to find fragments,
because they are optional and may be wrong.

A fragmented file may end anywhere after its moov box, for example if the recorder lost its power. `Mp4Header.missing` describes
what is missing. An mdat box may claim more bytes than the file has. The sample table shows whether the file has all samples.
"""

import hashlib
from dataclasses import dataclass

from episeek.errors import ContainerError, FragmentedMp4Error, MalformedBoxError, TruncatedMp4Error
from episeek.mp4.boxes import MAX_BOX_HEADER_BYTES, Box, parse_box
from episeek.mp4.container_signature import other_container
from episeek.mp4.fragments import Fragment, announces_fragments
from episeek.mp4.segment_index import SegmentIndex
from episeek.stores.byte_source import ByteSource

MAX_HEADER_BYTES = 1 << 28
"""Greatest size of all moov, moof and sidx boxes, in bytes: about 20 million samples. A larger size means a damaged file."""

_LARGE_BOX_BYTES = 1 << 24
"""A box of more than this many bytes is read with a separate request, so that it is in memory only once."""

_MAX_PAGE_BYTES = 1 << 20
"""Greatest size of a probe for fragments, in bytes: a few seconds of video."""

MAX_PROBES = 64
"""Greatest number of probes before the moov box is found."""

MAX_TOP_LEVEL_BOXES = 1 << 22
"""Greatest number of boxes in a file: nineteen hours of fragments with one frame each, at 30 frames per second."""


@dataclass(frozen=True, slots=True)
class Mp4Header:
    """The moov and moof boxes of one file, and positions in the file. Sizes and positions are in bytes."""

    file_path: str
    file_size: int
    moov: bytes
    """The whole moov box, including its header."""
    moov_offset: int
    mdat_offset: int
    """Position of the first mdat box; the size of the file if there is none."""
    fragments: tuple[Fragment, ...] = ()
    """The moof boxes in file order; empty for a progressive file."""
    segment_indexes: tuple[SegmentIndex, ...] = ()
    """The sidx boxes of a fragmented file, in file order."""
    missing: str = ""
    """A noun phrase for what is missing from a fragmented recording that was cut short; empty for a complete file."""

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the moov box followed by the moof boxes."""
        digest = hashlib.sha256(self.moov)
        for fragment in self.fragments:
            digest.update(fragment.moof)
        return digest.hexdigest()

    @property
    def container(self) -> str:
        """One of `episeek_schemas.sidecars.CONTAINERS`: "fragmented" if samples are in movie fragments, else "mp4"."""
        return "fragmented" if self.fragments else "mp4"

    @property
    def is_faststart(self) -> bool:
        """Whether the moov box comes before the mdat box."""
        return self.moov_offset < self.mdat_offset

    def __repr__(self) -> str:
        return (
            f"Mp4Header({self.file_path!r}, file_size={self.file_size}, moov=[{len(self.moov)} bytes at {self.moov_offset}], "
            f"mdat_offset={self.mdat_offset})"
        )


def read_header(source: ByteSource, path: str, *, file_size: int | None = None) -> Mp4Header:
    """Find and read the moov box of a file, and its moof boxes if moov announces fragments.

    For a progressive file that begins with moov and mdat, in either order, at most the moov box and two probes (short ranges at the
    start of a box) are read. A fragmented file needs another probe for each fragment.

    Args:
        source: The source of the file.
        path: Path of the file, relative to the root of the source.
        file_size: Size in bytes, if the caller knows it already.

    Raises:
        MissingFileError: The file does not exist.
        TruncatedMp4Error: A box before moov reaches past the end of the file, or moov or mdat is missing.
        FragmentedMp4Error: The file starts with a movie fragment.
        MalformedBoxError: The size of a box is impossible.
        ContainerError: The file starts like a file of another format.
    """
    size = source.identity(path).size if file_size is None else file_size
    reader = _ProbingReader(source, path, size)
    moov: bytes | None = None
    moov_offset = 0
    mdat: Box | None = None
    is_fragmented = False
    fragments: list[Fragment] = []
    indexes: list[SegmentIndex] = []
    missing = ""
    header_bytes = box_count = position = 0
    while position < size and (moov is None or mdat is None or is_fragmented):
        if is_fragmented and size - position < 8 and not any(reader.read(position, size)):
            # the rest of the file is padding
            break
        if is_fragmented and size - position < 8:
            missing = f"the rest of the box at byte {position}, after its first {size - position} bytes"
            break
        box = reader.box_at(position, is_clipped=moov is not None)
        box_count += 1
        if box_count > MAX_TOP_LEVEL_BOXES:
            raise MalformedBoxError(path, f"more than {MAX_TOP_LEVEL_BOXES} boxes", "a file of fewer boxes")
        if box.missing_bytes and box.type != "mdat" and not is_fragmented:
            # without is_clipped, box_at refuses the box: a cut box is an error even if it is not needed
            reader.box_at(position)
        if box.missing_bytes and is_fragmented:
            missing = f"{box.missing_bytes} bytes of the {box.type!r} box at byte {box.start}"
            if box.type != "mdat":
                break
        is_index = box.type == "sidx" and is_fragmented
        if (box.type == "moov" and moov is None) or box.type == "moof" or is_index:
            header_bytes += box.size
            if header_bytes > MAX_HEADER_BYTES:
                found = f"{header_bytes} bytes of moov, moof and sidx boxes"
                raise MalformedBoxError(path, found, f"at most {MAX_HEADER_BYTES}")
            if box.size > _LARGE_BOX_BYTES:
                data = source.get_ranges(path, [(box.start, box.end)])[0]
            else:
                # read the header of the next box with the same request
                if mdat is None or is_fragmented:
                    stop = min(box.end + 2 * MAX_BOX_HEADER_BYTES, size)
                    reader.cover(box.start, stop, is_fragment=box.type == "moof")
                data = reader.read(box.start, box.end)
        if box.type == "moov" and moov is None:
            moov, moov_offset, reader.has_moov = data, box.start, True
            is_fragmented = reader.is_fragmented = announces_fragments(moov, where=path)
        elif box.type == "mdat" and mdat is None:
            mdat, reader.has_media = box, True
        elif box.type == "moof":
            if moov is None:
                found = "a movie fragment (moof) without a moov before it"
                expected = "a file that starts with its moov, not a media segment"
                raise FragmentedMp4Error(path, found, expected)
            if is_fragmented:
                fragments.append(Fragment(box.start, data))
        elif is_index:
            indexes.append(SegmentIndex(box.start, data))
        position = box.end
    if moov is None:
        expected = "a complete MP4: recording may have stopped before the file was closed"
        raise TruncatedMp4Error(path, f"no moov box in {size} bytes", expected)
    if mdat is None and not is_fragmented:
        raise TruncatedMp4Error(path, f"no mdat box in {size} bytes", "a complete MP4 with its media data")
    mdat_offset = mdat.start if mdat is not None else size
    return Mp4Header(path, size, moov, moov_offset, mdat_offset, tuple(fragments), tuple(indexes), missing)


class _ProbingReader:
    """A reader that has one window of the file in memory, and moves it when bytes outside the window are needed."""

    def __init__(self, source: ByteSource, path: str, size: int) -> None:
        self._source = source
        self._path = path
        self._size = size
        self._start = 0
        self._data = b""
        self._probe_count = 0
        self._page_bytes = source.probe_bytes
        self.has_moov = False
        self.has_media = False
        self.is_fragmented = False

    def box_at(self, position: int, *, is_clipped: bool = False) -> Box:
        need = min(position + MAX_BOX_HEADER_BYTES, self._size)
        if not self._covers(position, need):
            if not self.has_moov:
                self._probe_count += 1
            if self._probe_count > MAX_PROBES:
                raise MalformedBoxError(self._path, f"no moov box after {MAX_PROBES} probes", "few boxes before moov")
            count = self._next_page(position)
            if self.has_media and not self.has_moov and self._size - position <= self._source.tail_bytes:
                # nearly always, only the moov box follows the media data
                count = self._size - position
            self._fetch(position, min(position + count, self._size))
        if position == 0:
            name = other_container(self._data)
            if name is not None:
                raise ContainerError(self._path, f"a file that starts like {name}", "MP4, Matroska or WebM", "remux it")
        local = position - self._start
        limit = self._size - self._start
        return parse_box(self._data, local, limit, where=self._path, origin=self._start, is_clipped=is_clipped)

    def _next_page(self, position: int) -> int:
        """Return the number of bytes to read from `position` on.

        If a position lies close to the last read, reading more bytes costs less than another request, so the next read is twice as
        large.
        """
        if self.is_fragmented:
            is_close = position - (self._start + len(self._data)) <= self._page_bytes
            self._page_bytes = min(2 * self._page_bytes, _MAX_PAGE_BYTES) if is_close else self._source.probe_bytes
        return self._page_bytes

    def cover(self, start: int, stop: int, *, is_fragment: bool = False) -> None:
        """Extend the window to `stop`, and drop its bytes before `start`. Do nothing if the window already reaches `stop`.

        The position `start` has to lie in the window. For a fragment, at least as many bytes are read as the search for the next
        fragment would read, so that the window probably contains the beginning of that fragment, too.
        """
        window_stop = self._start + len(self._data)
        if stop > window_stop:
            if is_fragment:
                stop = min(max(stop, window_stop + self._next_page(start)), self._size)
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
