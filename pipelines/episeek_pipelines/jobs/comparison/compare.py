"""Run the comparison of two datasets as a job.

It runs up to four graphs. They compare the bytes of files, read the rows and headers of files whose bytes differ, search data files
that the metadata does not point to, and count the differences of episodes that differ. A graph without work is skipped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from episeek_pipelines.comparison.conclusion import Counted, conclude, needs_samples
from episeek_pipelines.comparison.contents import Contents, SideContents
from episeek_pipelines.comparison.identities import FilePair, can_be_read
from episeek_pipelines.comparison.levels import DiffLevel, reads
from episeek_pipelines.comparison.results import ColumnChange, Comparison, Reading
from episeek_pipelines.comparison.rows.differences import PairedRows
from episeek_pipelines.comparison.rows.episode_columns import EpisodePlace, Texts
from episeek_pipelines.comparison.rows.prints import DataFilePrint
from episeek_pipelines.comparison.same_files import Covered, find_candidates, find_covered, unknown_pairs
from episeek_pipelines.comparison.side import Files, Side, open_side
from episeek_pipelines.comparison.videos.differences import PairedSamples, SampleDifferences
from episeek_pipelines.comparison.videos.prints import VideoFilePrint
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.comparison.work import (
    DataFile,
    RowsOf,
    SideName,
    VideoFile,
    compare_files,
    compare_paired_samples,
    count_row_changes,
    read_data_file,
    read_video,
)
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.nodes import Node, values_and_failures
from episeek_pipelines.jobs.progress import READING_HEADERS
from episeek_pipelines.jobs.results import WorkFailedError

COMPARING_FILES: Final = "comparing files"
READING_ROWS: Final = "reading rows"
COMPARING_ROWS: Final = "comparing rows"
COMPARING_SAMPLES: Final = "comparing samples"

MAX_QUICK_FILES: Final = 128
"""Greatest number of data files and videos, of both sides together, that one thread compares faster than Dask can be imported."""

MAX_QUICK_BYTES: Final = 1 << 25
"""Greatest total size, in bytes, of the data files and videos that one thread compares faster than Dask can be imported."""

_DAMAGED: Final = "if the file is damaged, `episeek verify` names its defect, and the command that helps"


def diff(
    a: str,
    b: str,
    *,
    level: DiffLevel = "videos",
    data_root: str | None = None,
    execution: Execution = DEFAULT_EXECUTION,
) -> Comparison:
    """Compare two datasets, and return what differs. `episeek_pipelines.comparison` describes what is compared; nothing is decoded.

    Args:
        a: The first dataset: a path or URL of version 3.0 or 2.x; a revision of a repository is `hf://datasets/ORG/NAME@REVISION`.
        b: The second dataset. The result describes it as a change of the first.
        level: How much is read: "meta", "layout", "rows", or "videos" for everything.
        data_root: The dataset with the videos of a side that is an overlay; None for the source that the overlay records.
        execution: Scheduler, workers, progress.

    Raises:
        NotADatasetError: A side is not a dataset.
        MissingFileError: A file is missing, or the root with the videos of an overlay is unknown.
        WorkFailedError: Files could not be read; the error lists all of them.
        EpiseekError: A side cannot be read for another reason.
    """
    needs_videos = reads(level, "layout")
    sides = [open_side(root, data_root=data_root, needs_videos=needs_videos) for root in (a, b)]
    work = _Work(sides[0], sides[1], level, execution)
    contents = work.read()
    matching = contents.matching()
    counted = work.count(contents, matching.pairs)
    return conclude(contents, matching, counted, work.reading)


@dataclass(slots=True)
class _Work:
    """One comparison in progress, and the numbers of files, samples and bytes that it has read."""

    a: Side
    b: Side
    level: DiffLevel
    execution: Execution
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        if self.execution == Execution(progress=self.execution.progress) and self._is_quick():
            self.execution = replace(self.execution, scheduler="sync")

    def read(self) -> Contents:
        """Read and return the contents of both sides, as far as they are needed to find the episodes that are the same."""
        covered = self._covered()
        wanted = [
            DataFile(name, path, _size(side.files, path, side.root))
            for name, side in self._sides()
            for path in sorted(
                {path for number, path in zip(side.row_of, side.data_paths, strict=True) if number not in covered.rows}
            )
        ]
        videos = list(self._videos(covered)) if reads(self.level, "layout") else []
        data = self._read_files(wanted if reads(self.level, "layout") else [], videos)
        contents = self._contents(covered, data)
        if not reads(self.level, "rows"):
            return contents
        if all(side.has_rows_where_declared(covered.rows) for side in (contents.a, contents.b)):
            return contents
        # rows may be in any file, and in several: only all files of both sides show which
        data += self._read_files([file for side in (contents.a, contents.b) for file in self._unread(side)], [])
        return self._contents(replace(covered, rows=frozenset()), data)

    def count(self, contents: Contents, pairs: Sequence[tuple[int, int]]) -> Counted:
        """Count the rows and the samples in which pairs of episodes differ."""
        rows = contents.paired_rows(pairs) if reads(self.level, "rows") else {}
        samples = {key: pair for key, pair in contents.paired_samples(pairs).items() if needs_samples(pair, self.level)}
        graph = Graph()
        row_groups = list(_by_files(rows).values())
        sample_groups = list(_by_files(samples).values())
        nodes = graph.map(
            count_row_changes,
            [tuple(rows[key] for key in keys) for keys in row_groups],
            *(self.a.root, self.b.root, contents.a.texts, contents.b.texts),
            label=lambda chosen: chosen[0].a.path,
            phase=COMPARING_ROWS,
        )
        sample_nodes = graph.map(
            compare_paired_samples,
            [tuple(samples[key] for key in keys) for keys in sample_groups],
            *(self.a.videos, self.b.videos, reads(self.level, "videos")),
            label=lambda chosen: chosen[0].a.path,
            phase=COMPARING_SAMPLES,
            in_flight=self._in_flight,
        )
        found = self._run(graph, [*nodes, *sample_nodes])
        counted_rows: dict[tuple[int, int], tuple[ColumnChange, ...]] = {}
        for row_keys, changes in zip(row_groups, found[: len(row_groups)], strict=True):
            counted_rows |= dict(zip(row_keys, changes, strict=True))
        counted_samples: dict[tuple[int, int, str], SampleDifferences] = {}
        for sample_keys, differences in zip(sample_groups, found[len(row_groups) :], strict=True):
            counted_samples |= dict(zip(sample_keys, differences, strict=True))
        self._add(
            samples=sum(each.compared for each in counted_samples.values()),
            byte_count=sum(each.byte_count for each in counted_samples.values()),
        )
        return Counted(counted_rows, counted_samples)

    def _covered(self) -> Covered:
        """Return the episodes that are the same because their files have the same bytes.

        Local files are read if the level allows it.
        """
        candidates = find_candidates(self.a, self.b)
        same_data = [pair for pair, is_same in candidates.data.items() if is_same]
        same_videos = [pair for pair, is_same in candidates.videos.items() if is_same]
        graph = Graph()
        wanted: list[tuple[str, FilePair]] = []
        if reads(self.level, "rows") and can_be_read(self.a.root, self.b.root):
            wanted += [("data", pair) for pair in unknown_pairs(candidates.data, self.a.files)]
        if reads(self.level, "videos") and can_be_read(self.a.videos, self.b.videos):
            wanted += [("videos", pair) for pair in unknown_pairs(candidates.videos, self.a.video_files)]
        remote = {
            root.join(path): identity
            for root, files in (
                (self.a.root, self.a.files),
                (self.a.videos, self.a.video_files),
                (self.b.root, self.b.files),
                (self.b.videos, self.b.video_files),
            )
            if not root.is_local
            for path, identity in files.items()
            if identity is not None
        }
        roots = {"data": (self.a.root, self.b.root), "videos": (self.a.videos, self.b.videos)}
        nodes = graph.map(
            compare_files,
            wanted,
            roots,
            remote,
            label=lambda item: item[1].a,
            phase=COMPARING_FILES,
            byte_count=lambda item: item[1].size,
        )
        for (kind, pair), is_same in zip(wanted, self._run(graph, nodes), strict=True):
            if is_same:
                (same_data if kind == "data" else same_videos).append((pair.a, pair.b))
                self._add(byte_count=2 * pair.size)
        self._add(same_files=len(same_data) + len(same_videos))
        return find_covered(self.a, self.b, same_data, same_videos)

    def _videos(self, covered: Covered) -> Iterable[VideoFile]:
        """Yield the videos of all cameras that both sides have, except for videos whose episodes are all in `covered`."""
        for name, side in self._sides():
            other = self.b if name == "a" else self.a
            for camera in side.video_paths:
                if camera not in other.video_paths:
                    continue
                known = covered.videos.get(camera, frozenset())
                for path, declared in sorted(side.declared_in(camera).items()):
                    if not known.issuperset(declared.episode_index.tolist()):
                        yield VideoFile(name, camera, path, declared, _size(side.video_files, path, side.videos))

    def _unread(self, contents: SideContents) -> Iterable[DataFile]:
        """Yield the data files of a side that were not read."""
        side = contents.side
        folder = next(iter(side.data_paths), "").partition("/")[0]
        for path in sorted(side.files):
            if path.startswith(f"{folder}/") and path.endswith(".parquet") and path not in contents.data:
                yield DataFile("a" if side is self.a else "b", path, _size(side.files, path, side.root))

    def _read_files(self, files: Sequence[DataFile], videos: Sequence[VideoFile]) -> list[tuple[Any, Any]]:
        """Return each file with its print (digests of its episodes)."""
        graph = Graph()
        how = {
            name: RowsOf(
                side.root,
                {number: EpisodePlace(number, int(side.places[row])) for number, row in side.row_of.items()},
                Texts(side.tasks, side.subtasks),
            )
            for name, side in self._sides()
        }
        rates = tuple(sorted({side.dataset.info.fps for _, side in self._sides()}))
        roots = {name: (side.videos, side.dataset.info.fps, rates) for name, side in self._sides()}
        nodes = graph.map(
            read_data_file,
            files,
            how,
            reads(self.level, "rows"),
            label=lambda file: file.path,
            phase=READING_ROWS,
            in_flight=1 if reads(self.level, "rows") else self._in_flight,
        )
        nodes += graph.map(
            read_video,
            videos,
            roots,
            label=lambda video: video.path,
            phase=READING_HEADERS,
            in_flight=self._in_flight,
        )
        prints = self._run(graph, nodes)
        self._add(
            data_files=len(files),
            headers=len(videos),
            byte_count=sum(each.size if isinstance(each, DataFilePrint) else each.byte_count for each in prints),
        )
        return list(zip([*files, *videos], prints, strict=True))

    def _contents(self, covered: Covered, read: Iterable[tuple[Any, Any]]) -> Contents:
        data: dict[str, dict[str, DataFilePrint]] = {"a": {}, "b": {}}
        videos: dict[str, dict[tuple[str, str], VideoFilePrint]] = {"a": {}, "b": {}}
        for item, found in read:
            if isinstance(item, VideoFile):
                videos[item.side][item.camera, item.path] = found
            else:
                data[item.side][item.path] = found
        sides = [SideContents(side, data[name], videos[name]) for name, side in self._sides()]
        return Contents(sides[0], sides[1], covered, self.level)

    def _sides(self) -> tuple[tuple[SideName, Side], tuple[SideName, Side]]:
        return ("a", self.a), ("b", self.b)

    @property
    def _in_flight(self) -> int:
        return max(self.a.videos.in_flight, self.b.videos.in_flight)

    def _run(self, graph: Graph, wanted: Sequence[Node]) -> list[Any]:
        """Run a graph and return the values of `wanted`; an empty list without starting a scheduler if the graph is empty."""
        if not wanted:
            return []
        values, failures = values_and_failures(self.execution.compute(graph, wanted))
        if failures:
            where = f"{self.a.root.url} and {self.b.root.url}"
            raise WorkFailedError.of(failures, item_count=graph.item_count, where=where, hint=_DAMAGED)
        return values

    def _add(self, **counts: int) -> None:
        self.reading = replace(
            self.reading, **{name: getattr(self.reading, name) + count for name, count in counts.items()}
        )

    def _is_quick(self) -> bool:
        """Return whether one thread compares two datasets in about a second: few small files, all on this machine."""
        if not all(root.is_local for side in (self.a, self.b) for root in (side.root, side.videos)):
            return False
        sizes = [
            identity.size
            for side in (self.a, self.b)
            for files in (side.files, side.video_files)
            for identity in files.values()
            if identity is not None
        ]
        return len(sizes) <= MAX_QUICK_FILES and sum(sizes) <= MAX_QUICK_BYTES


def _size(files: Files, path: str, root: Root) -> int | None:
    """Return the size of a file from the listing of a store, or None for a local file and for a file that is not in the listing."""
    identity = files.get(path)
    return None if identity is None or root.is_local else identity.size


def _by_files(pairs: Mapping[Any, PairedRows] | Mapping[Any, PairedSamples]) -> dict[tuple[str, str], list[Any]]:
    """Return the keys of the pairs, grouped by their two files."""
    found: dict[tuple[str, str], list[Any]] = {}
    for key, pair in pairs.items():
        found.setdefault((pair.a.path, pair.b.path), []).append(key)
    return found
