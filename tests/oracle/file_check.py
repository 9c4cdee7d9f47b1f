"""One file, from its bytes to a verdict."""

import tempfile
import traceback
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

import episeek
from episeek.mp4.sample_table import SampleTable
from tests.oracle.clip_check import ClipCheck, Expected, windows
from tests.oracle.reference import Reference, decode_with_pyav, decode_with_torchcodec
from tests.oracle.sample_check import check_samples
from tests.oracle.sync_windows import sync_windows
from tests.oracle.verdict import Problems, Verdict
from tests.support.one_file_index import CAMERA, open_one_file, read_table
from tests.support.whole_file import usable_backends


@dataclass(frozen=True, slots=True)
class Options:
    """How much to compare."""

    window_count: int = 12
    seed: int = 0
    has_torchcodec: bool = True
    """Whether to compare with TorchCodec as well, where it is usable."""


def check_file(path: Path, name: str, options: Options) -> Verdict:
    """Index one file and compare all that comes of it; an error that is none of ours is a mismatch."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _check(path, name, options, Path(folder))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return Verdict("MISMATCH", name, f"{type(error).__name__} at {where}: {error}")


def _check(path: Path, name: str, options: Options, folder: Path) -> Verdict:
    try:
        table = read_table(path)
        index = open_one_file(path, table, folder)
    except episeek.EpiseekError as error:
        return Verdict("refused", name, str(error), type(error).__name__)
    frame_count = index.lookup(0, CAMERA).frame_count
    chosen = windows(frame_count, options.window_count, f"{options.seed} {name}")
    chosen = list(dict.fromkeys([*chosen, *sync_windows(path, table)]))
    try:
        reference = decode_with_pyav(path)
    except (av.error.FFmpegError, LookupError) as error:
        return _unchecked(index, chosen, name, f"PyAV does not open it: {error}")
    if not reference.frames:
        return _unchecked(index, chosen, name, f"PyAV decodes no frame of it: {reference.error or 'no error'}")
    problems = Problems()
    if frame_count != len(table.presentation_order()):
        problems.add(f"{frame_count} frames indexed, {len(table.presentation_order())} presented")
        return Verdict("MISMATCH", name, str(problems))
    matched = check_samples(path, table, reference, problems)
    expected, notes = _expected(path, table, reference, matched, options)
    check = ClipCheck(index, expected, problems, uses_torchcodec=options.has_torchcodec)
    for start, stop in chosen:
        check.check(start, stop)
    notes += _clip_notes(check)
    if reference.error:
        notes.append(f"PyAV stops {reference.error}")
    lost = expected.pyav.count(None)
    compared = f"{len(table)} samples, {frame_count} frames, {len(chosen)} windows"
    decoders = "PyAV and TorchCodec" if expected.has_torchcodec else "PyAV"
    if problems.count:
        return Verdict("MISMATCH", name, "; ".join([str(problems), *notes]))
    if lost:
        return Verdict("unchecked", name, "; ".join([f"{frame_count - lost} of {frame_count} frames compared", *notes]))
    return Verdict("identical", name, "; ".join([f"{compared}, {decoders}", *notes]))


def _unchecked(index: episeek.ByteIndex, chosen: list[tuple[int, int]], name: str, why: str) -> Verdict:
    """Without a reference, clips are made all the same: nothing may fail that is not named."""
    for start, stop in chosen:
        clip = index.clip(0, CAMERA, start, stop)
        clip.read("hidden")
        clip.read("shown")
        clip.frame_mappings()
    return Verdict("unchecked", name, why)


def _expected(
    path: Path, table: SampleTable, reference: Reference, matched: list[int], options: Options
) -> tuple[Expected, list[str]]:
    """The frames in our order with what the decoders made of them, and what to note about that."""
    notes = []
    frames = [reference.frames[number] if number >= 0 else None for number in matched]
    lost = frames.count(None)
    if lost:
        notes.append(f"{lost} frames, {frames.index(None)} first, do not come out of FFmpeg")
    pictures, problem = decode_with_torchcodec(path, reference) if options.has_torchcodec else ({}, "")
    if problem:
        notes.append(f"TorchCodec on the whole file: {problem}")
    by_torchcodec = [None if frame is None else pictures.get(frame.tick) for frame in frames]
    has_torchcodec = by_torchcodec.count(None) < len(frames)
    if has_torchcodec and by_torchcodec.count(None) > lost:
        notes.append(f"{by_torchcodec.count(None)} frames do not come out of TorchCodec")
    elif options.has_torchcodec and "torchcodec" in usable_backends() and not has_torchcodec:
        notes.append("TorchCodec gives no frame: not compared with it")
    ticks = table.pts[table.presentation_order()].tolist()
    scale = Fraction(1, table.timescale) / reference.time_base
    first = next((rank for rank, frame in enumerate(frames) if frame is not None), None)
    if first is not None:
        shift = reference.frames[matched[first]].tick - ticks[first] * scale
        if shift:
            notes.append(f"FFmpeg's times are {shift} ticks later")
    return Expected(ticks, frames, by_torchcodec, has_torchcodec), notes


def _clip_notes(check: ClipCheck) -> list[str]:
    notes = []
    if check.torchcodec_refusals:
        notes.append(f"TorchCodec refused {check.torchcodec_refusals} windows")
    if check.uncompared:
        notes.append(f"{check.uncompared} pictures of TorchCodec without a counterpart")
    if check.undecodable_windows:
        notes.append(f"{check.undecodable_windows} windows with frames that do not come out of FFmpeg")
    return notes
