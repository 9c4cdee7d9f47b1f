"""Generated files of every feature, packed as the episodes of one camera: the frames by construction, whatever is around them."""

import pytest

from tests.features.catalogue import FEATURES
from tests.pipelines.pack.packing import numbers, pack_files, pictures, places
from tests.support.amount import every

OPEN_START = ("starts_in_open_gop_hevc.mp4", "starts_in_open_gop_h264.mp4")
SHOWN = [
    feature
    for feature in FEATURES
    if not feature.is_refused and not feature.name.endswith((".mkv", ".webm")) and feature.name not in OPEN_START
]


def test_each_feature_comes_out_of_a_packed_file_as_it_went_in(tmp_path):
    chosen = every(SHOWN, 9)
    packed = pack_files(tmp_path, [feature.build() for feature in chosen], [[len(each.numbers)] for each in chosen])
    shown = {path: pictures(path) for path in {path for path, _, _ in places(packed)}}
    for feature, (path, start, stop) in zip(chosen, places(packed), strict=True):
        found = [(second, picture) for second, picture in shown[path] if start - 1e-6 <= second < stop - 1e-6]
        assert numbers(found) == list(feature.numbers), feature.name
        # Matroska and some headers count in milliseconds
        expected = [float(second) for second in feature.seconds]
        assert [second - start for second, _ in found] == pytest.approx(expected, abs=6e-4), feature.name
