"""Write and read the records of a run in `.episeek/`: one of its source, and one of its options, versions and seconds."""

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy
import pyarrow

from episeek.errors import ChangedFileError
from episeek.version import __version__
from episeek_pipelines.dataset.folder_digests import source_digests, written_digests
from episeek_pipelines.dataset.provenance import record_source, write_record
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import DatasetStaging
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.progress import COPYING, PACKING, READING_HEADERS, REWRITING
from episeek_pipelines.jobs.results import PrepareResult
from episeek_pipelines.pack.plan import PACK_VERSION
from episeek_pipelines.rewrite.rewrite import REWRITE_VERSION
from episeek_schemas import layout, sidecars


def record_run(
    result: PrepareResult,
    source: Root,
    read: Mapping[str, str],
    staging: DatasetStaging,
    options: dict[str, Any],
    execution: Execution,
    stage_seconds: Mapping[str, float],
) -> None:
    """Write the record of the source and the record of the run into the staging, where the destination is built.

    Publications and readers of an overlay need the record of the source.

    Args:
        result: The result of the run.
        source: The root of the source.
        read: The digests of the source's folders (`source_digests`), taken before anything was read.
        staging: The staging that contains the written dataset.
        options: The command, its source and all options that decide the result.
        execution: The scheduler and workers that ran the graph.
        stage_seconds: Seconds of each stage, summed over threads and processes.

    Raises:
        ChangedFileError: The source has changed since its digests were taken.
        WriteError: A record cannot be written.
    """
    _require_unchanged(source, read)
    if staging.is_resumed:
        # the staging may contain records of a run that was killed
        staging.root.remove(layout.SOURCE_RECORD_DIR)
    write_record(staging.root, replace(record_source(source, options), version=result.source_version))
    document = _run_document(result, read, staging.root, options, execution, stage_seconds)
    staging.root.write_bytes(layout.RUN_RECORD_PATH, f"{json.dumps(document, indent=1)}\n".encode())


def _require_unchanged(source: Root, read: Mapping[str, str]) -> None:
    now = source_digests(source)
    if now != read:
        changed = " and ".join(
            f"{folder}/" if folder else "other files" for folder in now if now[folder] != read[folder]
        )
        found, hint = (
            f"changes in {changed} during the run",
            "run the same command again when no other program changes the source",
        )
        raise ChangedFileError(str(source), found, "a source that does not change during the run", hint)


def _run_document(
    result: PrepareResult,
    read: Mapping[str, str],
    written: Root,
    options: Mapping[str, Any],
    execution: Execution,
    stage_seconds: Mapping[str, float],
) -> dict[str, Any]:
    return {
        "command": options["command"],
        "options": dict(options),
        "versions": versions(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - result.seconds)),
        "seconds": round(result.seconds, 3),
        "is_resumed": result.is_resumed,
        "scheduler": execution.scheduler,
        "workers": execution.workers,
        "stages": _stages(result, stage_seconds),
        "source": dict(read),
        "written": written_digests(written),
    }


def read_digests(root: Root) -> tuple[dict[str, str], dict[str, str]]:
    """Return the recorded digests of the source's folders and of the written folders; both are empty without a record."""
    if not root.exists(layout.RUN_RECORD_PATH):
        return {}, {}
    try:
        document = json.loads(root.read_bytes(layout.RUN_RECORD_PATH))
        return dict(document["source"]), dict(document["written"])
    except (ValueError, KeyError, TypeError, RecursionError):
        # a damaged record is treated as a missing one
        return {}, {}


def versions() -> dict[str, Any]:
    """Return the versions of the software and formats that decide what is written."""
    return {
        "episeek": __version__,
        "format": sidecars.FORMAT_VERSION,
        "index": sidecars.INDEX_VERSION,
        "rewrite": REWRITE_VERSION,
        "pack": PACK_VERSION,
        "python": platform.python_version(),
        "pyarrow": pyarrow.__version__,
        "numpy": numpy.__version__,
    }


def _stages(result: PrepareResult, seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    if (index := result.index) is not None:
        figures[READING_HEADERS] = {
            "files": index.files,
            "reused_files": index.reused_files,
            "bytes_read": index.bytes_read,
            "requests": index.request_count,
            "retries": index.retry_count,
        }
        figures[layout.BYTE_INDEX_DIR] = {"files": len(sidecars.TABLES), "bytes_written": index.sidecar_bytes}
    if (rewrite := result.rewrite) is not None:
        figures[REWRITING] = {
            "files": rewrite.source_files,
            "reused_files": rewrite.reused_files,
            "bytes_read": rewrite.source_bytes,
            "bytes_written": rewrite.written_bytes,
            "requests": rewrite.request_count,
            "retries": rewrite.retry_count,
        }
    if (packing := result.packing) is not None:
        figures[PACKING] = {
            "files": packing.files,
            "reused_files": packing.reused_files,
            "source_files": packing.source_files,
            "bytes_written": packing.file_bytes,
        }
    if result.copies is not None:
        figures[COPYING] = {"files": result.copies.files}
    if (report := result.verification) is not None:
        figures["verify"] = {"errors": report.error_count, "warnings": report.warning_count}
    return [{"stage": stage, "seconds": round(spent, 3), **figures.get(stage, {})} for stage, spent in seconds.items()]
