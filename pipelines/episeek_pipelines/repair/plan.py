"""Plan all repairs of a dataset: which are made and which are refused."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft, listed
from episeek_pipelines.repair.episode_order import repair_order
from episeek_pipelines.repair.episodes import (
    ignore_copies,
    repair_episode_types,
    repair_lengths,
    repair_pointers,
    repair_ranges,
)
from episeek_pipelines.repair.evidence import gather_evidence
from episeek_pipelines.repair.examined_videos import examine_videos
from episeek_pipelines.repair.free_frames import FreeFrames
from episeek_pipelines.repair.info_document import repair_splits, repair_templates, repair_total_tasks, repair_totals
from episeek_pipelines.repair.lost_episodes import find_lost_episodes, find_unlisted_episodes, leave_out_lost_episodes
from episeek_pipelines.repair.lost_statistics import repair_statistics_of_kept
from episeek_pipelines.repair.pictures import choose_features, repair_picture_statistics
from episeek_pipelines.repair.record import MadeRepairs
from episeek_pipelines.repair.recovered import repair_footers
from episeek_pipelines.repair.row_episodes import repair_row_episodes
from episeek_pipelines.repair.rows import repair_numbers, repair_timestamps
from episeek_pipelines.repair.schemas import repair_metadata, repair_metadata_of_types, repair_types
from episeek_pipelines.repair.statistics import measure, repair_episode_statistics, repair_statistics
from episeek_pipelines.repair.tasks import repair_episode_tasks, repair_row_tasks, repair_task_table
from episeek_pipelines.repair.values import Outcome, Refusal, Repair, RepairChoice
from episeek_pipelines.repair.video_pointers import repair_video_pointers
from episeek_pipelines.repair.videos import repair_seconds, repair_video_info
from episeek_pipelines.repair.withheld import (
    DraftValues,
    keep_files_without_footer,
    need_refusal,
    needed_by,
    request_refusal,
    take_back,
)
from episeek_pipelines.statistics.names import FeatureStatistics

_Step = tuple[registry.RepairRule, Callable[[Draft], Iterator[Outcome]]]

_STEPS: Final[tuple[_Step, ...]] = (
    (registry.TEMPLATES, repair_templates),
    (registry.RECOVERED, repair_footers),
    (registry.COLUMN_TYPES, repair_types),
    (registry.COLUMN_TYPES, repair_metadata_of_types),
    (registry.SCHEMA_METADATA, repair_metadata),
    (registry.EPISODE_ORDER, repair_order),
    (registry.COLUMN_TYPES, repair_episode_types),
    (registry.LOST_EPISODES, find_unlisted_episodes),
    (registry.ROW_EPISODES, repair_row_episodes),
    (registry.DATA_POINTERS, ignore_copies),
    (registry.DATA_POINTERS, repair_pointers),
    (registry.LOST_EPISODES, find_lost_episodes),
    (registry.LENGTHS, repair_lengths),
    (registry.ROW_RANGES, repair_ranges),
    (registry.ROW_NUMBERS, repair_numbers),
    (registry.TIMESTAMPS, repair_timestamps),
    (registry.TASK_TABLE, repair_task_table),
    (registry.ROW_TASKS, repair_row_tasks),
    (registry.EPISODE_TASKS, repair_episode_tasks),
    (registry.TOTALS, repair_totals),
    (registry.TOTALS, repair_total_tasks),
    (registry.SPLITS, repair_splits),
)
"""The repairs before those of videos and statistics, in their order. All of them are judged, whatever the selection."""


_REQUESTS: Final = (find_lost_episodes, choose_features)
"""The steps of repairs on request that build on other repairs."""

_STATISTICS: Final[tuple[_Step, ...]] = (
    (registry.EPISODE_STATISTICS, repair_episode_statistics),
    (registry.LOST_EPISODES, repair_statistics_of_kept),
    (registry.STATISTICS, repair_statistics),
)
"""The repairs of statistics, on which no others build."""


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
        choice: Which repairs to make. The others are judged, too, so that no proof depends on the choice, but they write nothing.

    Raises:
        NotADatasetError, UnsupportedVersionError, ReadError: For the reasons that `gather_evidence` lists.
    """
    draft = Draft(gather_evidence(root), choice.only)
    work = _Work(draft, choice)
    for rule, step in _STEPS:
        if rule is not registry.LOST_EPISODES or choice.includes(rule.code):
            work.do(rule, step)
    of_videos = registry.VIDEO_POINTERS, registry.VIDEO_INFO, registry.SECONDS, registry.PICTURES
    if any(choice.includes(rule.code) for rule in of_videos):
        declared = examine_videos(draft)
        free = FreeFrames(draft, declared)
        work.do(registry.VIDEO_POINTERS, lambda draft: repair_video_pointers(draft, declared, free))
        examined = examine_videos(draft, declared)
        work.do(registry.VIDEO_INFO, lambda draft: repair_video_info(draft, examined))
        work.do(registry.SECONDS, lambda draft: repair_seconds(draft, examined, free))
    if draft.lost or draft.unlisted:
        # The remaining episodes are renumbered as they will be written, and so their statistics are measured.
        work.take_back()
    work.do(registry.LOST_EPISODES, leave_out_lost_episodes)
    if choice.includes(registry.PICTURES.code):
        work.do(registry.PICTURES, choose_features)
    wanted = [each for each in _STATISTICS if choice.includes(each[0].code)]
    if wanted:
        draft.measured = measure(draft)
    for rule, step in wanted:
        work.do(rule, step)
    work.take_back()
    return RepairPlan(root, _made(choice, work.outcomes), draft)


class _Work:
    """The outcomes of the repairs of a draft so far, and what has to be taken back at the end."""

    def __init__(self, draft: Draft, choice: RepairChoice) -> None:
        self.outcomes: list[Outcome] = []
        """The repairs that are made, and the refusals of the selected repairs."""
        self._draft = draft
        self._choice = choice
        self._is_whole = not (choice.only or choice.skip)
        self._left_out: list[Repair] = []
        """Repairs that are proved, but not made."""
        self._undone: list[tuple[registry.RepairRule, DraftValues, DraftValues]] = []
        """The steps to take back, each with the values of the draft before and after it."""

    def do(self, rule: registry.RepairRule, step: Callable[[Draft], Iterator[Outcome]]) -> None:
        """Run one step on the draft. If its repairs are not selected, or build on repairs that are left out, note that."""
        draft = self._draft
        if self._is_whole or rule in (registry.LOST_EPISODES, registry.PICTURES):
            refusal = request_refusal(rule, self._left_out) if step in _REQUESTS else None
            self.outcomes += step(draft) if refusal is None else (refusal,)
            return
        changed, draft.changed = draft.changed, set()
        before = DraftValues.of(draft)
        found = list(step(draft))
        repairs = [each for each in found if isinstance(each, Repair)]
        is_selected = self._choice.includes(rule.code)
        needs = needed_by(draft, repairs, self._left_out) if is_selected else ()
        if is_selected and not needs:
            self.outcomes += found
            draft.changed |= changed
            return
        draft.changed = changed
        self._left_out += repairs
        self._undone.append((rule, before, DraftValues.of(draft)))
        if needs:
            self.outcomes += (each for each in found if isinstance(each, Refusal))
            self.outcomes.append(need_refusal(repairs, needs))

    def take_back(self) -> None:
        """Give the draft its old values back wherever a repair is not to be made."""
        draft = self._draft
        codes = {each.code for each in self._left_out}
        for rule, before, after in reversed(self._undone):
            if rule is registry.EPISODE_ORDER:
                # Every repair of meta/episodes builds on the order of its rows, so that nothing else of it is written.
                draft.keeps_episodes |= rule.code in codes
            else:
                take_back(draft, before, after)
        self._undone.clear()
        if registry.RECOVERED.code in codes:
            keep_files_without_footer(draft)


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
