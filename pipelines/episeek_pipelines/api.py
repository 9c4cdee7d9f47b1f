"""The Python API: one function for each job of the command line, with its options, results and errors.

    from episeek_pipelines.api import VerifyOptions, prepare, verify

The functions return values and print nothing. Their errors are subclasses of `episeek.EpiseekError`. Import the functions from this
module, not from `episeek_pipelines`: there, `index`, `publish`, `rewrite` and `verify` are packages. A name is imported when it is
first used, so importing this module costs almost nothing. docs/python-api.md describes the names with examples.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from episeek_pipelines.batch.errors import ManifestError, PlanError, Problem
    from episeek_pipelines.batch.ledger import LedgerRow
    from episeek_pipelines.batch.measurement import Measurement
    from episeek_pipelines.batch.options import BatchOptions
    from episeek_pipelines.batch.plan import PlannedBatch, batch_plan
    from episeek_pipelines.batch.plan_file import BatchPlan
    from episeek_pipelines.batch.ranks import Rank, rank_of
    from episeek_pipelines.batch.report.page import batch_report
    from episeek_pipelines.batch.run import BatchResult, batch_run
    from episeek_pipelines.batch.status import BatchStatus, DatasetState, batch_status
    from episeek_pipelines.batch.survey import PlannedDataset
    from episeek_pipelines.batch.work import RunOutcome
    from episeek_pipelines.comparison.levels import DIFF_LEVELS, DiffLevel
    from episeek_pipelines.comparison.results import Comparison, EpisodeChange
    from episeek_pipelines.dataset.contents import LeftOut
    from episeek_pipelines.dataset.finding import datasets_at
    from episeek_pipelines.dataset.inspection import CameraSummary, DataSummary, Inspection
    from episeek_pipelines.dataset.inspection import inspect_dataset as inspect
    from episeek_pipelines.dataset.provenance import recorded_videos
    from episeek_pipelines.dataset.root import Root
    from episeek_pipelines.index.staleness import IndexCheck, Stale, check_index
    from episeek_pipelines.jobs.bench.meeting import RanksError
    from episeek_pipelines.jobs.bench.options import BENCH_ORDERS, BenchOptions, BenchOrder
    from episeek_pipelines.jobs.bench.report import BenchReport, RankResult
    from episeek_pipelines.jobs.bench.run import bench
    from episeek_pipelines.jobs.bench.slurm import slurm_script
    from episeek_pipelines.jobs.comparison.compare import diff
    from episeek_pipelines.jobs.comparison.format_names import DIFF_FORMATS, DiffFormat, parse_diff_output
    from episeek_pipelines.jobs.comparison.formats import diff_summary, render_diff
    from episeek_pipelines.jobs.fix import FixResult, fix
    from episeek_pipelines.jobs.fix_plan import Action, FixPlan, RebuildSidecars, RewriteDataFile, Unfixed
    from episeek_pipelines.jobs.graph import Execution
    from episeek_pipelines.jobs.index import index
    from episeek_pipelines.jobs.nodes import Failure
    from episeek_pipelines.jobs.preparation_plan import PreparationPlan
    from episeek_pipelines.jobs.prepare import plan_preparation, prepare, upgrade
    from episeek_pipelines.jobs.progress import READING_HEADERS, Phase, Progress, StartProgress
    from episeek_pipelines.jobs.repair import RepairResult, plan_repair, repair
    from episeek_pipelines.jobs.results import (
        CopySummary,
        IndexSummary,
        PackSummary,
        PrepareResult,
        RewriteSummary,
        WorkFailedError,
    )
    from episeek_pipelines.jobs.rewrite import rewrite
    from episeek_pipelines.jobs.verify import verify
    from episeek_pipelines.jobs.video_choice import VIDEO_CHOICES, Videos
    from episeek_pipelines.parquet.footers import PageIndexCounts
    from episeek_pipelines.publish.card.section import UnusableCardError
    from episeek_pipelines.publish.errors import (
        ConflictError,
        ForeignChangesError,
        OptionsError,
        RefusedPublicationError,
    )
    from episeek_pipelines.publish.hub.options import PublishOptions, PublishResult
    from episeek_pipelines.publish.hub.publish import publish
    from episeek_pipelines.publish.overlay.changes import Changes
    from episeek_pipelines.publish.overlay.plan import UnpublishableError
    from episeek_pipelines.publish.overlay.target_check import TargetMismatchError
    from episeek_pipelines.publish.prepared import PreparedPublication, prepare_and_publish, working_directory
    from episeek_pipelines.publish.store.options import StoreOptions, StorePublication
    from episeek_pipelines.publish.store.publish import publish_to_store
    from episeek_pipelines.publish.store.writers.open_writer import is_store
    from episeek_pipelines.repair.record import MadeRepairs
    from episeek_pipelines.repair.registry import REPAIRS, RepairRule
    from episeek_pipelines.repair.values import Place, Refusal, Repair, RepairChoice
    from episeek_pipelines.verify.findings.findings import Finding, Location
    from episeek_pipelines.verify.findings.options import VerifyOptions
    from episeek_pipelines.verify.findings.report import VerificationReport
    from episeek_pipelines.verify.formats import (
        format_counts,
        format_findings,
        format_json,
        format_remarks,
        format_text,
        render,
    )
    from episeek_pipelines.verify.rules import RULES, Level, Rule, Severity
    from episeek_pipelines.verify.settings.rule_codes import ConfigurationError
    from episeek_pipelines.video.decoding_starts.keyframe_choice import KEYFRAME_CHOICES, KeyframeChoice

__all__ = [
    "BENCH_ORDERS",
    "DIFF_FORMATS",
    "DIFF_LEVELS",
    "KEYFRAME_CHOICES",
    "READING_HEADERS",
    "REPAIRS",
    "RULES",
    "VIDEO_CHOICES",
    "Action",
    "BatchOptions",
    "BatchPlan",
    "BatchResult",
    "BatchStatus",
    "BenchOptions",
    "BenchOrder",
    "BenchReport",
    "CameraSummary",
    "Changes",
    "Comparison",
    "ConfigurationError",
    "ConflictError",
    "CopySummary",
    "DataSummary",
    "DatasetState",
    "DiffFormat",
    "DiffLevel",
    "EpisodeChange",
    "Execution",
    "Failure",
    "Finding",
    "FixPlan",
    "FixResult",
    "ForeignChangesError",
    "IndexCheck",
    "IndexSummary",
    "Inspection",
    "KeyframeChoice",
    "LedgerRow",
    "LeftOut",
    "Level",
    "Location",
    "MadeRepairs",
    "ManifestError",
    "Measurement",
    "OptionsError",
    "PackSummary",
    "PageIndexCounts",
    "Phase",
    "Place",
    "PlanError",
    "PlannedBatch",
    "PlannedDataset",
    "PreparationPlan",
    "PrepareResult",
    "PreparedPublication",
    "Problem",
    "Progress",
    "PublishOptions",
    "PublishResult",
    "Rank",
    "RankResult",
    "RanksError",
    "RebuildSidecars",
    "Refusal",
    "RefusedPublicationError",
    "Repair",
    "RepairChoice",
    "RepairResult",
    "RepairRule",
    "RewriteDataFile",
    "RewriteSummary",
    "Root",
    "Rule",
    "RunOutcome",
    "Severity",
    "Stale",
    "StartProgress",
    "StoreOptions",
    "StorePublication",
    "TargetMismatchError",
    "Unfixed",
    "UnpublishableError",
    "UnusableCardError",
    "VerificationReport",
    "VerifyOptions",
    "Videos",
    "WorkFailedError",
    "batch_plan",
    "batch_report",
    "batch_run",
    "batch_status",
    "bench",
    "check_index",
    "datasets_at",
    "diff",
    "diff_summary",
    "fix",
    "format_counts",
    "format_findings",
    "format_json",
    "format_remarks",
    "format_text",
    "index",
    "inspect",
    "is_store",
    "parse_diff_output",
    "plan_preparation",
    "plan_repair",
    "prepare",
    "prepare_and_publish",
    "publish",
    "publish_to_store",
    "rank_of",
    "recorded_videos",
    "render",
    "render_diff",
    "repair",
    "rewrite",
    "slurm_script",
    "upgrade",
    "verify",
    "working_directory",
]

_NAMES_OF: Final = {
    "batch.errors": ("ManifestError", "PlanError", "Problem"),
    "batch.ledger": ("LedgerRow",),
    "batch.measurement": ("Measurement",),
    "batch.options": ("BatchOptions",),
    "batch.plan": ("PlannedBatch", "batch_plan"),
    "batch.plan_file": ("BatchPlan",),
    "batch.ranks": ("Rank", "rank_of"),
    "batch.report.page": ("batch_report",),
    "batch.run": ("BatchResult", "batch_run"),
    "batch.status": ("BatchStatus", "DatasetState", "batch_status"),
    "batch.survey": ("PlannedDataset",),
    "batch.work": ("RunOutcome",),
    "comparison.levels": ("DIFF_LEVELS", "DiffLevel"),
    "comparison.results": ("Comparison", "EpisodeChange"),
    "dataset.contents": ("LeftOut",),
    "dataset.finding": ("datasets_at",),
    "dataset.inspection": ("CameraSummary", "DataSummary", "Inspection"),
    "dataset.provenance": ("recorded_videos",),
    "dataset.root": ("Root",),
    "index.staleness": ("IndexCheck", "Stale", "check_index"),
    "jobs.bench.meeting": ("RanksError",),
    "jobs.bench.options": ("BENCH_ORDERS", "BenchOptions", "BenchOrder"),
    "jobs.bench.report": ("BenchReport", "RankResult"),
    "jobs.bench.run": ("bench",),
    "jobs.bench.slurm": ("slurm_script",),
    "jobs.comparison.compare": ("diff",),
    "jobs.comparison.format_names": ("DIFF_FORMATS", "DiffFormat", "parse_diff_output"),
    "jobs.comparison.formats": ("diff_summary", "render_diff"),
    "jobs.fix": ("FixResult", "fix"),
    "jobs.fix_plan": ("Action", "FixPlan", "RebuildSidecars", "RewriteDataFile", "Unfixed"),
    "jobs.graph": ("Execution",),
    "jobs.nodes": ("Failure",),
    "jobs.preparation_plan": ("PreparationPlan",),
    "jobs.index": ("index",),
    "jobs.prepare": ("plan_preparation", "prepare", "upgrade"),
    "jobs.rewrite": ("rewrite",),
    "jobs.progress": ("READING_HEADERS", "Phase", "Progress", "StartProgress"),
    "jobs.repair": ("RepairResult", "plan_repair", "repair"),
    "jobs.results": (
        "CopySummary",
        "IndexSummary",
        "PackSummary",
        "PrepareResult",
        "RewriteSummary",
        "WorkFailedError",
    ),
    "jobs.video_choice": ("VIDEO_CHOICES", "Videos"),
    "jobs.verify": ("verify",),
    "parquet.footers": ("PageIndexCounts",),
    "publish.card.section": ("UnusableCardError",),
    "publish.errors": ("ConflictError", "ForeignChangesError", "OptionsError", "RefusedPublicationError"),
    "publish.hub.options": ("PublishOptions", "PublishResult"),
    "publish.hub.publish": ("publish",),
    "publish.overlay.target_check": ("TargetMismatchError",),
    "publish.overlay.changes": ("Changes",),
    "publish.overlay.plan": ("UnpublishableError",),
    "publish.prepared": ("PreparedPublication", "prepare_and_publish", "working_directory"),
    "publish.store.options": ("StoreOptions", "StorePublication"),
    "publish.store.publish": ("publish_to_store",),
    "publish.store.writers.open_writer": ("is_store",),
    "repair.record": ("MadeRepairs",),
    "repair.registry": ("REPAIRS", "RepairRule"),
    "repair.values": ("Place", "Refusal", "Repair", "RepairChoice"),
    "video.decoding_starts.keyframe_choice": ("KEYFRAME_CHOICES", "KeyframeChoice"),
    "verify.findings.report": ("VerificationReport",),
    "verify.findings.findings": ("Finding", "Location"),
    "verify.findings.options": ("VerifyOptions",),
    "verify.formats": ("format_counts", "format_findings", "format_json", "format_remarks", "format_text", "render"),
    "verify.rules": ("RULES", "Level", "Rule", "Severity"),
    "verify.settings.rule_codes": ("ConfigurationError",),
}
_HOME: Final = {
    **{name: (module, name) for module, names in _NAMES_OF.items() for name in names},
    "inspect": ("dataset.inspection", "inspect_dataset"),
}


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name, and return the name's value (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(f"episeek_pipelines.{module}"), attribute)


def __dir__() -> list[str]:
    """Return all public names, including those that have not been imported yet."""
    return sorted(__all__)
