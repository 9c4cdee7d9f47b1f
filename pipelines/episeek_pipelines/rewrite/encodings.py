"""The choice of a Parquet encoding for each leaf column: some episodes are written with each candidate and the sizes compared.

LeRobot writes a dictionary for every column. In a row group of one episode most dictionaries do not pay: without repeated values,
a dictionary is the values plus their numbers. Measuring a few episodes takes milliseconds and is exact for the dataset; a rule by
type is not. It is done once for a dataset and not for every file, because a file may hold a single episode.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

Encoding = Literal["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "DICTIONARY"]

COMPRESSION: Final = "zstd"

PAGE_BYTES: Final = 1 << 20
"""Target size of a data page; pyarrow checks it only after each batch of values, see `writer_options`."""

MIN_SAVING: Final = 0.02
"""Share that a candidate must save to replace PLAIN: a dictionary costs readers one more page and one more decoding step."""

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
    """The encoding of each leaf column; leaves that are not listed, or have another physical type, are PLAIN."""

    chosen: tuple[tuple[Leaf, Encoding], ...] = ()

    def of(self, leaf: Leaf) -> Encoding:
        """Return the encoding of one leaf column."""
        return next((encoding for known, encoding in self.chosen if known == leaf), "PLAIN")


def choose_encodings(samples: Iterable[Sequence[pa.Table]]) -> ColumnEncodings:
    """Return the smallest encoding of each leaf column over some samples.

    Args:
        samples: For each sampled file, the rows of some of its episodes, one table each.
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
        row_bytes: Estimated bytes of a row in memory. pyarrow ends a page only after `write_batch_size` values, by default 1024:
            large images would make pages of 100 MB, which every reader must hold whole.
    """
    choice = {leaf: encodings.of(leaf) for leaf in leaves(schema)}
    for field in schema:
        # only a dictionary page keeps the order of the categories and those without rows
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
        # pyarrow would rename the items of lists to "element"; the names of the source stay
        "use_compliant_nested_type": False,
    }


def footer_bytes_per_episode(tables: Sequence[pa.Table], encodings: ColumnEncodings) -> int:
    """Return the bytes that one more row group adds to the footer of a rewritten file, measured on some episodes."""
    growth = _footer(tables, encodings).serialized_size - _footer([tables[0].slice(0, 0)], encodings).serialized_size
    return max(1, int(growth) // len(tables))


def leaves(schema: pa.Schema) -> list[Leaf]:
    """Return the leaf columns of a Parquet file with an Arrow schema."""
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
    # in the order of _candidates: a dictionary must beat the encoding that costs readers less
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
