"""Find which page belongs to which column chunk: list all ways in which consecutive pages can form a row group.

Column chunks follow one another in the order of the leaf columns. A chunk is an optional dictionary page, then data pages. All
chunks of a row group have the same number of rows. Headers do not say where a chunk ends, so every end that fits is tried.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from episeek.errors import ParquetError
from episeek_pipelines.parquet.recovery.pages.headers import ChunkCopy, Page, Part
from episeek_pipelines.parquet.recovery.pages.leaves import Leaf
from episeek_pipelines.parquet.recovery.pages.rows import PageRows, dictionary_fits, header_fits, rows_of_page
from episeek_pipelines.parquet.recovery.pages.source import Bytes

MAX_GROUP_ROWS: Final = 1 << 26
"""Greatest number of rows of a row group; Arrow's writer has the same limit."""

_STEPS_PER_PART: Final = 64
_SPARE_STEPS: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Chunk:
    """The pages of one column chunk. A copy of the chunk's metadata, which may follow the pages, is not included."""

    leaf: Leaf
    parts: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class GroupLayout:
    """One way to read the parts `[start, stop)` of a file (pages and copies of column metadata) as a row group."""

    start: int
    stop: int
    row_count: int
    chunks: tuple[Chunk, ...]


class Layouts:
    """Finds all ways in which consecutive parts of one file can form a row group. A part is a page or a copy of column metadata.

    Args:
        source: The file.
        parts: The parts of the file.
        leaves: The leaf columns.
        codec: The codec of the pages.
        where: The name of the file in errors.
    """

    def __init__(self, source: Bytes, parts: Sequence[Part], leaves: Sequence[Leaf], codec: int, where: str) -> None:
        self._source = source
        self._parts = parts
        self._leaves = leaves
        self._codec = codec
        self._where = where
        self._has_copies = any(isinstance(part, ChunkCopy) for part in parts)
        self._rows: dict[tuple[int, int, int, int | None, int, bool], PageRows | None] = {}
        self._steps_left = _STEPS_PER_PART * len(parts) + _SPARE_STEPS

    def start_of_rows(self, start: int) -> int:
        """Return the number of the first part from `start` on that belongs to a row group with rows.

        A row group without rows has empty dictionaries for some columns, and no data page.
        """
        while start < len(self._parts):
            part = self._parts[start]
            if part.value_count if isinstance(part, ChunkCopy) else not self.is_empty_dictionary(start):
                break
            if self._is_data(start + 1):
                break
            start += 1
        return start

    def is_empty_dictionary(self, at: int) -> bool:
        """Return whether a part is an empty dictionary page.

        Such pages exist in columns without values and in row groups without rows.
        """
        part = self._parts[at]
        return isinstance(part, Page) and part.kind == "dictionary" and not part.value_count

    def complete(self, start: int, limit: int) -> list[GroupLayout]:
        """Return up to `limit` ways to read the parts from `start` on as one row group that has rows.

        Raises:
            ParquetError: The parts fit together in too many ways.
        """
        found: list[GroupLayout] = []
        for stop, rows in self._ends(0, start, None):
            for stops in self._following(stop, rows):
                bounds = [start, stop, *stops]
                chunks = tuple(
                    Chunk(leaf, tuple(part for part in self._parts[first:last] if isinstance(part, Page)))
                    for leaf, first, last in zip(self._leaves, bounds, bounds[1:], strict=False)
                )
                found.append(GroupLayout(start, bounds[-1], rows, chunks))
                if len(found) == limit:
                    return found
        return found

    def may_begin(self, start: int) -> bool:
        """Return whether a row group may begin at `start`, judged by the headers of the first pages there.

        Also return True at the end of the parts.
        """
        at, has_dictionary = self._after_dictionary(0, start)
        if at == len(self._parts) or self.is_empty_dictionary(start):
            return True
        part = self._parts[at]
        if not isinstance(part, Page) or part.kind == "dictionary":
            return False
        return header_fits(part, self._leaves[0], has_dictionary=has_dictionary)

    def may_be_cut(self, start: int) -> bool:
        """Return whether all parts from `start` on may be the beginning of one row group whose end is lost.

        Raises:
            ParquetError: As for `complete`.
        """
        return self._cut_leaf(start) is not None

    def _cut_leaf(self, start: int) -> int | None:
        """Return the number of a leaf column in which a row group that begins at the part `start` may be cut off.

        Return None if there is no such column.
        """
        end = len(self._parts)
        if self._reaches_end(0, start, None):
            return 0
        for stop, rows in self._ends(0, start, None):
            dead: set[tuple[int, int]] = set()
            waiting = [(1, stop)]
            while waiting:
                leaf, at = waiting.pop()
                if leaf == len(self._leaves) or (leaf, at) in dead:
                    continue
                dead.add((leaf, at))
                if at == end or self._reaches_end(leaf, at, rows):
                    return leaf
                waiting += [(leaf + 1, stop) for stop, _ in self._ends(leaf, at, rows)]
        return None

    def _following(self, start: int, rows: int) -> Iterator[list[int]]:
        """Yield the ends of the chunks of all columns after the first, once for each way in which the parts can form these chunks.

        The chunk of the second column begins at part `start`. Every chunk has `rows` rows.
        """
        before: list[dict[int, list[int]]] = []
        reached = [start]
        for leaf in range(1, len(self._leaves)):
            ends: dict[int, list[int]] = {}
            for at in reached:
                for stop, _ in self._ends(leaf, at, rows):
                    ends.setdefault(stop, []).append(at)
            before.append(ends)
            reached = list(ends)
        # every path backwards is a reading, with its last end first
        ways = [[stop] for stop in reached] if before else []
        if not before:
            yield []
        while ways:
            way = ways.pop()
            if len(way) == len(before):
                yield way[::-1]
            else:
                ways += [[*way, stop] for stop in before[len(before) - len(way)][way[-1]]]

    def _ends(self, leaf: int, start: int, wanted: int | None) -> Iterator[tuple[int, int]]:
        """Yield each possible end of the chunk of a leaf column that begins at `start`, and the chunk's number of rows.

        If `wanted` is given, yield only chunks with this number of rows.
        """
        at, has_dictionary = self._after_dictionary(leaf, start)
        rows = 0
        while self._is_data(at):
            found = self._page_rows(leaf, at, has_dictionary=has_dictionary)
            if found is None or not (rows or found.begins_row):
                return
            rows += found.row_count
            at += 1
            if rows > (MAX_GROUP_ROWS if wanted is None else wanted):
                return
            if wanted not in (None, rows) or self._is_empty_page(leaf, at, has_dictionary=has_dictionary):
                continue
            if not self._has_copies:
                yield at, rows
            elif at == len(self._parts):
                # the rows are complete if only the last copy of column metadata is cut off
                if wanted is not None and leaf == len(self._leaves) - 1:
                    yield at, rows
            elif isinstance(copy := self._parts[at], ChunkCopy):
                if self._is_copy_of(copy, leaf, start, at):
                    yield at + 1, rows
                return

    def _reaches_end(self, leaf: int, start: int, wanted: int | None) -> bool:
        """Return whether all parts from `start` on may belong to one chunk of a leaf column with up to `wanted` rows."""
        at, has_dictionary = self._after_dictionary(leaf, start)
        rows = 0
        while self._is_data(at):
            found = self._page_rows(leaf, at, has_dictionary=has_dictionary)
            if found is None or not (rows or found.begins_row):
                return False
            rows += found.row_count
            if wanted is not None and rows > wanted:
                return False
            at += 1
        return at == len(self._parts)

    def _after_dictionary(self, leaf: int, start: int) -> tuple[int, bool]:
        part = self._parts[start] if start < len(self._parts) else None
        if isinstance(part, Page) and part.kind == "dictionary" and dictionary_fits(part, self._leaves[leaf]):
            return start + 1, True
        return start, False

    def _is_data(self, at: int) -> bool:
        if at >= len(self._parts):
            return False
        part = self._parts[at]
        return isinstance(part, Page) and part.kind != "dictionary"

    def _is_empty_page(self, leaf: int, at: int, *, has_dictionary: bool) -> bool:
        """Return whether the part `at` is a data page of the column `leaf` without values.

        Such a page belongs to the same column chunk as the part before it.
        """
        part = self._parts[at] if at < len(self._parts) else None
        if not isinstance(part, Page) or part.kind == "dictionary" or part.value_count:
            return False
        return self._page_rows(leaf, at, has_dictionary=has_dictionary) is not None

    def _page_rows(self, leaf: int, at: int, *, has_dictionary: bool) -> PageRows | None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise ParquetError(
                self._where,
                f"{len(self._parts)} pages that can be put together in too many ways",
                "pages that each fit only one column",
            )
        column, page = self._leaves[leaf], self._parts[at]
        assert isinstance(page, Page)
        # columns of the same kind read a page in the same way
        kind = (column.physical_type, column.max_definition_level, column.max_repetition_level, column.value_bytes)
        key = (kind[0], kind[1], kind[2], kind[3], at, has_dictionary)
        if key not in self._rows:
            self._rows[key] = rows_of_page(self._source, page, column, self._codec, has_dictionary=has_dictionary)
        return self._rows[key]

    def _is_copy_of(self, copy: ChunkCopy, leaf: int, start: int, stop: int) -> bool:
        column = self._leaves[leaf]
        pages = [part for part in self._parts[start:stop] if isinstance(part, Page)]
        values = sum(page.value_count for page in pages if page.kind != "dictionary")
        return (
            copy.path == column.path
            and copy.physical_type == column.physical_type
            and copy.codec == self._codec
            and copy.value_count == values
            and copy.compressed_bytes == pages[-1].stop - pages[0].start
        )
