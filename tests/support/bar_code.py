"""The frame number in the picture, drawn and read as `tests/data/README.md` describes it."""

import numpy as np
import numpy.typing as npt

BITS = 8
BAR_WIDTH = 6
BAR_HEIGHT = 6


def draw(picture: npt.NDArray[np.uint8], number: int, *, line: int = 0) -> None:
    """Burn a number into a picture [height, width, 3], `line` bars below its top."""
    rows = slice(BAR_HEIGHT * line, BAR_HEIGHT * (line + 1))
    for bit in range(BITS):
        picture[rows, BAR_WIDTH * bit : BAR_WIDTH * (bit + 1)] = 255 if number >> bit & 1 else 0


def read(pictures: npt.NDArray[np.uint8], *, line: int = 0) -> list[int]:
    """The numbers in pictures [frames, 3, height, width]."""
    columns = BAR_WIDTH * np.arange(BITS) + BAR_WIDTH // 2
    bits = pictures[:, 0, BAR_HEIGHT * line + BAR_HEIGHT // 2, columns] > 127
    return (bits << np.arange(BITS)).sum(axis=1).tolist()
