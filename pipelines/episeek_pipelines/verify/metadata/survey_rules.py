"""Apply the rules on the documents that `survey` has read (info.json, tasks, statistics, the card), and on the listing of files."""

from typing import Final

from episeek_pipelines.dataset.provenance import preparation_command
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.statistics.scan import measured_features
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.metadata.feature_rules import check_declared_rates
from episeek_pipelines.verify.metadata.layout_rules import check_folders, check_splits
from episeek_pipelines.verify.metadata.source_documents import check_documents
from episeek_pipelines.verify.metadata.statistics_rules import check_statistics
from episeek_pipelines.verify.metadata.survey import Survey
from episeek_pipelines.verify.metadata.task_rules import check_subtasks, check_tasks
from episeek_pipelines.verify.metadata.task_text_rules import check_task_texts
from episeek_pipelines.verify.rules import EPISODES_CHANGED, EPISODES_FOOTER, SOURCE_CHANGED
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot_v2
from episeek_schemas.lerobot import DatasetInfo

NO_EPISODES_REMEDY: Final = (
    "restore meta/episodes from a copy of the dataset; do not set the totals of meta/info.json to 0, which would only hide that no "
    "reader finds the data and videos"
)


def check_survey(surveyed: Survey, info: DatasetInfo, *, frame_count: int | None) -> list[Finding]:
    """Return the findings of all rules on documents and the listing of files. An exception of a rule becomes a finding, too.

    Args:
        surveyed: The documents of the dataset, and its listings.
        info: The parsed meta/info.json.
        frame_count: Number of frames of the dataset; None if meta/info.json and meta/episodes contradict each other.
    """
    findings: list[Finding] = []
    names = {*surveyed.files, *surveyed.videos}
    has_sidecars = layout.FILES_PATH in surveyed.files
    features = surveyed.document.get("features", {})
    if not surveyed.episode_paths and info.total_episodes:
        where = Location(file=layout.EPISODES_DIR)
        expected = "files that list the episodes"
        findings.append(finding(EPISODES_FOOTER, "no Parquet files", expected, where, remedy=NO_EPISODES_REMEDY))
    with guarded(findings, "check_declared_rates", Location(file=layout.INFO_PATH)):
        findings += check_declared_rates(features, info)
    with guarded(findings, "check_tasks", Location(file=layout.TASKS_PATH)):
        if surveyed.tasks is not None or layout.TASKS_PATH not in surveyed.files:
            findings += check_tasks(surveyed.document, surveyed.tasks)
    with guarded(findings, "check_task_texts", Location(file=layout.TASKS_PATH)):
        if surveyed.tasks is not None:
            findings += check_task_texts(surveyed.tasks)
    with guarded(findings, "check_subtasks", Location(file=layout.SUBTASKS_PATH)):
        if surveyed.subtasks is not None:
            findings += check_subtasks(surveyed.subtasks)
    with guarded(findings, "check_statistics", Location(file=layout.STATS_PATH)):
        is_old = isinstance(surveyed.root, V2Root)
        is_reported = surveyed.statistics is None and is_old
        if not is_reported and (surveyed.statistics is not None or layout.STATS_PATH not in surveyed.files):
            findings += check_statistics(features, surveyed.statistics, frame_count, has_quantiles=not is_old)
    with guarded(findings, "check_card", Location(file=layout.CARD_PATH)):
        card, is_published = surveyed.card, surveyed.root.kind.has_history
        if card is not None or is_published:
            # The YAML library is imported only if the dataset has a card or needs one.
            from episeek_pipelines.verify.metadata.card_rules import check_card

            findings += check_card(card, names, is_published=is_published, has_sidecars=has_sidecars)
    with guarded(findings, "check_folders", Location()):
        findings += check_folders(names, info.chunks_size)
    with guarded(findings, "check_splits", Location(file=layout.INFO_PATH)):
        findings += check_splits(surveyed.document, info.total_episodes)
    if surveyed.source_changes:
        first, count = surveyed.source_changes[0], len(surveyed.source_changes)
        others = f" and {counted(count - 1, 'other file')}" if count > 1 else ""
        where = Location(file=layout.SOURCE_RECORD_PATH)
        found = f"changed contents of {first}{others} in {surveyed.data_root}"
        expected = "the files that the overlay was prepared from"
        # without the recorded options, repaired defects would come back
        remedy = f"prepare the source again, into a new folder: `{preparation_command(surveyed.root)}`"
        findings.append(finding(SOURCE_CHANGED, found, expected, where, remedy=remedy))
    if surveyed.against is not None:
        with guarded(findings, "check_documents", Location(file=layout.META_DIR)):
            findings += check_documents(
                surveyed.documents,
                surveyed.source_documents,
                has_other_videos=surveyed.has_other_videos,
                is_upgrade=isinstance(surveyed.against, V2Root),
                recomputed=_recomputed(surveyed.against),
            )
        for path in sorted(set(surveyed.source_episode_paths) - set(surveyed.episode_paths)):
            findings.append(finding(EPISODES_CHANGED, "no such file", "the file of the source", Location(file=path)))
    return findings


def _recomputed(source: Root) -> tuple[str, ...]:
    """Return the features whose statistics an upgrade of the source computes from the rows: those of numbers in version 2.0.

    Version 2.0 records no statistics of episodes, from which the statistics of the dataset could be converted.
    """
    if not isinstance(source, V2Root) or lerobot_v2.has_episode_statistics(source.view.documents.info):
        return ()
    return measured_features(source.view.documents.info["features"])
