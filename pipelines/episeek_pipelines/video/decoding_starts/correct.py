"""Correct the sync samples and the decoder state of a sample table from the bytes of the samples.

A file's header flags the sync samples, and holds one decoder configuration for all samples. Both may be wrong. Some muxers flag
every sample, or pictures at which a decoder cannot start. Others leave parameter sets in one sample, as the encoder
wrote them, although all later samples need them. Therefore the first bytes of sync samples are read. A flagged sample at which
decoding cannot start loses its flag and stays in the table. A start that needs units from earlier samples gets a new sample entry,
which contains these units.

The first sample is always a start, since decoding of the whole file also begins there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from episeek.errors import SampleDescriptionError, SampleTableError
from episeek.mp4.moov.sample_boxes import Int64Array
from episeek.mp4.moov.sample_description import MAX_DESCRIPTIONS, with_start_entries
from episeek.mp4.moov.start_entries import entry_count
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource
from episeek_pipelines.video.bitstreams.entry_codec import codec_of_entry, is_intra_only
from episeek_pipelines.video.bitstreams.parameter_sets import ParameterSets
from episeek_pipelines.video.bitstreams.sample import Codec, SampleBytes, SampleContent
from episeek_pipelines.video.decoding_starts.choice import agree, are_independent, few
from episeek_pipelines.video.decoding_starts.in_force import (
    MissingState,
    StreamUnits,
    leave_traces,
    missing_states,
    stream_units,
)
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.decoding_starts.leading import leading_samples, without_skipped_pictures
from episeek_pipelines.video.decoding_starts.presentation import require_groups_in_turn, require_order
from episeek_pipelines.video.decoding_starts.reading import SampleReader
from episeek_pipelines.video.decoding_starts.scan import scan
from episeek_pipelines.video.stream_copy import REENCODE

_GIF: Final = "gif "


@dataclass(frozen=True, slots=True)
class Correction:
    """A corrected sample table, and how many samples were read to correct it."""

    table: SampleTable
    is_flagged: npt.NDArray[np.bool_]
    """Whether the header flags each sample as a sync sample; shape [samples]."""
    inspected_count: int
    """Number of flagged samples whose bytes were read."""
    units: StreamUnits | None = None
    """The parameter sets, headers and tables in the file's samples; None if the header was trusted and no sample was read."""

    @property
    def flagged_count(self) -> int:
        """Number of sync samples that the header flags."""
        return int(np.count_nonzero(self.is_flagged))


def corrected(source: ByteSource, path: str, table: SampleTable, *, keyframes: KeyframeChoice = "auto") -> Correction:
    """Return the sample table with its sync samples corrected, and with the decoder state that is needed to start at each of them.

    Args:
        source: The source that holds the file.
        path: Path relative to the source's root.
        table: The sample table from the file's header.
        keyframes: "all" reads the first bytes of every sync sample, and of all other samples if these may hold parameter sets.
            "auto" does the same for a local file. For a file in a store, it reads a few sync samples, and reads the others only if
            the few allow no conclusion about them. It reads none if the codec's header is trusted (`Codec.is_header_trusted`).

    Raises:
        ReadError: The file cannot be read.
        SampleDescriptionError: The samples are GIF pictures.
        SampleTableError: The times contradict the pictures, H.264 samples are shown before an IDR picture at the start, a sample
            holds no picture, or it is uncertain how a sample is decoded.
        Mp4Error: The stsd box is damaged.
    """
    if table.codec == _GIF and len(table) > 1:
        # FFmpeg's GIF decoder also shows frames that the edit list hides, so a clip could not hide the frames before its start
        raise SampleDescriptionError(path, "GIF pictures", "a codec whose decoders obey edit lists", REENCODE)
    is_flagged = table.is_sync
    flagged = np.flatnonzero(is_flagged)
    codecs = _codecs(table, path)
    if codecs is None:
        return Correction(_without_empty_flags(table, path), is_flagged, 0, StreamUnits())
    look = _Looks(source, path, codecs, table)
    every = keyframes == "all" or look.reader.is_local or look.reader.is_kept
    if not every and len(flagged) < len(table) and all(codec.is_header_trusted for codec in codecs.values()):
        return Correction(table, is_flagged, 0)
    require_order(look.reader, codecs[look.entry_of[0]], table, where=path)
    # the scan comes first, since it also keeps the first bytes of sync samples of a file in a store
    others = look.carriers(path) if every and look.has_parameter_sets else None
    contents = look.at(flagged if every else few(flagged, path))
    missing = look.missing(contents)
    if not every and not agree(contents, codecs, is_lacking=bool(missing)):
        contents = look.at(flagged, known=contents)
        missing = look.missing(contents)
        if look.has_parameter_sets and not are_independent(contents, look.starts(contents), codecs):
            others = look.carriers(path)
    inspected_count = len(contents)
    if missing and others is None:
        others = look.carriers(path)
    if others is not None:
        contents = look.at(others, known=contents)
        missing = look.missing(contents)
    starts = look.starts(contents)
    table = _with_starts(table, contents, missing, path)
    if table.start_description_index is None and (missing or leave_traces(contents, starts, codecs)):
        # a second entry, which no sample uses, makes readers open a new decoder for each clip of the file
        table = replace(table, sample_description=with_start_entries(table.sample_description, [(1, b"")], where=path))
    require_groups_in_turn(table, where=path)
    first = codecs[look.entry_of[0]]
    leading = leading_samples(table, first)
    if len(leading):
        contents = look.at([0, *leading.tolist()], known=contents)
        table = without_skipped_pictures(table, first, leading, contents, where=path)
    return Correction(table, is_flagged, inspected_count, stream_units(contents, starts, codecs))


class _Looks:
    """Reads the content of a file's samples on request."""

    def __init__(self, source: ByteSource, path: str, codecs: Mapping[int, Codec], table: SampleTable) -> None:
        self._codecs = codecs
        self._index = table.description_index
        self._table = table
        self.entry_of = _entry_changes(self._index)
        self.has_parameter_sets = all(isinstance(codec, ParameterSets) for codec in codecs.values())
        """Whether samples other than sync samples may carry parameter sets, headers or tables."""
        self.reader = SampleReader(source, path, table, keeps_small_files=self.has_parameter_sets)

    def at(
        self, positions: Sequence[int] | Int64Array, *, known: Mapping[int, SampleContent] | None = None
    ) -> dict[int, SampleContent]:
        """Return the content of samples, by position. Content that is `known` is included and not read again."""
        contents = dict(known or {})
        new = [position for position in map(int, positions) if position not in contents]

        def look(position: int, sample: SampleBytes) -> SampleContent:
            return self._codecs[1 if self._index is None else int(self._index[position])].inspect(sample)

        contents.update(zip(new, self.reader.map(look, new), strict=True))
        return contents

    def missing(self, contents: Mapping[int, SampleContent]) -> dict[int, MissingState]:
        """Return, by position, the decoder state that is missing at the samples in `contents` at which decoding can start."""
        return missing_states(contents, self.starts(contents), self._codecs, self.entry_of)

    def starts(self, contents: Mapping[int, SampleContent]) -> list[int]:
        """Return the positions of the sync samples in `contents` at which decoding can start."""
        flagged = self._table.is_sync
        return [position for position, content in contents.items() if content.is_start and flagged[position]]

    def carriers(self, where: str) -> Sequence[int] | Int64Array:
        """Return the positions of all samples that may carry parameter sets, headers or tables.

        Raises:
            SampleTableError: A sample holds no picture.
        """
        rules = {
            (codec.nal_kinds, codec.length_bytes): codec
            for codec in self._codecs.values()
            if isinstance(codec, ParameterSets)
        }
        if len(rules) != 1 or not all(codec.length_bytes for codec in rules.values()):
            return range(len(self._table))
        (codec,) = rules.values()
        found = scan(self.reader, codec, self._table)
        if len(found.without_picture):
            position = int(found.without_picture[0])
            content = "parameter sets and no picture" if position in found.carriers else "no picture"
            raise SampleTableError(where, f"sample {position} holds {content}", "a picture in every sample", REENCODE)
        return found.carriers


def _codecs(table: SampleTable, where: str) -> dict[int, Codec] | None:
    """Return the `Codec` of each used sample entry, by the entry's index.

    The result is None if an entry has a codec whose samples this package does not inspect.
    """
    codecs = {}
    for index in _used_entries(table):
        codec = codec_of_entry(table.sample_description, index, table.codec, where=where)
        if codec is None:
            return None
        codecs[index] = codec
    return codecs


def _used_entries(table: SampleTable) -> list[int]:
    """Return the indices, from 1, of the sample entries that samples use."""
    return [1] if table.description_index is None else [int(index) for index in np.unique(table.description_index)]


def _without_empty_flags(table: SampleTable, where: str) -> SampleTable:
    """Return a sample table without sync flags that carry no information, for a codec whose samples are not inspected.

    If every sample has a flag, as in a file without stss, the writer did not know the keyframes. Only the flag of the first sample
    is then kept, unless the codec codes every picture by itself. If only some samples have a flag, all flags are kept.
    """
    if not table.is_sync.all() or all(
        is_intra_only(table.sample_description, index, table.codec, where=where) for index in _used_entries(table)
    ):
        return table
    return replace(table, is_sync=np.arange(len(table)) == 0)


def _entry_changes(description_index: Int64Array | None) -> dict[int, int]:
    """Return the positions at which the sample entry changes, with the index of the new entry. Position 0 is always included."""
    if description_index is None:
        return {0: 1}
    changes = np.concatenate([[0], np.flatnonzero(np.diff(description_index)) + 1])
    return {int(position): int(description_index[position]) for position in changes}


def _with_starts(
    table: SampleTable, contents: Mapping[int, SampleContent], missing: Mapping[int, MissingState], where: str
) -> SampleTable:
    """Return a copy of the table in which a sample is a sync sample only if decoding can start at it.

    A sync sample that needs decoder state from earlier samples gets a new sample entry, which contains this state.

    Raises:
        SampleTableError: A sample lacks tables without which decoders would decode it wrongly, and the tables cannot be put before
            it.
    """
    is_sync = table.is_sync.copy()
    own = np.ones(len(table), np.int64) if table.description_index is None else table.description_index
    start_index = np.zeros(len(table), np.int64)
    count = entry_count(table.sample_description, where=where)
    made: dict[tuple[int, bytes], int] = {}
    for position, content in contents.items():
        if position and not content.is_start:
            is_sync[position] = False
    # a clip has the added bytes before its fetched range, so the start has to be at the beginning of the range
    least_after = np.minimum.accumulate(np.append(table.offset, np.iinfo(np.int64).max)[::-1])[::-1]
    for position, lack in sorted(missing.items()):
        entry = int(own[position])
        can_be_put = lack.prefix is not None and table.offset[position] < least_after[position + 1]
        if can_be_put and ((entry, lack.prefix) in made or count + len(made) < MAX_DESCRIPTIONS):
            assert lack.prefix is not None
            start_index[position] = made.setdefault((entry, lack.prefix), count + len(made) + 1)
        else:
            if lack.damage:
                raise SampleTableError(
                    where, f"sample {position} {lack.damage}", "Huffman tables in every sample, or the standard ones"
                )
            is_sync[position] = False
    if not made and is_sync.sum() == table.is_sync.sum():
        return table
    # samples that are not starts belong to the run of the start before them
    start_index = np.where(is_sync & (start_index == 0), own, start_index)
    start_index = start_index[np.maximum.accumulate(np.where(is_sync, np.arange(len(table)), 0))]
    description = with_start_entries(table.sample_description, list(made), where=where)
    return replace(
        table,
        is_sync=is_sync,
        sample_description=description,
        start_description_index=start_index if made else None,
    )
