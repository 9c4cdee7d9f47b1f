"""Sampling and statistics of pictures, against numpy on all pixels and the numbers that LeRobot's code gives."""

import numpy as np
import pytest

from episeek_pipelines.statistics.pictures import picture_histogram, picture_statistics, sampled_frames


@pytest.mark.parametrize(
    ("length", "count"),
    [(1, 1), (99, 99), (100, 100), (463, 100), (1000, 177), (2000, 299), (5000, 594), (20000, 1681), (300000, 10000)],
)
def test_frames_are_sampled_evenly(length: int, count: int):
    frames = sampled_frames(length)
    assert len(frames) == count
    assert (frames[0], frames[-1]) == (0, length - 1)
    assert set(np.diff(frames)) <= {(length - 1) // max(count - 1, 1), -(-(length - 1) // max(count - 1, 1))}


@pytest.mark.parametrize(("size", "step"), [((40, 64), 1), ((299, 299), 1), ((480, 640), 4), ((720, 300), 4)])
def test_statistics_are_those_of_the_pixels(size: tuple[int, int], step: int):
    rng = np.random.default_rng(4)
    # squares of values above 15 do not fit into 8 bits
    pictures = rng.integers(3, 250, (3, *size, 3), np.uint8)
    found = picture_statistics([picture_histogram(each) for each in pictures])
    pixels = pictures[:, ::step, ::step].reshape(-1, 3) / 255
    assert found["count"].tolist() == [3]
    assert {values.shape for name, values in found.items() if name != "count"} == {(3, 1, 1)}
    for name, expected in (
        ("min", pixels.min(axis=0)),
        ("max", pixels.max(axis=0)),
        ("mean", pixels.mean(axis=0)),
        ("std", pixels.std(axis=0)),
    ):
        np.testing.assert_allclose(found[name].ravel(), expected, rtol=1e-12)
    for name, share in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):
        np.testing.assert_allclose(found[name].ravel(), np.quantile(pixels, share, axis=0), atol=1.1 / 255)


def test_one_value_is_all_of_its_statistics():
    found = picture_statistics([picture_histogram(np.full((8, 8, 3), 255, np.uint8))])
    assert {name: values.ravel().round(9).tolist() for name, values in found.items()} == {
        **dict.fromkeys(("min", "max", "mean", "q01", "q10", "q50", "q90", "q99"), [1.0] * 3),
        "std": [0.0] * 3,
        "count": [1],
    }
