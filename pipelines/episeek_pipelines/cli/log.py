"""Everything that the command line says on standard error: lines for people, or events as JSON lines (`--log-json`).

Each event is one JSON object on one line, with `time` (UTC, ISO 8601), `event` and the fields of its kind:

- `notice`: `text`
- `phases`: `phases`, a list of objects with `phase`, `unit`, `units` and `bytes` (0: not known)
- `progress`: `phase`, finished `units` and `bytes`, at most one a second for each phase, and one at its end
- `error`: `kind` (the class), `where`, `found`, `expected`, `hint`, or `text`
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
    """Lines for people."""

    def notice(self, text: str) -> None:
        """Say something."""
        _write(f"episeek: {text}")

    def error(self, text: str, *, kind: str = "") -> None:
        """Say that something failed."""
        from episeek_pipelines.cli.colour import paint_for

        self.notice(f"{paint_for(sys.stderr)('error:', 'error')} {text}")

    def failure(self, error: EpiseekError) -> None:
        """Say what a job failed on: each failed file where there are several."""
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
        """Say nothing: the shell has the exit code."""


class JsonLog(Log):
    """Events as JSON lines."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def notice(self, text: str) -> None:
        """Write a `notice`."""
        write_event("notice", text=text)

    def error(self, text: str, *, kind: str = "") -> None:
        """Write an `error` that has no parts."""
        write_event("error", kind=kind, text=text)

    def failure(self, error: EpiseekError) -> None:
        """Write an `error` with its parts, and one for each failed file."""
        for failure in getattr(error, "failures", ()):
            write_event("error", kind=failure.kind, where=failure.label, text=failure.message)
        parts = {name: getattr(error, name, "") for name in ("where", "found", "expected", "hint")}
        write_event("error", kind=type(error).__name__, **parts)

    def end(self, command: str, exit_code: int) -> None:
        """Write the `end`."""
        seconds = round(time.monotonic() - self._started, 3)
        write_event("end", command=command, exit_code=exit_code, seconds=seconds)


def log_of(*, is_json: bool) -> Log:
    """Return the log that was asked for."""
    return JsonLog() if is_json else Log()


def start_json_progress(phases: "Sequence[Phase]") -> "Progress":
    """Write the `phases` of a job, and return the receiver of finished work, which writes `progress`."""
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
    """Write an event."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    _write(json.dumps({"time": now, "event": event, **fields}))


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
