"""Add the nodes of each step to the graph of a job."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from episeek_pipelines.dataset.contents import LeftOut, own_files
from episeek_pipelines.dataset.copying import Way, require_room
from episeek_pipelines.dataset.metadata import Dataset, read_info_document
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import DatasetStaging
from episeek_pipelines.dataset.v2.strays import undeclared_files
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.units import IndexUnit
from episeek_pipelines.jobs import node_functions
from episeek_pipelines.jobs.graph import Graph
from episeek_pipelines.jobs.nodes import Node
from episeek_pipelines.jobs.progress import COPYING, READING_HEADERS, REWRITING
from episeek_pipelines.jobs.video_choice import Videos
from episeek_pipelines.pack.plan import PackPlan
from episeek_pipelines.rewrite.rewrite import RewritePlan
from episeek_pipelines.statistics.scan import measured_features
from episeek_schemas import layout

WAYS: Final[Mapping[Videos, Way]] = MappingProxyType(
    {"link": "clone", "copy": "copy", "hardlink": "hardlink", "pack": "copy"}
)


def add_index_nodes(
    graph: Graph,
    dataset: Dataset,
    videos: Root,
    work: Root,
    units: list[IndexUnit],
    existing: ExistingRows | None = None,
) -> list[Node]:
    """Add nodes that index every video file and write its rows as a fragment.

    The result of a node contains one `FragmentSummary` for each of its video files.
    """
    numbered = [(f"index/{number:07d}.npz", unit) for number, unit in enumerate(units)]
    shared = (videos, work, dataset.info.fps, existing)
    return graph.map(
        node_functions.index_one,
        numbered,
        *shared,
        label=lambda item: item[1].path,
        phase=READING_HEADERS,
        in_flight=videos.in_flight,
    )


def add_merge_node(graph: Graph, dataset: Dataset, work: Root, destination: Root, nodes: list[Node]) -> Node:
    """Add the node that merges the fragments (the rows of one video file each) that `nodes` write into the sidecars."""
    counts = (len(dataset.episodes), int(dataset.episodes.length.sum()))
    return graph.reduce(
        node_functions.merge, nodes, work, destination, dataset.info, *counts, label=layout.BYTE_INDEX_DIR
    )


def add_rewrite_nodes(graph: Graph, dataset: Dataset, staging: DatasetStaging, plan: RewritePlan) -> list[Node]:
    """Add nodes that rewrite every data file of a plan."""
    numbered = [(node_functions.rewrite_receipt(number), unit) for number, unit in enumerate(plan.units)]
    roots = (dataset.root, staging.root, staging.work, features_to_measure(dataset))
    return graph.map(
        node_functions.rewrite_one,
        numbered,
        *roots,
        label=lambda item: item[1].path,
        phase=REWRITING,
        byte_count=lambda item: item[1].source_bytes,
    )


def features_to_measure(dataset: Dataset) -> tuple[str, ...]:
    """Return the features whose statistics are computed from the rows.

    In a dataset of version 2.x, which records no quantiles, these are all features of numbers and booleans. In version 3.0, there
    are none.
    """
    if not dataset.is_file_an_episode:
        return ()
    return measured_features(read_info_document(dataset.root)["features"])


def add_metadata_node(
    graph: Graph,
    dataset: Dataset,
    staging: DatasetStaging,
    plan: RewritePlan,
    nodes: list[Node],
    packed: PackPlan | None = None,
) -> Node:
    """Add the node that writes `meta/` after all other files are written."""
    roots = (dataset.root, staging.root, staging.work)
    options = (plan, packed, bool(features_to_measure(dataset)))
    return graph.reduce(node_functions.finish_metadata, nodes, *roots, *options, label=layout.META_DIR)


def add_copy_nodes(
    graph: Graph, dataset: Dataset, staging: DatasetStaging, videos: Videos
) -> tuple[list[Node], tuple[LeftOut, ...]]:
    """Add nodes that copy every file of the dataset that is neither rewritten nor metadata. Add none if `videos` is "none".

    Returns:
        The nodes, and the folders of the source that are not part of the dataset and are left out.

    Raises:
        DestinationError: The destination has too little free space for the copies.
    """
    if videos == "none":
        return [], ()
    listing = dataset.root.files()
    # the listing of a local directory has no entry for a broken link, which is reported when it is copied
    listed = dataset.root.list() if dataset.root.is_local else listing
    others = [path for path in listed if not path.startswith(f"{layout.META_DIR}/") and not _is_data_file(path)]
    if videos == "pack":
        others = [path for path in others if not _is_video_file(path, dataset)]
    paths, left_out = own_files(others, listing, dataset.info)
    undeclared = {*undeclared_files(dataset)}
    paths = [path for path in paths if path not in undeclared]
    sizes = {path: 0 if (identity := listing.get(path)) is None else identity.size for path in paths}
    require_room(dataset.root, staging.root, sizes, way=WAYS[videos])
    numbered = [(f"copy/{number:07d}.json", path) for number, path in enumerate(paths)]
    nodes = graph.map(
        node_functions.copy_one,
        numbered,
        dataset.root,
        staging.root,
        staging.work,
        WAYS[videos],
        label=lambda item: item[1],
        phase=COPYING,
        byte_count=lambda item: sizes[item[1]],
    )
    return nodes, left_out


def _is_video_file(path: str, dataset: Dataset) -> bool:
    """Return whether a file has the path of a camera's video, whether or not an episode refers to it."""
    return path.endswith(".mp4") and (
        path.startswith(f"{layout.VIDEOS_DIR}/") or dataset.info.video_camera(path) in dataset.info.video_keys
    )


def _is_data_file(path: str) -> bool:
    return path.startswith(f"{layout.DATA_DIR}/") and path.endswith(".parquet")
