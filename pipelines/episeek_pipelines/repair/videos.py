"""Correct the seconds of episodes and the declared formats of cameras on the evidence of the video headers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from episeek.errors import EpiseekError, MissingFileError, Mp4Error
from episeek.mp4.moov.sample_description import VisualSampleEntry, read_entries
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.seconds import SecondsOfFile, seconds_of_file
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.video.alignment.encoder_starts import encoder_starts
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, FileFrames
from episeek_pipelines.video.ffmpeg_names import codec_name, picture_format, pixel_format_name, sample_entries
from episeek_pipelines.video.header import read_video_header
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

_INFO, _OLD_INFO = lerobot.VIDEO_INFO_KEYS
_DEPTH_KEY: Final = "video.is_depth_map"


@dataclass(frozen=True, slots=True, eq=False)
class ExaminedVideo:
    """A video file whose header was read: its format, and the corrected seconds of its episodes."""

    path: str
    camera: str
    entry: VisualSampleEntry
    frame_count: int
    frames_per_second: float
    has_other_rate: bool
    """Whether the frames come at a steady rate other than fps."""
    seconds: SecondsOfFile
    rows: tuple[int, ...]
    """The rows of the file's episodes in meta/episodes. `seconds` refers to an episode by its position in this tuple."""


def examine_videos(draft: Draft) -> tuple[ExaminedVideo, ...]:
    """Read the headers of all video files, and find the frames of the episodes that are declared in each file.

    Missing and damaged files are left out: no repair can correct them, and `prepare` reports them. The result is empty if
    meta/episodes is incomplete or an episode has no usable length.

    Raises:
        ReadError: The store fails.
    """
    info = draft.evidence.info
    if not draft.has_all_episodes or not (draft.values(lerobot.LENGTH) > 0).all():
        return ()
    wanted: list[tuple[str, str, list[int]]] = []
    for camera in info.video_keys:
        rows_of: dict[str, list[int]] = {}
        chunk, file = (draft.values(lerobot.video_column(camera, name)) for name in ("chunk_index", "file_index"))
        for row in range(draft.row_count):
            if min(chunk[row], file[row]) >= 0:
                rows_of.setdefault(info.video_file(camera, int(chunk[row]), int(file[row])), []).append(row)
        wanted += [(camera, path, rows) for path, rows in rows_of.items()]
    wanted.sort(key=lambda each: each[1])
    root = draft.evidence.root
    examined = map_in_threads(lambda each: _examined(draft, *each), wanted, max_in_flight=root.in_flight)
    return tuple(each for each in examined if each is not None)


def _examined(draft: Draft, camera: str, path: str, rows: list[int]) -> ExaminedVideo | None:
    source, fps = draft.evidence.root.source(), draft.evidence.info.fps
    try:
        header = read_video_header(source, path)
        entry = read_entries(header.table.sample_description, where=path)[0]
    except (Mp4Error, MissingFileError):
        return None
    frames = FileFrames.of(header.table, partial(encoder_starts, source, path, header.table))
    begin, end = (draft.values(lerobot.video_column(camera, name))[rows] for name in ("from_timestamp", "to_timestamp"))
    declared = DeclaredEpisodes(np.array(rows), draft.values(lerobot.LENGTH)[rows], begin, end)
    try:
        seconds = seconds_of_file(frames, declared, fps=fps)
    except EpiseekError:
        return None
    rate, is_other = frames.frames_per_second, frames.has_other_rate(fps=fps)
    return ExaminedVideo(path, camera, entry, len(frames), rate, is_other, seconds, tuple(rows))


def repair_seconds(draft: Draft, examined: tuple[ExaminedVideo, ...]) -> Iterator[Outcome]:
    """Set from_timestamp and to_timestamp of episodes to the times of their frames."""
    code = registry.SECONDS.code
    length = draft.values(lerobot.LENGTH)
    missing = {video.path: int(length[list(video.rows)].sum()) - video.frame_count for video in examined}
    for video in examined:
        others = [each.path for each in examined if each.camera == video.camera and missing[each.path] > 0]
        may_be_exchanged = missing[video.path] < 0 and bool(others)
        names = [lerobot.video_column(video.camera, name) for name in ("from_timestamp", "to_timestamp")]
        for place, row in enumerate(video.rows):
            refused = video.seconds.refused.get(place)
            if refused is None and place in video.seconds.placed and may_be_exchanged:
                surplus = counted(-missing[video.path], "frame")
                found = f"{surplus} too many, and seconds that are not the times of the episode's frames,"
                exchanged = f"the file was swapped with {others[0]}, which lacks frames"
                refused = found, ("frames of the file belong to no episode", exchanged)
            if refused is not None:
                found, both = refused
                yield Refusal(code, draft.place(row, names[0], video.camera), f"{found} in {video.path}", both)
            elif place in video.seconds.placed:
                *new, proof = video.seconds.placed[place]
                for name, value in zip(names, new, strict=True):
                    if draft.values(name)[row] != value:
                        before = draft.raw(name, row)
                        draft.set(name, row, value)
                        yield Repair(
                            code, draft.place(row, name, video.camera), before, value, f"{proof} of {video.path}"
                        )


def repair_video_info(draft: Draft, examined: tuple[ExaminedVideo, ...]) -> Iterator[Outcome]:
    """Set the declared format of each camera in meta/info.json to the format of its files, and remove a wrong `video_info`."""
    code = registry.VIDEO_INFO.code
    fps = draft.evidence.info.fps
    for camera in draft.evidence.info.video_keys:
        members = [each for each in examined if each.camera == camera]
        spec = draft.info["features"][camera]
        if not members:
            continue
        formats = {_format_of(each.entry) for each in members}
        rates = {each.frames_per_second for each in members if each.frames_per_second}
        info, old = (lerobot.video_info(spec, key) for key in lerobot.VIDEO_INFO_KEYS)
        actual = dict(next(iter(formats)) if len(formats) == 1 else ())
        other_rates = sorted({each.frames_per_second for each in members if each.has_other_rate})
        if other_rates:
            found = f"fps {fps:g}, but {other_rates[0]:.6g} frames per second in files of {camera}"
            readings = (f"fps is {other_rates[0]:.6g}", "the files have wrong times, or not one frame for each row")
            yield Refusal(code, Place(layout.INFO_PATH, None, camera, "fps"), found, readings)
        if rates and all(abs(rate - fps) < 1e-3 * fps for rate in rates):
            actual["video.fps"] = int(fps) if fps == int(fps) else fps
        place = f"features.{camera}"
        wrong = {key: value for key, value in actual.items() if key in info and _differs(key, info[key], value)}
        shape = _shape(spec)
        proof = f"the headers of the camera's {counted(len(members), 'file')}"
        for key, value in wrong.items():
            where = Place(layout.INFO_PATH, None, camera, f"{place}.info.{key}")
            if _is_open(key, spec, shape, members[0].entry):
                found = f"{key} {info[key]!r} in meta/info.json, but {value!r} in the files"
                yield Refusal(code, where, found, ("meta/info.json is right, and the files are those of another recording",
                                                   "the files are right"))  # fmt: skip
                continue
            spec = _with_info(draft, camera, {key: value})
            yield Repair(code, where, info[key], value, proof)
        stale = sorted(key for key, value in actual.items() if key in old and _differs(key, old[key], value))
        if stale:
            kept: dict[str, Any] = {}
            if old.get(_DEPTH_KEY) and not lerobot.is_depth({_INFO: info}):
                # LeRobot reads the flag from either key. Removing the old key would lose it.
                kept[_DEPTH_KEY] = True
            spec = _with_info(draft, camera, kept, without_old=True)
            where = Place(layout.INFO_PATH, None, camera, f"{place}.{_OLD_INFO}")
            after = f"no such key, and {_DEPTH_KEY} true in {_INFO}" if kept else "no such key"
            yield Repair(
                code,
                where,
                {key: old[key] for key in stale},
                after,
                f"{proof} differ from `video_info` in {', '.join(stale)}",
            )


def _with_info(
    draft: Draft, camera: str, changes: Mapping[str, Any], *, without_old: bool = False
) -> Mapping[str, Any]:
    spec = dict(draft.info["features"][camera])
    if changes:
        spec[_INFO] = {**lerobot.video_info(spec, _INFO), **changes}
    if without_old:
        del spec[_OLD_INFO]
    draft.info["features"] = {**draft.info["features"], camera: spec}
    return spec


def _format_of(entry: VisualSampleEntry) -> tuple[tuple[str, Any], ...]:
    """Return (key, value) pairs of `info` that follow from the header of a file. Keys without a value are left out."""
    codec = codec_name(entry.codec)
    pixels = None if entry.pictures is None else pixel_format_name(entry.pictures)
    found = {"video.codec": codec, "video.pix_fmt": pixels, "video.height": entry.height, "video.width": entry.width}
    return tuple((key, value) for key, value in found.items() if value is not None)


def _differs(key: str, declared: Any, actual: Any) -> bool:
    """Return whether a declared value contradicts the value of the files.

    A codec or pixel format with an unknown name contradicts no value.
    """
    if key == "video.codec":
        entries = sample_entries(declared)
        return (
            entries is not None
            and entries != sample_entries(actual)
            and not entries & (sample_entries(actual) or set())
        )
    if key == "video.pix_fmt":
        one, other = picture_format(declared), picture_format(actual)
        if one is None or other is None:
            return False
        is_other_chroma = None not in (one.subsampling, other.subsampling) and one.subsampling != other.subsampling
        return is_other_chroma or (one.is_monochrome, one.bit_depth) != (other.is_monochrome, other.bit_depth)
    return bool(declared != actual)


def _shape(spec: Mapping[str, Any]) -> dict[str, Any]:
    shape, names = spec.get("shape"), spec.get("names")
    if not (isinstance(shape, list) and isinstance(names, list) and len(shape) == len(names)):
        return {}
    return {str(name).rstrip("s"): size for name, size in zip(names, shape, strict=True)}


def _is_open(key: str, spec: Mapping[str, Any], shape: Mapping[str, Any], entry: VisualSampleEntry) -> bool:
    """Return whether meta/info.json may be right and the files wrong, so that a difference in `key` must not be repaired.

    This applies to a picture size that contradicts the feature's shape, and to colour pictures of a depth camera.
    """
    if key in ("video.height", "video.width"):
        return (shape.get("height"), shape.get("width")) != (entry.height, entry.width)
    is_colour = entry.pictures is not None and not entry.is_monochrome
    return is_colour and (lerobot.is_depth(spec) or shape.get("channel") == 1)
