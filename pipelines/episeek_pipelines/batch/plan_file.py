"""Write and read the plan of a batch as a Parquet file, and refuse a plan that was edited.

The footer contains the manifest, the options and the versions that the rows depend on, and a seal: the SHA-256 of all of these and
of the rows. The same datasets, options and versions give the same bytes, since the file contains no time, host or measurement.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingFileError, ParquetError
from episeek_pipelines.batch.errors import PlanError, Problem
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.batch.survey import PlannedDataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.words import counted
from episeek_schemas.batch import PLAN_FORMAT, PLAN_KEY, PLAN_PATH, SEAL_KEY

_COUNTS: Final = (
    "episodes",
    "frames",
    "cameras",
    "files",
    "data_files",
    "video_files",
    "read_bytes",
    "write_bytes",
    "requests",
)
_REFUSAL: Final = ("kind", "where", "found", "expected", "hint")
_SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("destination", "source", "options", "version")),
        *((name, pa.int64()) for name in _COUNTS),
        ("cost_seconds", pa.float64()),
        ("identity", pa.string()),
        *((f"refused_{name}", pa.string()) for name in _REFUSAL),
    ]
)
_HINT: Final = "run `episeek batch plan MANIFEST OUT` to plan the batch again; finished datasets are kept"


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The plan of a batch: its datasets, and the manifest, options and versions that they depend on."""

    manifest: str
    """The path or URL of the manifest, as it was given."""
    manifest_digest: str
    """The digest of the manifest's rows, as `Manifest.digest` returns it."""
    options: BatchOptions
    """The options of every dataset. The manifest may change some of them for one dataset."""
    versions: dict[str, Any]
    """The versions that decide the results, as `work_versions` returns them."""
    datasets: tuple[PlannedDataset, ...]
    """The datasets, sorted by destination."""
    left_out: tuple[str, ...] = ()
    """URLs of an organisation's dataset repositories that are no LeRobot datasets."""

    @property
    def refused(self) -> tuple[PlannedDataset, ...]:
        """Return the datasets that will be refused."""
        return tuple(dataset for dataset in self.datasets if dataset.refusal is not None)

    @property
    def runnable(self) -> tuple[PlannedDataset, ...]:
        """Return the datasets that will be prepared."""
        return tuple(dataset for dataset in self.datasets if dataset.refusal is None)


def plan_bytes(plan: BatchPlan) -> bytes:
    """Return the content of the Parquet file of a plan."""
    rows = [_row(dataset) for dataset in plan.datasets]
    about = _about(plan)
    metadata = {PLAN_KEY: about, SEAL_KEY: _seal(about, rows)}
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, _SCHEMA, compression="zstd", store_schema=False) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
        writer.add_key_value_metadata(metadata)
    return stream.getvalue()


def write_plan(plan: BatchPlan, out: Root) -> None:
    """Write a plan into the folder of the results; an earlier plan is replaced."""
    out.write_bytes(PLAN_PATH, plan_bytes(plan))


def has_plan(out: Root) -> bool:
    """Return whether the folder of the results contains a plan."""
    return out.exists(PLAN_PATH)


def read_plan(out: Root) -> BatchPlan:
    """Read the plan in the folder of the results.

    Raises:
        PlanError: The plan is missing, was changed after it was written, or has the format of another version of episeek.
    """
    where = out.join(PLAN_PATH)
    try:
        with out.open_parquet(PLAN_PATH) as file:
            metadata = file.metadata.metadata or {}
            table = file.read(use_threads=False)
        about = json.loads(metadata[PLAN_KEY])
        rows = table.to_pylist()
    except MissingFileError:
        raise PlanError(where, "no such file", "the plan of a batch", _HINT) from None
    except (ParquetError, pa.ArrowException, KeyError, ValueError):
        raise PlanError(where, "a damaged file, or a file that is not a plan", "the plan of a batch", _HINT) from None
    if about.get("format") != PLAN_FORMAT:
        raise PlanError(where, f"a plan of format {about.get('format')}", f"format {PLAN_FORMAT}", _HINT)
    if table.schema.names != _SCHEMA.names or metadata.get(SEAL_KEY) != _seal(metadata[PLAN_KEY], rows):
        raise PlanError(where, "a plan that was changed after it was made", "the plan as it was written", _HINT)
    return BatchPlan(
        manifest=about["manifest"],
        manifest_digest=about["manifest_digest"],
        options=BatchOptions.of(about["options"]),
        versions=about["versions"],
        datasets=tuple(map(_dataset, rows)),
        left_out=tuple(about["left_out"]),
    )


def require_same(
    plan: BatchPlan, *, manifest_digest: str, options: BatchOptions, versions: dict[str, Any], where: str
) -> None:
    """Raise an error unless a plan was made for the manifest, the options and the versions of this run.

    Args:
        plan: The plan.
        manifest_digest: The digest of this run's manifest.
        options: The options of this run.
        versions: The versions of this run.
        where: The file of the plan, for messages.

    Raises:
        PlanError: The plan was made for another manifest, other options or other versions. The error contains the difference.
    """
    # The options also change the digest of the manifest. They are compared first, so that the error shows the cause.
    now = options.as_dict()
    differing = {name: (value, now[name]) for name, value in plan.options.as_dict().items() if value != now[name]}
    if differing:
        found = ", ".join(f"{name} {_shown(value)}" for name, (value, _) in differing.items())
        expected = ", ".join(f"{name} {_shown(value)}" for name, (_, value) in differing.items())
        raise PlanError(where, f"a plan with {found}", f"{expected}, as in this run", _HINT)
    names = sorted(name for name in plan.versions.keys() | versions if plan.versions.get(name) != versions.get(name))
    if names:
        found, expected = _versions(plan.versions, names), _versions(versions, names)
        raise PlanError(where, f"a plan made with {found}", f"{expected}, as in this version of episeek", _HINT)
    if plan.manifest_digest != manifest_digest:
        found = f"a plan of {counted(len(plan.datasets), 'dataset')}, made from another version of the manifest"
        raise PlanError(where, found, "the datasets, destinations and options of the present manifest", _HINT)


def _versions(versions: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {versions.get(name, 'not given')}" for name in names)


def _shown(value: Any) -> str:
    return {None: "not given", True: "given", False: "not given"}.get(value, str(value))


def _about(plan: BatchPlan) -> bytes:
    document = {
        "format": PLAN_FORMAT,
        "manifest": plan.manifest,
        "manifest_digest": plan.manifest_digest,
        "options": plan.options.as_dict(),
        "versions": plan.versions,
        "left_out": list(plan.left_out),
    }
    return json.dumps(document, sort_keys=True).encode()


def _seal(about: bytes, rows: list[dict[str, Any]]) -> bytes:
    digest = hashlib.sha256(about)
    digest.update(json.dumps(rows, sort_keys=True).encode())
    return digest.hexdigest().encode()


def _row(dataset: PlannedDataset) -> dict[str, Any]:
    problem = dataset.refusal
    return {
        "destination": dataset.destination,
        "source": dataset.source,
        "options": json.dumps(dataset.options.as_dict(), sort_keys=True),
        "version": dataset.version,
        **{name: getattr(dataset, name) for name in _COUNTS},
        "cost_seconds": dataset.cost_seconds,
        "identity": dataset.identity,
        **{f"refused_{name}": None if problem is None else getattr(problem, name) for name in _REFUSAL},
    }


def _dataset(row: dict[str, Any]) -> PlannedDataset:
    parts = [row[f"refused_{name}"] for name in _REFUSAL]
    return PlannedDataset(
        destination=row["destination"],
        source=row["source"],
        options=BatchOptions.of(json.loads(row["options"])),
        version=row["version"],
        **{name: row[name] for name in _COUNTS},
        cost_seconds=row["cost_seconds"],
        identity=row["identity"],
        refusal=None if parts[0] is None else Problem(*parts),
    )
