"""Every generated file comes out exactly, or is refused with the error that the table names."""

import pytest

from tests.features.catalogue import FEATURES
from tests.features.read_back import promised, read_with_ffmpeg
from tests.features.registry import IDENTICAL, STANDARD, Feature
from tests.oracle.file_check import Options, check_file
from tests.support.amount import amount, every
from tests.support.one_file_index import CAMERA, open_one_file, read_table

pytestmark = pytest.mark.torch

WINDOWS = amount(2, 0)
"""Random windows beside those that the oracle always takes: `python -m tests.oracle` takes more."""

BY_TORCHCODEC = frozenset(feature.name for feature in every(FEATURES, 4))
"""The files that are compared with TorchCodec as well; all of them in a full run."""


def with_expectation(*expected):
    return [pytest.param(feature, id=feature.name) for feature in FEATURES if feature.expected in expected]


@pytest.fixture
def file(feature: Feature, tmp_path):
    path = tmp_path / feature.name
    path.write_bytes(feature.build())
    return path


@pytest.mark.parametrize("feature", every(with_expectation(IDENTICAL), 3))
def test_clips_equal_the_whole_file_decoded(feature: Feature, file):
    verdict = check_file(file, feature.name, Options(WINDOWS, has_torchcodec=feature.name in BY_TORCHCODEC))
    assert verdict.status == "identical", verdict.line()


@pytest.mark.parametrize("feature", with_expectation(STANDARD))
def test_clips_hold_the_promised_frames_where_ffmpeg_misreads_the_file(feature: Feature, file, tmp_path):
    index = open_one_file(file, read_table(file), tmp_path / "sidecars")
    numbers, seconds = promised(feature)
    assert read_with_ffmpeg(index.clip(0, CAMERA).read("hidden")) == (numbers, seconds)
    start, stop = len(numbers) // 2, len(numbers) - 1
    window = read_with_ffmpeg(index.clip(0, CAMERA, start, stop).read("hidden"))
    assert window == (numbers[start:stop], [moment - seconds[start] for moment in seconds[start:stop]])


@pytest.mark.parametrize(
    "feature", [pytest.param(feature, id=feature.name) for feature in FEATURES if feature.is_refused]
)
def test_what_cannot_be_exact_is_refused_by_name(feature: Feature, file):
    verdict = check_file(file, feature.name, Options(WINDOWS))
    assert (verdict.status, verdict.code) == ("refused", feature.expected), verdict.line()
