"""Times that can be compared: both ways in one run, in turn, the best of several."""

import gc
import time
from collections.abc import Callable


def best_interleaved(first: Callable[[], object], second: Callable[[], object], *, rounds: int) -> tuple[float, float]:
    """Shortest time of each, measured in turn, seconds."""
    best = [float("inf"), float("inf")]
    gc.collect()
    for _ in range(rounds):
        for position, run in enumerate((first, second)):
            start = time.perf_counter()
            result = run()
            best[position] = min(best[position], time.perf_counter() - start)
            del result
    return best[0], best[1]
