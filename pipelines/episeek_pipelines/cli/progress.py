"""Show the progress of a job on standard error: as a bar on a terminal, or else as a line from time to time."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from episeek_pipelines.words import counted, human_bytes

if TYPE_CHECKING:
    from episeek_pipelines.api import Phase, Progress

LINE_INTERVAL_SECONDS: Final = 15.0

_BAR_FORMAT: Final = "{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}, {remaining} left"


class Tally:
    """The amount of finished work in each phase of a job. `str` returns the text of the progress display."""

    def __init__(self, phases: Sequence["Phase"]) -> None:
        self._phases = {phase.name: phase for phase in phases}
        self._units = dict.fromkeys(self._phases, 0)
        self._bytes = dict.fromkeys(self._phases, 0)
        self.total = sum(phase.unit_count for phase in phases)
        """Number of units of work in all phases together."""

    @property
    def done(self) -> int:
        """Return the number of finished units of work in all phases together."""
        return sum(self._units.values())

    def add(self, phase: str, unit_count: int, byte_count: int) -> None:
        """Add finished work to a phase: a number of units and a number of bytes."""
        self._units[phase] += unit_count
        self._bytes[phase] += byte_count

    def __str__(self) -> str:
        """Return the phases in progress with their counts, or the next phase if none is in progress."""
        unfinished = [name for name, phase in self._phases.items() if self._units[name] < phase.unit_count]
        begun = [name for name in unfinished if self._units[name]]
        return "; ".join(map(self._describe, begun or unfinished[:1])) or "done"

    def _describe(self, name: str) -> str:
        phase = self._phases[name]
        text = f"{name} {self._units[name]:,} of {counted(phase.unit_count, phase.unit)}"
        if phase.byte_count:
            text += f", {human_bytes(self._bytes[name])} of {human_bytes(phase.byte_count)}"
        return text


def display_progress(command: str, phases: Sequence["Phase"]) -> "Progress":
    """Start to show the progress of a command, and return the function to call after each piece of finished work."""
    tally = Tally(phases)
    return _bar(command, tally) if sys.stderr.isatty() else _Lines(command, tally)


def _bar(command: str, tally: Tally) -> "Progress":
    from tqdm import tqdm

    bar = tqdm(total=tally.total, desc=f"{command}: {tally}", bar_format=_BAR_FORMAT, dynamic_ncols=True)

    def update(phase: str, unit_count: int, byte_count: int, /) -> None:
        tally.add(phase, unit_count, byte_count)
        bar.set_description_str(f"{command}: {tally}", refresh=False)
        bar.update(unit_count)
        if tally.done >= tally.total:
            bar.close()

    return update


class _Lines:
    """A progress function that writes a line every `LINE_INTERVAL_SECONDS`, and no line for a shorter job."""

    def __init__(self, command: str, tally: Tally) -> None:
        self._command = command
        self._tally = tally
        self._last_line = self._started = time.monotonic()

    def __call__(self, phase: str, unit_count: int, byte_count: int, /) -> None:
        self._tally.add(phase, unit_count, byte_count)
        now = time.monotonic()
        if now - self._last_line < LINE_INTERVAL_SECONDS:
            return
        self._last_line = now
        elapsed = now - self._started
        left = elapsed * (self._tally.total - self._tally.done) / max(1, self._tally.done)
        sys.stderr.write(f"{self._command}: {self._tally}; {elapsed:.0f} s, about {left:.0f} s left\n")
        sys.stderr.flush()
