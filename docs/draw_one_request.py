"""Draw `docs/one-request.svg`, the picture of the README: python docs/draw_one_request.py.

The figures are those of `make bench-remote` in docs/performance.md: one random frame of a 200 MB file at 20 ms of latency.
"""

from pathlib import Path
from typing import Final

PICTURE: Final = Path(__file__).parent / "one-request.svg"

WIDTH: Final = 880
HEIGHT: Final = 300
LEFT: Final = 30
FILE_WIDTH: Final = WIDTH - 2 * LEFT
EPISODE_COUNT: Final = 24
HEADER_WIDTH: Final = 56

INK: Final = "#1f2933"
QUIET: Final = "#52606d"
PAPER: Final = "#ffffff"
HEADER: Final = "#cbd2d9"
EPISODES: Final = ("#d9e2ec", "#e6edf3")
WASTE: Final = "#b45309"
WANTED: Final = "#2276b5"


def draw() -> str:
    """Return the picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img"'
        ' aria-labelledby="title" font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        '<title id="title">One random frame of a 200 MB file: three requests and 2,214 kB without the index,'
        " one request of 7.4 kB with it</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{PAPER}"/>',
        text(LEFT, 30, "One random frame from a 200 MB MP4 of many episodes, in an object store", size=16, weight=600),
    ]
    wanted = episode_left(15) + 9
    parts += row(
        56,
        "Usual decoder over fsspec: open, read the header, read ahead",
        "3 requests, 2,214 kB, 79 ms",
        [(LEFT, 18), (LEFT + 18, HEADER_WIDTH - 14), (wanted - 24, 96)],
        wanted,
        WASTE,
    )
    parts += row(
        166,
        "episeek: the index says where the frame and its keyframe lie",
        "1 request, 7.4 kB, 29 ms",
        [(wanted, 5)],
        wanted,
        WANTED,
    )
    parts.append(
        text(
            LEFT,
            280,
            "Coloured: bytes that travel (widths not to scale). Boxes: the header and 24 episodes.",
            fill=QUIET,
        )
    )
    return "\n".join([*parts, "</svg>", ""])


def episode_left(number: int) -> float:
    """Return the left edge of an episode, in pixels."""
    return LEFT + HEADER_WIDTH + number * (FILE_WIDTH - HEADER_WIDTH) / EPISODE_COUNT


def row(top: int, label: str, cost: str, ranges: list[tuple[float, float]], wanted: float, colour: str) -> list[str]:
    """Return one way to read the frame: the file, the ranges that travel, and what that costs."""
    bar = top + 16
    parts = [
        text(LEFT, top, label),
        text(WIDTH - LEFT, top, cost, anchor="end", weight=600, fill=colour),
        rect(LEFT, bar, HEADER_WIDTH, 34, HEADER),
        text(LEFT + HEADER_WIDTH / 2, bar + 22, "moov", size=12, anchor="middle"),
    ]
    width = (FILE_WIDTH - HEADER_WIDTH) / EPISODE_COUNT
    parts += [rect(episode_left(number), bar, width, 34, EPISODES[number % 2]) for number in range(EPISODE_COUNT)]
    parts += [rect(left, bar + 38, range_width, 14, colour) for left, range_width in ranges]
    parts.append(f'<path d="M {wanted + 2.5} {bar - 3} v 40" stroke="{INK}" stroke-width="2"/>')
    return parts


def rect(left: float, top: float, width: float, height: float, fill: str) -> str:
    """Return a filled rectangle."""
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def text(
    left: float, top: float, content: str, *, size: int = 14, weight: int = 400, anchor: str = "start", fill: str = INK
) -> str:
    """Return a line of text."""
    return (
        f'<text x="{left:.1f}" y="{top:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
        f' fill="{fill}">{content}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
