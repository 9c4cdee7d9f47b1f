"""The generated files are what they say: read with FFmpeg, without the project."""

import hashlib
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.features.catalogue import FEATURES, MISREAD_SUFFIX, TABLE, table, write_all
from tests.features.read_back import promised, read_with_ffmpeg
from tests.features.registry import IDENTICAL, STANDARD, Feature

ROOT = Path(__file__).parents[2]


def named(features):
    return [pytest.param(feature, id=feature.name) for feature in features]


def with_expectation(expected):
    return named(feature for feature in FEATURES if feature.expected == expected)


@pytest.mark.parametrize("feature", with_expectation(IDENTICAL))
def test_ffmpeg_presents_the_promised_frames_at_the_promised_times(feature: Feature):
    assert read_with_ffmpeg(feature.build()) == promised(feature)


@pytest.mark.parametrize("feature", with_expectation(STANDARD))
def test_ffmpeg_differs_where_the_table_says_so(feature: Feature):
    try:
        read = read_with_ffmpeg(feature.build())
    except av.error.InvalidDataError:
        return
    assert read != promised(feature)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("features")
    write_all(root)
    return root


def test_two_runs_write_the_same_bytes(folder, tmp_path):
    command = [sys.executable, "-m", "tests.features", str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert digests(folder) == digests(tmp_path)
    assert said.stdout.decode().strip() == table().strip()


def test_the_table_has_a_row_for_every_file(folder):
    lines = (folder / TABLE).read_text().splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ") and not line.startswith("| file |")]
    written = [*folder.iterdir(), *folder.with_name(folder.name + MISREAD_SUFFIX).iterdir()]
    assert sorted(rows) == sorted(path.name for path in written if path.name != TABLE)
    assert len(rows) == len(FEATURES) >= 40


def test_the_committed_table_is_this_one():
    """`python -m tests.features FOLDER` writes it; to be read without running anything."""
    assert (Path(__file__).parent / TABLE).read_text(encoding="utf-8") == table()


def test_files_are_small(folder):
    sizes = [path.stat().st_size for path in folder.iterdir() if path.name != TABLE]
    assert max(sizes) < 60_000
    assert sum(sizes) < 5 << 18
