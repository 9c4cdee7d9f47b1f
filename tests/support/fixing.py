"""Reports to fix datasets by, and what has to stay the same."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.verify import RULES, Location, VerificationReport
from episeek_pipelines.verify.findings.findings import finding
from tests.pipelines.conftest import digests
from tests.support.broken_datasets import collapse, copy_of

SERIAL = Execution("sync")


def report_of(root: Path, *codes_and_files: tuple[str, str | None]) -> VerificationReport:
    """As a verification would give it."""
    found = [finding(RULES[code], "as it is", "", Location(file=file)) for code, file in codes_and_files]
    return VerificationReport(str(root), tuple(sorted(found)), 10, 3, 12, 0, 0, 0.0)


def data_files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in (root / "data").rglob("*.parquet"))


def all_files(root: Path, code: str = "ROW038") -> VerificationReport:
    return report_of(root, *((code, path) for path in data_files(root)))


def collapsed(name: str, folder: Path) -> Path:
    root = copy_of(name, folder)
    for path in data_files(root):
        collapse(root, path)
    return root


def rows(root: Path, path: str) -> pa.Table:
    return pq.read_table(root / path)


def state(root: Path) -> dict[str, tuple[str, int, int, int]]:
    """What a file is, and whether it is the same one: of everything below a root, hidden or not."""
    contents = digests(root)
    stats = {path: os.stat(root / path) for path in contents}
    return {
        path: (contents[path], stats[path].st_ino, stats[path].st_mtime_ns, stats[path].st_mode) for path in contents
    }


def assert_one_row_group_per_episode(root: Path, path: str) -> None:
    with pq.ParquetFile(root / path) as file:
        held = [
            file.read_row_group(number, ["episode_index"]).column(0).unique().to_pylist()
            for number in range(file.num_row_groups)
        ]
        chunk = file.metadata.row_group(0).column(0)
        assert (chunk.has_offset_index, chunk.has_column_index) == (True, True)
    assert held == [[episode] for episode in sorted(set(rows(root, path)["episode_index"].to_pylist()))]
