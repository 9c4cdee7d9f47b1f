"""The verify step: invariants of LeRobot datasets and sidecars, checked from metadata, Parquet footers, rows and MP4 headers.

`survey` lists the files and reads the documents, `read_shard` reads one file of meta/episodes, `plan_checks` lays out
checks, `run_check` does one of them anywhere, `conclude` turns the results into a report; `verify` does all of it in a
row. No file is opened twice, but for MP4s of this machine: their headers, and pictures where they are decoded. Nothing here
knows Dask, and nothing prints.
"""

from episeek_pipelines.verify.episodes import Shard, read_shard
from episeek_pipelines.verify.figures import CameraFigures, Figures
from episeek_pipelines.verify.findings import Finding, Location
from episeek_pipelines.verify.formats import (
    FORMATS,
    Format,
    format_counts,
    format_findings,
    format_json,
    format_text,
    parse_output,
    render,
)
from episeek_pipelines.verify.options import DEFAULT_OPTIONS, VerifyOptions
from episeek_pipelines.verify.plan import plan_checks, plan_verification, shard_arguments
from episeek_pipelines.verify.rules import LEVELS, RULES, Level, Rule, Severity
from episeek_pipelines.verify.run import conclude, run_check, verify
from episeek_pipelines.verify.survey import Survey, survey
from episeek_pipelines.verify.tasks import Check, CheckResult, VerificationContext, VerificationPlan, VerificationReport

__all__ = [
    "DEFAULT_OPTIONS",
    "FORMATS",
    "LEVELS",
    "RULES",
    "CameraFigures",
    "Check",
    "CheckResult",
    "Figures",
    "Finding",
    "Format",
    "Level",
    "Location",
    "Rule",
    "Severity",
    "Shard",
    "Survey",
    "VerificationContext",
    "VerificationPlan",
    "VerificationReport",
    "VerifyOptions",
    "conclude",
    "format_counts",
    "format_findings",
    "format_json",
    "format_text",
    "parse_output",
    "plan_checks",
    "plan_verification",
    "read_shard",
    "render",
    "run_check",
    "shard_arguments",
    "survey",
    "verify",
]
