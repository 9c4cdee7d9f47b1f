"""Compare the episodes of an overlay (the output of `episeek prepare`) with the published episodes, for a dry run."""

from contextlib import suppress

from episeek.errors import EpiseekError
from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.comparison.compare import diff


def compare_with_target(overlay: Root, target: str) -> Comparison | None:
    """Compare an overlay with the dataset at the URL `target`, from `meta/` and listings alone, and return the differences.

    Return None if the URL contains no readable dataset. No error is raised, because the publication may repair that dataset.
    """
    with suppress(EpiseekError):
        return diff(target, overlay.url, level="meta")
    return None
