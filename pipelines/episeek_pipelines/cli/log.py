"""Write messages to standard error: as lines for people, or as events in JSON lines (`--log-json`).

Each event is one JSON object on one line, with `time` (UTC, ISO 8601), `event` (its kind) and the fields of this kind:

- `notice`: `text`
- `phases`: `phases`, a list of objects with `phase`, `unit`, `units` and `bytes` (0 if the number of bytes is unknown)
- `progress`: `phase`, and its finished `units` and `bytes`; at most one event per second for each phase, and one at its end
- `error`: `kind` (the class of the error), and either `where`, `found`, `expected` and `hint`, or `text`; for a failed file of a
  job, `kind`, `where` and `text`
- `end`: `command`, `exit_code`, `seconds`
"""

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from episeek.errors import EpiseekError

if TYPE_CHECKING:
    from episeek_pipelines.api import Phase, Progress

MAX_FAILURES_SHOWN: Final = 10
PROGRESS_SECONDS: Final = 1.0


class Log:
    """A log that writes lines for people to standard error."""

    def notice(self, text: str) -> None:
        """Write a line that is not an error."""
        _write(f"episeek: {text}")

    def error(self, text: str, *, kind: str = "") -> None:
        """Write an error that consists of one text. The class of the error, `kind`, is not written."""
        from episeek_pipelines.cli.colour import paint_for

        self.notice(f"{paint_for(sys.stderr)('error:', 'error')} {text}")

    def failure(self, error: EpiseekError) -> None:
        """Write the error of a job. If several files failed, write one line for each of the first ten."""
        failures = getattr(error, "failures", ())
        if not failures:
            self.error(str(error))
            return
        lines = [failure.message for failure in failures[:MAX_FAILURES_SHOWN]]
        if len(failures) > MAX_FAILURES_SHOWN:
            lines.append(f"and {len(failures) - MAX_FAILURES_SHOWN} more")
        if error.hint:
            lines[-1] += f"; hint: {error.hint}"
        for line in lines:
            self.error(line)

    def end(self, command: str, exit_code: int) -> None:
        """Write nothing at the end of the command: people do not need a line about its exit code."""


class JsonLog(Log):
    """A log that writes events as JSON lines to standard error."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def notice(self, text: str) -> None:
        """Write the event `notice`."""
        write_event("notice", text=text)

    def error(self, text: str, *, kind: str = "") -> None:
        """Write the event `error` with the class of the error and a text."""
        write_event("error", kind=kind, text=text)

    def failure(self, error: EpiseekError) -> None:
        """Write an event `error` for each failed file, and then an event `error` with the parts of the job's error."""
        for failure in getattr(error, "failures", ()):
            write_event("error", kind=failure.kind, where=failure.label, text=failure.message)
        parts = {name: getattr(error, name, "") for name in ("where", "found", "expected", "hint")}
        write_event("error", kind=type(error).__name__, **parts)

    def end(self, command: str, exit_code: int) -> None:
        """Write the event `end` with the exit code and the duration of the command."""
        seconds = round(time.monotonic() - self._started, 3)
        write_event("end", command=command, exit_code=exit_code, seconds=seconds)


def log_of(*, is_json: bool) -> Log:
    """Return a log that writes JSON lines, or a log that writes lines for people."""
    return JsonLog() if is_json else Log()


def start_json_progress(phases: "Sequence[Phase]") -> "Progress":
    """Write the event `phases` of a job, and return the function that writes finished work as events `progress`."""
    known = [
        {"phase": phase.name, "unit": phase.unit, "units": phase.unit_count, "bytes": phase.byte_count}
        for phase in phases
    ]
    write_event("phases", phases=known)
    totals = {phase.name: phase.unit_count for phase in phases}
    units, sizes, last = dict.fromkeys(totals, 0), dict.fromkeys(totals, 0), dict.fromkeys(totals, 0.0)

    def update(phase: str, unit_count: int, byte_count: int, /) -> None:
        units[phase] += unit_count
        sizes[phase] += byte_count
        now = time.monotonic()
        if now - last[phase] >= PROGRESS_SECONDS or units[phase] >= totals[phase]:
            last[phase] = now
            write_event("progress", phase=phase, units=units[phase], bytes=sizes[phase])

    return update


def write_event(event: str, **fields: Any) -> None:
    """Write an event with the present time and its fields as one line of JSON."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    _write(json.dumps({"time": now, "event": event, **fields}))


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
