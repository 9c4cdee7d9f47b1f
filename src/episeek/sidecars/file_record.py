"""Rows of the table `files` of the video index, one for each video. Units and meanings are in `episeek_schemas.sidecars.FILES`."""

from dataclasses import dataclass

from episeek.errors import Mp4Error
from episeek.mp4.moov.description_runs import runs_problem
from episeek.mp4.moov.sample_description import read_entries
from episeek.mp4.moov.video_track import IDENTITY_MATRIX
from episeek_schemas.sidecars import CONTAINERS

MATRIX_BYTES = len(IDENTITY_MATRIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProperties:
    """A row of the `files` table without its number."""

    file_path: str
    file_size: int
    store_id: str
    moov_sha256: str
    moov_offset: int
    moov_length: int
    header_length: int
    faststart: bool
    codec: str
    width: int
    height: int
    timescale: int
    sample_count: int
    avg_fps: float
    sample_description: bytes
    container: str
    track_matrix: bytes
    sample_description_runs: bytes
    episodes_sha256: str
    start_description_runs: bytes
    sync_sample_count: int
    sync_samples_inspected: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FileRecord(FileProperties):
    """A row of the `files` table."""

    file_id: int

    def problem(self) -> str:
        """Return a noun phrase for the first impossible value of the row; empty if all values are possible.

        A damaged row must not lead to a wrong picture or path.
        """
        parts = self.file_path.split("/")
        if not self.file_path or self.file_path.startswith("/") or ".." in parts or "\0" in self.file_path:
            return f"file_path {self.file_path!r}"
        if not 0 < self.timescale < 1 << 31 or not 0 < self.width < 1 << 16 or not 0 < self.height < 1 << 16:
            return f"timescale {self.timescale}, {self.width}x{self.height} pixels"
        if not 1e-6 < self.avg_fps < 1e9:
            return f"avg_fps {self.avg_fps}"
        if self.container not in CONTAINERS or len(self.track_matrix) != MATRIX_BYTES:
            return f"container {self.container!r}, a matrix of {len(self.track_matrix)} bytes"
        try:
            entries = read_entries(self.sample_description, where=self.file_path)
        except Mp4Error as error:
            return f"sample_description with {error.found}"
        for name in ("sample_description_runs", "start_description_runs"):
            problem = runs_problem(getattr(self, name), entry_count=len(entries))
            if problem:
                return f"{name} {problem}"
        return ""

    def __repr__(self) -> str:
        return (
            f"FileRecord({self.file_id}, {self.file_path!r}, {self.file_size} bytes, {self.sample_count} samples of "
            f"{self.codec} {self.width}x{self.height} at {self.avg_fps:g} fps)"
        )
