"""Run the job that repairs a dataset: find the repairs that the source proves, and run `prepare` on the repaired source.

The source is verified before the repair and the result afterwards, so that both reports can be compared. `jobs.fix` changes the
layout and the sidecars of a dataset in place, whereas this job writes a new dataset.
"""

from dataclasses import dataclass

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution
from episeek_pipelines.jobs.overlay_sources import require_own_videos
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
    """The result of a repair."""

    before: VerificationReport
    """The verification of the source, at the same level as the verification of the result."""
    preparation: PrepareResult
    """The result of `prepare`. It contains the verification of the written dataset, unless an earlier run had written it."""
    made: MadeRepairs
    """The repairs that were made, and the repairs that were refused."""

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
    """Write a prepared copy of a dataset, and repair the defects for which the source itself proves the right values.

    The copy is written as by `prepare`, and `.episeek/repairs.json` in the copy lists the repairs. The source is never changed.

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
        MissingFileError: The source is an overlay, whose videos are in another dataset; the hint is the command to run instead.
        EpiseekError, WorkFailedError: As for `prepare`, for example if a defect that cannot be repaired prevents the preparation.
    """
    chosen = RepairChoice() if choice is None else choice
    require_own_videos(Root(source), repairs=True)
    options = VerifyOptions(level="rows", level_reason="the level at which the result is verified")
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
    """Return the repairs that `repair` would make in a dataset, and those that it would refuse. Nothing is written.

    Args:
        source: As for `repair`.
        choice: As for `repair`.
        execution: Scheduler, workers, progress, for decoding sampled pictures.

    Raises:
        EpiseekError: `source` is not a dataset, or cannot be repaired.
        WorkFailedError: Pictures cannot be decoded.
    """
    require_own_videos(Root(source), repairs=True)
    plan = plan_repairs(Root(source).pinned(), RepairChoice() if choice is None else choice)
    return plan_with_pictures(plan, execution).made
