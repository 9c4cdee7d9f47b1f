"""The verification that an overlay has to pass before it is published."""

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
    """Return whether an overlay has metadata to verify; sidecars alone, as `episeek index --output` writes them, have none."""
    return root.exists(layout.INFO_PATH)


def local_videos(root: Root) -> str | None:
    """Return the root on this machine that has an overlay's videos: the overlay or its recorded source; None for neither."""
    if root.list(layout.VIDEOS_DIR):
        return root.url
    try:
        videos = recorded_videos(root)
    except MissingFileError:
        return None
    return videos.url if videos is not None and videos.is_local else None


def require_videos(root: Root, *, where: str) -> None:
    """Require that an overlay that is to become a new dataset holds its videos.

    Args:
        root: The overlay.
        where: The target, for messages.

    Raises:
        DestinationError: The videos are not in the overlay.
    """
    if read_info(root).video_keys and not root.list(layout.VIDEOS_DIR):
        found = f"no dataset there, and no {layout.VIDEOS_DIR}/ in {root}"
        hint = "prepare the overlay with --videos link or --videos copy"
        raise DestinationError(where, found, "an overlay with its videos", hint)


def verify_overlay(root: Root, videos: str, execution: Execution) -> VerificationReport:
    """Verify an overlay before it is published, and return the report.

    Rows are verified as well, as of every local dataset: nobody has verified those of `episeek rewrite`, and others may have been
    edited since.

    Args:
        root: The overlay.
        videos: Root of the videos.
        execution: Scheduler, workers, progress.

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
            "correct the errors, or publish them as they are with --no-verify",
            verification=report,
        )
    return report
