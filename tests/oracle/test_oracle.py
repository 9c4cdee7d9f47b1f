"""The oracle finds sample files identical, and finds what is wrong with files and clips that were tampered with."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from episeek import Clip, DecodedFrames
from episeek_pipelines.index import file_rows as index
from tests.oracle import file_check, reference
from tests.oracle.__main__ import check_all, main, video_files
from tests.oracle.clip_check import ClipCheck, windows
from tests.oracle.file_check import Options
from tests.oracle.sync_windows import sync_windows
from tests.oracle.verdict import Verdict
from tests.support.build_index import DATA
from tests.support.one_file_index import read_table

H264 = DATA / "h264_bframes/videos/observation.images.top/chunk-000/file-000.mp4"
HEVC = DATA / "hevc/videos/observation.images.top/chunk-000/file-000.mp4"
SHORT = DATA / "av1_multifile/videos/observation.images.top/chunk-000/file-003.mp4"
NAMELESS: dict[str, object] = {}
MIDDLE = 117  # of H264, within every run's window across the middle


def run(capsys, *arguments):
    """Exit code and lines, in this process: what is patched here is patched there."""
    code = main([str(argument) for argument in (*arguments, "--jobs", 1, "--windows", 2)])
    return code, capsys.readouterr().out.splitlines()


def shift_time(table):
    pts = table.pts.copy()
    pts[MIDDLE] += 1
    return replace(table, pts=pts)


def swap_samples(table):
    swapped = np.arange(len(table))
    swapped[[MIDDLE, MIDDLE + 1]] = MIDDLE + 1, MIDDLE
    return replace(table, offset=table.offset[swapped], size=table.size[swapped])


def wrong_sync(table):
    """A P-picture just before the window across the middle: it starts to decode there."""
    is_sync = table.is_sync.copy()
    at = int(table.presentation_order()[MIDDLE - 4])
    assert not is_sync[at]
    is_sync[at] = True
    return replace(table, is_sync=is_sync)


def cut_frame(table):
    is_presented = table.is_presented.copy()
    is_presented[MIDDLE] = False
    return replace(table, is_presented=is_presented)


def another_byte(table):
    size = table.size.copy()
    size[MIDDLE] -= 1
    return replace(table, size=size)


def test_sample_files_are_identical(capsys, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/hevc.mp4").write_bytes(HEVC.read_bytes())
    (tmp_path / "av1.mp4").write_bytes(SHORT.read_bytes())
    code, lines = run(capsys, tmp_path)
    assert code == 0
    assert lines[0].startswith("identical  a/hevc.mp4  132 samples, 132 frames, 12 windows, ")
    assert lines[1].startswith("identical  av1.mp4  35 samples, 35 frames, 8 windows, ")
    assert lines[2] == "2 files: 2 identical, 0 refused, 0 unchecked, 0 MISMATCH"


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (shift_time, "sample 117: pts 59393, FFmpeg 59392"),
        (swap_samples, "FFmpeg's packet order is another than the samples'"),
        (wrong_sync, "a sync sample, no key packet of FFmpeg"),
        (cut_frame, "FFmpeg presents 1 frames more: samples that are not presented here"),
        (another_byte, "packet 117 of FFmpeg, 42 bytes at 20298: no such sample"),
    ],
)
def test_tampered_table_is_a_mismatch(capsys, monkeypatch, tamper, told):
    monkeypatch.setattr(file_check, "read_table", lambda path: tamper(read_table(path)))
    monkeypatch.setattr(ClipCheck, "check", lambda *arguments: None)
    code, lines = run(capsys, H264)
    assert code == 1
    assert lines[0].startswith("MISMATCH  file-000.mp4  ")
    assert told in lines[0]
    assert lines[-1].endswith(" 1 MISMATCH")


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (shift_time, "[0,234) hidden by PyAV: times differ at frame 116 of the window: 59393, not 59392"),
        (swap_samples, "[0,234) shown by PyAV: another picture for frame 116"),
        (wrong_sync, "[115,120) hidden by PyAV: 1 frames, not 5"),
        (another_byte, "[0,234) hidden by PyAV: "),
    ],
)
def test_tampered_index_is_a_mismatch(capsys, monkeypatch, tamper, told):
    """The table is right, and so are FFmpeg's packets: clips alone tell."""
    monkeypatch.setattr(reference, "usable_backends", lambda: ("pyav",))  # it takes less time, and is enough
    file_rows = index.file_rows
    monkeypatch.setattr(index, "file_rows", lambda table, *rest, **names: file_rows(tamper(table), *rest, **names))
    code, lines = run(capsys, H264)
    assert code == 1
    assert lines[0].startswith("MISMATCH  file-000.mp4  ")
    assert told in lines[0]


def test_one_wrong_bit_of_one_picture_is_a_mismatch(capsys, monkeypatch):
    decode = Clip.decode

    def tampered(clip, *arguments, **names):
        decoded = decode(clip, *arguments, **names)
        if clip.stop == 35:
            decoded.data[-1, 1, 50, 60] ^= 1
        return decoded

    monkeypatch.setattr(Clip, "decode", tampered)
    code, lines = run(capsys, SHORT)
    assert code == 1
    assert "[34,35) decode pyav: 1 other pictures, frame 34 first" in lines[0]


def test_wrong_seconds_are_a_mismatch(capsys, monkeypatch):
    decode = Clip.decode

    def tampered(clip, *arguments, **names):
        decoded = decode(clip, *arguments, **names)
        return DecodedFrames(decoded.data, decoded.pts_seconds + 1e-9)

    monkeypatch.setattr(Clip, "decode", tampered)
    assert run(capsys, SHORT)[0] == 1


def test_shown_lead_in_in_a_hidden_clip_is_a_mismatch(capsys, monkeypatch):
    mux = Clip.mux
    monkeypatch.setattr(Clip, "mux", lambda clip, payload, lead_in="hidden": mux(clip, payload, "shown"))
    code, lines = run(capsys, H264)
    assert code == 1
    assert "hidden by PyAV" in lines[0]


def test_error_without_a_name_is_a_mismatch(capsys, monkeypatch):
    monkeypatch.setattr(index, "file_rows", lambda *arguments, **names: NAMELESS["rows"])
    code, lines = run(capsys, SHORT)
    assert code == 1
    assert lines[0].startswith("MISMATCH  file-003.mp4  KeyError at test_oracle.py:")


def test_truncated_file_is_refused_by_name(capsys, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(SHORT.read_bytes()[:-100])
    (tmp_path / "notes.txt").write_text("another file")
    code, lines = run(capsys, tmp_path)
    assert code == 2
    assert lines[0].startswith("refused  TruncatedMp4Error  cut.mp4  cut.mp4: found ")
    assert lines[1] == "1 files: 0 identical, 1 refused, 0 unchecked, 0 MISMATCH"
    assert main([str(tmp_path), "--jobs", "2"]) == 2
    assert capsys.readouterr().out.splitlines() == lines  # other processes say the same


def test_file_that_nothing_decodes_is_unchecked(capsys, tmp_path):
    contents = bytearray(SHORT.read_bytes())
    start, stop = contents.index(b"mdat") + 4, contents.rindex(b"moov") - 4
    contents[start:stop] = bytes(stop - start)
    (tmp_path / "zeros.mp4").write_bytes(contents)
    code, lines = run(capsys, tmp_path)
    assert code == 2
    assert lines[0].startswith("unchecked  zeros.mp4  PyAV decodes no frame of it: ")


def test_nothing_to_compare_is_no_success(capsys, tmp_path):
    assert run(capsys, tmp_path) == (2, ["0 files: 0 identical, 0 refused, 0 unchecked, 0 MISMATCH"])
    assert main([str(tmp_path / "missing")]) == 2


def test_report_is_a_table_too(capsys, tmp_path):
    code, _ = run(capsys, SHORT, "--csv", tmp_path / "report.csv")
    rows = (tmp_path / "report.csv").read_text().splitlines()
    assert code == 0
    assert rows[0] == "status,code,name,text"
    assert rows[1].startswith("identical,,file-003.mp4,")


def test_videos_are_found_in_all_folders_in_order(tmp_path):
    for name in ("b.MP4", "a/c.webm", "a/b.ts", "a/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    assert [name for _, name in video_files([tmp_path])] == ["a/b.ts", "a/c.webm", "b.MP4"]


def die_of_some(path: Path, name: str, options: Options) -> Verdict:
    if name.startswith("bad"):
        os._exit(1)
    return Verdict("identical", name, str(options.seed))


def test_process_that_dies_costs_one_verdict():
    files = [(Path(name), name) for name in ("a", "bad", "b")]
    verdicts = list(check_all(files, Options(seed=3), jobs=2, check=die_of_some))
    assert [(verdict.name, verdict.status) for verdict in verdicts] == [
        ("a", "identical"),
        ("bad", "MISMATCH"),
        ("b", "identical"),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_windows_hold_both_ends_the_middle_and_all(count):
    chosen = windows(count, 20, "seed")
    assert {(0, 1), (count - 1, count), (0, count)} <= set(chosen)
    assert any(start <= count // 2 < stop and stop - start <= 5 for start, stop in chosen)
    assert all(0 <= start < stop <= count for start, stop in chosen)
    assert len(chosen) == len(set(chosen))
    assert chosen == windows(count, 20, "seed")


@pytest.mark.parametrize("path", [H264, HEVC, SHORT])
def test_windows_at_later_sync_samples(path):
    table = read_table(path)
    order = table.presentation_order()
    chosen = sync_windows(path, table)
    starts = [start for start, _ in chosen]
    later = np.flatnonzero(table.is_sync[order])[1:]
    assert {later[0], later[0] + 2, later[-1]} <= set(starts)
    assert 0 not in starts
    assert all(start < stop <= len(order) for start, stop in chosen)


def test_each_kind_of_sync_sample_has_windows(tmp_path):
    """Of samples that hold an SEI unit and a slice, or a slice alone, and one of another sample entry."""
    contents = bytes.fromhex("00000002 06ff 00000002 65ff") * 4 + bytes.fromhex("00000002 65ff") * 4
    (tmp_path / "a.264").write_bytes(contents)
    offset = np.concatenate([np.arange(4) * 12, 48 + np.arange(4) * 6])
    table = read_table(H264)
    table = replace(
        table,
        **{name: getattr(table, name)[:8] for name in ("dts", "duration", "is_presented")},
        pts=np.arange(8) * 512,
        offset=offset,
        size=np.repeat([12, 6], 4),
        is_sync=np.ones(8, np.bool_),
        description_index=np.array([1, 1, 1, 1, 1, 1, 1, 2]),
    )
    assert {start for start, _ in sync_windows(tmp_path / "a.264", table)} >= {1, 3, 4, 6, 7}
