"""Plan all repairs of a dataset: which are made and which are refused."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft, listed
from episeek_pipelines.repair.episode_order import judge_order, repair_order
from episeek_pipelines.repair.episodes import (
    ignore_copies,
    judge_lengths,
    repair_episode_types,
    repair_lengths,
    repair_pointers,
    repair_ranges,
)
from episeek_pipelines.repair.evidence import gather_evidence
from episeek_pipelines.repair.info_document import repair_splits, repair_templates, repair_totals
from episeek_pipelines.repair.lost_episodes import find_lost_episodes, find_unlisted_episodes, leave_out_lost_episodes
from episeek_pipelines.repair.lost_statistics import repair_statistics_of_kept
from episeek_pipelines.repair.pictures import choose_features, repair_picture_statistics
from episeek_pipelines.repair.record import MadeRepairs
from episeek_pipelines.repair.recovered import repair_footers
from episeek_pipelines.repair.row_episodes import repair_row_episodes
from episeek_pipelines.repair.rows import repair_numbers, repair_timestamps
from episeek_pipelines.repair.schemas import repair_metadata, repair_types
from episeek_pipelines.repair.statistics import measure, repair_episode_statistics, repair_statistics
from episeek_pipelines.repair.tasks import repair_episode_tasks, repair_row_tasks, repair_task_table
from episeek_pipelines.repair.values import Outcome, Refusal, Repair, RepairChoice
from episeek_pipelines.repair.video_pointers import repair_video_pointers
from episeek_pipelines.repair.videos import examine_videos, repair_seconds, repair_video_info
from episeek_pipelines.statistics.names import FeatureStatistics

_STEPS: Final[tuple[tuple[registry.RepairRule | None, Callable[[Draft], Iterator[Outcome]]], ...]] = (
    (registry.TEMPLATES, repair_templates),
    (registry.RECOVERED, repair_footers),
    (registry.COLUMN_TYPES, repair_types),
    (registry.COLUMN_TYPES, repair_episode_types),
    (registry.SCHEMA_METADATA, repair_metadata),
    (registry.EPISODE_ORDER, repair_order),
    (None, judge_order),
    (registry.LOST_EPISODES, find_unlisted_episodes),
    (registry.ROW_EPISODES, repair_row_episodes),
    (None, ignore_copies),
    (registry.DATA_POINTERS, repair_pointers),
    (registry.LOST_EPISODES, find_lost_episodes),
    (None, judge_lengths),
    (registry.LENGTHS, repair_lengths),
    (registry.ROW_RANGES, repair_ranges),
    (registry.ROW_NUMBERS, repair_numbers),
    (registry.TIMESTAMPS, repair_timestamps),
    (registry.TASK_TABLE, repair_task_table),
    (registry.ROW_TASKS, repair_row_tasks),
    (registry.EPISODE_TASKS, repair_episode_tasks),
    (registry.TOTALS, repair_totals),
    (registry.SPLITS, repair_splits),
    (registry.VIDEO_POINTERS, repair_video_pointers),
)
"""The repairs before those of seconds and statistics, in their order, and the functions that judge the evidence for them.

A function without a repair always runs, so that the choice of repairs decides only what is written, and not what is proved.
"""


@dataclass(frozen=True, slots=True, eq=False)
class RepairPlan:
    """The result of planning: the draft with all repairs, and the lists of repairs and refusals."""

    root: Root
    """The dataset, at one commit."""
    made: MadeRepairs
    draft: Draft = field(repr=False)


def plan_repairs(root: Root, choice: RepairChoice) -> RepairPlan:
    """Gather the evidence in a dataset, and return the repairs that the evidence proves and the repairs that are refused.

    Args:
        root: The dataset, at one commit.
        choice: Which repairs to make. A repair that is not chosen changes nothing, so that later repairs see the old values.

    Raises:
        NotADatasetError, UnsupportedVersionError, ReadError: For the reasons that `gather_evidence` lists.
    """
    draft = Draft(gather_evidence(root, recovers=choice.includes(registry.RECOVERED.code)), choice.only)
    outcomes: list[Outcome] = []
    for rule, step in _STEPS:
        if rule is None:
            outcomes += [each for each in step(draft) if choice.includes(each.code)]
        elif choice.includes(rule.code):
            outcomes += step(draft)
    if choice.includes(registry.VIDEO_INFO.code) or choice.includes(registry.SECONDS.code):
        examined = examine_videos(draft)
        for rule, of_videos in ((registry.VIDEO_INFO, repair_video_info), (registry.SECONDS, repair_seconds)):
            if choice.includes(rule.code):
                outcomes += of_videos(draft, examined)
    outcomes += leave_out_lost_episodes(draft)
    if choice.includes(registry.PICTURES.code):
        outcomes += choose_features(draft)
    if (
        draft.lost
        or draft.unlisted
        or any(choice.includes(rule.code) for rule in (registry.EPISODE_STATISTICS, registry.STATISTICS))
    ):
        draft.measured = measure(draft)
    for rule, of_statistics in (
        (registry.EPISODE_STATISTICS, repair_episode_statistics),
        (registry.LOST_EPISODES, repair_statistics_of_kept),
        (registry.STATISTICS, repair_statistics),
    ):
        if choice.includes(rule.code):
            outcomes += of_statistics(draft)
    return RepairPlan(root, _made(choice, outcomes), draft)


def with_picture_statistics(plan: RepairPlan, sampled: Mapping[str, FeatureStatistics]) -> RepairPlan:
    """Write the statistics of sampled pictures into the draft of a plan, and return the plan with these repairs added.

    Args:
        plan: A plan whose choice includes the repair of picture statistics (REP023).
        sampled: For each feature in `draft.sampled_features`, statistics with one row per episode of the draft.
    """
    outcomes: list[Outcome] = [*plan.made.repairs, *plan.made.refusals]
    outcomes += repair_picture_statistics(plan.draft, sampled)
    return RepairPlan(plan.root, _made(plan.made.choice, outcomes), plan.draft)


def _made(choice: RepairChoice, outcomes: Iterable[Outcome]) -> MadeRepairs:
    """Return the repairs and refusals among the outcomes.

    The repairs are sorted by code and place. At most a hundred repairs of one kind in one column are listed (`listed`).
    """
    found = list(outcomes)
    repairs = list(listed(each for each in found if isinstance(each, Repair)))
    refusals = [each for each in found if isinstance(each, Refusal)]
    repairs.sort(key=lambda each: (each.code, str(each.place)))
    return MadeRepairs(choice, tuple(repairs), tuple(refusals))
