"""Progress for people: a tqdm bar on a terminal, one line now and then elsewhere. Written to stderr."""

import sys
import time
from collections.abc import Callable

LINE_INTERVAL_SECONDS = 15.0


def progress_bar(description: str, total: int) -> Callable[[int], None]:
    """What to call with the number of items that are finished."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(total=total, desc=description, unit="item", dynamic_ncols=True)

        def update(item_count: int, /) -> None:
            bar.update(item_count)
            if bar.n >= total:
                bar.close()

        return update
    return _Lines(description, total)


class _Lines:
    """One line every `LINE_INTERVAL_SECONDS`; none for short work."""

    def __init__(self, description: str, total: int) -> None:
        self._description = description
        self._total = total
        self._done = 0
        self._said = self._started = time.monotonic()

    def __call__(self, item_count: int, /) -> None:
        self._done += item_count
        now = time.monotonic()
        if now - self._said >= LINE_INTERVAL_SECONDS:
            self._said = now
            elapsed = now - self._started
            sys.stderr.write(f"{self._description}: {self._done} of {self._total} items, {elapsed:.0f} s\n")
            sys.stderr.flush()
