"""Run the job that indexes the videos of a dataset: it writes the sidecars, and nothing else."""

import time

from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.provenance import preparation_command, recorded_videos
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.sidecar_staging import SidecarStaging
from episeek_pipelines.dataset.source_changes import changed_source_files
from episeek_pipelines.dataset.staging import require_no_history
from episeek_pipelines.index.fragments import FragmentSummary
from episeek_pipelines.index.reuse import with_unchanged
from episeek_pipelines.index.units import plan_index
from episeek_pipelines.jobs import node_functions
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.node_functions import Sidecars
from episeek_pipelines.jobs.results import IndexSummary, PrepareResult
from episeek_pipelines.jobs.running import run_graph, values_of
from episeek_pipelines.jobs.step_nodes import add_index_nodes, add_merge_node
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_schemas import layout


def index(
    source: str,
    *,
    output: str | None = None,
    data_root: str | None = None,
    keyframes: KeyframeChoice = "auto",
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Write the sidecars of a dataset, in place or below another root. Existing sidecars are replaced all at once.

    If the store's listing gives identities, a file is read only if its rows in the existing sidecars are not up to date.

    Args:
        source: Root of a LeRobot dataset of version 3.0, 2.1 or 2.0.
        output: Root below which `meta/byte_index/` is written; None for `source`.
        data_root: The dataset with the videos if `source` is an overlay. None for the source that a local overlay records,
            and for `source` itself if there is no such record.
        keyframes: Which samples are read to find parameter sets and the samples at which decoding can start. "auto" reads the first
            bytes of all samples of a local video. For a video in a store, "auto" reads a few keyframes, and all samples if these
            are not sufficient. "all" always reads all samples.
        execution: Scheduler, workers, progress.

    Raises:
        EpiseekError: The source or the output cannot be used; nothing was written.
        WorkFailedError: Some files could not be indexed, and nothing was replaced. The finished work is kept, and the same call
            continues it.
    """
    started = time.perf_counter()
    require_no_history(Root(source if output is None else output), "with --output DIR")
    dataset = open_dataset(source)
    files = dataset.root.physical
    videos = Root(data_root).pinned() if data_root is not None else recorded_videos(files) or files
    units = plan_index(dataset, videos, keyframes=keyframes)
    target = files if output is None else Root(output)
    with SidecarStaging(target) as staging:
        is_resumed = bool(staging.work.list("index"))
        units, existing = with_unchanged(units, target, dataset.info)
        graph = Graph()
        nodes = add_index_nodes(graph, dataset, videos, staging.work, units, existing)
        merged = add_merge_node(graph, dataset, staging.work, staging.root, nodes)
        values, _ = run_graph(graph, [*nodes, merged], staging, execution)
        summary = IndexSummary.of(
            values_of(values, FragmentSummary), staging.root, values_of(values, Sidecars)[0].build_id
        )
        staging.commit()
    changes = changed_source_files(files, videos)
    lacks_pin = target.is_local and target.exists(layout.CARD_PATH) and node_functions.card_with_pin(target) is not None
    return PrepareResult(
        target.url,
        time.perf_counter() - started,
        is_resumed,
        index=summary,
        source_changes=changes,
        source_command=preparation_command(files) if changes else "",
        lacks_pin=lacks_pin,
    )
