"""Apply the repairs of a repaired dataset to a view of its source, with which the dataset is then compared.

The repairs are not taken from the dataset's record. They are derived from the source again, with the recorded choice, and the
record has to list exactly these repairs. In this way a comparison accepts the repairs that the source proves, and no other
difference. A source with other files than those that were repaired may already have the right values: then it proves no repair,
and the comparison of the values decides.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from episeek_pipelines.dataset.provenance import is_recorded_source
from episeek_pipelines.dataset.repaired_root import RepairedRoot
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.picture_statistics import plan_with_pictures
from episeek_pipelines.repair.layer import write_layer
from episeek_pipelines.repair.plan import plan_repairs
from episeek_pipelines.repair.record import MadeRepairs, read_repairs
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import INFO_CHANGED
from episeek_pipelines.words import counted
from episeek_schemas import layout

_REMEDY = "repair the source again, into a new folder"


@contextmanager
def repaired_source(
    root: Root, source: Root, execution: Execution
) -> Iterator[tuple[RepairedRoot, tuple[Finding, ...]]]:
    """Yield a view of the source after its repairs, and a finding if the repairs in the dataset's record are not the same.

    Args:
        root: The repaired dataset, with its record.
        source: The source, at one commit.
        execution: Scheduler, workers, progress, for decoding sampled pictures.

    Raises:
        MetadataError: The record is damaged.
        EpiseekError: The source cannot be repaired.
    """
    recorded = read_repairs(root)
    assert recorded is not None
    plan = plan_with_pictures(plan_repairs(source, recorded.choice), execution)
    with tempfile.TemporaryDirectory(prefix="episeek-") as folder:
        yield write_layer(plan.draft, Root(folder)), tuple(_differences(root, source, recorded, plan.made))


def _differences(root: Root, source: Root, recorded: MadeRepairs, proved: MadeRepairs) -> Iterator[Finding]:
    where = Location(file=layout.REPAIRS_PATH)
    found = [each.as_document() for each in recorded.repairs]
    expected = [each.as_document() for each in proved.repairs]
    extra = [each for each in found if each not in expected]
    missing = [each for each in expected if each not in found]
    if extra and not missing and not is_recorded_source(root, source):
        return
    if recorded.version != proved.version:
        text = f"repairs made by version {recorded.version} of the repair step"
        yield finding(INFO_CHANGED, text, f"version {proved.version}, as in this release", where, remedy=_REMEDY)
    elif extra or missing:
        odd = (extra or missing)[0]
        what = f"{odd['code']} in {odd['place']['file']}"
        text = (
            f"{counted(len(extra), 'recorded repair')} that the source does not prove; the first is {what}"
            if extra
            else f"no record of {counted(len(missing), 'repair')} that the source proves; the first is {what}"
        )
        yield finding(INFO_CHANGED, text, "the repairs that the source proves now", where, remedy=_REMEDY)
