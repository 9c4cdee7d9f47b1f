"""Publish into a store that is not a repository: S3 and other object stores, buckets of the Hub, and directories.

A store has no commits. A publication has these parts instead:

- Staging: files are sent to names below `meta/byte_index.partial/`, which no reader reads, and are compared there. New videos are
  sent directly to their final names, because no file refers to them yet, and because the sidecars (the byte index) need the
  identities that the store gives them.
- The switch: the staged files get their final names in the order of `switch_order`, through copies within the store, or through
  renames in a directory. Deletions come last. Until the switch ends, a journal in the store stops other publications, and lets the
  same publication continue when it is run again. In S3, Google Cloud Storage and directories, only one run can create the journal.
  In other stores the journal is written and read back, so two publications that begin at the same moment may both continue.

A store cannot change several objects at once. During the switch, which takes seconds, readers of episeek get the old index, the new
index or an error (MixedBuildError, MissingSidecarError, or ChangedFileError if a video is replaced), but never wrong frames.
Somebody who copies or lists the dataset in these seconds may get files of both versions. Usually this does no harm, because the
rewrite keeps each row in its file. If the rewrite moved episodes to other files, rows may be seen twice or not at all, see
`switch_order`. Readers of a new dataset are not affected, because `meta/info.json` and the sidecars come last.

A switch that was stopped stays unfinished until the publication is run again. Other publications are refused until then. The error
shows the journal, which identifies the unfinished publication.
"""

import tempfile
import time
from dataclasses import replace

from episeek.errors import DestinationError
from episeek.stores.kinds import is_local
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy
from episeek_pipelines.dataset.digests import LocalDigests
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution
from episeek_pipelines.publish.errors import ConflictError, RefusedPublicationError
from episeek_pipelines.publish.overlay.arrival import check_arrival
from episeek_pipelines.publish.overlay.episode_changes import compare_with_target
from episeek_pipelines.publish.overlay.verification import is_verifiable, local_videos, require_videos, verify_overlay
from episeek_pipelines.publish.store.attempts import StorePublisher
from episeek_pipelines.publish.store.contents import StoreContents
from episeek_pipelines.publish.store.journal import JOURNAL_PATH, Publication, has_journal
from episeek_pipelines.publish.store.options import DEFAULT_OPTIONS, StoreOptions, StorePublication
from episeek_pipelines.publish.store.plan import require_room, wanted_files
from episeek_pipelines.publish.store.publication_run import PublicationRun
from episeek_pipelines.publish.store.writers.open_writer import open_writer
from episeek_schemas import layout


def publish_to_store(
    overlay: str,
    url: str,
    *,
    data_root: str | None = None,
    options: StoreOptions = DEFAULT_OPTIONS,
    execution: Execution = DEFAULT_EXECUTION,
    retry: RetryPolicy = DEFAULT_POLICY,
) -> StorePublication:
    """Publish a prepared dataset into a store.

    Args:
        overlay: The output of `episeek prepare`, on this machine.
        url: Root of the dataset: `s3://...`, `hf://buckets/NAMESPACE/NAME[/DIR]`, or any other URL that fsspec can write to.
        data_root: The folder on this machine with the videos, which published clips (short ranges of frames) are compared with.
            None stands for the overlay, or for the source that the overlay records. If neither of them has the videos on this
            machine, published clips are decoded instead of compared.
        options: Options of the publication.
        execution: Scheduler, workers and progress of the verification.
        retry: The time limit and the retries of each request. Uploads get more time in proportion to their size.

    Raises:
        DestinationError: The store has no dataset and `create` is not given, the bucket does not exist, or `overlay` is in a store.
        RefusedPublicationError: The overlay has errors, or the files that arrived differ from the files that were sent.
        UnpublishableError, TargetMismatchError, UnusableCardError: The overlay cannot be published; nothing was sent.
        ConflictError: Another publication is in progress, or somebody has changed the same files.
        EpiseekError: The store, the credentials or the network failed.
    """
    started = time.perf_counter()
    if not is_local(overlay):
        raise DestinationError(overlay, "the URL of a store", "the output of `episeek prepare` on this machine")
    root, writer = Root(overlay), open_writer(url, retry)
    contents = StoreContents(writer.root, LocalDigests())
    files = wanted_files(root, sidecars_only=options.sidecars_only)
    listing = writer.files()
    require_room(writer.root, listing, files, create=options.create)
    if layout.INFO_PATH not in listing:
        require_videos(root, where=writer.root.url)
    if data_root is None:
        data_root = local_videos(root)
    verification = None
    if options.is_verified and is_verifiable(root):
        published = writer.root.url if layout.INFO_PATH in listing else root.url
        verification = verify_overlay(root, data_root or published, execution)
    publication = Publication.of(contents.additions_of({**files}), sidecars_only=options.sidecars_only)
    is_in_progress = JOURNAL_PATH in listing and has_journal(writer.root, publication)
    with tempfile.TemporaryDirectory(prefix="episeek-publish-") as folder:
        publisher = StorePublisher(root, PublicationRun(writer, contents, publication), options, Root(folder))
        if is_in_progress:
            publisher.run.take_over()
        try:
            result, plan = publisher.publish(listing)
        except ConflictError:
            publisher.run.give_up()
            raise
        if not options.dry_run:
            videos = None if data_root is None else Root(data_root)
            where, count = writer.root.url, options.clip_count
            arrival = check_arrival(where, plan.sidecars, videos, sent=result.changes, clip_count=count)
            if not arrival.is_as_sent:
                raise RefusedPublicationError(
                    where, arrival.summary, "a dataset with the files that were sent", problems=arrival.problems
                )
            publisher.remember(plan)
            result = replace(result, arrival=arrival)
    if options.dry_run and layout.INFO_PATH in listing and not options.sidecars_only:
        result = replace(result, comparison=compare_with_target(root, writer.root.url))
    return replace(result, verification=verification, seconds=time.perf_counter() - started)
