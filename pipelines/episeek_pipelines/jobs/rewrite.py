"""Run the job that rewrites the data files and `meta/` of a dataset, without sidecars and without a verification."""

import time
from dataclasses import replace

from episeek_pipelines.dataset.folder_digests import source_digests
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import open_dataset_staging, require_no_history
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.node_functions import RewriteReceipt
from episeek_pipelines.jobs.reruns import is_current
from episeek_pipelines.jobs.results import PrepareResult, RewriteSummary, version_fields
from episeek_pipelines.jobs.run_options import recorded_options
from episeek_pipelines.jobs.run_record import record_run
from episeek_pipelines.jobs.running import run_graph, values_of
from episeek_pipelines.jobs.step_nodes import add_metadata_node, add_rewrite_nodes
from episeek_pipelines.rewrite.plan import plan_rewrite
from episeek_pipelines.rewrite.rewrite import WrittenMetadata


def rewrite(
    source: str,
    destination: str,
    *,
    max_episodes_per_file: int | None = None,
    force: bool = False,
    execution: Execution = DEFAULT_EXECUTION,
) -> PrepareResult:
    """Rewrite the data files and `meta/` of a dataset. Arguments and errors are those of `prepare`."""
    started = time.perf_counter()
    require_no_history(Root(destination), "to a local DST first")
    dataset = open_dataset(source)
    dataset.require_sound_documents()
    options = recorded_options("rewrite", source, cap=max_episodes_per_file)
    if not force and is_current(dataset.root.physical, Root(destination), options):
        seconds = time.perf_counter() - started
        return PrepareResult(Root(destination).url, seconds, is_resumed=False, is_current=True)
    read = source_digests(dataset.root.physical)
    rewriting = plan_rewrite(dataset, max_episodes_per_file=max_episodes_per_file)
    with open_dataset_staging(dataset.root.physical, Root(destination), options, force=force) as staging:
        graph = Graph()
        nodes = add_rewrite_nodes(graph, dataset, staging, rewriting)
        metadata = add_metadata_node(graph, dataset, staging, rewriting, nodes)
        values, stage_seconds = run_graph(graph, [*nodes, metadata], staging, execution)
        summary = RewriteSummary.of(values_of(values, RewriteReceipt), rewriting, values_of(values, WrittenMetadata)[0])
        result = PrepareResult(
            staging.final.url,
            time.perf_counter() - started,
            staging.is_resumed,
            rewrite=summary,
            **version_fields(dataset),
        )
        record_run(result, dataset.root.physical, read, staging, options, execution, stage_seconds)
        staging.commit()
    return replace(result, seconds=time.perf_counter() - started)
