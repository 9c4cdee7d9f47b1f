"""Decide whether a finished destination already contains the result that a run would write."""

from dataclasses import dataclass
from typing import Any

from episeek.errors import DestinationError, EpiseekError
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.folder_digests import source_digests, written_digests
from episeek_pipelines.dataset.provenance import local_identity, read_record, source_commit
from episeek_pipelines.dataset.recorded_options import differing_options
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.source_changes import changed_source_files
from episeek_pipelines.dataset.staging import settle_destination
from episeek_pipelines.index.staleness import check_index
from episeek_pipelines.jobs.run_record import read_digests
from episeek_pipelines.words import counted
from episeek_schemas import layout


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A destination that an earlier run has finished."""

    destination: Root
    differences: tuple[str, ...]
    """The differences from the result that a run would write now, as noun phrases; empty if there are none."""

    @property
    def is_current(self) -> bool:
        """Whether a run would write the same result again."""
        return not self.differences

    def require_current(self) -> None:
        """Raise an error if a run would write another result.

        Raises:
            DestinationError: A run would write another result; the error lists the differences.
        """
        if self.differences:
            found = f"a dataset prepared before, with {'; '.join(self.differences)}"
            expected = "a dataset prepared from the same source with the same options, or a new or empty directory"
            is_local = self.destination.is_local
            hint = (
                "run the command with --force (force=True) to replace it, or choose another DST"
                if is_local
                else "remove it, or choose another prefix"
            )
            raise DestinationError(str(self.destination), found, expected, hint)


def is_current(source: Root, destination: Root, options: dict[str, Any]) -> bool:
    """Return whether an earlier run has written the result of this run; False if no run has finished the destination.

    If an earlier run was killed while it moved its result to the destination, this move is finished or undone first. The arguments
    are those of `finished_run`.

    Raises:
        DestinationError: An earlier run has written another result to the destination.
    """
    settle_destination(destination)
    finished = finished_run(source, destination, options)
    if finished is not None:
        finished.require_current()
    return finished is not None


def finished_run(source: Root, destination: Root, options: dict[str, Any]) -> FinishedRun | None:
    """Return a finished destination, with its differences from the result that a run would write now.

    Return None if no run has finished the destination.

    The listings of source and destination are compared with the recorded listings: paths, sizes, and times or store identities.
    If the listing of a local source differs, files are read, since a copied or touched file still has the same contents.

    Args:
        source: The root of the source.
        destination: The destination.
        options: The command, its source and all options that decide the result.
    """
    try:
        record = read_record(destination)
    except EpiseekError:
        return None
    if record is None:
        return None
    if (differing := differing_options(record.preparation, options)) is not None:
        before, now = differing
        return FinishedRun(destination, (f"{before} (now {now})",))
    read_from, written = read_digests(destination)
    written_now = written_digests(destination)
    changed = [f"{folder}/" for folder in written_now if written.get(folder) != written_now[folder]]
    differences = [f"files below {', '.join(changed)} that differ from the record of the run"] if changed else []
    # a commit never changes
    is_same_commit = source.is_pinned and record.commit is not None and source_commit(source) == record.commit
    sources_now = {} if is_same_commit else source_digests(source)
    folders = [folder for folder in sources_now if read_from.get(folder) != sources_now[folder]]
    differences += _source_differences(source, destination, folders, videos=str(options.get("videos", "none")))
    return FinishedRun(destination, tuple(differences))


def _source_differences(source: Root, destination: Root, folders: list[str], *, videos: str) -> list[str]:
    """Compare the changed folders of a source with the records of the destination, and return noun phrases for changed files.

    Args:
        source: The source.
        destination: The destination, which records the files that were read.
        folders: The folders of the source with a changed listing. The name "" means the files outside of data/, meta/ and videos/.
        videos: The option `videos` of the run.
    """
    # files outside of data/, meta/ and videos/ are copied only if the videos are
    others = (
        ["changed files outside of data/, meta/ and videos/ in the source"]
        if "" in folders and videos != "none"
        else []
    )
    named = [folder for folder in folders if folder]
    if not (source.is_local and destination.is_local):
        return [f"changed files in {source.join(folder)}/" for folder in named] + others
    changed = {path for path in changed_source_files(destination, source) if path.partition("/")[0] in named}
    if layout.DATA_DIR in named:
        changed |= _changed_data(source, destination)
    if layout.VIDEOS_DIR in named and videos == "pack":
        others.insert(0, f"changed files in {source.join(layout.VIDEOS_DIR)}/")
    elif layout.VIDEOS_DIR in named and destination.exists(layout.FILES_PATH):
        changed |= {stale.path for stale in check_index(str(destination), data_root=str(source)).stale}
    if not changed:
        return others
    files = sorted(changed)
    more = f" and {counted(len(files) - 1, 'other file')}" if len(files) > 1 else ""
    return [f"changed contents of {source.join(files[0])}{more}", *others]


def _changed_data(source: Root, destination: Root) -> set[str]:
    record = read_record(destination)
    files = {} if record is None else record.files
    paths = [path for path in files if path.startswith(f"{layout.DATA_DIR}/") and source.exists(path)]
    digests = LocalDigests().of_all([source.join(path) for path in paths])
    return {
        path
        for path, found in zip(paths, digests, strict=True)
        if files[path].is_content(local_identity(found).store_id) is False
    }
