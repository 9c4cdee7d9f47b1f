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
    """Measured duration of the preparation."""
    cost_seconds: float
    """Estimated duration of the preparation on one core, from the survey of the dataset."""

    @property
    def factor(self) -> float:
        """Return the number of measured seconds for each estimated second."""
        return self.seconds / self.cost_seconds


def measure(datasets: Sequence[PlannedDataset]) -> Measurement | None:
    """Measure how long the preparation of one small dataset takes in one thread.

    Among the datasets that are small enough, the dataset with the median cost is chosen. It is prepared twice, and the second
    duration counts, because the first duration includes the import of packages. If the first preparation already takes more than
    `MAX_MEASURED_SECONDS`, there is no second preparation. Return None if no dataset is small enough, or if the chosen dataset
    cannot be prepared.
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
