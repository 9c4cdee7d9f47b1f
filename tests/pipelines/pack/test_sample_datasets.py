"""Sample datasets, packed: the packets of the originals in one file, every frame on the grid, and the right picture at its time."""

import numpy as np
import pytest

from episeek.mp4.boxes import child_boxes
from episeek_pipelines.dataset.metadata import open_dataset
from tests.pipelines.conftest import DATA
from tests.pipelines.pack.packing import numbers, pack_dataset, packets, pictures, places

FPS = 30


@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes", "hevc", "edited"])
def test_packed_files_hold_the_packets_of_the_originals(name, tmp_path):
    dataset, packed = pack_dataset(DATA / name, tmp_path)
    for camera in dataset.info.video_keys:
        found = places(packed, camera)
        assert len({path for path, _, _ in found}) == 1
        path = found[0][0]
        originals = [
            packet for source in sorted({*dataset.video_paths(camera)}) for packet in packets(DATA / name / source)
        ]
        copies = packets(path)
        assert [packet[1:] for packet in copies] == [packet[1:] for packet in originals]
        grid = np.arange(len(copies)) / FPS
        assert sorted(second for second, _, _ in copies) == pytest.approx(grid, abs=1e-9)
        data = path.read_bytes()
        assert [box.type for box in child_boxes(data, 0, len(data), where="packed")] == ["ftyp", "moov", "mdat"]


@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes", "hevc"])
def test_the_numbers_in_pictures_are_those_of_the_frames_at_their_times(name, tmp_path):
    dataset, packed = pack_dataset(DATA / name, tmp_path)
    camera = dataset.info.video_keys[0]
    shown = pictures(places(packed, camera)[0][0])
    assert [second for second, _ in shown] == pytest.approx(np.arange(len(shown)) / FPS, abs=1e-9)
    found = numbers(shown)
    for (_, start, stop), length in zip(places(packed, camera), dataset.episodes.length.tolist(), strict=True):
        assert found[round(start * FPS) : round(stop * FPS)] == list(range(length))


def test_files_are_filled_up_to_the_limit_in_the_order_of_episodes(tmp_path):
    dataset = open_dataset(str(DATA / "av1_multifile"))
    camera = dataset.info.video_keys[0]
    _, packed = pack_dataset(DATA / "av1_multifile", tmp_path, limit_bytes=100_000)
    files = [file for file in packed.plan.files if file.camera_key == camera]
    assert len(files) > 2
    assert all(file.media_bytes < 100_000 for file in files)
    sizes = [file.media_bytes for file in files]
    pieces = [part for file in files for part in file.parts]
    assert len(pieces) == len(dataset.episodes)
    # none would have held the first episode of the next one
    assert all(size > 100_000 - 60_000 for size in sizes[:-1])
    found = places(packed, camera)
    assert found == sorted(found)
    for path in sorted({path for path, _, _ in found}):
        shown = numbers(pictures(path))
        spans = [shown[round(start * FPS) : round(stop * FPS)] for other, start, stop in found if other == path]
        assert [number for span in spans for number in span] == shown
        assert all(span == list(range(len(span))) for span in spans)
