"""Keep the rows of the most recently used episodes in memory, as columns of tensors."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from episeek.errors import EpiseekError
from episeek.rows.dataset_rows import DatasetRows
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.processes.workers import map_in_threads
from episeek.torch.columns import column_values

Columns = dict[str, Any]
"""The columns of an episode by name, each with one value per row. Pictures stay encoded."""

_OVERHEAD_BYTES = 4096
"""Bytes that the tensors of an episode take in addition to their values."""


class EpisodeRows:
    """Fetches the rows of several episodes at the same time, and keeps the rows of the most recently used episodes in memory.

    Args:
        rows: The rows of the dataset.
        max_bytes: Largest number of bytes that are kept. One call of `load` may return more bytes than this limit.
        max_in_flight: Largest number of episodes that are fetched at the same time.
    """

    def __init__(self, rows: DatasetRows, *, max_bytes: int, max_in_flight: int) -> None:
        self._rows = rows
        self._max_bytes = max_bytes
        self._max_in_flight = max_in_flight
        self._kept: PerProcess[_Kept] = PerProcess(_Kept)

    def load(self, episodes: Iterable[int]) -> dict[int, Columns]:
        """Return the columns of each episode, by its episode_index. Episodes that are not kept in memory are fetched.

        Raises:
            EpiseekError: The rows of an episode could not be read. The message names the episode.
        """
        kept = self._kept.get()
        wanted = list(dict.fromkeys(episodes))
        found = {episode: columns for episode in wanted if (columns := kept.get(episode)) is not None}
        missing = [episode for episode in wanted if episode not in found]
        for episode, table in zip(
            missing, map_in_threads(self._read, missing, max_in_flight=self._max_in_flight), strict=True
        ):
            found[episode] = {name: column_values(table[name]) for name in table.column_names}
            kept.put(episode, found[episode], table.nbytes + _OVERHEAD_BYTES, self._max_bytes)
        return found

    def _read(self, episode: int) -> pa.Table:
        try:
            return self._rows.read(episode)
        except EpiseekError as error:
            raise error.within(f"rows of episode {episode}") from error


class _Kept:
    """A thread-safe cache of the columns of episodes, in the order in which they were last used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._columns: OrderedDict[int, tuple[Columns, int]] = OrderedDict()
        self._byte_count = 0

    def get(self, episode: int) -> Columns | None:
        with self._lock:
            found = self._columns.get(episode)
            if found is None:
                return None
            self._columns.move_to_end(episode)
            return found[0]

    def put(self, episode: int, columns: Columns, byte_count: int, max_bytes: int) -> None:
        with self._lock:
            if episode not in self._columns:
                self._byte_count += byte_count
                self._columns[episode] = columns, byte_count
            while self._byte_count > max_bytes and self._columns:
                _, (_, dropped) = self._columns.popitem(last=False)
                self._byte_count -= dropped
