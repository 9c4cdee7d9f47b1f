"""INF040: report files that are pointers of Git LFS or git-annex, because their contents were not fetched with the clone.

Any other finding about a pointer would mislead. Therefore one finding reports all pointers, and no other rule opens them.
"""

from collections.abc import Iterator

from episeek_pipelines.dataset.unfetched import POINTER_FOUND
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import LFS_POINTER


def check_pointers(pointers: frozenset[str]) -> Iterator[Finding]:
    """Yield one INF040 for all pointers, at the first of their sorted paths; nothing if there are no pointers."""
    if pointers:
        yield finding(
            LFS_POINTER,
            POINTER_FOUND,
            "the file itself",
            Location(file=min(pointers)),
            more=len(pointers) - 1,
        )
