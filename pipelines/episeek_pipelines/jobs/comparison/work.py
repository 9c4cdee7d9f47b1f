"""The functions that the graphs of a comparison run in workers, and the values that describe their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from episeek.stores.identity import FileIdentity
from episeek_pipelines.comparison.identities import FilePair, same_by_reading
from episeek_pipelines.comparison.results import ColumnChange
from episeek_pipelines.comparison.rows.differences import PairedRows, count_rows
from episeek_pipelines.comparison.rows.episode_columns import EpisodePlace, Texts
from episeek_pipelines.comparison.rows.prints import DataFilePrint, print_footer, print_rows
from episeek_pipelines.comparison.videos.differences import PairedSamples, SampleDifferences, compare_samples
from episeek_pipelines.comparison.videos.prints import VideoFilePrint, print_video
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.video.episode_frames import DeclaredEpisodes

SideName = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file of one side that is to be read."""

    side: SideName
    path: str
    size: int | None


@dataclass(frozen=True, slots=True, eq=False)
class VideoFile:
    """A video of one side whose header is to be read."""

    side: SideName
    camera: str
    path: str
    declared: DeclaredEpisodes
    size: int | None


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The inputs for reading the rows of one side: its dataset, the locations of its episodes, and the texts of its tasks."""

    root: Root
    places: Mapping[int, EpisodePlace]
    texts: Texts


def compare_files(
    item: tuple[str, FilePair], roots: Mapping[str, tuple[Root, Root]], remote: dict[str, FileIdentity]
) -> bool:
    """Return whether two files have the same bytes. Only local files are read; files in a store are compared by their identity."""
    kind, pair = item
    return same_by_reading(pair, *roots[kind], remote)


def read_data_file(file: DataFile, how: Mapping[str, RowsOf], reads_rows: bool) -> DataFilePrint:
    """Return the print (digests of episodes) of a data file, from its rows or only from its footer."""
    side = how[file.side]
    if not reads_rows:
        return print_footer(side.root, file.path, file_size=file.size)
    return print_rows(side.root, file.path, side.places, side.texts, file_size=file.size)


def read_video(video: VideoFile, roots: Mapping[str, tuple[Root, float, tuple[float, ...]]]) -> VideoFilePrint:
    """Return the print (digests of episodes) of a video, from its header."""
    root, fps, rates = roots[video.side]
    return print_video(root, video.path, video.declared, fps=fps, rates=rates, file_size=video.size)


def count_row_changes(
    pairs: Sequence[PairedRows], root_a: Root, root_b: Root, texts_a: Texts, texts_b: Texts
) -> list[tuple[ColumnChange, ...]]:
    """Return the changed columns of each pair of episodes. All pairs are in the same two files."""
    return count_rows(pairs, root_a, root_b, texts_a, texts_b)


def compare_paired_samples(
    pairs: Sequence[PairedSamples], root_a: Root, root_b: Root, reads_bytes: bool
) -> list[SampleDifferences]:
    """Return the differences between the coded samples of each pair of episodes. All pairs are in the same two files."""
    return compare_samples(pairs, root_a, root_b, reads_bytes=reads_bytes)
