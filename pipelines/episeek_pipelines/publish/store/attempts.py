"""Plan a publication into a store, send its files and give them their final names; start again if others change the store.

The switch is the step that gives the staged files their final names (see `publish_to_store`).
"""

from dataclasses import dataclass
from typing import Final

from episeek.errors import ChangedFileError
from episeek_pipelines.dataset.provenance import read_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.overlay.changes import Addition, Changes, Listing, shown_paths
from episeek_pipelines.publish.overlay.last_published import last_files, remember_files
from episeek_pipelines.publish.store.options import StoreOptions, StorePublication
from episeek_pipelines.publish.store.origin import identities_of, paths_of_unknown_origin
from episeek_pipelines.publish.store.plan import StorePlan, plan_for_store
from episeek_pipelines.publish.store.publication_run import PublicationRun, differing_files
from episeek_pipelines.publish.store.switch_order import data_order, moves_rows
from episeek_schemas import layout

MAX_ATTEMPTS: Final = 6
"""Largest number of attempts of one run. A new attempt is made if somebody else has edited the card, or has changed a file that was
being read.
"""

_WATCHED: Final = (
    *(f"{folder}/" for folder in (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR)),
    layout.CARD_PATH,
)
"""Beginnings of the paths that are checked for changes of others during the publication."""

_NO_CHANGES: Final = Changes((), (), 0)
_AS_BEFORE: Final = "these files unchanged since the publication began"
_PREPARE_AGAIN: Final = "prepare the dataset again"


@dataclass(slots=True)
class StorePublisher:
    """One run that publishes an overlay (the output of `episeek prepare`) into a store, in one or more attempts."""

    overlay: Root
    run: PublicationRun
    options: StoreOptions
    work: Root
    """A local root for new sidecars (a byte index) that contain the identities of the videos in the store."""

    def publish(self, listing: Listing) -> tuple[StorePublication, StorePlan]:
        """Plan the changes, send the files, and give them their final names. Return the result and the plan of the last attempt.

        A new attempt is made if somebody else edits the card in the meantime, or changes a file while it is being read.

        Raises:
            ConflictError: Others have changed the same files.
        """
        run, videos = self.run, _NO_CHANGES
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                plan = self._plan(listing)
            except ChangedFileError:
                # Another publication has changed a file while it was being read.
                if attempt == MAX_ATTEMPTS:
                    raise
                listing = run.writer.files()
                continue
            run.writer.require_inside(plan.changes.paths)
            self._require_known_origin(plan)
            if self.options.dry_run:
                return self._result(plan, videos, listing, attempt), plan
            if _videos(plan.changes):
                videos = Changes(_videos(plan.changes), (), 0)
                listing = self._send_videos(plan, listing)
                plan = self._plan(listing)
                if unsent := _videos(plan.changes):
                    raise self._conflict([video.path for video in unsent], "the videos of this publication")
            if not plan.changes.operation_count:
                run.finish(listing)
                return self._result(plan, videos, listing, attempt), plan
            run.stage(plan.changes.additions, listing)
            run.claim(plan.changes, order=data_order(plan.changes, plan.listing.keys()))
            now = run.writer.files()
            changed = self._changed_by_others(plan, now)
            if changed == {layout.CARD_PATH}:
                listing = now
                continue
            if changed:
                raise self._conflict(changed, _AS_BEFORE, _PREPARE_AGAIN)
            run.switch(plan.changes, now)
            run.finish(now)
            return self._result(plan, videos, listing, attempt), plan
        raise self._conflict([layout.CARD_PATH], "a card that nobody else edits", "run this command again")

    def remember(self, plan: StorePlan) -> None:
        """Record the published files on this machine, so that the next publication from this machine may replace them."""
        remember_files(self.run.writer.root.url, identities_of(plan.wanted, self.run.writer.files()))

    def _require_known_origin(self, plan: StorePlan) -> None:
        """Raise ConflictError if the publication would replace a file that somebody else may have changed.

        Nothing is checked with the option `overwrite`. Nothing is checked either if this run continues an earlier run, because the
        files of that run are in the store already.
        """
        if self.options.overwrite or self.run.is_resumed:
            return
        record, url = read_record(self.overlay), self.run.writer.root.url
        paths = paths_of_unknown_origin(
            plan.listing,
            plan.changes,
            self.run.contents,
            source="" if record is None else str(record.preparation.get("source", "")),
            source_files={} if record is None else record.files,
            published=last_files(url),
        )
        if paths:
            found = f"{shown_paths(paths)}, neither the same as in the source of DST nor as last published from this machine"
            hint = "prepare the dataset again from this URL, or replace the files with --overwrite"
            raise ConflictError(url, found, "these files unchanged", hint=hint)

    def _plan(self, listing: Listing) -> StorePlan:
        options, contents = self.options, self.run.contents
        return plan_for_store(self.overlay, listing, contents, sidecars_only=options.sidecars_only, work=self.work)

    def _send_videos(self, plan: StorePlan, listing: Listing) -> Listing:
        """Send the videos, give them their final names, and return the new listing of the store.

        Videos are published before the byte index, because the index contains the identities that the store gives the videos.
        """
        run, videos = self.run, _videos(plan.changes)
        direct = [video for video in videos if run.writer.has_whole_puts and video.path not in listing]
        if direct:
            listing = run.put(direct)
        direct_paths = {video.path for video in direct}
        staged = tuple(video for video in videos if video.path not in direct_paths)
        if not staged:
            return listing
        changes = Changes(staged, (), 0)
        run.stage(staged, listing)
        run.claim(changes, order=data_order(plan.changes, plan.listing.keys()))
        now = run.writer.files()
        changed = self._changed_by_others(plan, now) - direct_paths
        if changed:
            raise self._conflict(changed, _AS_BEFORE, _PREPARE_AGAIN)
        run.switch(changes, now)
        return run.writer.files()

    def _changed_by_others(self, plan: StorePlan, now: Listing) -> set[str]:
        """Return the paths of the dataset's files that others have changed since the plan was made.

        Changes made by another run of the same publication are not counted.
        """
        changed = differing_files(plan.listing, now, _WATCHED)
        wanted = [(addition, addition.path) for addition in plan.wanted if addition.path in changed]
        same = self.run.contents.compare(now, wanted)
        deleted = {path for path in changed if path not in now and path in plan.changes.deletions}
        return changed - deleted - {path for path, is_same in same.items() if is_same}

    def _conflict(self, paths: set[str] | list[str], expected: str, hint: str = "") -> ConflictError:
        found = f"{shown_paths(paths)}, changed by somebody else in the meantime"
        return ConflictError(self.run.writer.root.url, found, expected, hint=hint)

    def _result(self, plan: StorePlan, videos: Changes, before: Listing, attempts: int) -> StorePublication:
        run, rest = self.run, plan.changes
        additions = tuple(sorted((*videos.additions, *rest.additions), key=lambda addition: addition.path))
        changes = Changes(additions, rest.deletions, rest.unchanged_count - len(videos.additions))
        return StorePublication(
            url=run.writer.root.url,
            is_new=changes.operation_count > 0,
            is_resumed=run.is_resumed,
            changes=changes,
            replaced=frozenset(addition.path for addition in additions if addition.path in before),
            sent_count=run.sent_count,
            sent_bytes=run.sent_bytes,
            staged_count=run.found_count,
            moves_rows=moves_rows(rest, before.keys()),
            target_check=plan.target_check,
            verification=None,
            arrival=None,
            attempts=attempts,
            seconds=0.0,
        )


def _videos(changes: Changes) -> tuple[Addition, ...]:
    folder = f"{layout.VIDEOS_DIR}/"
    return tuple(addition for addition in changes.additions if addition.path.startswith(folder))
