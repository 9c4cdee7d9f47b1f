"""Show plans, runs and states of batches as lines of text and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from episeek_pipelines.cli.lines.table import table_lines
from episeek_pipelines.words import counted, human_bytes

if TYPE_CHECKING:
    from episeek_pipelines.api import BatchResult, BatchStatus, DatasetState, LedgerRow, PlannedBatch, PlannedDataset


def plan_lines(planned: "PlannedBatch") -> Iterator[str]:
    """Yield the lines of a plan: a table of the datasets, the reasons why other datasets will be refused, and the totals."""
    plan = planned.plan
    if plan.runnable:
        header = ["dataset", "version", "episodes", "frames", "cameras", "files", "read", "write", "requests", "time"]
        rows = [_plan_row(dataset, _seconds(dataset, planned)) for dataset in plan.runnable]
        yield from table_lines(header, rows, right="llrrrrrrrr")
    for dataset in plan.refused:
        assert dataset.refusal is not None
        yield f"refused  {dataset.destination}: {dataset.refusal.sentence}"
    if plan.left_out:
        names = ", ".join(plan.left_out[:3]) + (", ..." if len(plan.left_out) > 3 else "")
        yield f"ignored  {counted(len(plan.left_out), 'repository', 'repositories')} without meta/info.json: {names}"
    totals = [
        counted(len(plan.datasets), "dataset"),
        f"{len(plan.refused):,} refused",
        counted(sum(dataset.episodes for dataset in plan.runnable), "episode"),
        counted(sum(dataset.frames for dataset in plan.runnable), "frame"),
        f"about {human_bytes(sum(dataset.read_bytes for dataset in plan.runnable))} to read",
        f"{human_bytes(sum(dataset.write_bytes for dataset in plan.runnable))} to write",
    ]
    yield f"plan     {', '.join(totals)}"
    yield f"time     {_time_line(planned)}"
    where = "not written (dry run)" if not planned.is_written else f"written below {planned.out}"
    yield f"done     the plan is {where}"


def plan_document(planned: "PlannedBatch") -> dict[str, Any]:
    """Return the JSON document of a plan."""
    plan, measured = planned.plan, planned.measurement
    return {
        "out": planned.out,
        "is_written": planned.is_written,
        "manifest": plan.manifest,
        "manifest_digest": plan.manifest_digest,
        "options": plan.options.as_dict(),
        "versions": plan.versions,
        "measurement": None
        if measured is None
        else {"dataset": measured.destination, "seconds": measured.seconds, "cost_seconds": measured.cost_seconds},
        "core_seconds": planned.core_seconds,
        "left_out": list(plan.left_out),
        "datasets": [_dataset_document(dataset) for dataset in plan.datasets],
    }


def _dataset_document(dataset: "PlannedDataset") -> dict[str, Any]:
    names = ("destination", "source", "version", "episodes", "frames", "cameras", "files", "data_files", "video_files")
    costs = ("read_bytes", "write_bytes", "requests", "cost_seconds", "identity")
    return {
        **{name: getattr(dataset, name) for name in (*names, *costs)},
        "options": dataset.options.as_dict(),
        "refused": None if dataset.refusal is None else dataset.refusal.as_dict(),
    }


def _plan_row(dataset: "PlannedDataset", seconds: float) -> list[str]:
    counts = (dataset.episodes, dataset.frames, dataset.cameras, dataset.files)
    return [
        dataset.destination,
        dataset.version,
        *(f"{count:,}" for count in counts),
        human_bytes(dataset.read_bytes),
        human_bytes(dataset.write_bytes),
        f"{dataset.requests:,}" if dataset.requests else "-",
        duration(seconds),
    ]


def _seconds(dataset: "PlannedDataset", planned: "PlannedBatch") -> float:
    return dataset.cost_seconds * (1.0 if planned.measurement is None else planned.measurement.factor)


def _time_line(planned: "PlannedBatch") -> str:
    total = f"about {duration(planned.core_seconds)} of one core for all datasets"
    measured = planned.measurement
    if measured is None:
        return f"{total}, without a measurement on this machine"
    took = f"took {measured.seconds:.2f} s here, and {measured.cost_seconds:.2f} s were estimated"
    return f"{total}, according to a measurement: preparing the dataset {measured.destination} into a temporary folder {took}"


def duration(seconds: float) -> str:
    """Return a duration with a suitable unit, such as `12 s`, `3.5 min` or `2.1 h`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


# --- runs ------------------------------------------------------------------------------------------------------------------------

_KINDS = {
    "unchanged": "with nothing to do",
    "elsewhere": "in progress in another process",
    "left": "not begun",
    "unrecorded": "without a record",
}


def run_lines(result: "BatchResult", *, is_quiet: bool) -> Iterator[str]:
    """Yield the lines of a run: one for each dataset that was refused, failed or has errors, and the totals unless `is_quiet`."""
    for outcome in result.outcomes:
        if outcome.row is not None:
            yield from _trouble_lines(outcome.destination, outcome.row)
    if is_quiet:
        return
    counts = ", ".join(f"{number:,} {_KINDS.get(kind, kind)}" for kind, number in result.counts.items()) or "none"
    rank = f" (rank {result.rank.number} of {result.rank.of})" if result.rank.of > 1 else ""
    yield f"batch    {counted(len(result.outcomes), 'dataset')}{rank}: {counts}"
    yield f"done     The results are in {result.out}; this took {result.seconds:.1f} s."


def run_document(result: "BatchResult") -> dict[str, Any]:
    """Return the JSON document of a run."""
    return {
        "out": result.out,
        "rank": result.rank.number,
        "of": result.rank.of,
        "seconds": result.seconds,
        "counts": result.counts,
        "datasets": [
            {
                "destination": outcome.destination,
                "outcome": outcome.kind,
                "row": None if outcome.row is None else outcome.row.as_dict(),
            }
            for outcome in result.outcomes
        ],
    }


def _trouble_lines(destination: str, row: "LedgerRow") -> Iterator[str]:
    if row.problem is not None:
        yield f"{row.state:<8} {destination}: {row.problem.sentence}"
    elif row.error_count:
        codes = ", ".join(code for code, found in row.findings.items() if found["severity"] == "error")
        yield f"errors   {destination}: {counted(row.error_count, 'error')} ({codes})"


# --- states ----------------------------------------------------------------------------------------------------------------------


def status_lines(status: "BatchStatus") -> Iterator[str]:
    """Yield the lines of a batch's state: a table of the datasets, their problems, and the number of datasets in each state."""
    header = ["dataset", "state", "episodes", "frames", "errors", "warnings", "read", "written", "seconds", "host"]
    yield from table_lines(header, [_status_row(dataset) for dataset in status.datasets], right="llrrrrrrrl")
    for dataset in status.datasets:
        if dataset.row is not None:
            yield from _trouble_lines(dataset.destination, dataset.row)
        if dataset.is_stopped:
            yield f"stopped  {dataset.destination}: its process has ended; the next run continues its work"
    counts = ", ".join(f"{number:,} {state}" for state, number in status.counts.items())
    yield f"batch    {counted(len(status.datasets), 'dataset')}: {counts}"


def status_document(status: "BatchStatus") -> dict[str, Any]:
    """Return the JSON document of a batch's state."""
    return {
        "out": status.out,
        "is_done": status.is_done,
        "counts": status.counts,
        "datasets": [
            {
                "destination": dataset.destination,
                "source": dataset.planned.source,
                "state": dataset.state,
                "is_at_work": dataset.is_at_work,
                "row": None if dataset.row is None else dataset.row.as_dict(),
            }
            for dataset in status.datasets
        ],
    }


def _status_row(dataset: "DatasetState") -> list[str]:
    row = dataset.row
    if row is None:
        planned = dataset.planned
        counts = ["-", "-"] if planned.refusal is not None else [f"{planned.episodes:,}", f"{planned.frames:,}"]
        return [dataset.destination, dataset.state, *counts, *["-"] * 5, ""]
    return [
        dataset.destination,
        "stopped" if dataset.is_stopped else dataset.state,
        *(f"{row.counts[name]:,}" if name in row.counts else "-" for name in ("episodes", "frames")),
        *(f"{number:,}" if row.counts else "-" for number in (row.error_count, row.warning_count)),
        *(human_bytes(row.bytes[name]) if name in row.bytes else "-" for name in ("read", "written")),
        f"{row.seconds:.1f}" if row.seconds else "-",
        str(row.process.get("host", "")),
    ]
