"""Publishing into a store that is no repository: S3 and other object stores, buckets of the Hub, directories.

A store has no commits. What one has instead:

- Content is sent to names that nobody reads (`meta/byte_index.partial/`), and compared there. Videos that are new go to their own
  names: nothing refers to them yet, and sidecars can only hold identities that the store has given.
- Then the switch: server-side copies (buckets: one request; directories: renames), in the order of
  `switch_order`, then deletions. A journal says so while it lasts, keeps other publications out, and
  lets the same one, run again, go on. S3, Google and directories create it exclusively; elsewhere it is written and read back,
  and two different publications that begin within the same moment may both go on.
- What a store cannot give: several objects that change at once. While the switch lasts (seconds), readers of episeek see the
  old index, the new one, or a named refusal (MixedBuildError, MissingSidecarError; ChangedFileError where a video is replaced),
  never wrong frames. Who copies or lists the dataset meanwhile may get some files of each. That is harmless where the rewrite
  kept the rows of each file, which is the rule; where it moved episodes to other files, rows may be seen twice, and, where some
  moved to earlier files and others to later ones, not at all (`switch_order`). A dataset that is
  published to a new prefix has no such moment: `meta/info.json` and the sidecars come last.
- A switch that was stopped stays as it is until it is run again: the journal, which others are refused by, says which it is.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from typing import Final

from episeek.errors import ChangedFileError, DestinationError
from episeek.stores.kinds import is_hub, is_local, kind_of
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.dataset.digests import (
    LocalDigests,
)
from episeek_pipelines.dataset.provenance import read_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import (
    Execution,
)
from episeek_pipelines.publish.errors import (
    ConflictError,
    RefusedPublicationError,
)
from episeek_pipelines.publish.overlay.arrival import ArrivalReport, check_arrival
from episeek_pipelines.publish.overlay.changes import (
    Addition,
    Changes,
    Listing,
    shown_paths,
)
from episeek_pipelines.publish.overlay.last_published import last_files, remember_files
from episeek_pipelines.publish.overlay.target_check import TargetCheck
from episeek_pipelines.publish.overlay.verification import is_verifiable, local_videos, require_videos, verified
from episeek_pipelines.publish.store.contents import (
    StoreContents,
)
from episeek_pipelines.publish.store.journal import JOURNAL_PATH, Publication, require_free
from episeek_pipelines.publish.store.origin import identities_of, paths_of_unknown_origin
from episeek_pipelines.publish.store.plan import StorePlan, plan_for_store, require_room, wanted_files
from episeek_pipelines.publish.store.publication_run import PublicationRun, differing
from episeek_pipelines.publish.store.switch_order import data_order, moves_rows
from episeek_pipelines.publish.store.writers.bucket import BucketWriter
from episeek_pipelines.publish.store.writers.directory import DirectoryWriter
from episeek_pipelines.publish.store.writers.writer import FsspecWriter, StoreWriter
from episeek_pipelines.verify import VerificationReport
from episeek_schemas import layout

MAX_ATTEMPTS: Final = 6
"""Each after somebody else has edited the card."""

_HERE: Final = Execution()
_WATCHED: Final = (
    *(f"{folder}/" for folder in (layout.DATA_DIR, layout.META_DIR, layout.VIDEOS_DIR)),
    layout.CARD_PATH,
)


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How to publish."""

    create: bool = False
    """Make a dataset where there is none; the bucket has to be there."""
    dry_run: bool = False
    sidecars_only: bool = False
    is_verified: bool = True
    """Whether the overlay has to pass a verification first."""
    overwrite: bool = False
    """Replace also what others may have changed since the overlay was prepared."""
    clip_count: int = 16
    """Clips that are fetched afterwards and compared."""


@dataclass(frozen=True, slots=True)
class StorePublication:
    """What was published; for a dry run what would be."""

    url: str
    is_new: bool
    """False where everything was there already."""
    is_resumed: bool
    """Whether a run before this one, or beside it, had begun to switch."""
    changes: Changes
    replaced: frozenset[str]
    """Which of the additions take the place of a file."""
    sent_count: int
    """Files that this run has sent."""
    sent_bytes: int
    staged_count: int
    """Files that an earlier run had sent already."""
    moves_rows: bool
    """Whether rows are in other data files than before, so that whoever lists them during the switch may see some twice,
    or not at all."""
    target_check: TargetCheck
    verification: VerificationReport | None
    arrival: ArrivalReport | None
    attempts: int
    seconds: float


def is_store(target: str) -> bool:
    """Whether a target is a store, and no repository: every URL but those of the Hub's repositories."""
    return "://" in target and not kind_of(target).has_history


def publish_to_store(
    overlay: str,
    url: str,
    *,
    data_root: str | None = None,
    options: StoreOptions = StoreOptions(),
    execution: Execution = _HERE,
    retry: RetryPolicy = DEFAULT_POLICY,
) -> StorePublication:
    """Publish a prepared dataset into a store.

    Args:
        overlay: What `episeek prepare` wrote, on this machine.
        url: The dataset's root: `s3://...`, `hf://buckets/NAMESPACE/NAME[/DIR]`, or any other URL that fsspec can write to.
        data_root: Where the videos are on this machine, to compare published clips with; None: the overlay itself where it
            holds videos, or the local source that it records, otherwise clips are decoded.
        options: How.
        execution: Of the verification.
        retry: How long to try, for each request; uploads are given more time by their size.

    Raises:
        DestinationError: There is no dataset and none is to be made, no such bucket, or `overlay` is not on this machine.
        RefusedPublicationError: The overlay has errors; or what arrived differs.
        UnpublishableError, TargetMismatchError, UnusableCardError: What cannot be published, before anything is sent.
        ConflictError: Another publication is in progress, or somebody has changed the same files.
        EpiseekError: The store, the credentials or the network do not let it.
    """
    started = time.perf_counter()
    if not is_local(overlay):
        raise DestinationError(overlay, "an overlay in a store", "what `episeek prepare` wrote on this machine")
    root, writer = Root(overlay), open_writer(url, retry)
    contents = StoreContents(writer.root, LocalDigests())
    local = wanted_files(root, sidecars_only=options.sidecars_only)
    listing = writer.files()
    require_room(writer.root, listing, local, create=options.create)
    if layout.INFO_PATH not in listing:
        require_videos(root, where=writer.root.url)
    if data_root is None:
        data_root = local_videos(root)
    verification = None
    if options.is_verified and is_verifiable(root):
        there = writer.root.url if layout.INFO_PATH in listing else root.url
        verification = verified(root, data_root or there, execution)
    publication = Publication.of(contents.additions_of({**local}), sidecars_only=options.sidecars_only)
    is_ours = False
    if JOURNAL_PATH in listing:
        is_ours = require_free(writer.root, publication)
    with tempfile.TemporaryDirectory(prefix="episeek-publish-") as folder:
        job = _Job(root, PublicationRun(writer, contents, publication), options, Root(folder))
        if is_ours:
            job.sending.take_over()
        try:
            result, plan = job.run(listing)
        except ConflictError:
            job.sending.give_up()
            raise
        if not options.dry_run:
            videos = None if data_root is None else Root(data_root)
            where, count = writer.root.url, options.clip_count
            arrival = check_arrival(where, plan.sidecars, videos, sent=result.changes, clip_count=count)
            if not arrival.is_as_sent:
                raise RefusedPublicationError(where, arrival.summary, "what was sent", problems=arrival.problems)
            job.remember(plan)
            result = replace(result, arrival=arrival)
    return replace(result, verification=verification, seconds=time.perf_counter() - started)


def open_writer(url: str, retry: RetryPolicy = DEFAULT_POLICY) -> StoreWriter:
    """What writes into a store.

    Raises:
        DestinationError: The URL is none of a store.
    """
    if not is_store(url):
        expected = "s3://..., hf://buckets/NAMESPACE/NAME, file:///... or another URL that can be written to"
        raise DestinationError(url, "no store", expected)
    root = Root(url)
    if root.is_local:
        return DirectoryWriter(root)
    if is_hub(url):
        parse_hub_url(url)
        return BucketWriter(root, retry)
    return FsspecWriter(root, retry)


@dataclass(slots=True)
class _Job:
    overlay: Root
    sending: PublicationRun
    options: StoreOptions
    work: Root

    def run(self, listing: Listing) -> tuple[StorePublication, StorePlan]:
        """Plan, send, switch; anew where only the card was edited meanwhile, or files while they were looked at."""
        sending, videos = self.sending, Changes((), (), 0)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                plan = self._plan(listing)
            except ChangedFileError:  # by another publication, while it was read
                if attempt == MAX_ATTEMPTS:
                    raise
                listing = sending.writer.files()
                continue
            sending.writer.require_inside(plan.changes.paths)
            self._require_known(plan)
            if self.options.dry_run:
                return self._result(plan, videos, listing, attempt), plan
            if _videos(plan.changes):
                videos = Changes(_videos(plan.changes), (), 0)
                listing = self._send_videos(plan, listing)
                plan = self._plan(listing)
                if left := _videos(plan.changes):
                    raise self._conflict([video.path for video in left], "videos of this publication")
            if not plan.changes.operation_count:
                sending.finish(listing)
                return self._result(plan, videos, listing, attempt), plan
            sending.stage(plan.changes.additions, listing)
            sending.claim(plan.changes, order=data_order(plan.changes, plan.listing.keys()))
            now = sending.writer.files()
            theirs = self._changed_by_others(plan, now)
            if theirs == {layout.CARD_PATH}:
                listing = now
                continue
            if theirs:
                raise self._conflict(theirs, "these files as they were when this began: prepare the dataset again")
            sending.switch(plan.changes, now)
            sending.finish(now)
            return self._result(plan, videos, listing, attempt), plan
        raise self._conflict([layout.CARD_PATH], "a card that nobody edits meanwhile: run this again")

    def _require_known(self, plan: StorePlan) -> None:
        """Nothing of what is replaced may be somebody else's; a switch that was stopped is this publication's own."""
        if self.options.overwrite or self.sending.is_resumed:
            return
        record, url = read_record(self.overlay), self.sending.writer.root.url
        theirs = paths_of_unknown_origin(
            plan.listing,
            plan.changes,
            self.sending.contents,
            source="" if record is None else str(record.plan.get("source", "")),
            source_files={} if record is None else record.files,
            published=last_files(url),
        )
        if theirs:
            found = f"{shown_paths(theirs)} not as DST was prepared from, nor as published from here"
            expected = "these files as they were: prepare the dataset again from it, or replace them with --overwrite"
            raise ConflictError(url, found, expected)

    def remember(self, plan: StorePlan) -> None:
        """From now on, what was published is known."""
        remember_files(self.sending.writer.root.url, identities_of(plan.wanted, self.sending.writer.files()))

    def _plan(self, listing: Listing) -> StorePlan:
        options, contents = self.options, self.sending.contents
        return plan_for_store(self.overlay, listing, contents, sidecars_only=options.sidecars_only, work=self.work)

    def _send_videos(self, plan: StorePlan, listing: Listing) -> Listing:
        """Before all else: the sidecars have to hold the identities that the store gives them."""
        sending, videos = self.sending, _videos(plan.changes)
        direct = [video for video in videos if sending.writer.has_whole_puts and video.path not in listing]
        if direct:
            listing = sending.put(direct)
        names = {video.path for video in direct}
        staged = tuple(video for video in videos if video.path not in names)
        if not staged:
            return listing
        changes = Changes(staged, (), 0)
        sending.stage(staged, listing)
        sending.claim(changes, order=data_order(plan.changes, plan.listing.keys()))
        now = sending.writer.files()
        theirs = self._changed_by_others(plan, now) - names
        if theirs:
            raise self._conflict(theirs, "these files as they were when this began: prepare the dataset again")
        sending.switch(changes, now)
        return sending.writer.files()

    def _changed_by_others(self, plan: StorePlan, now: Listing) -> set[str]:
        """What of the dataset is not what it was, other than by another run of the same publication."""
        changed = differing(plan.listing, now, _WATCHED)
        wanted = [(addition, addition.path) for addition in plan.wanted if addition.path in changed]
        same = self.sending.contents.compared(now, wanted)
        gone = {path for path in changed if path not in now and path in plan.changes.deletions}
        return changed - gone - {path for path, is_same in same.items() if is_same}

    def _conflict(self, paths: set[str] | list[str], expected: str) -> ConflictError:
        found = f"{shown_paths(paths)} changed by somebody else in the meantime"
        return ConflictError(self.sending.writer.root.url, found, expected)

    def _result(self, plan: StorePlan, videos: Changes, before: Listing, attempts: int) -> StorePublication:
        sending, rest = self.sending, plan.changes
        additions = tuple(sorted((*videos.additions, *rest.additions), key=lambda addition: addition.path))
        changes = Changes(additions, rest.deletions, rest.unchanged_count - len(videos.additions))
        return StorePublication(
            url=sending.writer.root.url,
            is_new=changes.operation_count > 0,
            is_resumed=sending.is_resumed,
            changes=changes,
            replaced=frozenset(addition.path for addition in additions if addition.path in before),
            sent_count=sending.sent_count,
            sent_bytes=sending.sent_bytes,
            staged_count=sending.found_count,
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
