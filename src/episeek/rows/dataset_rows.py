"""Read the rows of an episode from the data files of a dataset, with one request if the episode has a row group of its own."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek.errors import EpisodeNotFoundError, FrameRangeError, MetadataError
from episeek.rows.metadata import EpisodePlaces, InfoDocument, read_info, read_places, read_stats, read_tasks
from episeek.rows.parquet_ranges import ParquetRanges
from episeek.stores.byte_source import ByteSource, WrappedSource
from episeek.stores.processes.per_process import PerProcess
from episeek_schemas import lerobot


class DatasetRows:
    """The rows and the metadata of one dataset. Footers, locations of episodes and tasks are read when they are needed, and kept.

    It is safe to use from several threads and can be pickled.

    Args:
        source: The source of the dataset's root.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._files: PerProcess[dict[str, ParquetRanges]] = PerProcess(dict)

    def __reduce__(self) -> tuple[Any, ...]:
        return DatasetRows, (self._source,)

    @property
    def root(self) -> str:
        """Directory or URL of the dataset."""
        return self._source.root

    def through(self, wrap: Callable[[ByteSource], ByteSource]) -> "DatasetRows":
        """Return the rows of the same dataset, read through the source that `wrap` makes from the current source."""
        return DatasetRows(wrap(self._source))

    @property
    def source(self) -> ByteSource:
        """The source that reads the dataset's root directly, even if the rows are read through a wrapper, such as a cache."""
        return self._source.source if isinstance(self._source, WrappedSource) else self._source

    @cached_property
    def info(self) -> InfoDocument:
        """The contents of `meta/info.json`."""
        return read_info(self._source)

    @cached_property
    def places(self) -> EpisodePlaces:
        """The location of each episode's rows in the data files."""
        return read_places(self._source, self.info.info)

    @cached_property
    def tasks(self) -> Mapping[int, str]:
        """The text of each task by its task_index."""
        return read_tasks(self._source)

    @cached_property
    def stats(self) -> Mapping[str, Mapping[str, npt.NDArray[Any]]]:
        """The statistics by feature and name; empty if the dataset has no statistics."""
        return read_stats(self._source)

    def read(
        self, episode_index: int, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return rows `[start, stop)` of an episode, in the order of its frames.

        Args:
            episode_index: The episode, from 0.
            start: First row, counted from the start of the episode.
            stop: End of the rows, exclusive; None for the end of the episode.
            columns: Names of columns; None for all.

        Raises:
            EpisodeNotFoundError: The dataset has no such episode.
            FrameRangeError: The rows are not within the episode.
            MetadataError: The data file does not contain the episode in the rows that `meta/episodes` gives.
            MissingFileError, ParquetError, ReadError: The data file is missing, is damaged, or cannot be read.
        """
        places = self.places
        if not 0 <= episode_index < len(places.length):
            raise EpisodeNotFoundError(
                self._source.root, f"no episode {episode_index}", f"an episode from 0 to {len(places.length) - 1}"
            )
        length = int(places.length[episode_index])
        end = length if stop is None else stop
        if not 0 <= start <= end <= length:
            raise FrameRangeError(f"episode {episode_index}", f"rows [{start}, {end})", f"rows within [0, {length})")
        file = self._file(int(places.chunk_index[episode_index]), int(places.file_index[episode_index]))
        first = int(places.first_row[episode_index])
        if first + length > file.row_count:
            found = f"{file.row_count} rows"
            raise MetadataError(
                file.where,
                found,
                f"episode {episode_index} in rows {first} to {first + length}",
                "run `episeek verify`",
            )
        wanted = None if columns is None else list(dict.fromkeys([*columns, lerobot.EPISODE_INDEX]))
        # a part of an episode takes the same ranges as the whole episode, since column chunks are fetched whole
        table = file.read(first + start, first + end, wanted)
        found_episodes = pc.unique(table[lerobot.EPISODE_INDEX]).to_pylist() if table.num_rows else [episode_index]
        if found_episodes != [episode_index]:
            raise MetadataError(
                file.where,
                f"rows of episodes {found_episodes[:3]} at row {first + start}",
                f"rows of episode {episode_index}, as meta/episodes says",
                "run `episeek verify`",
            )
        return table if columns is None else table.select(list(columns))

    def _file(self, chunk_index: int, file_index: int) -> ParquetRanges:
        path = self.info.info.data_file(chunk_index, file_index)
        files = self._files.get()
        file = files.get(path)
        if file is None:
            # two threads may both read the footer, which is harmless
            file = files.setdefault(path, ParquetRanges(self._source, path))
        return file

    @property
    def episode_lengths(self) -> npt.NDArray[np.int64]:
        """Number of frames of each episode, shape [episodes]."""
        return self.places.length
