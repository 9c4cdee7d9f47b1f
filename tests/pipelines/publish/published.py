"""Clips of a published dataset as readers get them: the numbers in their pictures."""

from collections.abc import Iterable, Iterator

import numpy as np

import episeek
from tests.support import bar_code


def burned_in(
    opened: episeek.ByteIndex, clips: Iterable[tuple[int, str, int, int]]
) -> Iterator[tuple[list[int], list[int]]]:
    """Return the numbers in the pictures of clips, each with the frame that it should show."""
    for episode, camera, start, stop in clips:
        yield (
            bar_code.read(np.asarray(opened.clip(episode, camera, start, stop).decode("pyav").data)),
            [*range(start, stop)],
        )


def check_readable(url: str) -> None:
    opened = episeek.open(url)
    clips = [(episode, camera, 2, 6) for episode in range(opened.episode_count) for camera in opened.cameras]
    for found, expected in burned_in(opened, clips):
        assert found == expected
