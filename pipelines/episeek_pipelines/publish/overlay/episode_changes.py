"""Compare the episodes of an overlay with the episodes of the publication's target, for a dry run."""

from contextlib import suppress

from episeek.errors import EpiseekError
from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.comparison.compare import diff


def compare_with_target(overlay: Root, target: str) -> Comparison | None:
    """Compare an overlay with the dataset in the target, from `meta/` and listings alone, and return the differences.

    Return None if the target contains no readable dataset. No error is raised, because the publication may repair the target.
    """
    with suppress(EpiseekError):
        return diff(target, overlay.url, level="meta")
    return None
