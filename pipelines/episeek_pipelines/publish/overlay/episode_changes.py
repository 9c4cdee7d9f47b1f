"""The episodes of an overlay and those of its target, for a dry run: what readers will find changed, as far as metadata tells."""

from contextlib import suppress

from episeek.errors import EpiseekError
from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.comparison.compare import diff


def compare_with_target(overlay: Root, target: str) -> Comparison | None:
    """Return what the overlay changes in the dataset of its target, by `meta/` and listings alone.

    None where the target holds no dataset that can be read: the publication may well be what repairs it.
    """
    with suppress(EpiseekError):
        return diff(target, overlay.url, level="meta")
    return None
