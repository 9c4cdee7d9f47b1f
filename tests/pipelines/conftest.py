import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_schemas.layout import SOURCE_RECORD_DIR

DATA = Path(__file__).parent.parent / "data"
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "20s",
    "distributed.admin.system-monitor.interval": "20s",
    "distributed.worker.memory.monitor-interval": "5s",
}
"""Options of Dask with which a cluster that has nothing to do takes a tenth of the CPU time; it lives until the tests end."""
DATASETS = ("av1_multifile", "h264_bframes", "hevc", "images", "edited")


def copy_dataset(name: str, target: Path) -> Path:
    """A dataset that a test may change."""
    shutil.copytree(DATA / name, target)
    return target


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file below a directory, hidden ones included, but for the records of its preparation."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] != SOURCE_RECORD_DIR
    }


def change_info(root: Path, **values: object) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_episodes(root: Path, column: str, row: int, value: object) -> None:
    """Overwrite one value of meta/episodes."""
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    position = table.schema.get_field_index(column)
    changed = table.set_column(
        position, table.schema.field(position), pa.array(values, table.schema.field(position).type)
    )
    pq.write_table(changed, path)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a distributed scheduler with two worker processes."""
    import dask
    from distributed import LocalCluster

    # port 0: test workers side by side would fight over a fixed one
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with dask.config.set(QUIET), LocalCluster(processes=True, **options) as running:
        yield running.scheduler_address


@pytest.fixture
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A writable copy of the dataset named by indirect parametrisation; av1_multifile otherwise."""
    return copy_dataset(getattr(request, "param", "av1_multifile"), tmp_path / "source")
