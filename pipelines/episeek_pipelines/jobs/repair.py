"""Run the job that repairs a dataset: `prepare` on the source as it is after all proved repairs.

The source is verified before and the result afterwards, so that both reports can be compared. `jobs.fix` changes layout and
sidecars in place; this job writes a new dataset.
"""

from dataclasses import dataclass

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution
from episeek_pipelines.jobs.picture_statistics import plan_with_pictures
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.results import PrepareResult
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.jobs.video_choice import Videos
from episeek_pipelines.repair.plan import plan_repairs
from episeek_pipelines.repair.record import MadeRepairs
from episeek_pipelines.repair.values import RepairChoice
from episeek_pipelines.verify import VerificationReport, VerifyOptions
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice


@dataclass(frozen=True, slots=True)
class RepairResult:
    """A repaired dataset."""

    before: VerificationReport
    """The verification of the source, at the same level as the verification of the result."""
    preparation: PrepareResult
    """The run that wrote the result, with its verification, which is None if nothing had to be done."""
    made: MadeRepairs
    """The repairs made and those refused."""

    @property
    def after(self) -> VerificationReport | None:
        """The verification of the result; None if an earlier run had written the result."""
        return self.preparation.verification


def repair(
    source: str,
    destination: str,
    *,
    choice: RepairChoice | None = None,
    max_episodes_per_file: int | None = None,
    videos: Videos = "none",
    video_file_size_mb: float | None = None,
    keyframes: KeyframeChoice = "auto",
    force: bool = False,
    execution: Execution = DEFAULT_EXECUTION,
) -> RepairResult:
    """Write a dataset in which everything is right that the evidence in the source proves to be wrong.

    The result is one of `prepare`, with `.episeek/repairs.json` beside the record of its source. The source is never written to.

    Args:
        source: Root of a LeRobot dataset of version 3.0: a path or an fsspec URL.
        destination: A new or empty directory, or the result of a previous run.
        choice: Which repairs to make; None for all.
        max_episodes_per_file: As for `prepare`.
        videos: As for `prepare`.
        video_file_size_mb: As for `prepare`.
        keyframes: As for `prepare`.
        force: As for `prepare`.
        execution: Scheduler, workers, progress.

    Raises:
        UnsupportedVersionError: The source is of version 2.x, which `upgrade` has to convert first.
        EpiseekError, WorkFailedError: As for `prepare`: what neither repairs nor a finding can pass over ends the run by name.
    """
    chosen = RepairChoice() if choice is None else choice
    options = VerifyOptions(level="rows", level_reason="as that of the result")
    before = verify(source, options=options, execution=execution)
    preparation = prepare(
        source,
        destination,
        max_episodes_per_file=max_episodes_per_file,
        videos=videos,
        video_file_size_mb=video_file_size_mb,
        keyframes=keyframes,
        repair=chosen,
        force=force,
        execution=execution,
    )
    made = preparation.repairs
    assert made is not None
    return RepairResult(before, preparation, made)


def plan_repair(
    source: str, *, choice: RepairChoice | None = None, execution: Execution = DEFAULT_EXECUTION
) -> MadeRepairs:
    """Return what `repair` would put right in a dataset, and what it would refuse. Nothing is written.

    Args:
        source: As for `repair`.
        choice: As for `repair`.
        execution: Scheduler, workers, progress, for pictures that are sampled.

    Raises:
        EpiseekError: It is no dataset that can be repaired.
        WorkFailedError: Pictures cannot be decoded.
    """
    plan = plan_repairs(Root(source).pinned(), RepairChoice() if choice is None else choice)
    return plan_with_pictures(plan, execution).made
