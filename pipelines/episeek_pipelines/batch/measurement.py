"""Measure how fast this machine and the store are: prepare one small dataset of the plan into a temporary folder."""

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
"""Datasets with a higher estimated cost are not used for a measurement."""

_SERIAL: Final = Execution("sync")


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measured time and the estimated cost of preparing one dataset without its videos."""

    destination: str
    """Destination of the dataset, which identifies it in the plan."""
    seconds: float
    """Measured seconds."""
    cost_seconds: float
    """Estimated seconds of one core, from the survey of the dataset."""

    @property
    def factor(self) -> float:
        """Return the number of seconds on this machine for each estimated second."""
        return self.seconds / self.cost_seconds


def measure(datasets: Sequence[PlannedDataset]) -> Measurement | None:
    """Measure the preparation of one dataset in one thread, or return None if no dataset is small enough or it cannot be prepared.

    Among the datasets that are small enough, the one with the median cost is chosen. It is prepared twice, and the second time
    counts, because the first one also imports packages.
    """
    small = sorted(
        (dataset for dataset in datasets if dataset.refusal is None and dataset.cost_seconds <= MAX_MEASURED_SECONDS),
        key=lambda dataset: (dataset.cost_seconds, dataset.destination),
    )
    if not small:
        return None
    chosen = small[len(small) // 2]
    options = replace(chosen.options, videos="none", video_file_size_mb=None, publish=False, create_pr=False)
    # The videos are not copied, so the dataset is surveyed again for its cost without copies.
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
            # The run of the batch will report this error.
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
