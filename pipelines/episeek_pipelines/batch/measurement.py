"""A short measurement of this machine and the store: one small dataset of the plan, prepared into a temporary folder."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from episeek.errors import EpiseekError
from episeek_pipelines.batch.manifest import ManifestRow
from episeek_pipelines.batch.survey import PlannedDataset, survey_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.prepare import prepare

MAX_MEASURED_SECONDS: Final = 20.0
"""Larger datasets, by their cost, are not prepared for a measurement."""

_SERIAL: Final = Execution("sync")


@dataclass(frozen=True, slots=True)
class Measurement:
    """How long a dataset took without copies of videos, beside the cost of that."""

    destination: str
    seconds: float
    cost_seconds: float

    @property
    def factor(self) -> float:
        """Seconds on this machine for each second of cost."""
        return self.seconds / self.cost_seconds


def measure(datasets: Sequence[PlannedDataset]) -> Measurement | None:
    """Prepare the dataset of median cost, among those that are small enough, in one thread; None where none is.

    It is prepared twice, and the second time counts: the first one also imports packages.
    """
    small = sorted(
        (dataset for dataset in datasets if dataset.refusal is None and dataset.cost_seconds <= MAX_MEASURED_SECONDS),
        key=lambda dataset: (dataset.cost_seconds, dataset.destination),
    )
    if not small:
        return None
    chosen = small[len(small) // 2]
    options = replace(chosen.options, videos="none", video_file_size_mb=None, publish=False, create_pr=False)
    # copies are left out: the cost is that of what is prepared
    with tempfile.TemporaryDirectory(prefix="episeek-batch-") as folder:
        measured = survey_dataset(ManifestRow(chosen.source, chosen.destination, options), Root(folder), is_ours=False)
    if measured.refusal is not None:
        return None
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        try:
            _prepare(measured)
        except EpiseekError:
            # the run will report it
            return None
        seconds = time.perf_counter() - started
        if seconds > MAX_MEASURED_SECONDS:
            break
    return Measurement(chosen.destination, seconds, measured.cost_seconds)


def _prepare(measured: PlannedDataset) -> None:
    options = measured.options
    with tempfile.TemporaryDirectory(prefix="episeek-batch-") as folder:
        prepare(
            measured.source,
            f"{folder}/out",
            max_episodes_per_file=options.max_episodes_per_file,
            keyframes=options.keyframes,
            skip_episodes=options.skip_episodes,
            execution=_SERIAL,
        )
