"""Choose a Parquet encoding for each leaf column: write a few episodes with each candidate encoding, and compare the sizes.

LeRobot writes a dictionary for every column. In a row group of one episode, most dictionaries cost more than they save: if values
do not repeat, the file contains every value and its number in the dictionary. Measuring a few episodes takes milliseconds, and
takes the values into account, unlike a rule based on types. The encodings are chosen once for the dataset and not for each file,
because a file may contain only one episode.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

Encoding = Literal["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "DICTIONARY"]

COMPRESSION: Final = "zstd"

PAGE_BYTES: Final = 1 << 20
"""Target size of a data page in bytes. pyarrow checks the size of a page only after each batch of values, see `writer_options`."""

MIN_SAVING: Final = 0.02
"""Fraction of the bytes that a candidate must save to be chosen over the best candidate before it.

The threshold exists because a dictionary costs readers one more page and one more decoding step.
"""

_SPECIALISED: Final[dict[str, Encoding]] = {
    "INT32": "DELTA_BINARY_PACKED",
    "INT64": "DELTA_BINARY_PACKED",
    "FLOAT": "BYTE_STREAM_SPLIT",
    "DOUBLE": "BYTE_STREAM_SPLIT",
}

Leaf = tuple[str, str]
"""Path of a leaf column in the Parquet schema, and its physical type."""


@dataclass(frozen=True, slots=True)
class ColumnEncodings:
    """The encoding of each leaf column. A leaf column that is not listed with its physical type gets PLAIN."""

    chosen: tuple[tuple[Leaf, Encoding], ...] = ()

    def of(self, leaf: Leaf) -> Encoding:
        """Return the encoding of one leaf column."""
        return next((encoding for known, encoding in self.chosen if known == leaf), "PLAIN")


def choose_encodings(samples: Iterable[Sequence[pa.Table]]) -> ColumnEncodings:
    """Return, for each leaf column, the encoding that needs the fewest bytes for the sampled episodes.

    An encoding other than PLAIN is chosen only if it saves more than `MIN_SAVING`.

    Args:
        samples: For each sampled file, a sequence with one table of rows for each sampled episode.
    """
    sizes: dict[Leaf, dict[Encoding, int]] = {}
    for tables in samples:
        if not tables:
            continue
        schema = tables[0].schema
        candidates = {leaf: _candidates(leaf) for leaf in leaves(schema)}
        for turn in range(max(map(len, candidates.values()), default=0)):
            trial = ColumnEncodings(
                tuple((leaf, choice[turn]) for leaf, choice in candidates.items() if turn < len(choice))
            )
            for leaf, size in _column_bytes(tables, trial).items():
                if turn < len(candidates[leaf]):
                    by_encoding = sizes.setdefault(leaf, {})
                    encoding = candidates[leaf][turn]
                    by_encoding[encoding] = by_encoding.get(encoding, 0) + size
    best = ((leaf, _smallest(by_encoding)) for leaf, by_encoding in sorted(sizes.items()))
    return ColumnEncodings(tuple((leaf, encoding) for leaf, encoding in best if encoding != "PLAIN"))


def writer_options(schema: pa.Schema, encodings: ColumnEncodings, *, row_bytes: float) -> dict[str, Any]:
    """Return keyword arguments of `pyarrow.parquet.ParquetWriter` for a rewritten data file.

    Args:
        schema: Schema of the rows.
        encodings: Encodings of the leaf columns.
        row_bytes: Estimated size of a row in memory, in bytes. The batch size follows from it. pyarrow ends a page only after a
            batch of values (1024 by default), so large images would make pages of 100 MB, and readers load whole pages.
    """
    choice = {leaf: encodings.of(leaf) for leaf in leaves(schema)}
    for field in schema:
        # only a dictionary page preserves the order of the categories, and the categories without rows
        if pa.types.is_dictionary(field.type):
            choice |= {leaf: "DICTIONARY" for leaf in choice if leaf[0] == field.name}
    return {
        "compression": COMPRESSION,
        "use_dictionary": [path for (path, _), encoding in choice.items() if encoding == "DICTIONARY"],
        "column_encoding": {path: encoding for (path, _), encoding in choice.items() if encoding != "DICTIONARY"},
        "write_statistics": True,
        "write_page_index": True,
        "data_page_size": PAGE_BYTES,
        "write_batch_size": max(1, min(1024, int(PAGE_BYTES / max(row_bytes, 1.0)))),
        # the items of lists keep their names from the source; otherwise pyarrow would rename them to "element"
        "use_compliant_nested_type": False,
    }


def footer_bytes_per_episode(tables: Sequence[pa.Table], encodings: ColumnEncodings) -> int:
    """Return the number of bytes that each episode adds to the footer of a rewritten file, measured with some episodes."""
    growth = _footer(tables, encodings).serialized_size - _footer([tables[0].slice(0, 0)], encodings).serialized_size
    return max(1, int(growth) // len(tables))


def leaves(schema: pa.Schema) -> list[Leaf]:
    """Return the leaf columns that a Parquet file with this Arrow schema has."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema, use_compliant_nested_type=False, store_schema=False).close()
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as file:
        columns = (file.schema.column(number) for number in range(len(file.schema)))
        return [(column.path, column.physical_type) for column in columns]


def _candidates(leaf: Leaf) -> tuple[Encoding, ...]:
    _, physical_type = leaf
    if physical_type == "BOOLEAN":
        return ("PLAIN",)
    specialised = _SPECIALISED.get(physical_type)
    return ("PLAIN", "DICTIONARY") if specialised is None else ("PLAIN", specialised, "DICTIONARY")


def _smallest(by_encoding: dict[Encoding, int]) -> Encoding:
    best: Encoding = "PLAIN"
    # The order is that of _candidates, so a dictionary is chosen only if it is smaller than the encodings that cost readers less.
    for encoding, size in by_encoding.items():
        if size < by_encoding[best] * (1 - MIN_SAVING):
            best = encoding
    return best


def _column_bytes(tables: Sequence[pa.Table], encodings: ColumnEncodings) -> dict[Leaf, int]:
    metadata = _footer(tables, encodings)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return {
        leaf: sum(group.column(number).total_compressed_size for group in groups)
        for number, leaf in enumerate(leaves(tables[0].schema))
    }


def _footer(tables: Sequence[pa.Table], encodings: ColumnEncodings) -> pq.FileMetaData:
    schema = tables[0].schema
    row_bytes = sum(table.nbytes for table in tables) / max(1, sum(table.num_rows for table in tables))
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, **writer_options(schema, encodings, row_bytes=row_bytes)) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as file:
        return file.metadata
