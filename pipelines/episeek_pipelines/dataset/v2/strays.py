"""Find files below `data/` and `videos/` of a dataset of version 2.x that belong to no episode.

LeRobot's converter treats every file that matches its patterns as an episode, so that a stray file shifts all later episodes. Here
the numbers of the episodes give the paths of their files, and stray files are not used.
"""

from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_schemas import layout


def undeclared_files(dataset: Dataset) -> tuple[str, ...]:
    """Return the files below `data/` and `videos/` that belong to no episode of an opened dataset of version 2.x, sorted.

    The result includes the files of episodes that are left out, but no hidden files. It is empty for a dataset of version 3.0.
    """
    if not isinstance(dataset.root, V2Root):
        return ()
    videos = [path for camera in dataset.info.video_keys for path in dataset.video_paths(camera)]
    folders = {layout.DATA_DIR, *(path.partition("/")[0] for path in videos[:1])}
    listed = (path for folder in sorted(folders) for path in dataset.root.physical.list(folder))
    declared = {*dataset.data_paths(), *videos}
    return tuple(sorted(path for path in listed if path not in declared and not _is_hidden(path)))


def stray_files(dataset: Dataset) -> tuple[str, ...]:
    """Return the files that belong to no episode, sorted. Files of episodes that are left out are not returned."""
    skipped = dataset.root.skipped if isinstance(dataset.root, V2Root) else ()
    places = [(number // dataset.info.chunks_size, number) for number in skipped]
    left_out = {dataset.info.data_file(*place) for place in places}
    left_out |= {dataset.info.video_file(camera, *place) for camera in dataset.info.video_keys for place in places}
    return tuple(path for path in undeclared_files(dataset) if path not in left_out)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
