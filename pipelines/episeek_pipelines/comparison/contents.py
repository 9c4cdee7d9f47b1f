"""The files of both datasets that were read for a comparison. They serve to match the episodes and to compare the pairs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from episeek_pipelines.comparison.episode_statistics import statistics_digests
from episeek_pipelines.comparison.levels import DiffLevel, reads
from episeek_pipelines.comparison.lookups import changed_lookups, episode_lookups
from episeek_pipelines.comparison.matching import Matching, match_episodes
from episeek_pipelines.comparison.results import ColumnChange, NotCompared, ValueChange
from episeek_pipelines.comparison.rows.differences import PairedRows
from episeek_pipelines.comparison.rows.episode_columns import PLACE_COLUMNS, EpisodePlace, Texts, tells_episodes_apart
from episeek_pipelines.comparison.rows.prints import AS_STORED, DataFilePrint, EpisodeRows
from episeek_pipelines.comparison.same_files import Covered
from episeek_pipelines.comparison.side import Side
from episeek_pipelines.comparison.videos.differences import PairedSamples
from episeek_pipelines.comparison.videos.prints import EpisodeSamples, VideoFilePrint
from episeek_pipelines.words import counted


@dataclass(frozen=True, eq=False)
class SideContents:
    """The data files and videos of one dataset that were read for a comparison."""

    side: Side
    data: Mapping[str, DataFilePrint] = field(default_factory=dict)
    """The data files that were read, by path."""
    videos: Mapping[tuple[str, str], VideoFilePrint] = field(default_factory=dict)
    """The videos whose headers were read, by camera and path."""

    @cached_property
    def rows(self) -> dict[int, EpisodeRows]:
        """The fingerprint of each episode's rows, by episode number.

        If several data files contain rows of an episode, the file that meta/episodes declares is used. If it is not among them, the
        first of them by path is used.
        """
        found: dict[int, EpisodeRows] = {}
        for path in sorted(self.data):
            for number, rows in self.data[path].episodes.items():
                if number not in found or path == self.side.data_paths[self.side.row_of[number]]:
                    found[number] = rows
        return found

    def has_rows_where_declared(self, covered: frozenset[int]) -> bool:
        """Return whether each episode has rows in the file that meta/episodes gives for it, and in no other file that was read.

        Args:
            covered: The episodes whose files were not read.
        """
        where = [(number, path) for path, each in self.data.items() for number in each.episodes]
        declared = dict(zip(self.side.row_of, self.side.data_paths, strict=True))
        lengths = dict(zip(self.side.row_of, self.side.dataset.episodes.length.tolist(), strict=True))
        return (
            all(declared[number] == path for number, path in where)
            and all(number in self.rows or number in covered or not length for number, length in lengths.items())
            and not any(each.others for each in self.data.values())
        )

    @cached_property
    def row_counts(self) -> dict[int, int]:
        """The number of rows of each episode in all files that were read, by episode number."""
        found: dict[int, int] = {}
        for each in self.data.values():
            for number, rows in each.episodes.items():
                found[number] = found.get(number, 0) + rows.row_count
        return found

    @cached_property
    def samples(self) -> dict[str, dict[int, EpisodeSamples]]:
        """The fingerprint of each episode's samples, by camera and episode number, for videos whose header was read."""
        found: dict[str, dict[int, EpisodeSamples]] = {camera: {} for camera in self.side.video_paths}
        for (camera, _), each in self.videos.items():
            found[camera].update(each.episodes)
        return found

    @cached_property
    def unplaced(self) -> dict[tuple[str, int], str]:
        """The reason why the frames of an episode in a video are uncertain, by camera and episode number."""
        return {
            (camera, number): f"{self.side.videos.join(path)}: {reason}"
            for (camera, path), each in self.videos.items()
            for number, reason in each.unplaced.items()
        }

    @property
    def texts(self) -> Texts:
        """The texts of tasks and subtasks."""
        return Texts(self.side.tasks, self.side.subtasks)

    def place(self, number: int) -> EpisodePlace:
        """Return the number of an episode and the number of its first row in the dataset."""
        return EpisodePlace(number, int(self.side.places[self.side.row_of[number]]))


@dataclass(frozen=True, eq=False)
class Contents:
    """The files of both datasets that were read, and the level of the comparison."""

    a: SideContents
    b: SideContents
    covered: Covered
    level: DiffLevel

    @cached_property
    def types(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """The types of each column in the data files of A and of B that were read."""
        found: tuple[dict[str, set[str]], dict[str, set[str]]] = ({}, {})
        for types, side in zip(found, (self.a, self.b), strict=True):
            for each in side.data.values():
                for name, dtype in each.types:
                    types.setdefault(name, set()).add(dtype)
        return found

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns to compare: those that both sides have with the same type."""
        ours, theirs = self.types
        return frozenset(name for name in ours.keys() & theirs.keys() if ours[name] == theirs[name])

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """The cameras that both sides have, in the order of A."""
        return tuple(camera for camera in self.a.side.video_paths if camera in self.b.side.video_paths)

    @cached_property
    def statistics(self) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """A digest of the statistics of each episode of A and of B, by number.

        Episodes are matched with these digests at levels that read no rows. At other levels both mappings are empty.
        """
        return ({}, {}) if reads(self.level, "rows") else statistics_digests(self.a.side, self.b.side)

    @property
    def is_by_number(self) -> bool:
        """Whether only lengths and tasks of episodes were read, so that episodes are matched by their numbers."""
        has_videos = reads(self.level, "layout") and bool(self.cameras)
        return not (reads(self.level, "rows") or has_videos or self.statistics[0])

    def column_changes(self) -> list[ValueChange]:
        """Return the columns of data files that only one side has, or whose types differ."""
        ours, theirs = self.types
        if not ours or not theirs:
            return []
        texts = [{name: " or ".join(sorted(types)) for name, types in side.items()} for side in (ours, theirs)]
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        forms: list[dict[str, set[str]]] = [{}, {}]
        for held, side in zip(forms, (self.a, self.b), strict=True):
            for each in side.data.values():
                for name, form in each.forms:
                    held.setdefault(name, set()).add(form)
        stored = sorted(name for name in forms[0].keys() & forms[1].keys() if forms[0][name] != forms[1][name])
        return [
            *(ValueChange(f"column {name}", texts[0].get(name), texts[1].get(name)) for name in names),
            *(
                ValueChange(f"column {name} as stored", *(" or ".join(sorted(side[name])) for side in forms))
                for name in stored
                if name not in names
            ),
        ]

    @cached_property
    def lookups(self) -> tuple[dict[int, dict[str, int | str]], ...]:
        """How LeRobot finds the rows of the episodes of A and of B, by number."""
        is_read = reads(self.level, "rows")
        return tuple(
            episode_lookups(
                each.side,
                each.rows,
                missing=each.side.row_of.keys() - each.rows.keys() - self.covered.rows if is_read else (),
                is_read=is_read,
            )
            for each in (self.a, self.b)
        )

    def changed_lookups(self, a: int, b: int) -> list[ValueChange]:
        """Return the differences in how LeRobot finds the rows of a pair of episodes."""
        return changed_lookups(self.lookups[0][a], self.lookups[1][b])

    def unlisted_changes(self) -> list[ValueChange]:
        """Return the episodes that have rows on one side although meta/episodes does not list them."""
        ours, theirs = (sorted({n for each in side.data.values() for n in each.others}) for side in (self.a, self.b))
        return (
            [] if ours == theirs else [ValueChange("episodes with rows that meta/episodes does not list", ours, theirs)]
        )

    def matching(self) -> Matching:
        """Match the episodes of A with those of B. Return the pairs, and the episodes without a partner."""
        statistics = self.statistics
        parts_a, parts_b = self._parts(self.a, statistics[0]), self._parts(self.b, statistics[1])
        types, _ = self.types
        telling = [f"column {name}" for name in self.columns if all(tells_episodes_apart(name, t) for t in types[name])]
        telling += [f"camera {camera}" for camera in self.cameras]
        telling.append("statistics")
        return match_episodes(parts_a, parts_b, telling=telling, is_by_number=self.is_by_number)

    def _parts(self, contents: SideContents, statistics: Mapping[int, bytes]) -> dict[int, dict[str, bytes]]:
        """Return the parts of each episode, such as its length, columns and cameras, by which the episodes of A and B are matched.

        The result maps each episode number to a mapping from the name of a part to its content, which is a digest or a short text.
        """
        side = contents.side
        lengths, tasks = side.dataset.episodes.length.tolist(), side.episode_tasks
        found: dict[int, dict[str, bytes]] = {}
        for number, row in side.row_of.items():
            parts = {"length": str(lengths[row]).encode()}
            if number in statistics:
                parts["statistics"] = statistics[number]
            if tasks is not None:
                parts["tasks"] = repr(tasks[row]).encode()
            if number in self.covered.rows:
                parts["rows"] = b"same as in episode %d" % number
            elif number in contents.rows:
                digests = contents.rows[number].by_column()
                parts |= {f"column {name}": digest for name, digest in digests.items() if name in self.columns}
            for camera in self.cameras:
                samples = contents.samples[camera].get(number)
                if number in self.covered.videos.get(camera, ()):
                    parts[f"camera {camera}"] = b"same as in episode %d" % number
                elif samples is not None:
                    parts[f"camera {camera}"] = samples.sizes + samples.order + repr(samples.entry.parts).encode()
            found[number] = parts
        return found

    def paired_rows(self, pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], PairedRows]:
        """Return the pairs of episodes whose rows differ, each with the columns that differ."""
        found: dict[tuple[int, int], PairedRows] = {}
        for a, b in pairs:
            rows_a, rows_b = self.a.rows.get(a), self.b.rows.get(b)
            if (a == b and a in self.covered.rows) or rows_a is None or rows_b is None:
                continue
            columns = tuple(_differing_columns(rows_a, rows_b, self.columns))
            if columns:
                found[a, b] = PairedRows(rows_a, rows_b, self.a.place(a), self.b.place(b), columns)
        return found

    def lacking_columns(self, a: int, b: int) -> list[ColumnChange]:
        """Return the columns that only one episode of a pair has in its rows, although both datasets have these columns."""
        rows_a, rows_b = self.a.rows.get(a), self.b.rows.get(b)
        if (a == b and a in self.covered.rows) or rows_a is None or rows_b is None:
            return []
        lacking = sorted(({*rows_a.names} ^ {*rows_b.names}) & self.columns)
        return [ColumnChange(name, only_in="A" if name in rows_a.names else "B") for name in lacking]

    def paired_samples(self, pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int, str], PairedSamples]:
        """Return the samples of each pair of episodes in each camera, except in videos that are known to be equal.

        A key of the result is the number of the episode in A, its number in B, and the camera.
        """
        found: dict[tuple[int, int, str], PairedSamples] = {}
        for a, b in pairs:
            for camera in self.cameras:
                if a == b and a in self.covered.videos.get(camera, ()):
                    continue
                samples_a, samples_b = self.a.samples[camera].get(a), self.b.samples[camera].get(b)
                if samples_a is not None and samples_b is not None:
                    found[a, b, camera] = PairedSamples(samples_a, samples_b)
        return found

    def undecided(self, pairs: Iterable[tuple[int, int]]) -> list[NotCompared]:
        """Return what cannot be compared because of a defect.

        These are the videos of paired episodes with uncertain frames, and rows of episodes that meta/episodes does not list.
        """
        found = []
        for contents, name, place in ((self.a, "A", 0), (self.b, "B", 1)):
            same = {paths[place] for paths in self.covered.data_files}
            for path, each in sorted(contents.data.items()):
                if each.others and path not in same:
                    subject = f"rows of {counted(len(each.others), 'unlisted episode')} in {path} of {name}"
                    found.append(NotCompared(subject, "meta/episodes does not list these episodes"))
        for a, b in pairs:
            for contents, number, name in ((self.a, a, "A"), (self.b, b, "B")):
                for camera in self.cameras:
                    if (a == b and a in self.covered.videos.get(camera, ())) or (
                        camera,
                        number,
                    ) not in contents.unplaced:
                        continue
                    subject = f"{camera} of episode {number} in {name}"
                    found.append(NotCompared(subject, contents.unplaced[camera, number]))
        return found


def _differing_columns(a: EpisodeRows, b: EpisodeRows, columns: frozenset[str]) -> Iterable[str]:
    ours, theirs = a.by_column(), b.by_column()
    for name in sorted(ours.keys() & theirs.keys() & columns):
        if ours[name] == theirs[name]:
            continue
        stored = f"{name}{AS_STORED}"
        # equal stored numbers count as equal, even if the declared lengths put them at different distances from the start
        if name not in PLACE_COLUMNS or ours.get(stored, b"a") != theirs.get(stored, b"b"):
            yield name
