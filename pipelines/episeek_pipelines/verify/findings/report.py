"""The report of a verification: its findings, and the parts of the dataset that were checked or not checked."""

from dataclasses import dataclass, field
from datetime import datetime

from episeek_pipelines.verify.findings.coverage import Coverage, Note
from episeek_pipelines.verify.findings.figures import Figures
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.options import DEFAULT_OPTIONS, VerifyOptions
from episeek_pipelines.verify.rules import Level


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """The result of a verification: its findings, sorted, and the parts of the dataset that it checked."""

    root: str
    findings: tuple[Finding, ...]
    episode_count: int
    data_file_count: int
    video_file_count: int
    files_read: int
    bytes_read: int
    timestamp_tolerance_seconds: float
    """The smallest tolerance in seconds with which ROW017 reports nothing; 0 if rows were not read."""
    level: Level = "layout"
    against: str | None = None
    """Path or URL of the source that the dataset was compared with."""
    figures: Figures = field(default_factory=Figures, compare=False)
    ignored_count: int = 0
    """Number of findings that the configuration ignores, including those that `Finding.more` counts."""
    accepted_count: int = 0
    """Number of findings that the baseline accepts, including those that `Finding.more` counts."""
    notes: tuple[Note, ...] = ()
    """Problems that do not matter because the sidecars index the videos, sorted by code."""
    coverage: Coverage = field(default_factory=Coverage)
    options: VerifyOptions = DEFAULT_OPTIONS
    date: datetime | None = None
    """Time of the verification, which the caller sets; None leaves it out of reports."""
    revision: str | None = None
    """Commit of the dataset, which the caller sets; None where it is unknown."""
    window_count: int = 0
    """Number of short ranges of frames that were decoded from later sync samples and compared with decoding the whole file."""
    data_root: str | None = None
    """Path or URL of the dataset whose videos were read, which the caller sets; None if `root` has the videos."""

    @property
    def level_reason(self) -> str:
        """Return the reason for the level, as in `VerifyOptions.level_reason`; empty without a recorded reason."""
        return self.options.level_reason

    @property
    def error_count(self) -> int:
        """Return the number of errors, including those that `Finding.more` counts."""
        return finding_count(found for found in self.findings if found.severity == "error")

    @property
    def warning_count(self) -> int:
        """Return the number of warnings, including those that `Finding.more` counts."""
        return finding_count(found for found in self.findings if found.severity == "warning")

    @property
    def is_clean(self) -> bool:
        """Return whether the report has no errors; warnings do not count."""
        return not self.error_count
