"""A plan says what a run will do and refuse, is the same for every scheduler, and is sealed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek_pipelines.batch import plan_file
from episeek_pipelines.batch.errors import PlanError
from episeek_pipelines.batch.manifest import read_manifest
from episeek_pipelines.batch.measurement import Measurement, measure
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.batch.plan import batch_plan, make_plan
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.prepare import prepare
from episeek_schemas.batch import PLAN_KEY, PLAN_PATH
from tests.support.many_datasets import BROKEN, make_datasets

SERIAL = Execution("sync")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan") / "many"
    make_datasets(folder, 12)
    return folder


def test_a_plan_tells_contents_and_refusals(many: Path, tmp_path: Path):
    planned = batch_plan(str(many), str(tmp_path / "out"), is_measured=False, execution=SERIAL)
    plan = planned.plan
    assert {row.destination for row in plan.refused} == {name for name, case in BROKEN.items() if case[2] == "refused"}
    for row in plan.runnable:
        info = json.loads((many / row.destination / "meta/info.json").read_text())
        assert (row.episodes, row.frames, row.version) == (info["total_episodes"], info["total_frames"], "v3.0")
        assert row.files == sum(path.is_file() for path in (many / row.destination).rglob("*"))
    assert plan_file.read_plan(Root(str(tmp_path / "out"))) == plan
    # the refusal is that of the reader itself
    (version,) = (row for row in plan.refused if row.destination == "broken-d-version")
    with pytest.raises(Exception, match="codebase_version") as refused:
        open_dataset(version.source)
    assert version.refusal is not None
    assert version.refusal.sentence == str(refused.value)


def test_figures_are_near_what_happens(many: Path, tmp_path: Path):
    plan = batch_plan(str(many), str(tmp_path / "out"), is_measured=False, execution=SERIAL).plan
    for name in ("hevc", "images", "plain"):
        row = next(row for row in plan.runnable if row.destination.startswith(name))
        prepare(row.source, str(tmp_path / name), execution=SERIAL)
        written = sum(path.stat().st_size for path in (tmp_path / name).rglob("*") if path.is_file())
        assert written / 2 < row.write_bytes < written * 2


def test_the_bytes_of_a_plan_depend_on_no_scheduler(many: Path, tmp_path: Path):
    out = Root(str(tmp_path / "out"))
    listed = read_manifest(str(many), out.url, BatchOptions())
    made = [make_plan(listed, out, BatchOptions(), Execution(name)) for name in ("sync", "threads")]
    assert plan_file.plan_bytes(made[0]) == plan_file.plan_bytes(made[1])


def test_a_dry_run_writes_nothing_and_measures(many: Path, tmp_path: Path):
    planned = batch_plan(str(many), str(tmp_path / "out"), dry_run=True, execution=SERIAL)
    assert not (tmp_path / "out").exists()
    assert planned.measurement is not None
    assert planned.core_seconds > 0


def test_a_measurement_has_the_cost_of_what_was_measured(many: Path, tmp_path: Path):
    def measured(options: BatchOptions) -> Measurement:
        plan = batch_plan(str(many), str(tmp_path / "out"), options=options, is_measured=False, execution=SERIAL).plan
        found = measure([row for row in plan.runnable if row.destination.startswith("hevc")][:1])
        assert found is not None
        return found

    assert measured(BatchOptions("copy")).cost_seconds == measured(BatchOptions()).cost_seconds


def edited(path: Path, column: str, value: object) -> None:
    table, metadata = pq.read_table(path), pq.read_metadata(path).metadata
    changed = pa.array([value] * table.num_rows, table.schema.field(column).type)
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table.set_column(table.schema.get_field_index(column), column, changed))
        writer.add_key_value_metadata(metadata)


@pytest.mark.parametrize("damage", ["edit", "cut", "footer", "remove"])
def test_a_plan_that_was_changed_is_refused(many: Path, tmp_path: Path, damage: str):
    batch_plan(str(many), str(tmp_path / "out"), is_measured=False, execution=SERIAL)
    path = tmp_path / "out" / PLAN_PATH
    if damage == "edit":
        edited(path, "cost_seconds", 0.0)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "footer":
        table, metadata = pq.read_table(path), pq.read_metadata(path).metadata
        about = {**json.loads(metadata[PLAN_KEY]), "manifest": "another"}
        with pq.ParquetWriter(path, table.schema) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({**metadata, PLAN_KEY: json.dumps(about).encode()})
    else:
        path.unlink()
    with pytest.raises(PlanError):
        plan_file.read_plan(Root(str(tmp_path / "out")))


def test_a_plan_of_something_else_is_refused(many: Path, tmp_path: Path):
    plan = batch_plan(str(many), str(tmp_path / "out"), is_measured=False, execution=SERIAL).plan
    same: dict[str, Any] = {
        "manifest_digest": plan.manifest_digest,
        "options": plan.options,
        "versions": plan.versions,
        "where": "plan",
    }
    plan_file.require_same(plan, **same)
    others: dict[str, dict[str, Any]] = {
        "keyframes all": {**same, "options": replace(plan.options, keyframes="all")},
        "another version of the manifest": {**same, "manifest_digest": "0"},
        "rewrite version": {**same, "versions": {**plan.versions, "rewrite_version": 0}},
    }
    for message, other in others.items():
        with pytest.raises(PlanError, match=message):
            plan_file.require_same(plan, **other)
