"""Sidecars with the identities that the target gives its videos, as indexing the target itself would write them.

Sidecars made from local files have no identities, so that each reader would have to read the header of a file before it trusts
the index. The build id covers the identities. Therefore the index step writes all four tables again, from the existing rows. No
video is read. The result is byte for byte what `episeek index hf://...` writes.
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
    """Write the sidecars with the column `store_id` filled in, below another root.

    Args:
        overlay: The overlay with the existing sidecars.
        target_check: The files that were compared with the target, with their identities.
        work: A local root; `meta/byte_index/` below it is replaced.

    Returns:
        The local path of each table by its path in the dataset, for `replaced_files` of `plan_changes`; empty where the overlay's
        sidecars have these identities already.

    Raises:
        SidecarLayoutError: The sidecars have another format version or index version, are damaged, or cannot be mapped.
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
    """Return the row of a file, without its number, with the identity that the target gives the file."""
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
    """Return the digest of a file's existing rows, and a fragment with the new ones."""
    fragment, unit, properties = item
    arrays = existing.arrays(np.asarray(unit.episodes.episode_index), unit.camera_index)
    if arrays is None:
        where = overlay.join(layout.BYTE_INDEX_DIR)
        raise SidecarLayoutError(
            where, f"tables that do not give the rows of {unit.path}", "tables that can be mapped", _AGAIN
        )
    digest = fragment_digest(build.files[unit.path], arrays)
    return digest, index_to_fragment(
        overlay, work, fragment, replace(unit, unchanged=properties), fps=fps, existing=existing
    )


def _require_whole(build: ExistingBuild, digests: Sequence[str], where: str) -> None:
    """Raise SidecarLayoutError where the build id does not follow from the rows: damaged rows must not get a new id."""
    found = build_id_of(build.description, digests)
    if found != build.build_id:
        raise SidecarLayoutError(
            where, f"rows whose build id is {found}", f"{build.build_id} as in the footers", _AGAIN
        )
