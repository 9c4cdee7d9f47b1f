"""`episeek extract`: write frames of one episode as an MP4, without re-encoding."""

import argparse
import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from episeek_pipelines.cli.arguments import Once, add_data_root, add_output, frame_range, with_examples
from episeek_pipelines.cli.outcome import Outcome
from episeek_pipelines.words import counted

if TYPE_CHECKING:
    from episeek_pipelines.api import Root

DESCRIPTION = (
    "Write frames of one episode and camera as an MP4, without re-encoding. One range of bytes of the video file is read. SRC "
    "needs sidecars, which `episeek prepare` and `episeek index` write."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `extract`."""
    add_output(command)
    add_data_root(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("write all frames of episode 7 of the only camera", "episeek extract data/pusht --episode 7 -o episode.mp4"),
        (
            "write ten frames of the camera observation.images.top",
            "episeek extract data/aloha --episode 7 --camera top --frames 10:20 -o clip.mp4",
        ),
        (
            "send an episode to a player through a pipe",
            "episeek extract out/pusht --data-root data/pusht --episode 7 -o - | ffplay -",
        ),
    )
    command.add_argument("source", metavar="SRC", help="a dataset with sidecars: a path or a URL")
    command.add_argument("--episode", type=int, action=Once, required=True, metavar="N", help="index of the episode")
    command.add_argument(
        "--camera",
        action=Once,
        metavar="KEY",
        help="key of the camera, or the end of a key if it is unique: top for observation.images.top (default: the only camera)",
    )
    command.add_argument(
        "--frames",
        type=frame_range,
        action=Once,
        default=(0, None),
        metavar="A:B",
        help="frames from A up to but not including B; A alone is one frame (default: all frames)",
    )
    command.add_argument(
        "-o", "--output", action=Once, required=True, metavar="FILE", help="the MP4 to write; - for standard output"
    )
    command.add_argument("--force", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek extract`, and return what to print."""
    import episeek

    started = time.perf_counter()
    target = options.output
    if target != "-":
        target = _writable(target, roots=[options.source, options.data_root], is_forced=options.force)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", episeek.StaleSidecarsWarning)
        index = episeek.open(options.source, options.data_root)
    notes = tuple(f"warning: {warning.message}" for warning in caught)
    camera = choose_camera(index.cameras, options.camera)
    start, stop = options.frames
    clip = index.clip(options.episode, camera, start, stop)
    # The sidecars have been read by now, so the counters increase only by the requests and bytes that the clip needs.
    before = index.source.transfers()
    data = clip.read()
    after = index.source.transfers()
    request_count, byte_count = after.request_count - before.request_count, after.byte_count - before.byte_count
    if target == "-":
        return Outcome(notes=notes, data=data)
    _write(target, data)
    if options.quiet and not options.json:
        return Outcome(notes=notes)
    first, last = clip.byte_range
    # The clip takes one request. If the store gives the file no identity, its header takes another request.
    header_request_count = request_count - 1
    if options.json:
        document = {
            "output": options.output,
            "output_bytes": len(data),
            "episode_index": clip.episode_index,
            "camera": clip.camera_key,
            "frames": [clip.start, clip.stop],
            "file_path": clip.file_path,
            "byte_range": [first, last],
            "requests": request_count,
            "clip_requests": 1,
            "header_requests": header_request_count,
            "bytes_fetched": byte_count,
            "seconds": time.perf_counter() - started,
        }
        return Outcome((json.dumps(document, indent=2),), notes=notes)
    frames = f"frame {clip.start}" if clip.frame_count == 1 else f"frames {clip.start} to {clip.stop - 1}"
    written = f"{options.output}: {frames} of episode {clip.episode_index}, {camera}; {len(data):,} bytes"
    fetched = f"the clip took one request: {last - first:,} bytes at offset {first:,} of {clip.file_path}"
    if header_request_count > 0:
        fetched += "; one more request compared the file's header with the index"
    return Outcome((written, fetched), notes=notes)


def choose_camera(cameras: Sequence[str], wanted: str | None) -> str:
    """Return the key of the camera that a text selects: a whole key, or the end of exactly one key.

    Args:
        cameras: Keys of all cameras.
        wanted: A key, the last parts of a key (`images.top`), or the last letters of a key (`left` for `wrist_left`). None selects
            the only camera.

    Raises:
        CameraNotFoundError: `wanted` selects no camera, or more than one.
    """
    from episeek.errors import CameraNotFoundError

    listed = ", ".join(cameras)
    if not cameras:
        raise CameraNotFoundError("--camera", "a dataset without cameras", "a dataset with videos")
    if wanted is None:
        if len(cameras) == 1:
            return cameras[0]
        raise CameraNotFoundError(
            "--camera", f"no key for a dataset with {counted(len(cameras), 'camera')}", f"one of {listed}"
        )
    if wanted in cameras:
        return wanted
    by_parts = [camera for camera in cameras if wanted and camera.endswith(f".{wanted}")]
    matching = by_parts or [camera for camera in cameras if wanted and camera.endswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise CameraNotFoundError(
            "--camera", f"{wanted!r}, the end of {len(matching)} keys", f"one of {', '.join(matching)}"
        )
    raise CameraNotFoundError("--camera", f"no camera {wanted!r}", f"one of {listed}")


def _writable(file: str, *, roots: Sequence[str | None], is_forced: bool) -> str:
    """Return the path or URL to write, with symbolic links resolved, after checking that it may be written.

    Raises:
        DestinationError: The path is in the dataset, leads to something other than a regular file, or leads to an existing file
            and `is_forced` is False.
    """
    from episeek.errors import DestinationError
    from episeek.stores.kinds import is_local, local_path

    if is_local(file):
        # A symbolic link is resolved, so that the link is kept and the file that it points to is written.
        path = Path(local_path(file)).resolve()
        inside = [root for root in roots if root is not None and is_local(root)]
        if any(path.is_relative_to(Path(local_path(root)).resolve()) for root in inside):
            raise DestinationError(file, "a path in the dataset itself", "a file outside the dataset")
        if path.exists() and not path.is_file():
            raise DestinationError(file, "something that is not a regular file", "the path of a file to write")
        file = str(path)
    root, name = _split(file)
    if not is_forced and root.exists(name):
        raise DestinationError(file, "an existing file", "a new file", "add --force to replace it")
    return file


def _write(target: str, data: bytes) -> None:
    root, name = _split(target)
    root.write_bytes(name, data)


def _split(target: str) -> tuple["Root", str]:
    from episeek_pipelines.api import Root

    folder, _, name = target.rpartition("/")
    return Root(folder or "/"), name
