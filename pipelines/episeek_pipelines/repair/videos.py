"""Correct the seconds of episodes and the declared formats of cameras on the evidence of the video headers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from episeek.mp4.moov.sample_description import VisualSampleEntry
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.examined_videos import ExaminedVideo, examine_video
from episeek_pipelines.repair.file_order import FileOrder
from episeek_pipelines.repair.free_frames import FreeFrames, readings_of, with_enough
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.video.ffmpeg_names import codec_name, picture_format, pixel_format_name, sample_entries
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

_INFO, _OLD_INFO = lerobot.VIDEO_INFO_KEYS
_DEPTH_KEY: Final = "video.is_depth_map"


def repair_seconds(draft: Draft, examined: tuple[ExaminedVideo, ...], free: FreeFrames) -> Iterator[Outcome]:
    """Set from_timestamp and to_timestamp of episodes to the times of their frames.

    The episodes that a file has no frames for are left to `repair_video_pointers`.

    Args:
        draft: The dataset.
        examined: The video files that episodes declare.
        free: The frames of no episode.
    """
    code = registry.SECONDS.code
    length = draft.values(lerobot.LENGTH)
    missing = {video.path: int(length[list(video.rows)].sum()) - video.frame_count for video in examined}
    missing |= {video.path: 0 for video in examined if video.seconds.absent or video.seconds.contested}
    elsewhere = {
        camera: _Elsewhere(draft, [each for each in examined if each.camera == camera], free)
        for camera in draft.evidence.info.video_keys
    }
    for video in examined:
        others = [each.path for each in examined if each.camera == video.camera and missing[each.path] > 0]
        may_be_exchanged = missing[video.path] < 0 and bool(others)
        names = [lerobot.video_column(video.camera, name) for name in ("from_timestamp", "to_timestamp")]
        unproved = next((row for row in video.rows if not draft.proved[row]), None)
        for place, row in enumerate(video.rows):
            refused = _refused(video, place, elsewhere[video.camera])
            if refused is None and place in video.seconds.placed and unproved is not None:
                # The place of every episode in the file depends on the lengths of the others.
                found = f"seconds whose correction needs the number of rows of episode {unproved}, which is not proved,"
                right = f"the length of episode {unproved} is right ({video.seconds.placed[place][2]})"
                refused = found, (right, f"the length of episode {unproved} is wrong, and the frames are others")
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


def _refused(video: ExaminedVideo, place: int, elsewhere: "_Elsewhere") -> tuple[str, tuple[str, ...]] | None:
    """Return the contradiction and its possible explanations for an episode with several of them, and None for other episodes.

    One explanation is that the episode is in another file of the camera.
    """
    refused = video.seconds.refused.get(place)
    if place in video.seconds.lacking and refused is not None:
        found, readings = refused
        return found, (*readings, *readings_of(elsewhere.files(video, place)))
    if place in video.seconds.moved:
        others = elsewhere.exact_files(video, place)
        if others:
            readings = f"its frames are in {video.path}, and its seconds are wrong", *readings_of(others)
            return "seconds that are not the times of the episode's frames", readings
    return refused


class _Elsewhere:
    """The other files of one camera that may have the frames of an episode."""

    def __init__(self, draft: Draft, members: Sequence[ExaminedVideo], free: FreeFrames) -> None:
        self._draft, self._free = draft, free
        # Episodes that are not in their files, and the files that have no frames for them
        self._homeless = {
            each.rows[place] for each in members for place in (*each.seconds.absent, *each.seconds.contested)
        }
        self._sources = {each.path for each in members if each.seconds.absent or each.seconds.contested}
        self._rows = {each.path: {*each.rows} - self._homeless for each in members}
        self._counts: dict[str, int] | None = None
        self._order: FileOrder | None = None

    def files(self, video: ExaminedVideo, place: int) -> dict[str, int]:
        """Return the number of frames of no episode for each other file that has enough of them for an episode."""
        if self._counts is None:
            self._counts = self._free.of(video.camera, without=self._homeless)
        length = int(self._draft.values(lerobot.LENGTH)[video.rows[place]])
        found = with_enough(self._counts, length)
        return {path: count for path, count in found.items() if path not in (video.path, *self._sources)}

    def exact_files(self, video: ExaminedVideo, place: int) -> dict[str, int]:
        """Return those of the files in which the seconds of an episode are the times of frames of no episode.

        If the files are in the order of the episodes, only those from that of the episode before to that of the episode after are
        read.
        """
        row = video.rows[place]
        found: dict[str, int] = {}
        candidates = self.files(video, place)
        if not candidates:
            return found
        if self._order is None:
            declared = self._free.declared(video.camera)
            self._order = FileOrder(self._draft.evidence.info, declared, homeless=self._homeless)
        for path, count in candidates.items():
            if not self._order.is_evidence(row) or self._order.is_between(row, path):
                rows = sorted({*self._rows.get(path, ()), row})
                other = examine_video(self._draft, video.camera, path, rows)
                if other is not None and other.seconds.fits(rows.index(row)):
                    found[path] = count
        return found


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
