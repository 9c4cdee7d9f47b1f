"""Examine the samples of a file at which decoding starts, to find out whether the file can follow any other file in one stream.

For each of these samples, the module finds whether decoding from it needs earlier pictures, and which units the sample carries.
Units are parameter sets, headers and tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.video.bitstreams.entry_codec import codec_of_entry, is_intra_only
from episeek_pipelines.video.bitstreams.sample import Codec, SampleBytes, SampleContent
from episeek_pipelines.video.decoding_starts.in_force import UnitKey
from episeek_pipelines.video.decoding_starts.reading import SampleReader


@dataclass(frozen=True, slots=True)
class Start:
    """A sample at which decoding of a file starts, when the file follows another file in one stream."""

    is_reset: bool
    """Whether decoding from the sample on depends only on the units in force, not on anything else that was decoded earlier."""
    brings: frozenset[UnitKey] = frozenset()
    """Kind and id of the units that the sample carries before its picture."""


def read_starts(source: ByteSource, path: str, table: SampleTable, positions: Sequence[int]) -> list[Start]:
    """Read the sample at each position. Return whether decoding from it needs earlier pictures, and which units it carries.

    Units are parameter sets, headers and tables.

    Args:
        source: The source that holds the file.
        path: Path relative to the source's root.
        table: The corrected sample table.
        positions: Positions of the starts in decode order.

    Raises:
        ReadError: The file cannot be read.
    """
    codecs: dict[int, Codec | None] = {}
    for position in positions:
        index = _entry(table, position)
        if index not in codecs:
            codecs[index] = codec_of_entry(table.sample_description, index, table.codec, where=path)

    def look(position: int, sample: SampleBytes) -> SampleContent | None:
        codec = codecs[_entry(table, position)]
        return None if codec is None else codec.inspect(sample)

    starts = []
    for position, content in zip(positions, SampleReader(source, path, table).map(look, positions), strict=True):
        index = _entry(table, position)
        codec = codecs[index]
        if codec is None or content is None:
            starts.append(Start(is_intra_only(table.sample_description, index, table.codec, where=path)))
            continue
        is_reset = content.is_start if codec.starts_reset else content.is_reset
        starts.append(Start(is_reset, frozenset((unit.kind, unit.number) for unit in content.before)))
    return starts


def _entry(table: SampleTable, position: int) -> int:
    return 1 if table.description_index is None else int(table.description_index[position])
