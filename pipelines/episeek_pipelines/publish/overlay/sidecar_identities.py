"""Write the sidecars (the byte index) again, with the identities that the videos have in the repository or store, the "target".

Sidecars that were made from local files contain no identities, so a reader of the target would have to read the header of each
video before it can trust the index. The build id depends on the identities, so all four tables are written again, from their
existing rows and without reading a video. The result is byte for byte the same as what `episeek index` would write for the target.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from episeek.errors import SidecarLayoutError
from episeek.sidecars.file_record import FileProperties, FileRecord
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.build_id import build_id_of, fragment_digest
from episeek_pipelines.index.existing_build import ExistingBuild, properties_of, read_existing_build
from episeek_pipelines.index.existing_rows import ExistingRows
from episeek_pipelines.index.fragments import FragmentSummary, index_to_fragment
from episeek_pipelines.index.merge import write_sidecars
from episeek_pipelines.index.units import IndexUnit
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_pipelines.publish.overlay.target_check import TargetCheck
from episeek_schemas import layout

_AGAIN = "prepare or index the dataset again"


def write_identified_sidecars(overlay: Root, target_check: TargetCheck, work: Root) -> dict[str, str]:
    """Write the sidecars below another root, with the column `store_id` filled in from the target.

    Args:
        overlay: The output of `episeek prepare`, with the existing sidecars.
        target_check: The result of `check_target`, which contains the videos with their identities in the target.
        work: A local root; `meta/byte_index/` below it is replaced.

    Returns:
        The local path of each table by its path in the dataset, for `replaced_files` of `plan_changes`. Empty if the overlay's
        sidecars contain these identities already.

    Raises:
        SidecarLayoutError: The sidecars have another format version or index version, are damaged, or cannot be mapped into
            memory.
        WriteError: `work` cannot be written.
    """
    build = read_existing_build(overlay)
    identified = [(unit, _identified_properties(build.files[unit.path], unit)) for unit in target_check.units]
    if all(properties.store_id == build.files[properties.file_path].store_id for _, properties in identified):
        return {}
    where = overlay.join(layout.BYTE_INDEX_DIR)
    outdated = build.outdated()
    if outdated is not None:
        raise SidecarLayoutError(where, *outdated, _AGAIN)
    existing = ExistingRows(overlay, build.build_id)
    work.local.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work.local, prefix=".fragments-") as folder:
        make = partial(_fragment, overlay, Root(folder), target_check.info.fps, existing, build)
        numbered = [(f"{number:07d}.npz", *item) for number, item in enumerate(identified)]
        made = map_in_threads(make, numbered, max_in_flight=os.cpu_count() or 1)
        _require_whole(build, [digest for digest, _ in made], where)
        write_sidecars(
            Root(folder),
            [fragment for _, fragment in made],
            work,
            target_check.info,
            episode_count=target_check.episode_count,
            frame_count=target_check.frame_count,
        )
    return {path: work.join(path) for path in sorted(SIDECAR_PATHS)}


def _identified_properties(record: FileRecord, unit: IndexUnit) -> FileProperties:
    """Return the row of a file in the table `files`, without the row number, and with the file's identity in the target."""
    kept = properties_of(record)
    return kept if unit.identity is None else replace(kept, store_id=unit.identity.store_id)


def _fragment(
    overlay: Root,
    work: Root,
    fps: float,
    existing: ExistingRows,
    build: ExistingBuild,
    item: tuple[str, IndexUnit, FileProperties],
) -> tuple[str, FragmentSummary]:
    """Write a video's rows with the new identity to a fragment, a temporary file from which the tables are assembled.

    Returns:
        The digest of the existing rows, and the summary of the fragment.

    Raises:
        SidecarLayoutError: The tables cannot be mapped into memory, or do not contain the rows of the video.
    """
    fragment, unit, properties = item
    arrays = existing.arrays(np.asarray(unit.episodes.episode_index), unit.camera_index)
    if arrays is None:
        where = overlay.join(layout.BYTE_INDEX_DIR)
        raise SidecarLayoutError(
            where, f"tables that do not contain the rows of {unit.path}", "tables with the rows of every video", _AGAIN
        )
    digest = fragment_digest(build.files[unit.path], arrays)
    return digest, index_to_fragment(
        overlay, work, fragment, replace(unit, unchanged=properties), fps=fps, existing=existing
    )


def _require_whole(build: ExistingBuild, digests: Sequence[str], where: str) -> None:
    """Raise SidecarLayoutError if the build id (a digest), computed again from the rows, differs from that in the footers.

    Damaged rows must not get a new build id, because readers would then trust them.
    """
    found = build_id_of(build.description, digests)
    if found != build.build_id:
        raise SidecarLayoutError(
            where, f"rows whose build id is {found}", f"build id {build.build_id}, as in the footers", _AGAIN
        )
