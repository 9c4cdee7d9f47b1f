"""Verify LeRobot datasets: check the metadata, the Parquet files, the videos, and the sidecars (index tables of the videos).

`survey` lists the files and reads the documents of meta/, `read_shard` reads one file of meta/episodes, and `plan_checks` plans
the checks. `run_check` runs one check, in any process, and `conclude` turns the results into a report. `verify` does all of this,
one step after the other.

Each file is opened once, with three exceptions. The pictures of local MP4 files are also read through FFmpeg. MP4 files are opened
again if a report shows some of their frames. Files of meta/episodes that are too large to keep in memory are opened again by the
checks of data files. This package uses no Dask and prints nothing.

The names of this package are loaded on first use, so that importing the rules does not import the modules that read files.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from episeek_pipelines.verify.episodes.shard import read_shard
    from episeek_pipelines.verify.episodes.table import Shard
    from episeek_pipelines.verify.findings.checks import Check, CheckResult, VerificationContext, VerificationPlan
    from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
    from episeek_pipelines.verify.findings.findings import Finding, Location
    from episeek_pipelines.verify.findings.options import DEFAULT_OPTIONS, VerifyOptions, with_level
    from episeek_pipelines.verify.findings.report import VerificationReport
    from episeek_pipelines.verify.formats import (
        format_counts,
        format_findings,
        format_json,
        format_remarks,
        format_text,
        render,
    )
    from episeek_pipelines.verify.formats.names import FORMATS, Format, parse_output
    from episeek_pipelines.verify.metadata.survey import Survey, survey
    from episeek_pipelines.verify.plan import plan_checks, plan_verification, shard_arguments
    from episeek_pipelines.verify.rules import LEVELS, RULES, Level, Rule, Severity
    from episeek_pipelines.verify.run import conclude, run_check, verify

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
    "format_remarks",
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
    "with_level",
]

_NAMES_OF: Final = {
    "metadata.survey": ("Survey", "survey"),
    "episodes.shard": ("read_shard",),
    "episodes.table": ("Shard",),
    "findings.figures": ("CameraFigures", "Figures"),
    "findings.findings": ("Finding", "Location"),
    "formats": ("format_counts", "format_findings", "format_json", "format_remarks", "format_text", "render"),
    "findings.options": ("DEFAULT_OPTIONS", "VerifyOptions", "with_level"),
    "formats.names": ("FORMATS", "Format", "parse_output"),
    "plan": ("plan_checks", "plan_verification", "shard_arguments"),
    "rules": ("LEVELS", "RULES", "Level", "Rule", "Severity"),
    "run": ("conclude", "run_check", "verify"),
    "findings.checks": ("Check", "CheckResult", "VerificationContext", "VerificationPlan"),
    "findings.report": ("VerificationReport",),
}
_MODULE_OF: Final = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
