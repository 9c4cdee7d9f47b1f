"""Find out for a dry run how the episodes of an overlay differ from those of the target that it would be published into."""

from contextlib import suppress

from episeek.errors import EpiseekError
from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.comparison.compare import diff


def compare_with_target(overlay: Root, target: str) -> Comparison | None:
    """Return the differences between an overlay and the dataset in its target, from `meta/` and listings alone.

    Return None if the target contains no readable dataset. That is no error, because the publication may repair the target.
    """
    with suppress(EpiseekError):
        return diff(target, overlay.url, level="meta")
    return None
