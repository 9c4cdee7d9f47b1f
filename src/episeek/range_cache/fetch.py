"""Fetch wanted ranges of files (pieces) in units, which are fetched and stored whole since more of their bytes are needed soon.

If a directory of ranges is given, units are read from it. A unit that is missing there is fetched and stored by one process, while
the others wait. Without a directory, every unit is fetched.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from episeek.errors import EpiseekError
from episeek.range_cache.directory import Claim, RangeDirectory, RangeKey
from episeek.range_cache.locks import pauses
from episeek.stores.byte_source import ByteRange, ByteSource
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.requests.range_plan import (
    DEFAULT_GAP_BYTES,
    MAX_REQUEST_BYTES,
    PlannedRequest,
    WantedRange,
    plan_requests,
)

MAX_CLAIMS: Final = 64
"""Greatest number of units that a process claims at the same time. Each claim holds an open file."""

MAX_KEPT_REQUEST_BYTES: Final = 1 << 23
"""Greatest length, in bytes, of a request for several units that are stored.

Its bytes stay in memory only until they are stored.
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A wanted range of a file, and the units that contain its bytes."""

    path: str
    start: int
    stop: int
    units: tuple[ByteRange, ...]
    """Ranges of the file that together contain all bytes of the piece."""
    name: str
    """The purpose of the bytes, for messages."""


@dataclass(frozen=True, slots=True)
class KeptRanges:
    """The directory in which ranges of some files are stored, and how long to wait for ranges that other processes fetch."""

    directory: RangeDirectory
    content: str
    """A text that identifies the version of all files, as in `RangeKey`."""
    wait_seconds: float

    def key(self, unit: WantedRange) -> RangeKey:
        """Return the key under which the directory stores a unit."""
        return RangeKey(self.content, unit.path, unit.start, unit.stop)


def fetch_pieces(
    source: ByteSource,
    pieces: Sequence[Piece],
    *,
    kept: KeptRanges | None = None,
    max_in_flight: int = 16,
    max_gap_bytes: int = DEFAULT_GAP_BYTES,
) -> list[memoryview]:
    """Return the bytes of each piece, in order. Units of a file that are close together share a request.

    Args:
        source: The source of the files.
        pieces: The wanted pieces.
        kept: The directory in which units are stored; None to store none.
        max_in_flight: Largest number of requests at the same time.
        max_gap_bytes: Largest gap, in bytes, between units that share a request.

    Raises:
        EpiseekError: The source has failed. If several requests fail, the error of the first of them, in the order of files and
            positions, is raised. Its message also names the pieces.
    """
    wanted = _Wanted(pieces)
    requested = _Requests(source, wanted, max_in_flight, max_gap_bytes)
    if kept is None:
        requested.fetch(list(wanted.of_unit), {}, MAX_REQUEST_BYTES)
        return wanted.bodies
    missing = [unit for unit in wanted.of_unit if not wanted.read(kept, unit)]
    waits = pauses(kept.wait_seconds)
    while missing:
        claims: dict[WantedRange, Claim] = {}
        try:
            for unit in missing:
                claim = kept.directory.claim(kept.key(unit))
                if claim is not None:
                    claims[unit] = claim
                if len(claims) == MAX_CLAIMS:
                    break
            if not claims:
                pause = next(waits, None)
                if pause is None:
                    # the processes that claimed these units make no progress
                    claims = {unit: kept.directory.unclaimed(kept.key(unit)) for unit in missing}
                else:
                    time.sleep(pause)
            # other processes may have stored a unit in the meantime
            before = len(missing)
            missing = [unit for unit in missing if not wanted.read(kept, unit)]
            if claims or len(missing) < before:
                waits = pauses(kept.wait_seconds)
            mine = {unit: claims[unit] for unit in missing if unit in claims}
            requested.fetch(list(mine), mine, MAX_KEPT_REQUEST_BYTES)
        finally:
            for claim in claims.values():
                claim.release()
        missing = [unit for unit in missing if unit not in claims]
    return wanted.bodies


class _Wanted:
    """The wanted pieces of each unit, and their bytes as they arrive."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self.of_unit: dict[WantedRange, list[int]] = {}
        self.bodies: list[memoryview] = []
        for number, piece in enumerate(pieces):
            # a piece in several units is put together from their bytes
            is_whole = len(piece.units) == 1
            self.bodies.append(memoryview(b"" if is_whole else bytearray(piece.stop - piece.start)))
            for start, stop in piece.units:
                self.of_unit.setdefault(WantedRange(piece.path, start, stop), []).append(number)

    def names(self, units: Sequence[WantedRange]) -> str:
        numbers = sorted({number for unit in units for number in self.of_unit[unit]})
        names = list(dict.fromkeys(self._pieces[number].name for number in numbers))
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")

    def read(self, kept: KeptRanges, unit: WantedRange) -> bool:
        """Read from the directory the bytes that the pieces need from a unit. Return False if the unit is not stored there."""
        for number in self.of_unit[unit]:
            start, stop = self._overlap(number, unit)
            part = kept.directory.read(kept.key(unit), start, stop)
            if part is None:
                return False
            self._put(number, start, part)
        return True

    def take(self, unit: WantedRange, body: memoryview, *, copy: bool) -> None:
        """Store in `bodies` the bytes that each piece needs from a unit that was fetched.

        Args:
            unit: The unit.
            body: The bytes of the unit.
            copy: Whether to copy the bytes. If False, a piece that needs bytes of one unit only gets a view of `body`.
        """
        for number in self.of_unit[unit]:
            start, stop = self._overlap(number, unit)
            part = body[start - unit.start : stop - unit.start]
            self._put(number, start, memoryview(bytes(part)) if copy else part)

    def _overlap(self, number: int, unit: WantedRange) -> ByteRange:
        piece = self._pieces[number]
        return max(piece.start, unit.start), min(piece.stop, unit.stop)

    def _put(self, number: int, start: int, part: memoryview) -> None:
        piece = self._pieces[number]
        if len(piece.units) == 1:
            self.bodies[number] = part
        else:
            self.bodies[number][start - piece.start : start - piece.start + len(part)] = part


@dataclass(frozen=True, slots=True)
class _Requests:
    source: ByteSource
    wanted: _Wanted
    max_in_flight: int
    max_gap_bytes: int

    def fetch(self, units: Sequence[WantedRange], claims: dict[WantedRange, Claim], max_request_bytes: int) -> None:
        """Fetch units, store the claimed units, and put the bytes that the pieces need into `wanted.bodies`."""
        planned = plan_requests(units, max_gap_bytes=self.max_gap_bytes, max_request_bytes=max_request_bytes)
        map_in_threads(
            lambda request: self._fetch(request, [units[number] for number in request.members], claims),
            planned,
            max_in_flight=self.max_in_flight,
        )

    def _fetch(self, request: PlannedRequest, units: Sequence[WantedRange], claims: dict[WantedRange, Claim]) -> None:
        try:
            body = memoryview(self.source.get_ranges(request.path, [(request.start, request.stop)])[0])
        except EpiseekError as error:
            raise error.within(self.wanted.names(units)) from error
        for unit in units:
            part = body[unit.start - request.start : unit.stop - request.start]
            # a view would keep all bytes of a unit in memory
            self.wanted.take(unit, part, copy=unit in claims)
            if unit in claims:
                claims[unit].keep(part)
