"""The verify step: invariants of LeRobot datasets and sidecars, checked from metadata, Parquet footers, rows and MP4 headers.

`plan_verification` reads the metadata and lays out checks, `run_check` does one of them anywhere, `conclude` turns
the results into a report; `verify` does all three in a row. Nothing here knows Dask, and nothing prints. No picture
is decoded.
"""

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
from episeek_pipelines.verify.options import VerifyOptions
from episeek_pipelines.verify.plan import plan_verification
from episeek_pipelines.verify.rules import LEVELS, RULES, Level, Rule, Severity
from episeek_pipelines.verify.run import conclude, run_check, verify
from episeek_pipelines.verify.tasks import Check, CheckResult, VerificationContext, VerificationPlan, VerificationReport

__all__ = [
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
    "plan_verification",
    "render",
    "run_check",
    "verify",
]
