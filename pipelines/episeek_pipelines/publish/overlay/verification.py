"""Verify an overlay (the output of `episeek prepare`) before it is published, and find the overlay's videos."""

from episeek.errors import DestinationError, MissingFileError
from episeek_pipelines.dataset.metadata import read_info
from episeek_pipelines.dataset.provenance import recorded_videos
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.publish.errors import RefusedPublicationError
from episeek_pipelines.verify import VerificationReport
from episeek_pipelines.words import counted
from episeek_schemas import layout


def is_verifiable(root: Root) -> bool:
    """Return whether an overlay can be verified, because it contains metadata.

    The output of `episeek index --output` contains only the byte index.
    """
    return root.exists(layout.INFO_PATH)


def local_videos(root: Root) -> str | None:
    """Return the root of an overlay's videos: the overlay itself, or the source that the overlay records.

    Return None if the videos are not on this machine.
    """
    if root.list(layout.VIDEOS_DIR):
        return root.url
    try:
        videos = recorded_videos(root)
    except MissingFileError:
        return None
    return videos.url if videos is not None and videos.is_local else None


def require_videos(root: Root, *, where: str) -> None:
    """Raise an error if an overlay for a new dataset does not contain its videos, because the new dataset needs them.

    Args:
        root: The overlay.
        where: The repository or store, for messages.

    Raises:
        DestinationError: The videos are not in the overlay.
    """
    if read_info(root).video_keys and not root.list(layout.VIDEOS_DIR):
        found = f"no dataset in the target, and no {layout.VIDEOS_DIR}/ in the overlay {root}"
        hint = "prepare the overlay with --videos link or --videos copy"
        raise DestinationError(where, found, "an overlay with its videos", hint)


def verify_overlay(root: Root, videos: str, execution: Execution) -> VerificationReport:
    """Verify an overlay before it is published, and return the report.

    The rows of the data files are verified as well, because `episeek rewrite` does not verify the rows that it writes, and because
    files may have been edited since.

    Args:
        root: The overlay.
        videos: Root of the videos.
        execution: Scheduler, workers and progress.

    Raises:
        RefusedPublicationError: The overlay has errors.
    """
    report = verify(root.url, data_root=videos, execution=execution)
    if report.error_count:
        first = next(finding for finding in report.findings if finding.severity == "error")
        count = counted(report.error_count, "error")
        found = f"{count}, the first {first.code} {first.location}: {first.message}"
        raise RefusedPublicationError(
            root.url,
            found,
            "a dataset that passes `episeek verify`",
            "correct the errors, or publish the dataset with its errors by giving --no-verify",
            verification=report,
        )
    return report
